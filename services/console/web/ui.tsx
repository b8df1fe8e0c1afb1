/** Small pieces of which all pages are made. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { remediesNl } from '../remedies.ts';
import type { Blocker, Done, Named, ProblemJson, ToldCount } from '../types.ts';
import { type Loaded, Problem, post } from './api.ts';
import { Link, toMain, useFrame } from './app.tsx';
import { allInDutch, inDutch } from './told.ts';
import { isWord, type Word } from './words.ts';

const TIME_ZONE = 'Europe/Amsterdam';

/** A moment, in Dutch time; with how long ago. */
export function When({ at, short = false }: { at: number; short?: boolean }) {
  const { lang } = useFrame();
  if (at <= 0) return <span>–</span>;
  return (
    <time dateTime={new Date(at).toISOString()} title={age(Date.now() - at, lang)}>
      {moment(at, lang, short)}
    </time>
  );
}

const moment = (at: number, lang: 'nl' | 'en', short = false): string =>
  new Intl.DateTimeFormat(lang === 'nl' ? 'nl-NL' : 'en-GB', {
    ...(short ? {} : { dateStyle: 'medium' }),
    timeStyle: 'medium',
    timeZone: TIME_ZONE,
  }).format(at);

/** How long ago, or from now. */
export function age(ms: number, lang: 'nl' | 'en'): string {
  const words = new Intl.RelativeTimeFormat(lang, { numeric: 'auto' });
  const units: [Intl.RelativeTimeFormatUnit, number][] = [
    ['day', 86_400_000],
    ['hour', 3_600_000],
    ['minute', 60_000],
  ];
  for (const [unit, size] of units) if (Math.abs(ms) >= size) return words.format(-Math.round(ms / size), unit);
  return words.format(-Math.round(ms / 1000), 'second');
}

/** `digits`: behind the comma, as many as that. */
export function useNumbers(): (value: number, digits?: number) => string {
  const { lang } = useFrame();
  return (value, digits) =>
    value.toLocaleString(
      lang === 'nl' ? 'nl-NL' : 'en-GB',
      digits === undefined ? {} : { minimumFractionDigits: digits, maximumFractionDigits: digits },
    );
}

/** A count as it is told: a number, fewer than ten, left out, or at least so many. */
export function Count({ of }: { of: ToldCount }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  if (of.kind === 'under_ten') return <span title={say('under_ten')}>{'<10'}</span>;
  if (of.kind === 'hidden') return <span title={say('count_hidden')}>–</span>;
  return <span>{`${numbers(of.count)}${of.kind === 'at_least' ? '+' : ''}`}</span>;
}

/** A party or school by its name, with its number; one that is registered leads to its page. */
export function Who({ of }: { of: Named }) {
  const { say } = useFrame();
  if (of.oin === '') return <span>–</span>;
  if (of.oin === 'operator') return <span>{say('who_us')}</span>;
  if (of.name !== '')
    return (
      <Link class="who" to={`/party?oin=${encodeURIComponent(of.oin)}`}>
        <b>{of.name}</b>
        <code>{of.oin}</code>
      </Link>
    );
  return (
    <span class="who">
      <code>{of.oin}</code>
    </span>
  );
}

const STATES: Readonly<Record<string, 'well' | 'wait' | 'bad' | 'plain'>> = {
  freeze_state_holds: 'wait',
  rule_state_stands: 'well',
  rule_state_asked: 'wait',
  rule_ends_soon: 'wait',
  done: 'well',
  decided: 'well',
  read: 'well',
  up: 'well',
  accepted: 'plain',
  waiting: 'wait',
  held: 'wait',
  resting: 'wait',
  half_open: 'wait',
  parked: 'bad',
  refused: 'bad',
  gone: 'bad',
  dropped: 'bad',
  delivered: 'well',
  ready: 'well',
  sending: 'wait',
  failing: 'wait',
  active: 'well',
  run_off: 'wait',
  unconfirmed: 'wait',
  counting: 'plain',
  counted: 'plain',
  asked: 'wait',
  running: 'wait',
  stopped: 'bad',
  no_repeats: 'wait',
  reconciled_equal: 'well',
  reconciled_differs: 'bad',
  reconciled_unanswered: 'bad',
  reconciled_under_way: 'wait',
};

/** A state in words, with a mark that does not need its colour. */
export function State({ is }: { is: string }) {
  const { say } = useFrame();
  const word = [`state_${is}`, is].find(isWord);
  const kind = STATES[is] ?? 'plain';
  return (
    <span class={`state ${kind}`}>
      <span aria-hidden="true">{{ well: '✓', wait: '…', bad: '✕', plain: '·' }[kind]}</span> {word ? say(word) : is}
    </span>
  );
}

/** What a fault means, with its code. */
export function Fault({ code, title }: { code: string; title?: { nl: string; en: string } }) {
  const { lang } = useFrame();
  if (code === '') return null;
  return (
    <span class="fault">
      {title?.[lang]} <code>{code}</code>
    </span>
  );
}

