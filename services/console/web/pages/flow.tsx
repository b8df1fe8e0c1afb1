import type { FlowView, StepView } from '../../types.ts';
import { useLive } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { Empty, Fault, Said, Show, State, Stopped, Table, useNumbers, When, Who } from '../ui.tsx';
import { isWord } from '../words.ts';

export function FlowPage() {
  const { say, query } = useFrame();
  const asked = new URLSearchParams();
  for (const name of ['id', 'party', 'reference']) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const loaded = useLive<FlowView>(asked.size > 0 ? 'flow' : undefined, asked.toString());
  return (
    <>
      <h1>{say('flow')}</h1>
      {asked.size === 0 ? (
        <Empty word="name_a_flow">
          <Link to="/flows">{say('flows')}</Link>
        </Empty>
      ) : (
        <Show loaded={loaded}>{(flow) => <Seen flow={flow} />}</Show>
      )}
    </>
  );
}

function Seen({ flow }: { flow: FlowView }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  return (
    <>
      <p class="lead">
        <State is={flow.state} /> {flow.method} {flow.subject !== '' && <code>{flow.subject}</code>}{' '}
        <span class="soft">{flow.ended ? say('ended') : say('runs')}</span>
        {flow.held > 0 && flow.changes > 1 && (
          <>
            {' · '}
            {numbers(flow.held)}
            {flow.heldAtLeast && '+'} {say('held_of')} {numbers(flow.changes)} {say('changes_held', flow.changes)}
          </>
        )}
      </p>
      {flow.stopped && <Stopped of={flow.stopped} heading="where_stopped" isHere={flow.stopped.flow === flow.id} />}
      <section>
        <h2>{say('way')}</h2>
        <Way flow={flow} />
      </section>
      <section>
        <h2>{say('steps')}</h2>
        <Table name={say('steps')} heads={['when', 'step', 'by', 'state', 'note']}>
          {flow.steps.map((one, i) => (
            <tr key={`${one.step}${one.receiver.oin}${i}`}>
              <td>
                <When at={one.at} />
              </td>
              <td>{one.step}</td>
              <td>
                {one.receiver.oin === '' ? (
                  one.service === 'door' ? (
                    say('door')
                  ) : (
                    one.service
                  )
                ) : (
                  <Who of={one.receiver} />
                )}
              </td>
              <td>
                <State is={one.state} />
              </td>
              <td>
                <Fault code={one.code} />{' '}
                {one.told !== '' ? <Said told={one.told} /> : isLaidReady(one) && say('in_mailbox')}
              </td>
            </tr>
          ))}
        </Table>
      </section>
      <dl>
        <dt>{say('flow_id')}</dt>
        <dd>
          <code>{flow.id}</code>
        </dd>
        <dt>{say('from')}</dt>
        <dd>
          <Who of={flow.party} />
        </dd>
        <dt>{say('school')}</dt>
        <dd>
          <Who of={flow.school} />
        </dd>
        {flow.reference !== '' && (
          <>
            <dt>{say('reference')}</dt>
            <dd>{flow.reference}</dd>
          </>
        )}
        {flow.subject !== '' && (
          <>
            <dt>{say('about')}</dt>
            <dd>
              <Link to={`/flows?q=${encodeURIComponent(flow.subject)}`}>{flow.subject}</Link>
              {flow.method.startsWith('OrderService/') && (
                <>
                  {' '}
                  · <Link to={`/why?order=${encodeURIComponent(flow.subject)}`}>{say('ask_why')}</Link>
                </>
              )}
            </dd>
          </>
        )}
      </dl>
    </>
  );
}

const isLaidReady = ({ service, state, receiver }: StepView): boolean =>
  service === 'delivery' && state === 'done' && receiver.oin !== '';

/** Who took part, from top to bottom as a message comes to them. */
interface Lane {
  id: string;
  name: string;
}

