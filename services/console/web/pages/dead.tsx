import type { Dead, DeadRows, Done } from '../../types.ts';
import { useLive } from '../api.ts';
import { useFrame } from '../app.tsx';
import {
  Act,
  Empty,
  Fault,
  FlowLink,
  Show,
  State,
  Table,
  useNumbers,
  useServices,
  useTold,
  When,
  Who,
} from '../ui.tsx';
import { Field } from './flows.tsx';

const FILTERS = ['party', 'school', 'code', 'from', 'until'] as const;

/** What is chosen stands in the address; what is done to all of it is done to that. */
export function DeadPage() {
  const { say, query, go, duty } = useFrame();
  const asked = new URLSearchParams();
  for (const name of FILTERS) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const loaded = useLive<Dead>('dead', asked.toString());
  const [note, tell] = useTold();
  const choose = (event: SubmitEvent) => {
    event.preventDefault();
    const next = new URLSearchParams();
    for (const [name, value] of new FormData(event.currentTarget as HTMLFormElement))
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(`/dead${next.size > 0 ? `?${next}` : ''}`);
  };
  const isChosen = ['party', 'school', 'code'].some((name) => asked.has(name));
  const came = useCame(tell);
  return (
    <>
      <h1>{say('dead')}</h1>
      <p>{say('dead_intro')}</p>
      {note}
      <search>
        <form class="search" onSubmit={choose} key={asked.toString()}>
          <Field name="party" label={say('receiver_label')} value={query.get('party') ?? ''} />
          <Field name="school" label={say('school_label')} value={query.get('school') ?? ''} />
          <Field name="code" label={say('code_label')} value={query.get('code') ?? ''} />
          <Field name="from" label={say('from_day')} value={query.get('from') ?? ''} type="date" />
          <Field name="until" label={say('to_day')} value={query.get('until') ?? ''} type="date" />
          <button type="submit" class="main">
            {say('search_go')}
          </button>
        </form>
      </search>
      <Show loaded={loaded}>
        {(dead) => (
          <>
            {isChosen && duty === 'operator' && !isNone(dead) && (
              <div class="row">
                {ACTS.map(({ word, sure, came: said, kind }) => (
                  <Act
                    key={word}
                    word={word}
                    sure={sure}
                    kind={kind}
                    about={say('all_chosen')}
                    path={`/api/dead/${said.path}`}
                    body={Object.fromEntries(asked)}
                    done={came(said.word)}
                  />
                ))}
              </div>
            )}
            <Seen dead={dead} told={tell} none={asked.size > 0 ? 'none_found' : 'no_dead'} />
          </>
        )}
      </Show>
    </>
  );
}

/** What can be done to all that is chosen. */
const ACTS = [
  { word: 'retry_all', sure: 'retry_sure', kind: 'plain', came: { path: 'retry', word: 'retried_done' } },
  { word: 'stop_all', sure: 'stop_repeats_sure', kind: 'plain', came: { path: 'stop', word: 'stopped_done' } },
  { word: 'drop_all', sure: 'drop_sure', kind: 'stop', came: { path: 'drop', word: 'dropped_done' } },
] as const;

function useCame(told: (text: string) => void) {
  const { say } = useFrame();
  const numbers = useNumbers();
  return (word: 'retried_done' | 'dropped_done' | 'stopped_done') => (done: Done) =>
    told(
      `${say(word)} ${numbers(done.rows)} ${say('messages', done.rows).toLowerCase()}, ${numbers(done.keys)} ${say('keys_count', done.keys)}.`,
    );
}

const isNone = ({ keys, rows, endpoints, dropped }: Dead): boolean =>
  [keys, rows, endpoints, dropped].every((list) => list.length === 0);

