import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { type Fault, GatewayError, Gone, isAtSite, isSiteCode, schoolYearOf, within } from '#kernel';
import { type LearnerRef, RosterLearner } from '#proto/eduk/core/v1/learner';
import { EntitlementState } from '#proto/eduk/core/v1/ordering';
import { Service } from '#proto/eduk/core/v1/party';
import type { MailboxRow } from '#proto/eduk/delivery/v1/delivery';
import type { EntitlementRow } from '#proto/eduk/entitlements/v1/entitlements';
import type { GroupEntry, LearnerEntry, StaffEntry } from '#proto/eduk/events/v1/rosters';
import { CatalogueServiceDefinition } from '#proto/eduk/gateway/v1/catalogue';
import { EntitlementServiceDefinition } from '#proto/eduk/gateway/v1/entitlement';
import { FlowServiceDefinition, type WatchFlowRequest } from '#proto/eduk/gateway/v1/flow';
import { OrderServiceDefinition } from '#proto/eduk/gateway/v1/order';
import { PartyServiceDefinition } from '#proto/eduk/gateway/v1/party';
import { ResultServiceDefinition } from '#proto/eduk/gateway/v1/result';
import { RosterServiceDefinition } from '#proto/eduk/gateway/v1/roster';
import { type EventName, type EventOf, events } from '#proto/events';
import { type Purpose, revealPeople, revealRoster } from '#release';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { watchOf } from '../head.ts';
import { reasonOf, routesOf } from '../news.ts';
import { CLOSED, UNNAMED } from '../out/reopening.ts';
import { isClosingWord, ofAgreements, tryPurpose } from '../purpose.ts';
import { entitlementsShown } from '../reads/entitlements.ts';
import { flowOf, present } from '../reads/flows.ts';
import { isElsewhere, showOrder } from '../reads/orders.ts';
import { showResults } from '../reads/results.ts';
import { requireOwnSchool } from '../stages/authorise.ts';

/** Rows read of a mailbox at once, and released in one call of the vault per school. */
const PAGE = 200;
/** About how long this door's copy of the mandates lags behind. */
const STALE_MS = 250;
/** How long one read of an empty mailbox waits. */
const POLL_MS = 20_000;

/** One row as a receiver sees it; undefined = it may not see it any more (forgotten, or not its line). */
type Show = (
  rows: readonly MailboxRow[],
  purpose: Purpose,
  caller: Caller,
  gate: Pick<Gate, 'door'>,
  /** Code of the site that was asked for; empty = all. */
  site: string,
) => Promise<(Record<string, unknown> | undefined)[]>;

interface Mailbox {
  /** Of the mandate that it needs; unspecified = news of a party's own mandates, which needs none. */
  service: Service;
  /** The mailbox that every party has. */
  catalogue?: boolean;
  show: Show;
}

const decode = <N extends EventName>(row: MailboxRow, _name: N): EventOf<N> =>
  events[row.type as N].codec.decode(row.data) as EventOf<N>;

const products: Show = async (rows) =>
  rows.map((row) =>
    row.type === 'ProductPublished' ? { product: decode(row, 'ProductPublished').product } : undefined,
  );

const learnerChanges: Record<string, string> = {
  LearnerJoined: 'learner_joined',
  LearnerMoved: 'learner_moved',
  LearnerChanged: 'learner_changed',
  LearnerLeft: 'learner_left',
  LearnerForgotten: 'learner_forgotten',
};

