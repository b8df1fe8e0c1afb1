import type { PartyView, Score } from '../../types.ts';
import { useLive } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { Empty, Fault, Show, State, Table, useNumbers, useServices, When, Who } from '../ui.tsx';
import { isWord, type Word } from '../words.ts';
import { Field } from './flows.tsx';

/** One party: how it goes, where it answers, what it may have, and what of it ends. Its address is one that a colleague opens. */
export function PartyPage() {
  const { say, query, go } = useFrame();
  const asked = new URLSearchParams();
  for (const name of ['oin', 'from', 'to']) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const oin = asked.get('oin');
  const loaded = useLive<PartyView>(oin ? 'party' : undefined, asked.toString());
  const look = (event: SubmitEvent) => {
    event.preventDefault();
    const next = new URLSearchParams({ oin: oin ?? '' });
    for (const [name, value] of new FormData(event.currentTarget as HTMLFormElement))
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(`/party?${next}`);
  };
  if (!oin)
    return (
      <>
        <h1>{say('party')}</h1>
        <Empty word="name_a_party">
          <Link to="/parties">{say('all_parties')}</Link>
        </Empty>
      </>
    );
  return (
    <>
      <h1>{loaded.state === 'there' ? loaded.value.name || loaded.value.oin : say('party')}</h1>
      <search>
        <form class="search" onSubmit={look} key={asked.toString()}>
          <Field name="from" label={say('from_day')} value={query.get('from') ?? ''} type="date" />
          <Field name="to" label={say('to_day')} value={query.get('to') ?? ''} type="date" />
          <button type="submit" class="main">
            {say('search_go')}
          </button>
        </form>
      </search>
      <Show loaded={loaded}>{(party) => <Seen party={party} />}</Show>
    </>
  );
}

function Seen({ party }: { party: PartyView }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  return (
    <>
      {party.stopped > 0 && (
        <p class="note bad">
          {say('stopped_since')} <When at={party.stopped} />
        </p>
      )}
      <dl>
        <dt>OIN</dt>
        <dd>
          <code>{party.oin}</code>
        </dd>
        <dt>{say('role')}</dt>
        <dd>{party.roles.map((role) => (isWord(`role_${role}`) ? say(`role_${role}` as Word) : role)).join(', ')}</dd>
        {party.board.oin !== '' && (
          <>
            <dt>{say('board')}</dt>
            <dd>
              <Who of={party.board} />
            </dd>
          </>
        )}
        {party.attributes.length > 0 && (
          <>
            <dt>{say('declares')}</dt>
            <dd>{party.attributes.join(', ')}</dd>
          </>
        )}
        <dt>{say('last_from')}</dt>
        <dd>
          <When at={party.lastAccepted} />
        </dd>
        <dt>{say('last_to')}</dt>
        <dd>
          <When at={party.lastDelivered} />
        </dd>
        {party.waiting > 0 && (
          <>
            <dt>{say('waiting')}</dt>
            <dd>
              <Link to="/dead">
                {numbers(party.waiting)} {say('n_dead_rows', party.waiting)}
              </Link>
            </dd>
          </>
        )}
        {party.certificate > 0 && (
          <>
            <dt>{say('certificate_until')}</dt>
            <dd>
              <When at={party.certificate} />
            </dd>
          </>
        )}
      </dl>
      <p>
        <Link to={`/flows?party=${encodeURIComponent(party.oin)}`}>{say('messages_of')}</Link>
      </p>
      <Card party={party} />
      <Endpoints party={party} />
      <Endings party={party} />
      <Mandates party={party} />
    </>
  );
}

function useTimes(): (ms: number | undefined) => string {
  const { lang } = useFrame();
  return (ms) => {
    if (ms === undefined) return '–';
    const locale = lang === 'nl' ? 'nl-NL' : 'en-GB';
    const of = (value: number, unit: string) =>
      new Intl.NumberFormat(locale, { style: 'unit', unit, maximumFractionDigits: 1 }).format(value);
    if (ms < 1_000) return of(ms, 'millisecond');
    if (ms < 60_000) return of(ms / 1_000, 'second');
    return ms < 3_600_000 ? of(ms / 60_000, 'minute') : of(ms / 3_600_000, 'hour');
  };
}

