/** The same without faults: what was committed, done again; and what was accepted, done in its order. */
import { type EntryOutcome, type LogRecord, MemoryStore } from '#bus';
import { uuidText } from '#kernel';
import { type EngineKind, embedded, type SimEngine } from './engine.ts';
import { mailboxService, placeOf, type Run } from './run.ts';
import { watched } from './watched.ts';

/** A run without faults: its rows and log. */
interface Twin {
  engine: SimEngine;
  archive: LogRecord[];
}

/**
 * Does every group again that was committed, on a store that never fails, and compares every row and every record. Ids of
 * events are chance; everything else must be the same.
 */
export async function compareRepeated(run: Run, kind: EngineKind): Promise<void> {
  const { plan } = run;
  const store = new MemoryStore();
  const beside = kind.beside();
  let nowMs = 0;
  let engine!: SimEngine;
  let open = (): void => undefined;
  const archive: LogRecord[] = [];
  // A stream that stopped is remembered by the process only: with poison about, it ends where the other's ended.
  const isForgetful = plan.forgetful && !plan.steps.some((step) => step.do === 'poison');
  for (const done of run.done) {
    if (done.what === 'open') {
      const { release, poisons } = done;
      open = () => {
        const modules = watched(plan.turned, release, {
          handled: () => undefined,
          isPoison: (consumer, record) => run.isPoison(poisons, consumer, record),
        });
        engine = kind.open({ store, beside, modules, clock: { now: () => nowMs } });
      };
      open();
      continue;
    }
    nowMs = done.nowMs;
    if (done.what === 'mailbox') {
      const service = mailboxService(engine.view, (write) => engine.view.note(write));
      if ('read' in done.call) await service.readMailbox(done.call.read);
      else service.parkRows(done.call.park);
    } else if (done.what === 'clean') {
      const before = new Map(engine.records().map((record) => [placeOf(record), record]));
      engine.clean(nowMs - 2 * 86_400_000, nowMs);
      for (const record of engine.records()) before.delete(placeOf(record));
      archive.push(...before.values());
    } else {
      if (isForgetful) open();
      engine.turnTo(done.turn);
      engine.group({ entries: done.entries, retries: done.retries, budget: done.budget });
    }
  }
  compareAll(run, { engine, archive });
}

function compareAll(run: Run, twin: Twin): void {
  const ours = written(run.engine, run.archive);
  const theirs = written(twin.engine, twin.archive);
  for (const [name, rows] of ours) {
    const others = theirs.get(name) ?? [];
    if (rows.join('\n') === others.join('\n')) continue;
    const more = rows.filter((row) => !others.includes(row));
    const less = others.filter((row) => !rows.includes(row));
    run.problem(
      `${name} is not what it is without faults: ${more.length} rows more and ${less.length} less` +
        `; such as ${cut(more[0])} for ${cut(less[0])}`,
    );
  }
}

const cut = (text: string | undefined): string => (text === undefined ? 'nothing' : text.slice(0, 700));

/** Every row and record as text, ids of events replaced by where they stand. */
function written(engine: SimEngine, archive: readonly LogRecord[]): Map<string, string[]> {
  const log = [...archive, ...engine.records()];
  const places = new Map(log.map((record) => [uuidText(record.id), placeOf(record)]));
  const cell = (_name: string, value: unknown): unknown => {
    if (typeof value === 'bigint') return String(value);
    if (typeof value === 'string') return places.get(value) ?? value;
    return value;
  };
  const text = (row: object): string =>
    JSON.stringify(
      Object.fromEntries(
        Object.entries(row).map(([name, value]) => [
          name,
          value instanceof Uint8Array
            ? value.length === 16
              ? uuidText(value)
              : Buffer.from(value).toString('base64')
            : value,
        ]),
      ),
      cell,
    );
  const all = new Map<string, string[]>();
  all.set('the log', log.map(text).sort());
  for (const { name } of engine.tables()) all.set(name, engine.rows(name).map(text).sort());
  return all;
}

