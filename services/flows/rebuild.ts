/**
 * Makes flows anew of what the log still keeps, beside those that stand, and compares. A step of it is short, and the log and the rows in it
 * are of one moment, so that what is accepted meanwhile is no difference: a look counts only once all that was taken by then is here too.
 * What differs is looked at twice. Nothing here changes a row: a mend names the row that it was made beside, and holds only there.
 */
import { allOf, type EngineView, LOG_WINDOW_MS, together, type Unit } from '#bus';
import { GatewayError, sha256 } from '#kernel';
import type {
  FlowDifference,
  FlowMend,
  FlowRebuild,
  MadeFlow,
  StepRebuildRequest,
  StepRebuildResponse,
} from '#proto/eduk/flows/v1/flows';
import { beganMs, keptMs } from './consume.ts';
import { isRefusedOfLearner } from './flow.ts';
import { columnsThatDiffer, type Made, madeOf, mended, textOf } from './made.ts';
import { Shadow } from './shadow.ts';
import { type FlowTableRow, flowsTable, refusedTable, type StepCell } from './tables.ts';

/** Records of the log in one step, about, and bytes of them. */
const RECORDS = 512;
const BYTES = 1 << 20;
/** Rows that one step compares. */
const PAGE = 250;
/** Rows that are looked at again in one step, and mended in one transaction. */
export const MOST_MENDS = 100;
/** Looks at what was mended, until it is left. */
const LOOKS = 6;
const SHOWN = 200;
/** The log drops what is older than its window; clocks may differ by so much. */
const MARGIN_MS = 10 * 60_000;
/** Without a step for so long it is over, milliseconds. */
const LEASE_MS = 30_000;
const CONSUMER = 'flows';

type Row = Readonly<FlowTableRow>;

interface Difference {
  what: 'missing' | 'surplus' | 'differs';
  columns: readonly string[];
  made: Made | undefined;
}

const NOTHING = { flows: 0, older: 0, missing: 0, surplus: 0, differs: 0, mended: 0, left: 0, unreadable: 0 };

/** One run of it. */
class Rebuild {
  readonly #shadow = new Shadow();
  readonly #mends: boolean;
  #state: 'reading' | 'comparing' | 'confirming' | 'mending' | 'done' = 'reading';
  /** Flows that began before are older than what the log keeps; set once all of it was read. */
  #keptFromMs: number | undefined;
  #firstMs: number | undefined;
  #cursor = '';
  #looks = 0;
  #toRead = 0;
  readonly #counts = { ...NOTHING };
  readonly #differences: FlowDifference[] = [];
  readonly #columns = new Map<string, number>();

  constructor(mends: boolean) {
    this.#mends = mends;
  }

  get isOver(): boolean {
    return this.#state === 'done';
  }

  /** An engine that must load what is asked for runs a step again from its beginning: what it has done by then, it does not do twice. */
  step(engine: EngineView): FlowMend[] {
    switch (this.#state) {
      case 'reading':
        if (this.#catchUp(engine)) this.#state = 'comparing';
        return [];
      case 'comparing':
        this.#compare(engine);
        return [];
      case 'confirming':
      case 'mending':
        return this.#confirm(engine);
      default:
        return [];
    }
  }

  /** Reads on in the log; true = all that flows took by this moment is here. */
  #catchUp(engine: EngineView): boolean {
    const lanes = engine.lanes(CONSUMER);
    const behind = this.#shadow.behind(lanes);
    if (behind.length > 0) {
      const most = Math.max(8, Math.ceil(RECORDS / behind.length));
      const records = engine.log(behind, { most, bytes: BYTES });
      // What was removed after the look at its lane is seen at the next one.
      this.#shadow.add(records);
      this.#toRead = sum(this.#shadow.behind(lanes).map(({ after, through }) => through - after));
      if (this.#toRead > 0) return false;
    }
    this.#keptFromMs ??= lanes.some(({ first }) => first > 1) ? engine.now() - LOG_WINDOW_MS + MARGIN_MS : 0;
    return true;
  }

  #isOlder(flowId: string): boolean {
    return this.#keptFromMs! > 0 && (beganMs(flowId) ?? 0) < this.#keptFromMs!;
  }