const rosters: Show = async (rows, purpose, _caller, { door }, site) => {
  const at = (codes: readonly string[]): boolean =>
    isAtSite(codes, site) && (purpose.sites === undefined || codes.some((code) => purpose.sites!.has(code)));
  const seen = rows.map((row) => rosterChange(row, at));
  // By where they were and are, which an entry alone does not say.
  const judged = { ...purpose, sites: undefined };
  // Alike entries are revealed together, so the vault is asked once for a run of rows.
  const learners = seen.filter(({ learner }) => learner !== undefined);
  const groups = seen.flatMap(({ group }) => (group ? [group] : []));
  const staff = seen.flatMap(({ staff }) => (staff ? [staff] : []));
  const reveal = async <E>(
    entries: readonly E[],
    as: (entry: E) => Parameters<typeof revealRoster>[3],
    formerly: (entry: E) => boolean = () => false,
  ) =>
    Promise.all(
      entries.map((entry) =>
        revealRoster(
          door.services.vault,
          judged,
          { schoolYear: '', asOf: '', madeAt: '', formerly: formerly(entry) },
          as(entry),
        ),
      ),
    );
  const nothing = { sites: [], groups: [], learners: [], staff: [] };
  const [refs, shownLearners, shownGroups, shownStaff] = await Promise.all([
    refsOfForgotten(rows, purpose, { door }),
    reveal(
      learners,
      ({ learner }) => ({ ...nothing, learners: [learner!] }),
      ({ formerly }) => formerly === true,
    ),
    reveal(groups, (group) => ({ ...nothing, groups: [group] })),
    reveal(staff, (one) => ({ ...nothing, staff: [one] })),
  ]);
  let [l, g, s] = [0, 0, 0];
  return seen.map(({ change, year, learner, group, staff: member }, i) => {
    const row = rows[i]!;
    const base = {
      change,
      schoolOin: row.schoolOin,
      schoolYear: year || schoolYearOf(Number(row.atMs)),
      learner: undefined,
      group: undefined,
      staff: undefined,
    };
    // Undefined where the vault knows nobody any more, or the mandate does not name the attribute.
    if (learner)
      return shownLearners[l++]!.reveal((roster) =>
        roster.learners[0] ? { ...base, learner: roster.learners[0] } : undefined,
      );
    if (group)
      return shownGroups[g++]!.reveal((roster) =>
        roster.groups[0] ? { ...base, group: roster.groups[0] } : undefined,
      );
    if (member)
      return shownStaff[s++]!.reveal((roster) => (roster.staff[0] ? { ...base, staff: roster.staff[0] } : undefined));
    if (change === 'year_turned') return base;
    if (change !== 'learner_forgotten') return undefined;
    const ref = refs.get(decode(row, 'LearnerForgotten').learner);
    return ref ? { ...base, learner: RosterLearner.fromPartial({ ref }) } : base;
  });
};

/** By which number a receiver knows who is to be forgotten, as long as the vault has it: nobody else of them is named again. */
async function refsOfForgotten(rows: readonly MailboxRow[], purpose: Purpose, { door }: Pick<Gate, 'door'>) {
  const tokens = rows.flatMap((row) =>
    row.type === 'LearnerForgotten' ? [decode(row, 'LearnerForgotten').learner] : [],
  );
  const numbers = { ...purpose, released: new Set([...purpose.released].filter((one) => NUMBERS.has(one))) };
  if (tokens.length === 0 || numbers.released.size === 0) return new Map<string, LearnerRef>();
  const people = await revealPeople(
    door.services.vault,
    numbers,
    tokens.map((token) => ({ token })),
  );
  return people.reveal(
    (shown) => new Map(tokens.flatMap((token, i) => (shown[i] ? [[token, shown[i].ref] as const] : []))),
  );
}
const NUMBERS: ReadonlySet<string> = new Set(['eck_id', 'las_key']);

interface RosterChange {
  /** Empty = nothing that this watch tells. */
  change: string;
  year: string;
  learner?: LearnerEntry | undefined;
  group?: GroupEntry | undefined;
  staff?: StaffEntry | undefined;
  /** By the number of before a merge. */
  formerly?: boolean;
}

/**
 * As one site sees it, where one is asked or the mandate names some: who comes from another site joins, who goes to another
 * leaves. `at`: whether what rosters of these sites name is told of.
 */