export function FlowLink({ id }: { id: string }) {
  const { say } = useFrame();
  return id === '' ? null : <Link to={`/flow?id=${encodeURIComponent(id)}`}>{say('see_flow')}</Link>;
}

/** What the gateway said, in the reader's language where we have it. */
export function Said({ told, title }: { told: string; title?: { nl: string; en: string } }) {
  const { lang } = useFrame();
  return <InDutch told={told} dutch={lang === 'nl' ? inDutch(told, title) : undefined} />;
}

/** The whole of an answer to "why not"; `first`: the first cause in it. */
export function SaidInAll({ told, first }: { told: string; first: Blocker | undefined }) {
  const { lang } = useFrame();
  const dutch = lang === 'nl' ? allInDutch(told, first, first && remediesNl[first.code]) : undefined;
  return <InDutch told={told} dutch={dutch} />;
}

/** In Dutch where there is any, with its moments in Dutch time. */
function InDutch({ told, dutch }: { told: string; dutch: string | undefined }) {
  const { lang } = useFrame();
  const text = (dutch ?? told).replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (at) =>
    moment(Date.parse(at), lang),
  );
  return <span lang={lang === 'nl' && dutch === undefined ? 'en' : undefined}>{text}</span>;
}

/** Services of a mandate in the reader's words; what is none is said as it is. */
export function useServices(): (...names: string[]) => string {
  const { say } = useFrame();
  return (...names) =>
    names.map((name) => [`service_${name}`].filter(isWord).map((word) => say(word))[0] ?? name).join(', ');
}

/** Something that went wrong, in words, with who must act. */
export function Wrong({ problem, again }: { problem: ProblemJson; again?: () => void }) {
  const { lang, say } = useFrame();
  // What was asked here was sent by who looks at it.
  const who = problem.who === 'sender' ? 'who_you' : `who_${problem.who}`;
  return (
    <div class="note bad" role="alert">
      <p>
        <b>{problem.title[lang] || say('wrong')}</b> <code>{problem.code}</code>
      </p>
      {problem.told !== '' && problem.told !== problem.title.en && (
        <p>
          <Said told={problem.told} title={problem.title} />
        </p>
      )}
      {isWord(who) && (
        <p>
          {say('who_acts')}: {say(who)}.
        </p>
      )}
      {again && (
        <button type="button" class="plain" onClick={again}>
          {say('again')}
        </button>
      )}
    </div>
  );
}

/** What is loaded, or why it is not there. */
export function Show<T>({ loaded, children }: { loaded: Loaded<T>; children: (value: T) => preact.ComponentChildren }) {
  const { say } = useFrame();
  if (loaded.state === 'loading')
    return (
      <div role="status" class="loading">
        <p>{say('loading')}</p>
        <div class="bones" aria-hidden="true" />
        <div class="bones" aria-hidden="true" />
      </div>
    );
  if (loaded.state === 'wrong') return <Wrong problem={loaded.problem} />;
  return (
    <>
      {loaded.isStale && (
        <p class="note wait" role="status">
          {say('stale')}
        </p>
      )}
      {children(loaded.value)}
    </>
  );
}

export const Empty = ({ word, children }: { word: Word; children?: preact.ComponentChildren }) => {
  const { say } = useFrame();
  return (
    <div class="empty">
      <p>{say(word)}</p>
      {children}
    </div>
  );
};