function Card({ party }: { party: PartyView }) {
  const { say, lang } = useFrame();
  const numbers = useNumbers();
  const times = useTimes();
  const { score, days } = party;
  const isNothing = score.accepted + score.refusedAtDoor + score.requests === 0;
  const days_ = days.filter(({ day }) => day.length > 7);
  return (
    <section>
      <h2>{say('scorecard')}</h2>
      <p class="soft">
        {party.from} – {party.until}
      </p>
      {isNothing ? (
        <Empty word="nothing_exchanged" />
      ) : (
        <>
          <div class="pair">
            <DayBars
              word="score_sent"
              good="well_taken"
              bad="not_taken"
              party={party}
              days={days_.map(({ day, score: one }) => ({
                day,
                good: one.accepted - one.refused,
                bad: one.refused + one.refusedAtDoor,
              }))}
            />
            <DayBars
              word="score_taken"
              good="went_well"
              bad="went_wrong"
              party={party}
              days={days_.map(({ day, score: one }) => ({ day, good: one.requests - one.failed, bad: one.failed }))}
            />
          </div>
          <div class="pair">
            <dl>
              <dt>{say('accepted')}</dt>
              <dd>{numbers(score.accepted)}</dd>
              <dt>{say('n_refused')}</dt>
              <dd>{numbers(score.refused + score.refusedAtDoor)}</dd>
              <dt>{say('n_schema')}</dt>
              <dd>{numbers(score.schemaViolations)}</dd>
              {score.refusals.length > 0 && (
                <>
                  <dt>{say('why_refused')}</dt>
                  <dd>
                    <ul class="plain-list">
                      {score.refusals.slice(0, 5).map(({ code, title, times: n }) => (
                        <li key={code}>
                          {numbers(n)} × <Fault code={code} title={title} />
                        </li>
                      ))}
                    </ul>
                  </dd>
                </>
              )}
            </dl>
            <dl>
              <dt>{say('n_delivered')}</dt>
              <dd>{numbers(score.delivered)}</dd>
              <dt>{say('n_requests')}</dt>
              <dd>{numbers(score.requests)}</dd>
              <dt>{say('n_failed')}</dt>
              <dd>{numbers(score.failed)}</dd>
              <dt>{say('n_again')}</dt>
              <dd>{numbers(score.again)}</dd>
              {score.failures.length > 0 && (
                <>
                  <dt>{say('why_failed')}</dt>
                  <dd>
                    {score.failures
                      .slice(0, 5)
                      .map(({ code, times: n }) => `${numbers(n)} × ${/^\d{3}$/.test(code) ? `HTTP ${code}` : code}`)
                      .join(', ')}
                  </dd>
                </>
              )}
              <dt>{say('answers_in')}</dt>
              <dd>
                {times(score.answerP50)} ({say('half')}), {times(score.answerP99)} (99 %)
              </dd>
              <dt>{say('has_in')}</dt>
              <dd>
                {times(score.deliveryP50)} ({say('half')}), {times(score.deliveryP99)} (99 %)
              </dd>
            </dl>
          </div>
          <details>
            <summary>{say('by_day')}</summary>
            <Table
              name={say('by_day')}
              heads={['day', 'accepted', 'n_refused', 'n_delivered', 'n_requests', 'n_failed', 'n_again', 'answers_99']}
            >
              {[...days].reverse().map(({ day, score: one }) => (
                <tr key={day}>
                  <td>
                    {new Intl.DateTimeFormat(lang === 'nl' ? 'nl-NL' : 'en-GB', dayFormat(day)).format(new Date(day))}
                  </td>
                  <td class="number">{numbers(one.accepted)}</td>
                  <td class="number">{numbers(one.refused + one.refusedAtDoor)}</td>
                  <td class="number">{numbers(one.delivered)}</td>
                  <td class="number">{numbers(one.requests)}</td>
                  <td class="number">{numbers(one.failed)}</td>
                  <td class="number">{numbers(one.again)}</td>
                  <td class="number">{times(one.answerP99)}</td>
                </tr>
              ))}
            </Table>
          </details>
        </>
      )}
    </section>
  );
}