/** Columns that say when something was decided, or which was first; the rest of a row must not hang on it. */
const passing: Readonly<Record<string, readonly string[]>> = {
  bus_positions: ['number'],
  bus_timers: ['flowId', 'school'],
  parties_mandates: ['version'],
  parties_parties: ['version'],
  catalogue_products: ['change'],
  entitlements_entitlements: ['changed'],
  // Which message was the last of those that count.
  entitlements_taken: ['flow', 'ofFlow'],
  delivery_mail: ['number', 'first', 'eventId'],
  delivery_moved: ['number', 'first'],
  delivery_bodies: ['eventId'],
  // Whichever lane came last says it; their sum is of services/flows.
  flows_scores: ['refused'],
};
const MOMENTS: readonly string[] = ['atMs', 'changedMs', 'decidedMs', 'seenMs', 'sinceMs', 'timeMs'];

/**
 * Takes in what was accepted, in its order and at its time, and decides each before the next; then lets the same time
 * pass. Of calm messages the outcome hangs on nothing else, so that the rows must say the same.
 */
export function compareInOrder(run: Run): void {
  const store = new MemoryStore();
  let nowMs = 0;
  const modules = watched(0, { absent: [], isNewer: true }, { handled: () => undefined, isPoison: () => false });
  const engine = embedded.open({ store, beside: undefined, modules, clock: { now: () => nowMs } });
  const idle = (): void => {
    while (engine.hasWork()) engine.group({ entries: [], budget: 1000 });
  };
  for (const { entry, nowMs: at } of run.accepted) {
    nowMs = at;
    const [outcome] = engine.group({ entries: [entry], budget: undefined }) as [EntryOutcome];
    if (outcome.taken !== 'accepted') run.problem('a message is not accepted again in a run without faults');
    idle();
  }
  for (;;) {
    idle();
    const due = engine.nextDueMs();
    if (due > run.nowMs) break;
    nowMs = Math.max(nowMs, due);
  }
  const ours = lasting(run.engine);
  for (const [name, rows] of lasting(engine)) {
    const mine = ours.get(name) ?? [];
    if (rows.join('\n') === mine.join('\n')) continue;
    const more = mine.filter((row) => !rows.includes(row));
    const less = rows.filter((row) => !mine.includes(row));
    run.problem(
      `${name} hangs on who was first: ${more.length} rows more and ${less.length} less; such as ${cut(more[0])} for ${cut(less[0])}`,
    );
  }
}

function lasting(engine: SimEngine): Map<string, string[]> {
  const all = new Map<string, string[]>();
  for (const { name } of engine.tables()) {
    const left = passing[name] ?? [];
    const rows = engine
      .rows(name)
      .filter((row) => !isPast(name, row))
      .map((row) => JSON.stringify(lastingRow(name, row, left)));
    all.set(name, rows.sort());
  }
  return all;
}

/** Counts of which nothing is left, and those of the last hour, say only how it went, which hangs on when things were decided. */
const isPast = (table: string, row: object): boolean =>
  table === 'flows_minutes' || (table === 'flows_scores' && (row as { accepted: number }).accepted === 0);

function lastingRow(table: string, row: object, left: readonly string[]): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(row)) {
    if (left.includes(name) || MOMENTS.includes(name)) continue;
    if (value instanceof Uint8Array) kept[name] = Buffer.from(value).toString('base64');
    else if (table === 'delivery_bodies' && name === 'receivers')
      kept[name] = (value as string).split(' ').map((one) => one.slice(0, one.lastIndexOf('/')));
    else if (table === 'flows_flows' && name === 'steps')
      kept[name] = (value as { step: string; state: string }[] | undefined)
        ?.map(({ step, state }) => `${step} ${state}`)
        .sort();
    else kept[name] = value;
  }
  return kept;
}