/** A table that a keyboard can scroll, and that becomes a list on a phone. */
export function Table({
  name,
  heads,
  children,
}: {
  name: string;
  heads: readonly Word[];
  children: preact.ComponentChildren;
}) {
  const { say } = useFrame();
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls sideways must be reached by keys.
    <section class="scrolls" aria-label={name} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {heads.map((head) => (
              <th key={head} scope="col">
                {say(head)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  );
}

/** Where on these pages what blocks is mended. */
const MENDED_AT: Readonly<Record<string, string>> = {
  'freeze.holds': '/freezes',
  'hold.pending': '/holds',
  'gateway.bug': '/dead',
  'peer.unavailable': '/dead',
  'peer.unknown_outcome': '/dead',
  'peer.refused': '/dead',
};

/** What blocks, who must act, and what helps. */
export function Stopped({ of, heading, isHere = false }: { of: Blocker; heading?: Word; isHere?: boolean }) {
  const { lang, say } = useFrame();
  const who = `who_${of.who}`;
  const remedy = lang === 'nl' ? remediesNl[of.code] : undefined;
  return (
    <article class="note bad blocker">
      {heading && <h2>{say(heading)}</h2>}
      <p>
        <Fault code={of.code} title={of.title} />
      </p>
      {of.told !== '' && of.told !== of.title.en && (
        <p>
          <Said told={of.told} title={of.title} />
        </p>
      )}
      <dl>
        <dt>{say('who_acts')}</dt>
        <dd>{of.party.oin !== '' ? <Who of={of.party} /> : isWord(who) ? say(who) : of.who}</dd>
        {(of.remedy !== '' || remediesNl[of.code] !== undefined) && (
          <>
            <dt>{say('remedy')}</dt>
            <dd lang={remedy === undefined ? 'en' : 'nl'}>{remedy ?? of.remedy}</dd>
          </>
        )}
        {of.since > 0 && (
          <>
            <dt>{say('since')}</dt>
            <dd>
              <When at={of.since} />
            </dd>
          </>
        )}
        {of.order !== '' && (
          <>
            <dt>{say('by_order')}</dt>
            <dd>
              <Link to={`/why?order=${encodeURIComponent(of.order)}`}>{of.order}</Link>
            </dd>
          </>
        )}
        {of.product !== '' && (
          <>
            <dt>Product</dt>
            <dd>{of.product}</dd>
          </>
        )}
        {of.entitlement !== '' && (
          <>
            <dt>{say('licence')}</dt>
            <dd>{of.entitlement}</dd>
          </>
        )}
        {of.learners > 1 && (
          <>
            <dt>{say('learners')}</dt>
            <dd>{of.learners}</dd>
          </>
        )}
      </dl>
      <div class="row">
        {MENDED_AT[of.code] !== undefined && <Link to={MENDED_AT[of.code]!}>{say('mend_there')}</Link>}
        {!isHere && <FlowLink id={of.flow} />}
      </div>
    </article>
  );
}

/** A button that asks whether one is sure, does it once, and says what came of it. */
export function Act({
  word,
  sure,
  path,
  body,
  kind = 'plain',
  about,
  first,
  done,
}: {
  word: Word;
  sure: Word;
  path: string;
  body: object;
  kind?: 'plain' | 'main' | 'stop';
  /** Of what, for who hears the button alone. */
  about: string;
  /** What it comes to, asked anew each time that somebody is about to do it. */
  first?: preact.ComponentChildren;
  done: (came: Done) => void;
}) {
  const { say, token } = useFrame();
  const dialog = useRef<HTMLDialogElement>(null);
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ProblemJson>();
  // What it is about may go while it is asked, and its button with it.
  useEffect(() => {
    const asked = dialog.current!;
    return () => {
      if (!asked.open) return;
      asked.close();
      toMain();
    };
  }, []);
  const run = () => {
    if (busy) return;
    setBusy(true);
    setProblem(undefined);
    post<Done>(path, body, token)
      .then(
        (came) => {
          dialog.current?.close();
          done(came);
        },
        (thrown: unknown) => thrown instanceof Problem && setProblem(thrown.said),
      )
      .finally(() => setBusy(false));
  };
  return (
    <>
      <button
        type="button"
        class={kind}
        aria-label={`${say(word)}: ${about}`}
        onClick={() => {
          setProblem(undefined);
          setOpen(true);
          dialog.current?.showModal();
        }}
      >
        {say(word)}
      </button>
      <dialog ref={dialog} aria-label={say(word)} onClose={() => setOpen(false)}>
        <h2>{say(word)}</h2>
        <p>{about}</p>
        {open && first}
        <p>{say(sure)}</p>
        {problem && <Wrong problem={problem} />}
        <div class="row">
          <button type="button" class={kind === 'stop' ? 'stop' : 'main'} disabled={busy} onClick={run}>
            {say('yes')}
          </button>
          <button type="button" class="plain" onClick={() => dialog.current?.close()}>
            {say('no')}
          </button>
        </div>
      </dialog>
    </>
  );
}

/** What was done a moment ago: where it stands, and what tells it. What is told twice is said twice. */
export function useTold(): [preact.JSX.Element | undefined, (of: string | { text: string; flow?: string }) => void] {
  const [told, setTold] = useState<{ text: string; flow?: string; nth: number }>();
  const tell = (of: string | { text: string; flow?: string }) =>
    setTold((before) => ({ ...(typeof of === 'string' ? { text: of } : of), nth: (before?.nth ?? 0) + 1 }));
  return [told && <Told key={told.nth} {...told} close={() => setTold(undefined)} />, tell];
}

/** Said aloud; it stays until it is closed, and then the focus is again where it was, if that is still there. */
function Told({ text, flow, close }: { text: string; flow?: string; close: () => void }) {
  const { say } = useFrame();
  const at = useRef<HTMLDivElement>(null);
  const before = useRef(document.activeElement);
  useEffect(() => at.current?.focus(), []);
  const leave = () => {
    const back = before.current;
    if (back instanceof HTMLElement && back.isConnected && back !== document.body) back.focus();
    else toMain();
    close();
  };
  return (
    <div class="note well" role="status" tabIndex={-1} ref={at}>
      <p>{text}</p>
      <div class="row">
        {flow && <FlowLink id={flow} />}
        <button type="button" class="plain" onClick={leave}>
          {say('close')}
        </button>
      </div>
    </div>
  );
}
