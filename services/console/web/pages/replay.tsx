import { useId, useState } from 'preact/hooks';
import type { Done, ReplayView } from '../../types.ts';
import { post, useAsk, useLive } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { Act, Empty, Show, State, Table, useNumbers, useServices, useTold, When, Who, Wrong } from '../ui.tsx';
import { isWord, type Word } from '../words.ts';
import { Field } from './flows.tsx';

const SERVICES = ['roster', 'order', 'entitlement', 'access', 'result', 'progress', 'usage', 'staff'];
const OPEN: ReadonlySet<string> = new Set(['counting', 'counted', 'asked', 'running', 'waiting']);

/** Counted first, then sent, then followed. What is asked for stands in no address: a link never begins anything. */
export function ReplayPage() {
  const { say, duty } = useFrame();
  const loaded = useLive<ReplayView[]>('replays');
  const [note, tell] = useTold();
  const may = duty === 'operator';
  return (
    <>
      <h1>{say('replay')}</h1>
      <p>{say('replay_intro')}</p>
      <p class="note wait">{say('replay_dangers')}</p>
      {note}
      {may && <Count told={tell} />}
      <Show loaded={loaded}>
        {(replays) =>
          replays.length === 0 ? (
            <Empty word="replay_none" />
          ) : (
            replays.map((one) => <Replay key={one.id} of={one} may={may} told={tell} />)
          )
        }
      </Show>
    </>
  );
}

function Count({ told }: { told: (text: string) => void }) {
  const { say, token } = useFrame();
  const { loaded, ask } = useAsk<Done>();
  const service = useId();
  const services = useServices();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const names = ['party', 'service', 'school', 'about', 'event', 'key', 'from', 'until'];
    const body = {
      ...Object.fromEntries(names.map((name) => [name, String(given.get(name) ?? '').trim()])),
      again: given.get('again') !== null,
      outOfOrder: given.get('outOfOrder') !== null,
    };
    ask(async () => {
      const done = await post<Done>('/api/replays/preview', body, token);
      told(say('replay_counted'));
      return done;
    });
  };
  return (
    <>
      <form class="search roomy" onSubmit={submit}>
        <Field name="party" label={say('replay_party')} value="" required />
        <label for={service}>
          {say('replay_service')}
          <select id={service} name="service">
            <option value="">{say('replay_any')}</option>
            {SERVICES.map((one) => (
              <option key={one} value={one}>
                {services(one)}
              </option>
            ))}
          </select>
        </label>
        <Field name="school" label={say('replay_school')} value="" />
        <Field name="about" label={say('replay_about')} value="" />
        <Field name="event" label={say('replay_event')} value="" />
        <Field name="key" label={say('key')} value="" />
        <Field name="from" label={say('from_day')} hint="2026-11-01" value="" />
        <Field name="until" label={say('to_day')} hint="2026-11-30" value="" />
        <fieldset class="wide choices">
          <legend class="hidden">{say('replay_becomes')}</legend>
          <label class="choice">
            <input type="checkbox" name="again" />
            {say('replay_again')}
          </label>
          <label class="choice">
            <input type="checkbox" name="outOfOrder" />
            {say('replay_out_of_order')}
          </label>
        </fieldset>
        <button type="submit" class="main" disabled={loaded?.state === 'loading'}>
          {say('replay_count')}
        </button>
      </form>
      {loaded?.state === 'wrong' && <Wrong problem={loaded.problem} />}
    </>
  );
}

function Replay({ of, may, told }: { of: ReplayView; may: boolean; told: (text: string) => void }) {
  const { say } = useFrame();
  const services = useServices();
  const numbers = useNumbers();
  const cause = `cause_${of.cause}`;
  const name = `${of.party.name || of.party.oin} ${of.id.slice(-6)}`;
  const narrowed = [
    services(of.service),
    of.school.name || of.school.oin,
    of.about,
    of.key,
    of.flow,
    ...of.events,
    of.again ? say('replay_again') : '',
    of.outOfOrder ? say('replay_out_of_order') : '',
  ].filter(Boolean);
  return (
    <section aria-label={name}>
      <h2>
        {of.party.name || of.party.oin} <State is={of.state} />
      </h2>
      <p>
        <Who of={of.party} /> {narrowed.join(' · ')}
      </p>
      <p class="hint">
        <When at={of.began || of.made} /> · <code>{of.id}</code>
        {isWord(cause) && <> · {say(cause)}</>}
      </p>
      <Bar of={of} name={name} />
      {of.began > 0 && <Became of={of} />}
      {of.state !== 'counting' && (
        <details open={of.state === 'counted' || of.state === 'asked'}>
          <summary>
            {say('replay_selected')}: {numbers(of.selected)} · {say('replay_is_sent')}: {numbers(of.toSend)}
          </summary>
          <Counted of={of} name={name} />
        </details>
      )}
      {of.state === 'asked' && <p class="note wait">{say('replay_second')}</p>}
      {of.state === 'waiting' && (
        <p class="note wait">
          {say('replay_waits')} <Link to="/dead">{say('dead')}</Link>
        </p>
      )}
      {may && (of.state === 'counted' || of.state === 'asked') && of.toSend > 0 && (
        <Run of={of} name={name} told={told} />
      )}
      {may && OPEN.has(of.state) && of.state !== 'counting' && (
        <div class="row">
          <Act
            word="replay_stop"
            sure="replay_stop_sure"
            kind="stop"
            about={name}
            path="/api/replays/stop"
            body={{ replay: of.id }}
            done={() => told(say('replay_stopped'))}
          />
        </div>
      )}
    </section>
  );
}

