import type { AuditList } from '../../types.ts';
import { useRead } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { Empty, Fault, FlowLink, Show, Table, useNumbers, useServices, When, Who } from '../ui.tsx';
import { isWord } from '../words.ts';
import { Field } from './flows.tsx';

const KINDS = ['accepted', 'refused', 'released', 'revealed', 'mandate', 'operator', 'signed_in'] as const;

/** What was done, searched. What is asked stands in the address, so that a colleague sees the same. */
export function AuditPage() {
  const { say, query, go } = useFrame();
  const asked = new URLSearchParams();
  for (const name of ['from', 'to', 'party', 'school', 'kind', 'method', 'before']) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const loaded = useRead<AuditList>('audit', asked.toString());
  const look = (event: SubmitEvent) => {
    event.preventDefault();
    const next = new URLSearchParams();
    for (const [name, value] of new FormData(event.currentTarget as HTMLFormElement))
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(`/audit${next.size > 0 ? `?${next}` : ''}`);
  };
  return (
    <>
      <h1>{say('audit')}</h1>
      <p class="hint">{say('audit_hint')}</p>
      <search>
        <form class="search" onSubmit={look} key={asked.toString()}>
          <Field name="from" label={say('from_day')} value={query.get('from') ?? ''} type="date" />
          <Field name="to" label={say('to_day')} value={query.get('to') ?? ''} type="date" />
          <Field name="party" label={say('party')} value={query.get('party') ?? ''} />
          <Field name="school" label={say('school_label')} value={query.get('school') ?? ''} />
          <label>
            {say('audit_kind')}
            <select name="kind" defaultValue={query.get('kind') ?? ''}>
              <option value="">{say('any_kind')}</option>
              {KINDS.map((kind) => (
                <option key={kind} value={kind} selected={query.get('kind') === kind}>
                  {say(`kind_${kind}`)}
                </option>
              ))}
            </select>
          </label>
          <Field name="method" label={say('method')} value={query.get('method') ?? ''} />
          <button type="submit" class="main">
            {say('search_go')}
          </button>
        </form>
      </search>
      <Show loaded={loaded}>{(found) => <Found found={found} asked={asked} />}</Show>
    </>
  );
}

function Found({ found, asked }: { found: AuditList; asked: URLSearchParams }) {
  const { say } = useFrame();
  const services = useServices();
  const numbers = useNumbers();
  const { rows, covered, before, keptFrom, head } = found;
  const further = new URLSearchParams(asked);
  further.set('before', String(before));
  return (
    <>
      {rows.length === 0 ? (
        <Empty word={before === undefined ? 'audit_none' : 'audit_none_here'} />
      ) : (
        <Table
          name={say('audit')}
          heads={['leaf', 'when', 'audit_kind', 'party', 'school', 'done_what', 'times', 'people']}
        >
          {rows.map((row) => (
            <tr key={row.leaf}>
              <td class="number">
                {numbers(row.leaf)}
                {!row.signed && (
                  <>
                    {' '}
                    <small>{say('not_signed')}</small>
                  </>
                )}
              </td>
              <td>
                <When at={row.at} />
              </td>
              <td>{isWord(`kind_${row.kind}`) ? say(`kind_${row.kind}` as 'kind_accepted') : row.kind}</td>
              <td>
                <Who of={row.party} />
                {row.actedBy.oin !== '' && row.actedBy.oin !== row.party.oin && (
                  <>
                    {' '}
                    {say('acted_by')} <Who of={row.actedBy} />
                  </>
                )}
              </td>
              <td>{row.schools.length === 0 ? '–' : row.schools.map((one) => <Who of={one} key={one.oin} />)}</td>
              <td>
                {[...row.methods, services(row.purpose)].filter(Boolean).join(', ')}
                {row.attributes.length > 0 && <small> {row.attributes.join(', ')}</small>}{' '}
                <Fault code={row.code} title={row.title} /> <FlowLink id={row.flow} />
              </td>
              <td class="number">{numbers(row.times)}</td>
              <td class="number">{numbers(row.people)}</td>
            </tr>
          ))}
        </Table>
      )}
      <p class="hint">
        {covered && (
          <>
            {say('leaves_looked')} {numbers(covered.first)} {say('leaf_to')} {numbers(covered.last)},{' '}
            {say('done_between')} <When at={covered.from} /> {say('leaf_to')} <When at={covered.to} />.{' '}
          </>
        )}
        {before === undefined && say('all_looked')}{' '}
        {keptFrom > 0 && (
          <>
            {say('kept_from')} <When at={keptFrom} />.
          </>
        )}
      </p>
      {before !== undefined && (
        <p>
          <Link to={`/audit?${further}`}>{say('look_further')}</Link>
        </p>
      )}
      <p class="hint">
        {head ? (
          <>
            {say('head_holds')} {numbers(head.size - 1)}, <When at={head.at} />; {say('head_root')}{' '}
            <code>{head.root}</code>, {say('head_key')} <code>{head.key}</code>. {say('head_check')}{' '}
            <code>eduk audit verify</code>.
          </>
        ) : (
          say('no_head')
        )}
      </p>
    </>
  );
}