/** Days of a scorecard are days without a time: they are the same everywhere. */
const dayFormat = (day: string): Intl.DateTimeFormatOptions =>
  day.length > 7
    ? { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' }
    : { month: 'long', year: 'numeric', timeZone: 'UTC' };

const [WIDE, HIGH] = [480, 96];
const DAY_MS = 86_400_000;
/** More bars than this are too thin to see. */
const MOST_BARS = 62;

/** A bar for each day: what went well, and on it what did not. The same figures stand beside it, and in the table below. */
function DayBars({
  word,
  good,
  bad,
  party,
  days,
}: {
  word: Word;
  good: Word;
  bad: Word;
  party: PartyView;
  days: { day: string; good: number; bad: number }[];
}) {
  const { say } = useFrame();
  const numbers = useNumbers();
  const last = Date.parse(party.until);
  const count = Math.min(MOST_BARS, Math.round((last - Date.parse(party.from)) / DAY_MS) + 1);
  const byDay = new Map(days.map((one) => [one.day, one]));
  const bars = Array.from({ length: count }, (_, i) => {
    const day = new Date(last - (count - 1 - i) * DAY_MS).toISOString().slice(0, 10);
    return byDay.get(day) ?? { day, good: 0, bad: 0 };
  });
  const most = Math.max(1, ...bars.map((one) => one.good + one.bad));
  const [allGood, allBad] = [bars.reduce((sum, one) => sum + one.good, 0), bars.reduce((sum, one) => sum + one.bad, 0)];
  const step = WIDE / count;
  const high = (n: number): number => (n === 0 ? 0 : Math.max(2, (n / most) * (HIGH - 4)));
  return (
    <figure>
      <figcaption>{say(word)}</figcaption>
      <svg
        class="bars small"
        viewBox={`0 0 ${WIDE} ${HIGH}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${say(word)}: ${numbers(allGood)} ${say(good)}, ${numbers(allBad)} ${say(bad)}`}
      >
        {bars.map(({ day, good: well, bad: ill }, i) => (
          <g key={day}>
            <title>{`${day}: ${well} ${say(good)}, ${ill} ${say(bad)}`}</title>
            {well + ill === 0 && <rect class="none" x={i * step + 0.5} y={HIGH - 1} width={step - 1} height={1} />}
            <rect x={i * step + 0.5} y={HIGH - high(well)} width={step - 1} height={high(well)} />
            <rect
              class="ill"
              x={i * step + 0.5}
              y={Math.max(0, HIGH - high(well) - high(ill))}
              width={step - 1}
              height={high(ill)}
            />
          </g>
        ))}
      </svg>
      <p class="legend">
        <span class="key good" aria-hidden="true" /> {numbers(allGood)} {say(good)}{' '}
        <span class="key ill" aria-hidden="true" /> {numbers(allBad)} {say(bad)}
      </p>
    </figure>
  );
}

const shareOf = ({ requests, failed }: Score, numbers: ReturnType<typeof useNumbers>): string =>
  requests === 0 ? '–' : `${numbers(((requests - failed) / requests) * 100, 1)} %`;

function Endpoints({ party }: { party: PartyView }) {
  const { say } = useFrame();
  const times = useTimes();
  const numbers = useNumbers();
  return (
    <section>
      <h2>{say('endpoints')}</h2>
      {party.endpoints.length === 0 ? (
        <Empty word="no_endpoints" />
      ) : (
        <Table
          name={say('endpoints')}
          heads={['standard', 'address', 'health', 'share_taken', 'answers_99', 'oldest', 'stuck']}
        >
          {party.endpoints.map((one) => (
            <tr key={one.standard}>
              <td>{one.standard}</td>
              <td>{one.host === '' ? say('not_sent') : one.host}</td>
              <td>
                {one.state === '' ? '–' : <State is={one.state} />}
                {one.state !== 'up' && one.state !== '' && <> {one.status > 0 ? `HTTP ${one.status}` : one.cause}</>}
                {one.restUntil > 0 && one.state === 'resting' && (
                  <div>
                    {say('rests_until')} <When at={one.restUntil} short />
                  </div>
                )}
              </td>
              <td class="number">{one.score ? shareOf(one.score, numbers) : '–'}</td>
              <td class="number">{one.score ? times(one.score.answerP99) : '–'}</td>
              <td>
                <When at={one.oldest} />
              </td>
              <td class="number">{one.parkedKeys > 0 ? <Link to="/dead">{one.parkedKeys}</Link> : '0'}</td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}

function Endings({ party }: { party: PartyView }) {
  const { say } = useFrame();
  return (
    <section>
      <h2>{say('ends_soon')}</h2>
      {party.endings.length === 0 ? (
        <Empty word="nothing_ends" />
      ) : (
        <Table name={say('ends_soon')} heads={['day', 'what', 'about']}>
          {party.endings.map(({ what, subject, day, count, schools }) => (
            <tr key={`${what}${day}${subject}`}>
              <td>{day}</td>
              <td>{isWord(`ends_${what}`) ? say(`ends_${what}` as Word) : what}</td>
              <td>
                {subject}
                {schools.map((school) => (
                  <div key={school.oin}>
                    <Who of={school} />
                  </div>
                ))}
                {count > schools.length && schools.length > 0 && <div>+ {count - schools.length}</div>}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}

function Mandates({ party }: { party: PartyView }) {
  const { say } = useFrame();
  const services = useServices();
  const numbers = useNumbers();
  return (
    <section>
      <h2>{say('mandates')}</h2>
      {party.mandates.length === 0 ? (
        <Empty word="no_mandates" />
      ) : (
        <>
          <Table name={say('mandates')} heads={['school', 'party', 'services', 'state', 'until', 'agreement']}>
            {party.mandates.map((one) => (
              <tr key={one.id}>
                <td>
                  <Who of={one.school} />
                </td>
                <td>
                  <Who of={one.party} />
                </td>
                <td>{services(...one.services)}</td>
                <td>
                  <State is={one.state} />
                </td>
                <td>{one.runOff || one.until || '–'}</td>
                <td>{one.agreement || '–'}</td>
              </tr>
            ))}
          </Table>
          {party.mandatesAll > party.mandates.length && (
            <p class="hint">
              {numbers(party.mandates.length)} {say('shown_of')} {numbers(party.mandatesAll)}.
            </p>
          )}
        </>
      )}
    </section>
  );
}
