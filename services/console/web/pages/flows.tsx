import { useId, useState } from 'preact/hooks';
import type { FlowList } from '../../types.ts';
import { useLive } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { Empty, Fault, Show, State, Table, When, Who } from '../ui.tsx';

const STATES = ['accepted', 'waiting', 'held', 'parked', 'refused', 'decided', 'done', 'read'] as const;

/** What is looked for stands in the address, so that a colleague finds the same. */
export function FlowsPage() {
  const { say, query, go } = useFrame();
  const asked = new URLSearchParams();
  for (const name of ['q', 'school', 'party', 'state', 'before']) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const loaded = useLive<FlowList>('flows', asked.toString());
  const search = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const next = new URLSearchParams();
    for (const [name, value] of form)
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(`/flows${next.size > 0 ? `?${next}` : ''}`);
  };
  const older = (before: number) => {
    const next = new URLSearchParams(asked);
    next.set('before', String(before));
    return `/flows?${next}`;
  };
  return (
    <>
      <h1>{say('flows')}</h1>
      <search>
        <form class="search" onSubmit={search} key={asked.toString()}>
          <Field name="q" label={say('search_label')} value={query.get('q') ?? ''} type="search" wide />
          <Field name="school" label={say('school_label')} value={query.get('school') ?? ''} />
          <Field name="party" label={say('party_label')} value={query.get('party') ?? ''} />
          <label>
            {say('state')}
            <select name="state" defaultValue={query.get('state') ?? ''}>
              <option value="">{say('any_state')}</option>
              {STATES.map((state) => (
                <option key={state} value={state} selected={query.get('state') === state}>
                  {say(`state_${state}`)}
                </option>
              ))}
            </select>
          </label>
          <button type="submit" class="main">
            {say('search_go')}
          </button>
          <p class="hint">{say('reference_hint')}</p>
        </form>
      </search>
      <Show loaded={loaded}>
        {({ flows, coveredFrom, more }) => (
          <>
            {flows.length === 0 ? (
              <Empty word={asked.size === 0 ? 'none_yet' : 'none_found'} />
            ) : (
              <Table name={say('flows')} heads={['when', 'method', 'from', 'school', 'about', 'state']}>
                {flows.map((flow) => (
                  <tr key={flow.id}>
                    <td>
                      <Link to={`/flow?id=${flow.id}`}>
                        <When at={flow.at} />
                      </Link>
                    </td>
                    <td>{flow.method}</td>
                    <td>
                      <Who of={flow.party} />
                    </td>
                    <td>
                      <Who of={flow.school} />
                    </td>
                    <td>{flow.subject}</td>
                    <td>
                      <State is={flow.state} /> <Fault code={flow.code} />
                    </td>
                  </tr>
                ))}
              </Table>
            )}
            <p class="hint">
              {coveredFrom === 0 ? (
                say('covered_all')
              ) : (
                <>
                  {say('covered_from')} <When at={coveredFrom} />. {!more && say('covered_rest')}
                </>
              )}{' '}
              {more && flows.length > 0 && <Link to={older(flows.at(-1)!.at)}>{say('older')}</Link>}
            </p>
          </>
        )}
      </Show>
    </>
  );
}

/** Its text is the person's while it is written. */
export function Field({
  name,
  label,
  value,
  type = 'text',
  wide = false,
  hint,
  required = false,
  most = 128,
}: {
  name: string;
  label: string;
  value: string;
  type?: 'text' | 'search' | 'date';
  wide?: boolean;
  hint?: string;
  required?: boolean;
  /** Characters. */
  most?: number;
}) {
  // What was written holds until the address says something else; an effect that set it would come after the first key.
  const [written, setWritten] = useState<{ over: string; text: string }>();
  const id = useId();
  const more = {
    id,
    name,
    value: written?.over === value ? written.text : value,
    maxLength: most,
    required,
    autocomplete: 'off' as const,
    spellcheck: false,
    onInput: (event: Event) => setWritten({ over: value, text: (event.currentTarget as HTMLInputElement).value }),
  };
  return (
    <label class={wide ? 'wide' : undefined} for={id}>
      {label}
      {type === 'search' ? <input type="search" {...more} /> : <input type="text" {...more} />}
      {hint && <small>{hint}</small>}
    </label>
  );
}