function rosterChange(row: MailboxRow, at: (codes: readonly string[]) => boolean): RosterChange {
  /** One of three words, by whether it was and is at the site; empty = it is another site's affair. */
  const word = (was: readonly string[], is: readonly string[], comes: string, stays: string, goes: string): string => {
    const [before, after] = [at(was), at(is)];
    return before && after ? stays : before ? goes : after ? comes : '';
  };
  switch (row.type) {
    case 'LearnerJoined':
    case 'LearnerChanged': {
      const { learner, schoolYear } = decode(row, 'LearnerJoined');
      return at(learner!.siteCodes) ? { change: learnerChanges[row.type]!, year: schoolYear, learner } : nobody;
    }
    case 'LearnerMoved': {
      const { learner, before, schoolYear } = decode(row, 'LearnerMoved');
      const change = word(
        before?.siteCodes ?? learner!.siteCodes,
        learner!.siteCodes,
        'learner_joined',
        'learner_moved',
        'learner_left',
      );
      if (change === '') return nobody;
      const shown = change === 'learner_left' ? leaving(learner!.learner, before!.group, '') : learner;
      return { change, year: schoolYear, learner: shown };
    }
    case 'LearnerLeft': {
      const { learner, schoolYear, leftOn, group, siteCodes, mergedInto } = decode(row, 'LearnerLeft');
      if (!at(siteCodes)) return nobody;
      // By the number that its receivers know: of the two, the one that is no more.
      const formerly = mergedInto !== '';
      return { change: 'learner_left', year: schoolYear, learner: leaving(learner, group, leftOn), formerly };
    }
    case 'GroupChanged': {
      const { group, change: what, schoolYear, siteCodesBefore: was } = decode(row, 'GroupChanged');
      const is = what === 'closed' ? [] : group!.siteCodes;
      const change = changeOf(what, 'opened', 'closed', () => word(was, is, 'opened', what, 'closed'), {
        was: at(was),
        is: at(is),
      });
      return change === '' ? nobody : { change: `group_${change}`, year: schoolYear, group };
    }
    case 'StaffChanged': {
      const { staff, change: what, schoolYear, siteCodesBefore: was } = decode(row, 'StaffChanged');
      const is = what === 'left' ? [] : staff!.siteCodes;
      const change = changeOf(what, 'joined', 'left', () => word(was, is, 'joined', what, 'left'), {
        was: at(was),
        is: at(is),
      });
      return change === '' ? nobody : { change: `staff_${change}`, year: schoolYear, staff };
    }
    case 'SchoolYearTurned':
      return { change: 'year_turned', year: decode(row, 'SchoolYearTurned').schoolYear };
    default:
      return { change: learnerChanges[row.type] ?? '', year: '' };
  }
}

const nobody: RosterChange = { change: '', year: '' };

/** What opened was nowhere before, and what closed is nowhere after: no code then says nothing of the main site. */
const changeOf = (
  what: string,
  first: string,
  last: string,
  between: () => string,
  here: { was: boolean; is: boolean },
): string => (what === first ? (here.is ? what : '') : what === last ? (here.was ? what : '') : between());

const leaving = (learner: string, group: string, leavesOn: string): LearnerEntry => ({
  learner,
  yearGroup: '',
  group,
  compositeGroups: [],
  site: '',
  entersOn: '',
  leavesOn,
  nameMark: new Uint8Array(0),
  siteCodes: [],
});

const orders: Show = (rows, _purpose, caller, gate) =>
  Promise.all(
    rows.map(async (row) => {
      const { orderId, buyerOin } = decode(row, 'OrderPlaced');
      const { orders } = await gate.door.services.orders.getOrder({ orderId, buyerOin, partyOin: caller.oin });
      if (!orders[0]) return undefined;
      const order = await showOrder(gate.door, caller, orders[0]);
      if (row.type === 'OrderPlaced')
        return order.lines.length > 0 ? { change: 'placed', order, outcomes: [] } : undefined;
      if (isElsewhere(orders[0], order)) return undefined;
      if (row.type === 'OrderRefused') return { change: 'refused', order, outcomes: [] };
      const own = new Set(order.lines.map(({ line }) => line!.terms!.lineId));
      const outcomes = decode(row, 'OrderLinesChanged').outcomes.filter(({ lineId }) => own.has(lineId));
      return outcomes.length > 0 ? { change: 'lines_changed', order, outcomes } : undefined;
    }),
  );