  /** The next flows, in the order of their ids. */
  #compare(engine: EngineView): void {
    // Rows first: what is committed between the two is then on the log's side, and no mend takes it away.
    const page = engine.list(flowsTable, { equals: [], after: [this.#cursor], limit: PAGE });
    if (!this.#catchUp(engine)) return;
    const made = this.#shadow.flows(this.#cursor, PAGE);
    const ends = [page, made].flatMap((of) =>
      of.length < PAGE ? [] : [of === page ? page.at(-1)!.flowId : made.at(-1)!],
    );
    const through = ends.sort()[0];
    const standing = new Map(page.map((row) => [row.flowId, row]));
    const ids = [...new Set([...standing.keys(), ...made])]
      .filter((id) => through === undefined || id <= through)
      .sort();
    const young = ids.filter((id) => !this.#isOlder(id));
    const found = allOf(young, (id) => ({ id, difference: this.#difference(engine, id, standing.get(id)) }));
    // Nothing more is asked of the engine from here on.
    for (const { id, difference } of found) {
      this.#counts.flows += 1;
      if (difference === 'unreadable') this.#counts.unreadable += 1;
      else if (difference) this.#shadow.find(id);
    }
    this.#counts.older += ids.filter((id) => this.#isOlder(id) && standing.has(id)).length;
    this.#firstMs ??= ids[0] === undefined ? undefined : beganMs(ids[0]);
    this.#cursor = through ?? '';
    if (through === undefined) this.#state = 'confirming';
  }

  #difference(engine: EngineView, id: string, stands: Row | undefined): Difference | 'unreadable' | undefined {
    const facts = this.#shadow.factsOf(id);
    if (facts === 'unreadable') return facts;
    const made = facts.length === 0 ? undefined : madeOf(id, facts);
    if (made === undefined) return stands && { what: 'surplus', columns: [], made };
    if (stands === undefined)
      // One that has had its time is not missing.
      return made.row.acceptedMs <= engine.now() - keptMs(made.row)
        ? undefined
        : { what: 'missing', columns: [], made };
    const columns: string[] = columnsThatDiffer(stands, made);
    if (columns.length === 0 && isRefusedOfLearner(stands) && !engine.get(refusedTable, stands.key, id))
      columns.push(refusedTable.name);
    return columns.length === 0 ? undefined : { what: 'differs', columns, made };
  }

  /** What was found, once more; in a rebuild that mends, until it is right. */
  #confirm(engine: EngineView): FlowMend[] {
    const ids = this.#shadow.found(this.#cursor, MOST_MENDS);
    const standing = allOf(ids, (id) => engine.get(flowsTable, id));
    if (!this.#catchUp(engine)) return [];
    const looked = allOf(ids.entries(), ([i, id]) => ({
      id,
      stands: standing[i],
      difference: this.#difference(engine, id, standing[i]),
    }));
    const mends: FlowMend[] = [];
    for (const { id, stands, difference } of looked) {
      if (difference === undefined || difference === 'unreadable') {
        this.#shadow.lose(id);
        if (this.#looks > 0) this.#counts.mended += 1;
        continue;
      }
      if (this.#looks === 0) this.#count(id, difference);
      if (this.#mends) mends.push(mendOf(id, stands, difference));
    }
    this.#cursor = ids.length < MOST_MENDS ? '' : ids.at(-1)!;
    if (this.#cursor === '') this.#nextLook();
    return this.isOver ? [] : mends;
  }

  #nextLook(): void {
    const left = this.#shadow.found('', 1).length > 0;
    this.#looks += 1;
    if (this.#mends && left && this.#looks < LOOKS) {
      this.#state = 'mending';
      return;
    }
    const { missing, surplus, differs, mended: right } = this.#counts;
    if (this.#mends) this.#counts.left = missing + surplus + differs - right;
    this.#state = 'done';
    this.#shadow.close();
  }

  #count(flowId: string, { what, columns }: Difference): void {
    this.#counts[what] += 1;
    for (const column of columns) this.#columns.set(column, (this.#columns.get(column) ?? 0) + 1);
    if (this.#differences.length < SHOWN) this.#differences.push({ flowId, what, columns: [...columns] });
  }

  told(now: number): FlowRebuild {
    const big = Object.fromEntries(Object.entries(this.#counts).map(([name, n]) => [name, BigInt(n)]));
    return {
      ...(big as Record<keyof typeof NOTHING, bigint>),
      state: this.#state,
      permille: this.#permille(now),
      records: BigInt(this.#shadow.records),
      keptFromMs: BigInt(this.#keptFromMs ?? 0),
      differences: this.#differences,
      columns: [...this.#columns]
        .map(([column, n]) => ({ column, flows: BigInt(n) }))
        .sort((a, b) => Number(b.flows - a.flows)),
    };
  }

  #permille(now: number): number {
    const share = (done: number, all: number) =>
      Math.min(999, Math.max(0, Math.floor((done / Math.max(1, all)) * 1000)));
    const { records } = this.#shadow;
    if (this.#state === 'reading') return share(records, records + this.#toRead);
    const at = beganMs(this.#cursor) ?? this.#firstMs;
    if (this.#state === 'comparing') return at === undefined ? 0 : share(at - this.#firstMs!, now - this.#firstMs!);
    return this.#state === 'done' ? 1000 : 0;
  }

  close(): void {
    if (!this.isOver) this.#shadow.close();
    this.#state = 'done';
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, n) => all + n, 0);

/** The one that is under way here. */
export class Rebuilds {
  #run: { id: string; rebuild: Rebuild; steppedAt: number } | undefined;
  #over: NodeJS.Timeout | undefined;

  /** Faults: as StepRebuild says. */
  step(engine: EngineView, { runId, mend, begun, stop }: StepRebuildRequest): StepRebuildResponse {
    // Where the log is not read it is answered elsewhere: what is under way there is not known here.
    engine.lanes(CONSUMER);
    const now = performance.now();
    const run = this.#run?.id === runId ? this.#run : undefined;
    if (run === undefined) {
      if (this.#run && !this.#run.rebuild.isOver && now - this.#run.steppedAt < LEASE_MS)
        throw new GatewayError('state.conflict', 'Another rebuild of flows is under way: let it end, or stop it.');
      if (begun || stop) throw new GatewayError('state.missing', 'This rebuild of flows is not under way here.');
      const parked = engine.parked(1_000).filter(({ consumer }) => consumer === CONSUMER);
      if (parked.length > 0)
        throw new GatewayError(
          'state.conflict',
          `Records that flows did not take are parked in ${parked.length} ${parked.length === 1 ? 'order' : 'orders'}: take them up again first (eduk status).`,
        );
      this.#end();
      this.#run = { id: runId, rebuild: new Rebuild(mend), steppedAt: now };
    }
    const { rebuild } = this.#run!;
    if (stop) rebuild.close();
    const mends = rebuild.step(engine);
    this.#run!.steppedAt = now;
    clearTimeout(this.#over);
    if (!rebuild.isOver) this.#over = setTimeout(() => this.#end(), LEASE_MS).unref();
    return { rebuild: rebuild.told(engine.now()), mends };
  }

  #end(): void {
    this.#run?.rebuild.close();
    this.#run = undefined;
  }
}

const digestOf = (row: Row | undefined): Buffer => Buffer.from(row === undefined ? '' : sha256(textOf(row)), 'latin1');

function mendOf(flowId: string, stands: Row | undefined, { made }: Difference): FlowMend {
  return { flowId, stands: digestOf(stands), made: made && madeFlow(mended(stands, made)) };
}

const madeFlow = ({ flowId, party, school, acceptedMs, decidedMs, steps, losses, ...row }: FlowTableRow): MadeFlow => ({
  ...row,
  partyOin: party,
  schoolOin: school,
  acceptedMs: BigInt(acceptedMs),
  decidedMs: BigInt(decidedMs),
  steps: (steps ?? []).map(({ step, atMs, code = '', told = '', state, more }) => ({
    step,
    atMs: BigInt(atMs),
    code,
    told,
    state,
    more: more === 1,
  })),
  losses: losses ?? [],
});

const rowOf = (
  flowId: string,
  { partyOin, schoolOin, acceptedMs, decidedMs, steps, losses, ...made }: MadeFlow,
): FlowTableRow => ({
  ...made,
  flowId,
  party: partyOin,
  school: schoolOin,
  acceptedMs: Number(acceptedMs),
  decidedMs: Number(decidedMs),
  steps:
    steps.length === 0
      ? undefined
      : steps.map(
          ({ step, atMs, code, told, state, more }): StepCell => ({
            step,
            atMs: Number(atMs),
            ...(code === '' ? {} : { code, told }),
            state: state as StepCell['state'],
            ...(more ? { more: 1 } : {}),
          }),
        ),
  losses: losses.length === 0 ? undefined : losses.map(({ element, reason, count }) => ({ element, reason, count })),
});

/** Within one note. Answers the ids of those that still stood as they were compared. */
export function mendFlows(unit: Pick<Unit, 'get' | 'put' | 'remove'>, mends: readonly FlowMend[]): string[] {
  const right: string[] = [];
  together(mends, ({ flowId, stands, made }) => {
    const before = unit.get(flowsTable, flowId);
    if (!digestOf(before).equals(stands)) return;
    right.push(flowId);
    const next = made && rowOf(flowId, made);
    if (next) unit.put(flowsTable, next);
    else unit.remove(flowsTable, flowId);
    const was = before && isRefusedOfLearner(before) ? before.key : undefined;
    const is = next && isRefusedOfLearner(next) ? next.key : undefined;
    if (was !== undefined && was !== is) unit.remove(refusedTable, was, flowId);
    if (is !== undefined) unit.put(refusedTable, { learner: is, flowId });
  });
  return right;
}