/** How far it is, in numbers too: who sees no bar is told. */
function Bar({ of, name }: { of: ReplayView; name: string }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  const isCounting = of.state === 'counting';
  if (!isCounting && of.began === 0) return null;
  const over = of.sent + of.untold + of.refused + of.withheld + of.gone + of.leftOut;
  const [done, all] = isCounting ? [of.looked, of.toLook] : [over, of.toSend];
  const text = `${numbers(done)} ${say('replay_of')} ${numbers(all)}`;
  return (
    <p>
      <progress aria-label={`${say('replay_progress')}: ${name}`} max={Math.max(all, 1)} value={all === 0 ? 1 : done} />{' '}
      {text}
      {of.rate > 0 && (
        <>
          {' '}
          · {numbers(of.rate)} {say('replay_rate').toLowerCase()} · {say('replay_failed')}: {numbers(of.errors)}{' '}
          {say('replay_of')} {numbers(of.mostErrors)}
        </>
      )}
    </p>
  );
}

/** What became of the messages; zeros are left out. */
function Became({ of }: { of: ReplayView }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  const rows: [Word, number][] = [
    ['replay_done_sent', of.sent],
    ['replay_done_under_way', of.underWay],
    ['replay_done_set_back', of.setBack],
    ['replay_done_parked', of.parked],
    ['replay_done_untold', of.untold],
    ['replay_done_refused', of.refused],
    ['replay_done_withheld', of.withheld],
    ['replay_done_gone', of.gone],
    ['replay_done_left_out', of.leftOut],
  ];
  return (
    <dl>
      {rows
        .filter(([word, many]) => many > 0 || word === 'replay_done_sent')
        .map(([word, many]) => (
          <div key={word}>
            <dt>{say(word)}</dt>
            <dd>{numbers(many)}</dd>
          </div>
        ))}
    </dl>
  );
}

function Counted({ of, name }: { of: ReplayView; name: string }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  const becomes = (isSent: boolean): Word => (isSent ? 'replay_is_sent' : 'replay_is_not');
  const rows: [string, number, Word][] = [
    [say('replay_fresh'), of.fresh, 'replay_is_sent'],
    [say('replay_had'), of.had, becomes(of.again)],
    [say('replay_late'), of.late, becomes(of.outOfOrder)],
    [say('replay_pending'), of.pending, 'replay_is_not'],
    ...of.forbidden.map(({ reason, messages }): [string, number, Word] => {
      const word = `reason_${reason}`;
      return [`${say('replay_forbidden')}: ${isWord(word) ? say(word) : reason}`, messages, 'replay_is_not'];
    }),
  ];
  return (
    <>
      <Table name={`${say('replay_count')}: ${name}`} heads={['replay_what', 'replay_many', 'replay_becomes']}>
        {rows.map(([what, many, then]) => (
          <tr key={what}>
            <td>{what}</td>
            <td class="number">{numbers(many)}</td>
            <td>{say(then)}</td>
          </tr>
        ))}
      </Table>
      <p class="hint">
        {say('replay_kept')} <When at={of.keptFrom} />
      </p>
    </>
  );
}

function Run({ of, name, told }: { of: ReplayView; name: string; told: (text: string) => void }) {
  const { say, isLocal } = useFrame();
  const numbers = useNumbers();
  const [rate, setRate] = useState('50');
  const [errors, setErrors] = useState('10');
  // Elsewhere another person signs in and lets it begin.
  const second = of.state === 'asked' && isLocal;
  const pace = Number(rate) > 0 ? Math.ceil(of.toSend / Number(rate)) : 0;
  return (
    <div class="row">
      {of.state === 'counted' && (
        <>
          <Amount label={say('replay_rate')} value={rate} set={setRate} />
          <Amount label={say('replay_errors')} value={errors} set={setErrors} />
        </>
      )}
      <Act
        word={second ? 'replay_run_second' : 'replay_run'}
        sure={second ? 'second_sure' : 'replay_run_sure'}
        kind="main"
        about={`${name}: ${numbers(of.toSend)} ${say('messages', of.toSend).toLowerCase()}${pace > 0 ? `, ${say('replay_minutes')} ${numbers(pace)} ${say('replay_seconds')}` : ''}`}
        path="/api/replays/run"
        body={{ replay: of.id, rate, errors, second }}
        done={({ waits }) => told(say(waits ? 'replay_asked' : 'replay_ran'))}
      />
    </div>
  );
}

function Amount({ label, value, set }: { label: string; value: string; set: (value: string) => void }) {
  const id = useId();
  return (
    <label for={id}>
      {label}
      <input
        id={id}
        type="text"
        inputMode="numeric"
        maxLength={6}
        value={value}
        onInput={(event) => set(event.currentTarget.value.replace(/\D/g, ''))}
      />
    </label>
  );
}