const entitlements: Show = async (rows, purpose, caller, gate) => {
  const nothing = {
    taken: 0,
    activationCode: new Uint8Array(0),
    publisherOin: '',
    platformOin: '',
    code: '',
    told: '',
    flowId: '',
    firstUsedOn: '',
    changedMs: 0n,
    provisionedBy: [],
    cause: '',
  };
  const shapes = rows.map((row): { change: string; cause: string; as: EntitlementRow } => {
    const flowId = row.flowId;
    if (row.type === 'EntitlementGranted') {
      const e = decode(row, 'EntitlementGranted');
      return {
        change: 'granted',
        cause: '',
        as: {
          ...nothing,
          terms: e.terms,
          schoolOin: e.schoolOin,
          holder: e.holder,
          state: EntitlementState.ENTITLEMENT_STATE_GRANTED,
          grantedByOin: e.byOin,
          activationCode: e.activationCode,
          publisherOin: e.publisherOin,
          platformOin: e.platformOin,
          outcome: 'granted',
          flowId,
        },
      };
    }
    const terms = (entitlementId: string, productId: string) => ({
      entitlementId,
      productId,
      orderId: '',
      lineId: '',
      startsOn: '',
      endsOn: '',
      resultsReadableUntil: '',
      count: 0,
      fromEntitlementId: '',
    });
    if (row.type === 'EntitlementChanged') {
      const e = decode(row, 'EntitlementChanged');
      return {
        change: 'changed',
        cause: e.cause,
        as: {
          ...nothing,
          terms: terms(e.entitlementId, e.productId),
          schoolOin: e.schoolOin,
          holder: e.holder,
          state: e.state,
          grantedByOin: e.grantedByOin,
          publisherOin: e.publisherOin,
          platformOin: e.platformOin,
          outcome: 'granted',
          flowId,
          firstUsedOn: e.cause === 'first_used' ? e.day : '',
        },
      };
    }
    if (row.type === 'GrantRefused') {
      const e = decode(row, 'GrantRefused');
      return {
        change: 'refused',
        cause: e.code,
        as: {
          ...nothing,
          terms: terms(e.entitlementId, e.productId),
          schoolOin: e.schoolOin,
          holder: e.holder,
          state: EntitlementState.ENTITLEMENT_STATE_UNSPECIFIED,
          grantedByOin: e.byOin,
          outcome: 'refused',
          code: e.code,
          told: e.told,
          flowId,
        },
      };
    }
    const e = decode(row, 'EntitlementChangeRefused');
    return {
      change: 'change_refused',
      cause: e.code,
      as: {
        ...nothing,
        terms: terms(e.entitlementId, ''),
        schoolOin: e.schoolOin,
        holder: undefined,
        state: EntitlementState.ENTITLEMENT_STATE_UNSPECIFIED,
        grantedByOin: e.byOin,
        outcome: 'refused',
        code: e.code,
        told: e.told,
        flowId,
      },
    };
  });
  const shown = await entitlementsShown(
    gate.door,
    caller,
    purpose.school,
    shapes.map(({ as }) => as),
  );
  // Where somebody goes to school is for who may have rights of that school too.
  const toSchoolOf = (row: (typeof rows)[number]): string => {
    const to = row.type === 'EntitlementChanged' ? decode(row, 'EntitlementChanged').toSchoolOin : '';
    const isTold = to !== '' && gate.door.chain.judge(to, caller.oin, Service.SERVICE_ENTITLEMENT).fault === undefined;
    return isTold ? to : '';
  };
  return shapes.map(({ change, cause }, i) =>
    shown[i] ? { change, cause, entitlement: shown[i], toSchoolOin: toSchoolOf(rows[i]!) } : undefined,
  );
};

const results: Show = async (rows, purpose, caller, gate) => {
  const recorded = rows.map((row) => (row.type === 'ResultRecorded' ? decode(row, 'ResultRecorded') : undefined));
  const entries = recorded.flatMap((one) => (one?.result ? [one.result] : []));
  const shown = await showResults(gate.door, caller, purpose.school, entries);
  // By the entry itself: one page may tell of an id twice.
  const recordOf = new Map(entries.map((entry, i) => [entry, shown[i]]));
  return recorded.map((one) => {
    const record = one?.result ? recordOf.get(one.result) : undefined;
    return record ? { record, replaces: one!.replaces } : undefined;
  });
};

