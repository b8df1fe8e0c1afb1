/**
 * How far long work is, on standard error: on a terminal one line that is written over, elsewhere a line now and then, with --json nothing.
 * What is counted is counted; where nobody knows of how many, there is a count and a rate.
 */
import type { Streams } from './command.ts';
import { bytes, plain, span } from './print.ts';

/** What is done at once shows no bar. Milliseconds. */
const FIRST_MS = 400;
/** Of a question whose answer nobody can count. Milliseconds. */
const PATIENCE_MS = 2_000;
/** A bar is drawn anew at most so often. Milliseconds. */
const REDRAW_MS = 200;
/** Where it is no terminal: the first line, and the longest that it is silent then. Milliseconds. */
const LINE_MS = 10_000;
const SILENT_MS = 60_000;
/** The rate is that of the newest so many milliseconds. */
const WINDOW_MS = 10_000;
/** Before so long a rate says nothing. Milliseconds. */
const RATE_MS = 1_000;
/** Characters of the bar itself, at most and at least. */
const WIDE = 24;
const NARROW = 8;
/** A line is no longer than this on a wide terminal: an eye reads it at once. */
const LONGEST = 100;

export interface Stage {
  /** What follows a count: "rows copied". Of what is not counted: what is waited for. */
  words: string;
  /** Of how many; absent where nobody knows. */
  all?: number | undefined;
  /** `share`: what is counted is parts of the whole, and says nothing by itself. */
  unit?: 'bytes' | 'share';
  /** Nothing is counted: only how long it takes is said. */
  isWait?: boolean;
}

export interface Progress {
  /** Goes on to something else, counted from nothing. */
  stage(stage: Stage): void;
  /** So many more are done. */
  add(more: number): void;
  /** So many are done; `all` where it became known or another, `also` to be said beside it. */
  set(done: number, all?: number, also?: string): void;
  /** Says a sentence on standard error, above the bar. */
  say(words: string): void;
}

export type Told = Pick<Streams, 'err' | 'now' | 'screen'>;

/** What is under way on these streams, with how many: they share its line, which is gone with the last. */
const open = new WeakMap<object, { line: Line; users: number }>();

const none: Progress = { stage: () => undefined, add: () => undefined, set: () => undefined, say: () => undefined };

/** Does the work and shows how far it is; the line is gone when it ends, however it ends. */
export async function following<T>(
  { streams, json }: { streams: Told; json: boolean },
  stage: Stage,
  work: (progress: Progress) => Promise<T>,
): Promise<T> {
  // With --json standard error has only words that somebody must read.
  if (json) return work({ ...none, say: (words) => streams.err(`${words}\n`) });
  const before = open.get(streams);
  const shown = before ?? { line: new Line(streams, isOne(stage) ? GATEWAY : stage), users: 0 };
  const { line } = shown;
  open.set(streams, shown);
  shown.users += 1;
  try {
    return await work(before ? { ...none, say: (words) => line.say(words) } : line);
  } finally {
    shown.users -= 1;
    if (shown.users === 0) {
      open.delete(streams);
      line.end();
    }
  }
}

/** A stage of which nothing is counted. */
export const waiting = (words: string): Stage => ({ words, isWait: true });
export const GATEWAY = waiting('Waiting for the gateway');

/** Of one thing there is no share to show. */
const isOne = ({ all, unit }: Stage): boolean => all !== undefined && all <= 1 && unit === undefined;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

class Line implements Progress {
  readonly #streams: Told;
  readonly #began: number;
  readonly #timer: NodeJS.Timeout;
  readonly #signals: { name: NodeJS.Signals; told: () => void }[] = [];
  #stage: Stage;
  #done = 0;
  #all: number | undefined;
  #also = '';
  /** Since when this stage is under way, and what was done when, the newest last. */
  #since: number;
  #samples: { at: number; done: number }[];
  #drawn = '';
  #drawnAt = 0;
  #nextLine: number;
  #pause = LINE_MS;

  constructor(streams: Told, stage: Stage) {
    this.#streams = streams;
    this.#stage = stage;
    this.#all = stage.all;
    this.#began = streams.now();
    this.#since = this.#began;
    this.#samples = [{ at: this.#began, done: 0 }];
    this.#nextLine = this.#began + LINE_MS;
    // Where nothing arrives, time passes all the same.
    this.#timer = setInterval(() => this.#look(), REDRAW_MS);
    this.#timer.unref();
    if (streams.screen) this.#listen();
  }

