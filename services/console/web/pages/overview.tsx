import type { AlertView, Overview } from '../../types.ts';
import { useLive } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { age, Empty, Fault, Show, State, Table, useNumbers, When, Who } from '../ui.tsx';
import { isWord } from '../words.ts';

export function OverviewPage() {
  const { say } = useFrame();
  const loaded = useLive<Overview>('overview');
  return (
    <>
      <h1>{say('overview')}</h1>
      <Show loaded={loaded}>{(seen) => <Seen seen={seen} />}</Show>
    </>
  );
}

function Seen({ seen }: { seen: Overview }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  const waits: [number, 'n_holds' | 'n_dead_rows' | 'n_dead_keys', string][] = [
    [seen.holds, 'n_holds', '/holds'],
    [seen.dead.rows, 'n_dead_rows', '/dead'],
    [seen.dead.keys, 'n_dead_keys', '/dead'],
  ];
  /** Of which there is no page yet: the command that names them. */
  const elsewhere: [number, 'n_pulls' | 'n_turns', string][] = [
    [seen.pulls, 'n_pulls', 'npx eduk roster pulls --failing'],
    [seen.turns, 'n_turns', 'npx eduk doctor'],
  ];
  return (
    <>
      {seen.devKey && <p class="note wait">{say('dev_key')}</p>}
      {seen.bulk.map(({ party, at, learners }) => (
        <p class="note bad" key={`${party.oin}${at}`}>
          <Who of={party} /> {say('bulk_reveal')}: {numbers(learners)} (<When at={at} />)
        </p>
      ))}
      {seen.certificates.map(({ party, until }) => (
        <p class="note wait" key={party.oin}>
          {say('certificate_ends')}: <Who of={party} />, <When at={until} />
        </p>
      ))}
      {seen.freezes.map((one) => (
        <p class="note wait" key={one.id}>
          <b>{say(one.holds ? 'freeze_holds' : 'freeze_to_come')}</b> ({one.reason}):{' '}
          {one.school && <Who of={one.school} />}
          {one.school && one.party && ', '}
          {one.party && <Who of={one.party} />}
          {!one.school && !one.party && say('freeze_of_all')}, {!one.holds && <When at={one.from} />}{' '}
          {say('freeze_until')} <When at={one.until} />. {say('freeze_means')}{' '}
          <Link to="/freezes">{say('freezes_see')}</Link>
        </p>
      ))}
      {seen.alerts.length > 0 && (
        <section aria-labelledby="alerts">
          <h2 id="alerts">{say('alerts')}</h2>
          <ul class="cards">
            {seen.alerts.map((one) => (
              <Alert key={one.code} one={one} />
            ))}
          </ul>
        </section>
      )}
      <div class="tiles">
        <div>
          <section aria-labelledby="standing">
            <h2 id="standing">{say('standing')}</h2>
            {[...waits, ...elsewhere].every(([n]) => n === 0) && <p class="empty">{say('nothing_waits')}</p>}
            <ul class="counts">
              {waits
                .filter(([n]) => n > 0)
                .map(([n, word, to]) => (
                  <li key={word}>
                    <Link to={to}>
                      <strong>{numbers(n)}</strong> {say(word, n)}
                    </Link>
                  </li>
                ))}
              {elsewhere
                .filter(([n]) => n > 0)
                .map(([n, word, command]) => (
                  <li key={word}>
                    <strong>{numbers(n)}</strong> {say(word, n)}: <code>{command}</code>
                  </li>
                ))}
            </ul>
          </section>
          {seen.launches && <Launches of={seen.launches} />}
        </div>
        <Minutes seen={seen} />
      </div>
      <section>
        <h2>{say('parties')}</h2>
        {seen.parties.length === 0 ? (
          <Empty word="no_parties" />
        ) : (
          <Table name={say('parties')} heads={['party', 'health', 'sent', 'last', 'refused_day', 'waiting']}>
            {seen.parties.slice(0, 100).map((party) => (
              <tr key={party.oin}>
                <td>
                  <Who of={party} />
                </td>
                <td>
                  {party.endpoints.length === 0 && '–'}
                  {party.endpoints.map((one) => (
                    <div key={one.standard}>
                      {one.standard} <State is={one.breaker === 'half_open' ? 'half_open' : one.state} />
                      {one.state !== 'up' && <> {one.status > 0 ? `HTTP ${one.status}` : one.cause}</>}
                    </div>
                  ))}
                </td>
                <td class="number">
                  <Link to={`/flows?party=${encodeURIComponent(party.oin)}`}>{numbers(party.accepted)}</Link>
                </td>
                <td>
                  <When at={party.last} short />
                </td>
                <td class="number">{numbers(party.refused)}</td>
                <td class="number">{party.waiting > 0 ? <Link to="/dead">{numbers(party.waiting)}</Link> : '0'}</td>
              </tr>
            ))}
          </Table>
        )}
      </section>
      <section>
        <h2>{say('standards')}</h2>
        {seen.standards.length > 0 && (
          <Table name={say('standard')} heads={['standard', 'up', 'resting', 'gone', 'oldest']}>
            {seen.standards.map((one) => (
              <tr key={one.standard}>
                <td>{one.standard}</td>
                <td class="number">{one.up}</td>
                <td class="number">{one.resting}</td>
                <td class="number">{one.gone}</td>
                <td>
                  <When at={one.oldest} />
                </td>
              </tr>
            ))}
          </Table>
        )}
        {seen.methods.length === 0 ? (
          <Empty word="nothing_in" />
        ) : (
          <Table name={say('method')} heads={['method', 'accepted', 'last', 'refused_day']}>
            {seen.methods.map((one) => (
              <tr key={one.method}>
                <td>{one.method}</td>
                <td class="number">{numbers(one.accepted)}</td>
                <td>
                  <When at={one.last} short />
                </td>
                <td class="number">{numbers(one.refused)}</td>
              </tr>
            ))}
          </Table>
        )}
      </section>
      <section>
        <h2>{say('refusals')}</h2>
        {seen.refusals.length === 0 ? (
          <Empty word="no_refusals" />
        ) : (
          <Table name={say('refusals')} heads={['fault', 'party', 'method', 'about', 'times', 'last']}>
            {seen.refusals.map((one) => (
              <tr
                key={JSON.stringify([
                  one.party.oin,
                  one.school.oin,
                  one.method,
                  one.code,
                  one.order,
                  one.product,
                  one.entitlement,
                ])}
              >
                <td>
                  <Fault code={one.code} title={one.title} />
                </td>
                <td>
                  <Who of={one.party} />
                </td>
                <td>{one.method}</td>
                <td>
                  {one.order !== '' ? (
                    <Link to={`/why?order=${encodeURIComponent(one.order)}`}>{one.order}</Link>
                  ) : (
                    one.entitlement || one.product
                  )}
                  {one.school.oin !== '' && (
                    <div>
                      <Who of={one.school} />
                    </div>
                  )}
                </td>
                <td class="number">{numbers(one.times)}</td>
                <td>
                  <When at={one.at} />
                </td>
              </tr>
            ))}
          </Table>
        )}
      </section>
      <section>
        <h2>{say('lag')}</h2>
        <Table name={say('lag')} heads={['service', 'unread', 'oldest', 'stuck']}>
          {seen.services.map((one) => (
            <tr key={one.name}>
              <td>{one.name}</td>
              <td class="number">
                {one.gap ? (
                  <span class="state bad">{say('gap')}</span>
                ) : one.unread === 0 ? (
                  say('up_to_date')
                ) : (
                  numbers(one.unread)
                )}
              </td>
              <td>{one.unread === 0 ? '–' : `${numbers(one.oldest / 1000, 1)} s`}</td>
              <td class="number">{numbers(one.parkedKeys)}</td>
            </tr>
          ))}
        </Table>
      </section>
      <section>
        <h2>{say('machine')}</h2>
        <dl>
          <dt>{say('version')}</dt>
          <dd>{seen.version}</dd>
          <dt>{say('events')}</dt>
          <dd>{numbers(seen.events)}</dd>
          <dt>{say('disk')}</dt>
          <dd>{seen.freeDisk === 0 ? '–' : `${numbers(Math.round(seen.freeDisk / 1e9))} GB`}</dd>
        </dl>
        {seen.disks.length > 0 && <Disks seen={seen} />}
      </section>
    </>
  );
}

