import { remediesNl } from '../../remedies.ts';
import type { LaunchesView, LaunchView, ToldCount } from '../../types.ts';
import { useLive } from '../api.ts';
import { useFrame } from '../app.tsx';
import { Count, Empty, Fault, Show, Table, Who } from '../ui.tsx';
import { isWord } from '../words.ts';

/** Quarters of an hour that a row of the table shows; the picture shows all. */
const LAST = 4;

export function LaunchesPage() {
  const { say, query } = useFrame();
  const day = query.get('day') ?? '';
  const loaded = useLive<LaunchesView>('launches', day === '' ? '' : new URLSearchParams({ day }).toString());
  return (
    <>
      <h1>{say('launches')}</h1>
      <p class="hint">{say('launches_hint')}</p>
      <Show loaded={loaded}>{(seen) => <Seen seen={seen} />}</Show>
    </>
  );
}

const nameOf = ({ platform, publisher }: LaunchView): string => `${platform.oin} ${publisher.oin}`;

function Seen({ seen }: { seen: LaunchesView }) {
  const { say } = useFrame();
  const wrong = seen.rows.filter(({ state }) => state === 'low' || state === 'none');
  return (
    <>
      <p>
        {seen.day}, {say('until').toLowerCase()} {seen.until}. {say('beside')}: {seen.beside.join(', ')}.
      </p>
      {seen.rows.length === 0 ? (
        <Empty word="no_launches" />
      ) : (
        <>
          {wrong.length === 0 ? (
            <p class="note well">
              {say(seen.rows.some(({ usualKnown }) => usualKnown) ? 'launches_well' : 'launches_no_usual')}
            </p>
          ) : (
            <ul class="cards">
              {wrong.map((one) => (
                <Verdict key={nameOf(one)} one={one} />
              ))}
            </ul>
          )}
          <Table
            name={say('launches')}
            heads={[
              'platform',
              'publisher',
              'state',
              'got_in',
              'usually',
              'quarter',
              'asked_for',
              'opened',
              'unopened',
              'refused',
            ]}
          >
            {seen.rows.map((one) => (
              <Row key={nameOf(one)} one={one} />
            ))}
          </Table>
        </>
      )}
    </>
  );
}

function Verdict({ one }: { one: LaunchView }) {
  const { lang, say } = useFrame();
  const because = `because_${one.because}`;
  const remedy = `because_do_${one.because}`;
  const who = `who_${one.who}`;
  return (
    <li class="bad">
      <h2>
        <Who of={one.platform} /> · <Who of={one.publisher} />
      </h2>
      <p>
        <span class="state bad">{say(one.whose === 'us' ? 'is_us' : 'is_them')}</span>{' '}
        <b>
          {one.state === 'none'
            ? say('hardly_any')
            : `${one.percent} % ${say('gets_in')}, ${say('usually')} ${one.usual} %`}
        </b>
      </p>
      <p>{isWord(because) ? say(because) : one.told}</p>
      <dl>
        <dt>{say('fault')}</dt>
        <dd>
          <Fault code={one.code} title={one.title} />
        </dd>
        <dt>{say('to_call')}</dt>
        <dd>{one.party.oin !== '' ? <Who of={one.party} /> : isWord(who) ? say(who) : one.who}</dd>
        <dt>{say('remedy')}</dt>
        <dd>{isWord(remedy) ? say(remedy) : ((lang === 'nl' ? remediesNl[one.code] : undefined) ?? one.remedy)}</dd>
      </dl>
    </li>
  );
}

function Row({ one }: { one: LaunchView }) {
  const { say } = useFrame();
  const state = `launch_${one.state}`;
  const last = one.quarters.slice(-LAST);
  const column = (of: (quarter: LaunchView['quarters'][number]) => ToldCount) => (
    <td class="number">
      {last.map((quarter) => (
        <div key={quarter.at}>
          <Count of={of(quarter)} />
        </div>
      ))}
    </td>
  );
  const isJudged = one.state === 'low' || one.state === 'usual';
  return (
    <tr>
      <td>
        <Who of={one.platform} />
      </td>
      <td>
        <Who of={one.publisher} />
      </td>
      <td>{isWord(state) ? say(state) : one.state}</td>
      <td class="number">{isJudged ? `${one.percent} %` : '–'}</td>
      <td class="number">{one.usualKnown ? `${one.usual} %` : '–'}</td>
      <td>
        {last.map(({ at }) => (
          <div key={at}>{at}</div>
        ))}
      </td>
      <td class="number">
        {last.map(({ at, asked, usual }) => (
          <div key={at}>
            <Count of={asked} /> ({usual})
          </div>
        ))}
      </td>
      {column(({ opened }) => opened)}
      {column(({ unopened }) => unopened)}
      {column(({ refused }) => refused)}
    </tr>
  );
}