  /** A line that is left half drawn would stand before the prompt. Who listens too decides what ends; else it ends as it would have. */
  #listen(): void {
    for (const name of SIGNALS) {
      const others = process.listenerCount(name) > 0;
      const told = () => {
        this.#clear();
        this.#deaf();
        if (!others) process.kill(process.pid, name);
      };
      process.on(name, told);
      this.#signals.push({ name, told });
    }
  }

  #deaf(): void {
    for (const { name, told } of this.#signals.splice(0)) process.off(name, told);
  }

  stage(stage: Stage): void {
    this.#stage = stage;
    this.#all = stage.all;
    this.#done = 0;
    this.#also = '';
    this.#since = this.#streams.now();
    this.#samples = [{ at: this.#since, done: 0 }];
    this.#look();
  }

  add(more: number): void {
    this.set(this.#done + more);
  }

  set(done: number, all = this.#all, also = this.#also): void {
    this.#done = done;
    this.#all = all;
    this.#also = also;
    this.#look();
  }

  say(words: string): void {
    this.#clear();
    this.#streams.err(`${words}\n`);
    this.#look();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#deaf();
    this.#clear();
  }

  #look(): void {
    const now = this.#streams.now();
    const newest = this.#samples.at(-1)!;
    if (now - newest.at >= REDRAW_MS) this.#samples.push({ at: now, done: this.#done });
    while (this.#samples.length > 2 && now - this.#samples[1]!.at > WINDOW_MS) this.#samples.shift();
    const { screen, err } = this.#streams;
    if (screen === undefined) {
      if (now < this.#nextLine) return;
      err(`${wordsOf(this.#state(now), Number.POSITIVE_INFINITY, false)}\n`);
      this.#nextLine = now + this.#pause;
      this.#pause = Math.min(this.#pause * 2, SILENT_MS);
      return;
    }
    const patience = this.#stage.isWait && this.#began === this.#since ? PATIENCE_MS : FIRST_MS;
    if (now - this.#began < patience || now - this.#drawnAt < REDRAW_MS) return;
    const text = wordsOf(this.#state(now), Math.min(screen.columns() - 1, LONGEST), true);
    if (text === this.#drawn) return;
    // Written over and then cut, never emptied first: that would flicker.
    err(`\r${text}\x1b[K`);
    this.#drawn = text;
    this.#drawnAt = now;
  }

  #clear(): void {
    if (this.#drawn !== '') this.#streams.err('\r\x1b[K');
    this.#drawn = '';
    this.#drawnAt = 0;
  }

  #state(now: number): State {
    const first = this.#samples[0]!;
    const over = now - first.at;
    const rate = over < RATE_MS ? undefined : ((this.#done - first.done) / over) * 1000;
    return {
      ...this.#stage,
      all: this.#all,
      done: this.#done,
      also: this.#also,
      ms: now - this.#since,
      rate: rate !== undefined && rate > 0 ? rate : undefined,
    };
  }
}

interface State extends Stage {
  done: number;
  also: string;
  /** How long this stage takes already. */
  ms: number;
  /** So many in a second; undefined = that cannot be said. */
  rate: number | undefined;
}

/** One line of at most `width` characters: what matters least is left out first. */
function wordsOf({ words, all, unit, isWait, done, also, ms, rate }: State, width: number, hasBar: boolean): string {
  const said = plain(words).replaceAll('\n', ' ');
  if (isWait) return cut(`${said}: ${span(ms)}`, width);
  const number = (n: number): string => (unit === 'bytes' ? bytes(n) : String(Math.round(n)));
  const speed = rate === undefined ? '' : `, ${unit === 'bytes' || rate >= 10 ? number(rate) : rate.toFixed(1)}/s`;
  const beside = also === '' ? '' : `, ${plain(also)}`;
  if (all === undefined) {
    const count = `${number(done)} ${said}${beside}`;
    return fitting([`${count}${speed}, ${span(ms)}`, `${count}${speed}`, count], width);
  }
  // Never more than all of it, nor whole before it is.
  const share = all <= 0 ? 1 : Math.min(1, Math.max(0, done / all));
  const percent = `${Math.floor(share * 100)} %`;
  const left = rate === undefined || done >= all ? '' : `, ${span(((all - done) / rate) * 1000)} left`;
  if (unit === 'share')
    return barred(percent, [`${said}${beside}${left}`, `${said}${beside}`, said, ''], share, width, hasBar);
  const count = `${number(done)} of ${number(all)}`;
  const tails = [
    `${count} ${said}${beside}${speed}${left}`,
    `${count} ${said}${beside}${left}`,
    `${count} ${said}${left}`,
    `${count}${left}`,
    count,
    '',
  ];
  return barred(percent, tails, share, width, hasBar);
}

/** Behind the bar the longest tail that fits. */
function barred(percent: string, tails: readonly string[], share: number, width: number, hasBar: boolean): string {
  if (!hasBar) return `${percent}: ${tails[0]}`;
  for (const tail of tails) {
    const rest = [percent, tail].filter(Boolean).join('  ');
    const room = Math.min(WIDE, width - rest.length - 3);
    if (room < NARROW) continue;
    const full = Math.floor(share * room);
    return `[${'#'.repeat(full)}${'-'.repeat(room - full)}] ${rest}`;
  }
  return cut(percent, width);
}

const fitting = (lines: readonly string[], width: number): string =>
  lines.find((line) => line.length <= width) ?? cut(lines.at(-1)!, width);
const cut = (text: string, width: number): string => [...text].slice(0, Math.max(0, width)).join('');