/** Whether learners get in today, as they do on the same weekday. */
function Launches({ of }: { of: NonNullable<Overview['launches']> }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  return (
    <section aria-labelledby="launched">
      <h2 id="launched">
        <Link to="/launches">{say('launches_today')}</Link>
      </h2>
      {of.short.length > 0 ? (
        <ul class="counts">
          {of.short.map((one) => (
            <li key={`${one.platform.oin} ${one.publisher.oin}`}>
              <span class="state bad">{say(one.whose === 'us' ? 'is_us' : 'is_them')}</span> <Who of={one.platform} /> ·{' '}
              <Who of={one.publisher} />:{' '}
              {one.state === 'none' ? say('hardly_any') : `${one.percent} % ${say('gets_in')}`}
            </li>
          ))}
        </ul>
      ) : (
        <p class={of.judged > 0 ? 'note well' : 'empty'}>{say(of.judged > 0 ? 'launches_well' : 'launches_too_few')}</p>
      )}
      {of.judged > 0 && (
        <p class="hint">
          {numbers(of.judged)} {say('launches_judged')}, {say('until')} {of.until}.
        </p>
      )}
    </section>
  );
}

const SIZES = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;

/** When each place for data is full, as it grows now. */
function Disks({ seen }: { seen: Overview }) {
  const { lang, say } = useFrame();
  const size = (bytes: number): string => {
    const power = Math.min(SIZES.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
    return new Intl.NumberFormat(lang === 'nl' ? 'nl-NL' : 'en-GB', {
      style: 'unit',
      unit: SIZES[power]!,
      maximumSignificantDigits: 3,
    }).format(bytes / 1000 ** power);
  };
  const fullOf = ({ at, grows, full }: Overview['disks'][number]) => {
    if (grows === undefined) return <span class="soft">{say('disk_too_short')}</span>;
    if (grows <= 0) return say('disk_not');
    if (full === undefined) return <span class="soft">{say('disk_never')}</span>;
    const told = `${age(at - full, lang)}, ${say('disk_at_rate')}`;
    return full - at < 7 * 86_400_000 ? <span class="state bad">{told}</span> : told;
  };
  return (
    <>
      <h3>{say('disk_forecast')}</h3>
      <Table name={say('disk_forecast')} heads={['disk_place', 'disk_used', 'disk_grows', 'disk_full']}>
        {seen.disks.map((one) => {
          const place = `disk_${one.place}`;
          return (
            <tr key={one.place}>
              <td>{isWord(place) ? say(place) : one.place}</td>
              <td class="number">{size(one.used)}</td>
              <td class="number">{one.grows === undefined ? '–' : size(Math.max(0, one.grows))}</td>
              <td>{fullOf(one)}</td>
            </tr>
          );
        })}
      </Table>
      <p class="hint">{say('disk_hint')}</p>
    </>
  );
}

/** One kind of what stands in the way: what it is, who must act, of whom, and where to go on. */
function Alert({ one }: { one: AlertView }) {
  const { lang, say } = useFrame();
  const numbers = useNumbers();
  const who = `who_${one.who}`;
  return (
    <li class={one.grade === 'page' ? 'bad' : 'wait'}>
      <p>
        {one.grade === 'page' && <span class="state bad">{say('alert_now')}</span>} <b>{one.told[lang]}</b>{' '}
        <code>{one.code}</code>
      </p>
      <p>
        {isWord(who) && (
          <>
            {say('who_acts')}: {say(who)}.{' '}
          </>
        )}
        {one.to === '' ? <code>{one.see}</code> : <Link to={one.to}>{say('see_there')}</Link>}
      </p>
      <ul>
        {one.of.map(({ party, school, subject, count, since }) => (
          <li key={JSON.stringify([party.oin, school.oin, subject])}>
            {party.oin !== '' && <Who of={party} />} {school.oin !== '' && <Who of={school} />}{' '}
            {one.code === 'hold.pending' ? <code title={subject}>…{subject.slice(-6)}</code> : subject}
            {count > 0 && <> ({numbers(count)})</>} {say('since')} <When at={since} />
          </li>
        ))}
        {one.all > one.of.length && (
          <li>
            {say('and_more')} {numbers(one.all)}
          </li>
        )}
      </ul>
    </li>
  );
}

const [WIDE, HIGH] = [600, 120];

/** Sixty bars; the same figures in words for who does not see them. */
function Minutes({ seen }: { seen: Overview }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  const most = Math.max(1, ...seen.minutes.map(({ accepted }) => accepted));
  const all = seen.minutes.reduce((sum, { accepted }) => sum + accepted, 0);
  const step = WIDE / Math.max(1, seen.minutes.length);
  const hour = seen.minutes[0]?.at ?? 0;
  return (
    <section aria-labelledby="minutes">
      <h2 id="minutes">{say('per_minute')}</h2>
      <svg
        class="bars"
        viewBox={`0 0 ${WIDE} ${HIGH}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${say('per_minute')}, ${say('last_hour')}: ${numbers(all)}`}
      >
        {seen.minutes.map(({ at, accepted }, i) => {
          const high = accepted === 0 ? 1 : Math.max(3, (accepted / most) * (HIGH - 4));
          return (
            <rect
              key={at}
              x={i * step + 1}
              y={HIGH - high}
              width={step - 2}
              height={high}
              class={accepted === 0 ? 'none' : ''}
            >
              <title>{`${new Date(at).toLocaleTimeString('nl-NL', { timeStyle: 'short', timeZone: 'Europe/Amsterdam' })}: ${accepted}`}</title>
            </rect>
          );
        })}
      </svg>
      <p>
        {all === 0 ? (
          say('nothing_in')
        ) : (
          <>
            <strong>{numbers(all)}</strong> {say('in_last_hour', all)},{' '}
            <strong>{numbers(seen.minutes.at(-1)?.accepted ?? 0)}</strong> {say('now_minute')}
          </>
        )}
        {seen.coveredFrom > hour && (
          <>
            {' '}
            ({say('counted_from')} <When at={seen.coveredFrom} />)
          </>
        )}
      </p>
    </section>
  );
}