function Seen({ dead, told, none }: { dead: Dead; told: (text: string) => void; none: 'none_found' | 'no_dead' }) {
  const { say, duty } = useFrame();
  const numbers = useNumbers();
  const services = useServices();
  const may = duty === 'operator';
  const came = useCame(told);
  const [sent, waiting] = [
    dead.rows.filter(({ standard }) => standard !== ''),
    dead.rows.filter(({ standard }) => standard === ''),
  ];
  if (isNone(dead)) return <Empty word={none} />;
  return (
    <>
      {dead.endpoints.length > 0 && (
        <section>
          <h2>{say('sick_endpoints')}</h2>
          <Table
            name={say('sick_endpoints')}
            heads={['party', 'standard', 'health', 'answer', 'oldest', ...(may ? (['actions'] as const) : [])]}
          >
            {dead.endpoints.map((one) => (
              <tr key={`${one.party.oin}${one.standard}`}>
                <td>
                  <Who of={one.party} />
                </td>
                <td>{one.standard}</td>
                <td>
                  <State is={one.state} />
                  {one.restUntil > 0 && (
                    <div>
                      {say('rests_until')} <When at={one.restUntil} short />
                    </div>
                  )}
                </td>
                <td>{one.status > 0 ? `HTTP ${one.status}` : one.cause || say('no_answer')}</td>
                <td>
                  <When at={one.oldest} />
                </td>
                {may && (
                  <td>
                    <div class="row">
                      <Act
                        word="retry"
                        sure="retry_sure"
                        about={`${one.party.name || one.party.oin} · ${one.standard}`}
                        path="/api/dead/retry"
                        body={{ party: one.party.oin }}
                        done={came('retried_done')}
                      />
                      <Act
                        word="stop_repeats"
                        sure="stop_repeats_sure"
                        about={`${one.party.name || one.party.oin} · ${one.standard}`}
                        path="/api/dead/stop"
                        body={{ party: one.party.oin }}
                        done={came('stopped_done')}
                      />
                    </div>
                  </td>
                )}
              </tr>
            ))}
          </Table>
        </section>
      )}
      {sent.length > 0 && (
        <section>
          <h2>{say('at_endpoints')}</h2>
          <Table
            name={say('at_endpoints')}
            heads={[
              'party',
              'school',
              'fault',
              'messages',
              'attempts',
              'answer',
              'since',
              ...(may ? (['actions'] as const) : []),
            ]}
          >
            {sent.map((one) => (
              <tr key={nameOf(one)}>
                <td>
                  <Who of={one.party} />
                  <div>
                    {one.standard} · {services(one.service)}
                  </div>
                </td>
                <td>
                  <Who of={one.school} />
                </td>
                <td>
                  <Fault code={one.code} title={one.title} />
                  <div>
                    <FlowLink id={one.flow} />
                  </div>
                </td>
                <td class="number">{numbers(one.rows)}</td>
                <td class="number">
                  {one.attempts}
                  {one.stopped ? (
                    <div>
                      <State is="no_repeats" />
                    </div>
                  ) : (
                    one.next > 0 && (
                      <div>
                        {say('next_attempt')} <When at={one.next} short />
                      </div>
                    )
                  )}
                </td>
                <td>{one.status > 0 ? `HTTP ${one.status}` : say('no_answer')}</td>
                <td>
                  <When at={one.since} />
                </td>
                {may && (
                  <td>
                    <div class="row">
                      <Act
                        word="retry"
                        sure="retry_sure"
                        about={nameOf({ ...one, service: services(one.service) })}
                        path="/api/dead/retry"
                        body={named(one)}
                        done={came('retried_done')}
                      />
                      <Act
                        word="drop"
                        sure="drop_sure"
                        kind="stop"
                        about={nameOf({ ...one, service: services(one.service) })}
                        path="/api/dead/drop"
                        body={named(one)}
                        done={came('dropped_done')}
                      />
                    </div>
                  </td>
                )}
              </tr>
            ))}
          </Table>
        </section>
      )}
      {waiting.length > 0 && (
        <section>
          <h2>{say('at_mandates')}</h2>
          <Table name={say('at_mandates')} heads={['party', 'school', 'fault', 'messages', 'since']}>
            {waiting.map((one) => (
              <tr key={nameOf(one)}>
                <td>
                  <Who of={one.party} />
                  <div>{services(one.service)}</div>
                </td>
                <td>
                  <Who of={one.school} />
                </td>
                <td>
                  <Fault code={one.code} title={one.title} />
                </td>
                <td class="number">{numbers(one.rows)}</td>
                <td>
                  <When at={one.since} />
                </td>
              </tr>
            ))}
          </Table>
        </section>
      )}
      {dead.keys.length > 0 && (
        <section>
          <h2>{say('in_services')}</h2>
          <Table
            name={say('in_services')}
            heads={['service', 'key', 'fault', 'events', 'since', ...(may ? (['actions'] as const) : [])]}
          >
            {dead.keys.map((one) => (
              <tr key={`${one.consumer}${one.stream}${one.key}`}>
                <td>
                  {one.consumer} · {one.stream}
                </td>
                <td>
                  <code>{one.key}</code>
                </td>
                <td>
                  <Fault code={one.code} title={one.title} />
                  <div>
                    <FlowLink id={one.flow} />
                  </div>
                </td>
                <td class="number">{numbers(one.events)}</td>
                <td>
                  <When at={one.since} />
                </td>
                {may && (
                  <td>
                    <Act
                      word="take_up"
                      sure="take_up_sure"
                      about={`${one.consumer} ${one.key}`}
                      path="/api/dead/take-up"
                      body={{ consumer: one.consumer, stream: one.stream, key: one.key }}
                      done={() => told(`${say('retried_done')} 1 ${say('key').toLowerCase()}.`)}
                    />
                  </td>
                )}
              </tr>
            ))}
          </Table>
        </section>
      )}
      {dead.dropped.length > 0 && (
        <section>
          <h2>{say('dropped_before')}</h2>
          <Table name={say('dropped_before')} heads={['party', 'school', 'fault', 'messages', 'last']}>
            {dead.dropped.map((one) => (
              <tr key={JSON.stringify(one)}>
                <td>
                  <Who of={one.party} />
                </td>
                <td>
                  <Who of={one.school} />
                </td>
                <td>
                  <code>{one.code}</code>
                </td>
                <td class="number">{numbers(one.rows)}</td>
                <td>
                  <When at={one.until} />
                </td>
              </tr>
            ))}
          </Table>
        </section>
      )}
    </>
  );
}

const named = ({ party, school, key }: DeadRows) => ({ party: party.oin, school: school.oin, key });
const nameOf = ({ party, school, service, standard, key, code }: DeadRows): string =>
  [party.name || party.oin, school.name || school.oin, service, standard, key, code].filter(Boolean).join(' · ');