const LANE_HIGH = 64;
const STEP_WIDE = 118;
const LEFT = 200;
/** A picture is for a message, not for a roster's thousand receivers. */
const MOST = 40;

/** Lanes are parties, and steps go from left to right; the table below says the same in words. */
function Way({ flow }: { flow: FlowView }) {
  const { say } = useFrame();
  const sender: Lane = { id: flow.party.oin, name: nameOf(flow.party, say('role_operator')) };
  const lanes: Lane[] = [sender];
  const steps = flow.steps.slice(0, MOST).map((step) => {
    // What was asked is of the sender; what is decided is of a service; what is delivered is of its receiver.
    const lane: Lane =
      step.receiver.oin !== ''
        ? { id: `to ${step.receiver.oin}`, name: nameOf(step.receiver, '') }
        : step.service === 'door'
          ? sender
          : { id: `our ${step.service}`, name: `${say('gateway')}: ${step.service}` };
    let at = lanes.findIndex(({ id }) => id === lane.id);
    if (at < 0) at = lanes.push(lane) - 1;
    return { step, at };
  });
  const wide = LEFT + Math.max(1, steps.length) * STEP_WIDE;
  const high = lanes.length * LANE_HIGH + 8;
  const x = (i: number): number => LEFT + i * STEP_WIDE + 40;
  const y = (at: number): number => at * LANE_HIGH + LANE_HIGH / 2;
  const stateOf = (state: string): string => [`state_${state}`].filter(isWord).map((word) => say(word))[0] ?? state;
  const told = steps
    .map(
      ({ step, at }) =>
        `${lanes[at]!.name}: ${step.step}, ${stateOf(step.state)}${step.code === '' ? '' : ` (${step.code})`}`,
    )
    .join('; ');
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls sideways must be reached by keys.
    <section class="scrolls picture" tabIndex={0} aria-label={say('way')}>
      <svg width={wide} height={high} viewBox={`0 0 ${wide} ${high}`} role="img" aria-label={told}>
        {lanes.map(({ id, name }, at) => (
          <g key={id}>
            <rect x="0" y={at * LANE_HIGH + 4} width={wide} height={LANE_HIGH - 8} rx="6" class="lane" />
            <text x="12" y={y(at) + 5} class="lane-name">
              {name.length > 24 ? `${name.slice(0, 23)}…` : name}
              <title>{name}</title>
            </text>
          </g>
        ))}
        {steps.slice(1).map(({ step, at }, i) => {
          const from = steps[i]!.at;
          return (
            <path
              key={`${step.step}${i}`}
              class="edge"
              d={`M${x(i) + 9} ${y(from)} C${x(i) + 60} ${y(from)} ${x(i + 1) - 60} ${y(at)} ${x(i + 1) - 9} ${y(at)}`}
            />
          );
        })}
        {steps.map(({ step, at }, i) => (
          <g key={`${step.step}${i}`} class={`dot ${kindOf(step.state)}`}>
            <circle cx={x(i)} cy={y(at)} r="9" />
            <text x={x(i)} y={y(at) + 4} class="mark">
              {{ well: '✓', wait: '…', bad: '✕' }[kindOf(step.state)]}
            </text>
            <text x={x(i)} y={y(at) + 24} class="step-name">
              {step.step.length > 20 ? `${step.step.slice(0, 19)}…` : step.step}
              <title>{step.step}</title>
            </text>
          </g>
        ))}
      </svg>
      {flow.steps.length > MOST && <p class="hint">+ {flow.steps.length - MOST}</p>}
    </section>
  );
}

const nameOf = ({ oin, name }: { oin: string; name: string }, us: string): string =>
  oin === 'operator' ? us : name || oin || '–';

const kindOf = (state: string): 'well' | 'wait' | 'bad' =>
  state === 'done' ? 'well' : state === 'refused' || state === 'parked' || state === 'dropped' ? 'bad' : 'wait';
