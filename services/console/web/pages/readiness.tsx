import { remediesNl } from '../../remedies.ts';
import type { CauseView, ReadinessView } from '../../types.ts';
import { useRead } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { Count, Empty, Fault, Show, Table, useNumbers, Who } from '../ui.tsx';
import { isWord } from '../words.ts';
import { Field } from './flows.tsx';

const NUMERIC = { numeric: true };
/** By which a row stands among those of classes. */
const nameOf = ({ title, product, group }: ReadinessView['rows'][number]): string => `${title} ${product} ${group}`;

/** What to chase that is shown. */
const CHASED = 50;

/** How ready schools are, one of them by product, or a product by class. What is asked stands in the address, so that a colleague sees the same. */
export function ReadinessPage() {
  const { say, query, go } = useFrame();
  const asked = new URLSearchParams();
  for (const name of ['school', 'product', 'by', 'first', 'party', 'cursor']) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const loaded = useRead<ReadinessView>('readiness', asked.toString());
  const look = (event: SubmitEvent) => {
    event.preventDefault();
    const next = new URLSearchParams();
    for (const [name, value] of new FormData(event.currentTarget as HTMLFormElement))
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(`/readiness${next.size > 0 ? `?${next}` : ''}`);
  };
  return (
    <>
      <h1>{say('readiness')}</h1>
      <p class="hint">{say('readiness_hint')}</p>
      <search>
        <form class="search" onSubmit={look} key={asked.toString()}>
          <Field name="school" label={say('school_label')} value={query.get('school') ?? ''} />
          <Field name="first" label={say('first_day')} value={query.get('first') ?? ''} type="date" />
          <Field name="party" label={say('as_party')} value={query.get('party') ?? ''} />
          <button type="submit" class="main">
            {say('search_go')}
          </button>
        </form>
      </search>
      <Show loaded={loaded}>{(seen) => <Board seen={seen} asked={asked} />}</Show>
    </>
  );
}

function Board({ seen, asked }: { seen: ReadinessView; asked: URLSearchParams }) {
  const { lang, say, isShared } = useFrame();
  const numbers = useNumbers();
  const isSchool = asked.has('school');
  const isByClass = asked.get('by') === 'class';
  const product = asked.get('product') ?? '';
  const withAsked = (more: Readonly<Record<string, string>>): string => {
    const next = new URLSearchParams(asked);
    next.delete('cursor');
    for (const [name, value] of Object.entries(more))
      if (value === '') next.delete(name);
      else next.set(name, value);
    return `/readiness?${next}`;
  };
  const whole = (isByClass || product !== '') && (
    <p>
      <Link to={withAsked({ by: '', product: '' })}>{say('all_products')}</Link>
    </p>
  );
  if (seen.rows.length === 0)
    return (
      <>
        {whole}
        <Empty word="nothing_wanted" />
      </>
    );
  // By class all rows of a product stand together.
  const rows = isByClass ? seen.rows.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b), lang, NUMERIC)) : seen.rows;
  return (
    <>
      {isSchool && (
        <p>
          <Who of={seen.rows[0]!.school} />
          {isByClass && product !== '' && (
            <>
              {' '}
              · {seen.rows[0]!.title} <code>{product}</code>
            </>
          )}
        </p>
      )}
      {whole}
      {isByClass && <p class="hint">{say('class_hint')}</p>}
      <p>
        {say('year')} {seen.year}
        {asked.has('first') && (
          <>
            {' '}
            · {say('days_left')}: {numbers(seen.daysLeft)}
          </>
        )}
      </p>
      <Table
        name={say('readiness')}
        heads={[
          isByClass ? 'school_class' : isSchool ? 'licence' : 'school',
          'wanted',
          'confirmed',
          'granted',
          'provisioned',
          'opened',
          'missing',
        ]}
      >
        {rows.map((row) => (
          <tr key={`${row.school.oin} ${row.product} ${row.title} ${row.group}`}>
            <td>
              {isByClass ? (
                <>
                  {row.group === '' ? say('no_class') : <b>{row.group}</b>}
                  {product === '' && (
                    <>
                      {' '}
                      {row.product === '' ? say('sensitive') : row.title} <code class="whole">{row.product}</code>
                    </>
                  )}
                </>
              ) : isSchool ? (
                <>
                  {row.product === '' ? say('sensitive') : row.title} <code class="whole">{row.product}</code>
                  {row.product !== '' && !isShared && (
                    <>
                      {' '}
                      <Link
                        to={withAsked({ by: 'class', product: row.product })}
                        hint={`${say('by_class')}: ${row.title || row.product}`}
                      >
                        {say('by_class')}
                      </Link>
                    </>
                  )}
                </>
              ) : (
                <Link to={withAsked({ school: row.school.oin })}>
                  <Who of={row.school} />
                </Link>
              )}
            </td>
            {row.steps.map((count, i) => (
              <td class="number" key={i}>
                <Count of={count} />
              </td>
            ))}
            <td>
              {row.causes.map((cause) => (
                <div key={`${cause.code}${cause.state}${cause.party.oin}`}>
                  <Count of={cause.count} /> <Fault code={cause.code} title={cause.title} />
                </div>
              ))}
            </td>
          </tr>
        ))}
      </Table>
      {seen.cursor !== '' && (
        <p>
          <Link to={withAsked({ cursor: seen.cursor })}>{say('more_rows')}</Link>
        </p>
      )}
      {seen.chase.length > 0 && (
        <section>
          <h2>{say('chase')}</h2>
          <Table name={say('chase')} heads={['times', 'to_call', 'fault', 'remedy']}>
            {seen.chase.slice(0, CHASED).map((cause) => (
              <Chase key={`${cause.code}${cause.state}${cause.party.oin}`} cause={cause} />
            ))}
          </Table>
        </section>
      )}
      {seen.days.length > 1 && (
        <section>
          <h2>{say('trend')}</h2>
          <Trend days={seen.days} />
        </section>
      )}
    </>
  );
}