const mandates: Show = async (rows, _purpose, _caller, { door: { chain } }) => {
  // What it says of routes is of now: of a copy of a moment ago it would be of what was before the change.
  await chain.caughtUp();
  return rows.map((row) => {
    if (row.type === 'PartyStandingChanged') {
      const { forgetting } = decode(row, 'PartyStandingChanged').standing ?? {};
      // Who else is told is nobody's business.
      return forgetting && { schoolForgetting: { ...forgetting, receivers: [] }, reason: '', routes: [] };
    }
    const news = decode(row, 'MandateChanged');
    const { mandate, byOin, change } = news;
    return { change: change || 'changed', mandate, byOin, reason: reasonOf(news), routes: routesOf(chain, mandate!) };
  });
};

/** Watches of mailboxes, by service and key of the method. */
export const watches: readonly { definition: { fullName: string }; methods: Record<string, Mailbox> }[] = [
  {
    definition: CatalogueServiceDefinition,
    methods: { watchProducts: { service: Service.SERVICE_UNSPECIFIED, catalogue: true, show: products } },
  },
  {
    definition: PartyServiceDefinition,
    methods: { watchMandates: { service: Service.SERVICE_UNSPECIFIED, show: mandates } },
  },
  {
    definition: RosterServiceDefinition,
    methods: { watchRosters: { service: Service.SERVICE_ROSTER, show: rosters } },
  },
  { definition: OrderServiceDefinition, methods: { watchOrders: { service: Service.SERVICE_ORDER, show: orders } } },
  {
    definition: EntitlementServiceDefinition,
    methods: { watchEntitlements: { service: Service.SERVICE_ENTITLEMENT, show: entitlements } },
  },
  {
    definition: ResultServiceDefinition,
    methods: { watchResults: { service: Service.SERVICE_RESULT, show: results } },
  },
];

/**
 * Follows a mailbox from a cursor until the caller leaves. Each row passes release at the moment of sending: the mandate
 * now, its attributes, the vault. What may not be sent is parked at its receiver and comes back, in order, once it may.
 */
export async function serveWatch(
  call: ServerWritableStream<Buffer, unknown>,
  mailbox: Mailbox,
  request: { cursor: string; schoolOin?: string; siteCode?: string },
  caller: Caller,
  gate: Gate,
  /** Aborts with why the watch must end. */
  over: AbortSignal,
): Promise<void> {
  const { door, cursors } = gate;
  const site = request.siteCode ?? '';
  if (!isSiteCode(site) || (site !== '' && !request.schoolOin))
    throw new GatewayError('wire.invalid', 'The code of a site is two digits, and needs its school.', {
      where: 'site_code',
    });
  if (request.schoolOin && !mailbox.catalogue) requireOwnSchool(caller, request.schoolOin);
  const of = watchOf(mailbox.catalogue ? 'catalogue' : mailbox.service, request.schoolOin || caller.school, site);
  // With the watch ends what waits for its mail, in whichever process.
  const gone = new Gone();
  over.addEventListener('abort', () => gone.leave(), { once: true });
  if (over.aborted) gone.leave();
  let after = BigInt(cursors.open(caller.oin, of, request.cursor) || '0');
  let first = true;
  while (!call.cancelled && !over.aborted) {
    const read = await unlessOver(
      over,
      within(
        undefined,
        () =>
          door.services.delivery.readMailbox({
            partyOin: caller.oin,
            service: mailbox.service,
            catalogue: mailbox.catalogue ?? false,
            after,
            limit: PAGE,
            waitMs: BigInt(first ? 0 : POLL_MS),
          }),
        gone,
      ),
    );
    if (!read) break;
    const { rows, oldest, through } = read;
    if (first && request.cursor !== '' && oldest > after + 1n) throw new GatewayError('cursor.expired');
    first = false;
    after = through;
    /** Schools of which nothing can be shown, and why. */
    const closed = new Map<string, Fault>();
    page: for (const run of runs(rows, mailbox, (school) => door.chain.isClosed(school))) {
      // Nothing is parked for a token that is for another school.
      if (!mailbox.catalogue && caller.school !== undefined && caller.school !== run.school) continue;
      const purpose = mailbox.catalogue
        ? undefined
        : mailbox.service === Service.SERVICE_UNSPECIFIED
          ? { purpose: ofAgreements(run.school, caller.oin) }
          : tryPurpose(door, caller, run.school, mailbox.service, run.closing);
      if (purpose && 'fault' in purpose) {
        const { again } = await door.services.delivery.parkRows({
          partyOin: caller.oin,
          service: mailbox.service,
          numbers: run.rows.map(({ number }) => number),
          code: purpose.fault,
        });
        if (!again) continue;
        // Confirmed a moment ago, and this door's copy does not know it yet: nothing was parked, so read it again.
        after = run.rows[0]!.number - 1n;
        await sleep(STALE_MS);
        break;
      }
      if (request.schoolOin && request.schoolOin !== run.school) continue;
      const shown = closed.has(run.school)
        ? undefined
        : await mailbox
            .show(run.rows, purpose?.purpose as Purpose, caller, gate, site)
            .catch((thrown: unknown): undefined => {
              if (!(thrown instanceof GatewayError)) throw thrown;
              const { fault } = thrown;
              if (fault !== CLOSED && !(fault === UNNAMED && door.chain.isOnDemand(run.school))) throw thrown;
              closed.set(run.school, fault);
            });
      if (shown === undefined) {
        // Mail of other schools goes on. This comes back once the school lets us, and what follows of it not before.
        await door.services.delivery.parkRows({
          partyOin: caller.oin,
          service: mailbox.service,
          numbers: run.rows.map(({ number }) => number),
          code: closed.get(run.school) ?? CLOSED,
        });
        continue;
      }
      for (const [i, message] of shown.entries()) {
        if (call.cancelled) return;
        if (over.aborted) throw over.reason;
        if (!message) continue;
        const { number } = run.rows[i]!;
        if (call.write({ ...message, cursor: cursors.seal(caller.oin, of, String(number)) })) continue;
        const since = performance.now();
        await drained(call, over);
        if (performance.now() - since < STALE_MS) continue;
        // A slow reader's rows were released a while ago: the mandate may have ended, a learner may be forgotten.
        after = number;
        break page;
      }
    }
  }
  if (!call.cancelled) throw over.reason;
}

