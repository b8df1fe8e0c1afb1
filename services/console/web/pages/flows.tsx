import { useId, useRef, useState } from 'preact/hooks';
import type { FlowList } from '../../types.ts';
import { post, useAsk, useLive } from '../api.ts';
import { Link, toMain, useFrame } from '../app.tsx';
import { Empty, Fault, Show, State, Table, When, Who } from '../ui.tsx';
import type { Word } from '../words.ts';

const STATES = ['accepted', 'waiting', 'held', 'parked', 'refused', 'decided', 'done', 'read'] as const;

export function FlowsPage() {
  const { query, isShared } = useFrame();
  return query.get('by') === 'learner' && !isShared ? <OfLearner /> : <ByText />;
}

/** An ECK iD, or a pseudonym that a party was told: asked in the other form, and in no address. */
const NAMES_SOMEBODY = /^(?:https?:\/\/(?:ketenid\.nl|id\.school)\/|(?:urn:eduk:)?pw\d+(?:r\d+)?-)/i;

/** What is looked for stands in the address, so that a colleague finds the same. */
function ByText() {
  const { say, query, go } = useFrame();
  const asked = new URLSearchParams();
  for (const name of ['q', 'school', 'party', 'state', 'from', 'until', 'after']) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const loaded = useLive<FlowList>('flows', asked.toString());
  const search = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    if (NAMES_SOMEBODY.test(String(form.get('q')).trim())) return go('/flows?by=learner');
    const next = new URLSearchParams();
    for (const [name, value] of form)
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(`/flows${next.size > 0 ? `?${next}` : ''}`);
  };
  const older = (after: string) => {
    const next = new URLSearchParams(asked);
    next.set('after', after);
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
          <States is={query.get('state') ?? ''} />
          <Field name="from" label={say('from_moment')} value={query.get('from') ?? ''} />
          <Field name="until" label={say('to_moment')} value={query.get('until') ?? ''} />
          <button type="submit" class="main">
            {say('search_go')}
          </button>
          <p class="hint">
            {say('reference_hint')} {say('moment_hint')} <Link to="/flows?by=learner">{say('search_learner')}</Link>
          </p>
        </form>
      </search>
      <Show loaded={loaded}>
        {(list) => (
          <Found list={list} none={asked.size === 0 ? 'none_yet' : 'none_found'}>
            {(after) => <Link to={older(after)}>{say('older')}</Link>}
          </Found>
        )}
      </Show>
    </>
  );
}

/** What is asked about a learner. */
interface Asked {
  learner: string;
  pseudonymOf: string;
  school: string;
  party: string;
  state: string;
  from: string;
  until: string;
}

/** Whom it is about stands in no address, and is here as long as the page is: for the next question of the same. */
function OfLearner() {
  const { say, token } = useFrame();
  const { loaded, ask } = useAsk<FlowList>();
  const asked = useRef<Asked>(undefined);
  const [after, setAfter] = useState('');
  const [erased, setErased] = useState(0);
  const question = (of: Asked, below: string) => {
    asked.current = of;
    setAfter(below);
    toMain();
    ask(() => post<FlowList>('/api/flows/of-learner', { ...of, after: below }, token));
  };
  const search = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string): string => String(form.get(name) ?? '').trim();
    const [learner, pseudonymOf, school] = [text('learner'), text('pseudonymOf'), text('school')];
    const [from, until] = [text('from'), text('until')];
    question({ learner, pseudonymOf, school, party: text('party'), state: text('state'), from, until }, '');
    setErased((times) => times + 1);
  };
  const again = (below: string) => asked.current && question(asked.current, below);
  return (
    <>
      <h1>{say('flows')}</h1>
      <search>
        <form class="search" onSubmit={search}>
          <Field
            // Only this one is erased: who asks on does not write the rest again.
            key={erased}
            name="learner"
            label={say('named_label')}
            hint={say('named_kept')}
            value=""
            most={256}
            wide
            required
          />
          <Field name="school" label={say('school_label')} value="" required />
          <Field name="pseudonymOf" label={say('pseudonym_label')} value="" />
          <Field name="party" label={say('party_label')} value="" />
          <States is="" />
          <Field name="from" label={say('from_moment')} value="" />
          <Field name="until" label={say('to_moment')} value="" />
          <button type="submit" class="main">
            {say('search_go')}
          </button>
          <p class="hint">
            {say('named_hint')} {say('moment_hint')} <Link to="/flows">{say('search_text')}</Link>
          </p>
        </form>
      </search>
      {loaded === undefined ? (
        <Empty word="nothing_asked" />
      ) : (
        <div aria-live="polite">
          <Show loaded={loaded}>
            {(list) => (
              <Found list={list} none="none_of_learner">
                {(next) => (
                  <button type="button" class="plain" onClick={() => again(next)}>
                    {say('older')}
                  </button>
                )}
              </Found>
            )}
          </Show>
          {after !== '' && (
            <button type="button" class="plain" onClick={() => again('')}>
              {say('newest')}
            </button>
          )}
        </div>
      )}
    </>
  );
}

function States({ is }: { is: string }) {
  const { say } = useFrame();
  return (
    <label>
      {say('state')}
      <select name="state" defaultValue={is}>
        <option value="">{say('any_state')}</option>
        {STATES.map((state) => (
          <option key={state} value={state} selected={is === state}>
            {say(`state_${state}`)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Messages, and how far back was looked; `children`: how to go on with the next page. */
function Found({
  list: { flows, coveredFrom, next, isShort, missing, deliveries, gone },
  none,
  children,
}: {
  list: FlowList;
  none: Word;
  children: (next: string) => preact.JSX.Element;
}) {
  const { say } = useFrame();
  return (
    <>
      {flows.length === 0 ? (
        <Empty word={none} />
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
      {deliveries.length > 0 && (
        <>
          <h2>{say('delivered_here')}</h2>
          <Table name={say('delivered_here')} heads={['when', 'receiver', 'about', 'state', 'attempts', 'answer']}>
            {deliveries.map(({ id, flow, to, kind, about, state, attempts, status, at }) => (
              <tr key={`${id}/${to.oin}`}>
                <td>
                  <Link to={`/flow?id=${flow}`}>
                    <When at={at} />
                  </Link>
                </td>
                <td>
                  <Who of={to} />
                </td>
                <td>
                  {kind} {about}
                </td>
                <td>
                  <State is={state} />
                </td>
                <td class="number">{attempts}</td>
                <td class="number">{status === 0 ? say('no_answer') : status}</td>
              </tr>
            ))}
          </Table>
        </>
      )}
      {gone > 0 && (
        <p class="hint">
          {gone} {say('delivered_gone')}
        </p>
      )}
      <p class="hint">
        {coveredFrom === 0 ? (
          missing.length === 0 && say('covered_all')
        ) : (
          <>
            {say('covered_from')} <When at={coveredFrom} />. {isShort && say('covered_rest')}
          </>
        )}{' '}
        {missing.includes('deliveries') && say('missing_deliveries')}{' '}
        {missing.includes('orders') && say('missing_orders')}{' '}
        {missing.includes('entitlements') && say('missing_entitlements')} {next !== '' && children(next)}
      </p>
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