function Chase({ cause }: { cause: CauseView }) {
  const { lang, say } = useFrame();
  const who = `who_${cause.who}`;
  const dutch = lang === 'nl' ? remediesNl[cause.code] : undefined;
  return (
    <tr>
      <td class="number">
        <Count of={cause.count} />
      </td>
      <td>{cause.party.oin !== '' ? <Who of={cause.party} /> : isWord(who) ? say(who) : cause.who}</td>
      <td>
        <Fault code={cause.code} title={cause.title} />
      </td>
      <td lang={dutch === undefined ? 'en' : 'nl'}>{dutch ?? cause.remedy}</td>
    </tr>
  );
}

const [WIDE, HIGH] = [600, 120];

/** Two lines: what is wanted, and what is granted or further; the same in a table for who does not see them. */
function Trend({ days }: { days: ReadinessView['days'] }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  const most = Math.max(1, ...days.map(({ wanted }) => wanted));
  const [first, end] = [Date.parse(days[0]!.day), Date.parse(days.at(-1)!.day)];
  const line = (of: (day: ReadinessView['days'][number]) => number): string =>
    days
      .map((day) => {
        const x = ((Date.parse(day.day) - first) / Math.max(1, end - first)) * WIDE;
        return `${x.toFixed(1)},${(HIGH - (of(day) / most) * (HIGH - 4) - 2).toFixed(1)}`;
      })
      .join(' ');
  return (
    <>
      <svg
        class="bars lines"
        viewBox={`0 0 ${WIDE} ${HIGH}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={say('trend')}
      >
        <polyline points={line(({ wanted }) => wanted)} class="before" />
        <polyline points={line(({ granted }) => granted)} class="after" />
      </svg>
      <Table name={say('trend')} heads={['day', 'wanted', 'confirmed', 'granted', 'provisioned', 'opened']}>
        {days.slice(-14).map((one) => (
          <tr key={one.day}>
            <td>{one.day}</td>
            {[one.wanted, one.confirmed, one.granted, one.provisioned, one.opened].map((n, i) => (
              <td class="number" key={i}>
                {numbers(n)}
              </td>
            ))}
          </tr>
        ))}
      </Table>
    </>
  );
}