/** What was asked, or undefined as soon as the watch must end. */
function unlessOver<T>(closing: AbortSignal, asked: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const stop = () => resolve(undefined);
    if (closing.aborted) stop();
    closing.addEventListener('abort', stop, { once: true });
    asked.then(resolve, reject).finally(() => closing.removeEventListener('abort', stop));
  });
}

/** Rows of one school that follow each other: order stays, and the vault is asked once for each. */
interface Run {
  school: string;
  /** They are told although the school is closed. */
  closing: boolean;
  rows: MailboxRow[];
}

function runs(rows: readonly MailboxRow[], mailbox: Mailbox, isClosed: (school: string) => boolean): Run[] {
  const list: Run[] = [];
  for (const row of rows) {
    const school = mailbox.catalogue ? '' : row.schoolOin;
    const closing = school !== '' && isClosingWord(row) && isClosed(school);
    const last = list.at(-1);
    if (last?.school === school && last.closing === closing) last.rows.push(row);
    else list.push({ school, closing, rows: [row] });
  }
  return list;
}

const drained = (call: ServerWritableStream<Buffer, unknown>, over: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      call.off('drain', done);
      call.off('cancelled', done);
      over.removeEventListener('abort', done);
      resolve();
    };
    call.on('drain', done);
    call.on('cancelled', done);
    over.addEventListener('abort', done);
    if (over.aborted) done();
  });

/** WatchFlow: the flow each time it changes, until nothing more happens by itself. */
export async function serveWatchFlow(
  call: ServerWritableStream<Buffer, unknown>,
  request: WatchFlowRequest,
  caller: Caller,
  gate: Gate,
  over: AbortSignal,
): Promise<void> {
  let told = '';
  while (!call.cancelled && !over.aborted) {
    const flow = await present(gate, caller, await flowOf(gate, caller, request), request.reference);
    const now = `${flow.state} ${flow.steps.length} ${flow.steps.map(({ state }) => state).join()}`;
    if (now !== told) {
      told = now;
      if (!call.write({ flow })) await drained(call, over);
    }
    if (flow.ended) return;
    await sleep(200);
  }
  if (!call.cancelled) throw over.reason;
}

export const watchFlow = { definition: FlowServiceDefinition, key: 'watchFlow' } as const;
