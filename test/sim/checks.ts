/**
 * What must be true, by ledgers of the simulation's own: nothing here asks a service what it thinks. Each check adds what
 * it finds to `run.problems`.
 */
import type { LogRecord } from '#bus';
import { dutchDay, uuidText } from '#kernel';
import { EntitlementState } from '#proto/eduk/core/v1/ordering';
import { Service } from '#proto/eduk/core/v1/party';
import { OrderRow } from '#proto/eduk/orders/v1/orders';
import { type EventName, type EventOf, events } from '#proto/events';
import { FUTURE_TYPE } from './messages.ts';
import { placeOf, type Run, type Traced } from './run.ts';
import { services } from './watched.ts';

const read = <N extends EventName>(record: LogRecord, _name: N): EventOf<N> =>
  events[record.type as N].codec.decode(record.data) as EventOf<N>;

/** Everything that was ever on the log, lane by lane, by number. */
export function wholeLog(run: Run): LogRecord[] {
  const lanes = new Map<string, LogRecord[]>();
  for (const record of [...run.archive, ...run.engine.records()]) {
    const lane = `${record.stream}/${record.partition}`;
    const of = lanes.get(lane);
    if (of) of.push(record);
    else lanes.set(lane, [record]);
  }
  return [...lanes.values()].flatMap((records) => records.sort((a, b) => a.number - b.number));
}

/** Numbers of a lane rise by one from 1, and no record stands twice. */
export function checkLanes(run: Run, log: readonly LogRecord[]): void {
  let lane = '';
  let last = 0;
  const ids = new Set<string>();
  for (const record of log) {
    const of = `${record.stream}/${record.partition}`;
    if (of !== lane) last = 0;
    lane = of;
    if (record.number !== last + 1) run.problem(`lane ${lane}: ${record.number} follows ${last}`);
    last = record.number;
    const id = uuidText(record.id);
    if (ids.has(id)) run.problem(`lane ${lane}: number ${record.number} has the id of another record`);
    ids.add(id);
  }
}

/** Every message that has its receipt is on the log, once, as it was sent; and no other attempt of it is. */
export function checkAccepted(run: Run, log: readonly LogRecord[]): void {
  const submitted = new Map<string, string[]>();
  for (const { type, key, data, flowId } of log) {
    if (!type.endsWith('Submitted') && type !== FUTURE_TYPE) continue;
    const of = submitted.get(flowId);
    const text = `${type} ${key} ${Buffer.from(data).toString('base64')}`;
    if (of) of.push(text);
    else submitted.set(flowId, [text]);
  }
  for (const [n, { message, attempts, answer, refused }] of run.sent) {
    const about = `message ${n} (${message.method})`;
    if (answer === undefined && !refused) run.problem(`${about} never got its answer`);
    for (const { flowId, events: told } of attempts) {
      const found = submitted.get(flowId) ?? [];
      submitted.delete(flowId);
      if (flowId !== answer?.flowId) {
        if (found.length > 0) run.problem(`${about}: an attempt without its receipt is on the log`);
        continue;
      }
      const sent = told.map(({ type, key, data }) => `${type} ${key} ${Buffer.from(data).toString('base64')}`);
      if (found.length === 0) run.problem(`${about} was accepted and is lost`);
      else if ([...found].sort().join('\n') !== sent.sort().join('\n'))
        run.problem(`${about} stands on the log otherwise than it was sent`);
    }
  }
  for (const flowId of submitted.keys()) run.problem(`flow ${flowId} is on the log and nobody sent it`);
}

/** Which events decide what was asked. `once`: exactly one for each question, so that a second effect shows. */
const decides: Readonly<Record<string, { by: readonly EventName[]; once: boolean }>> = {
  PartySubmitted: { by: ['PartyRegistered', 'PartyChangeRefused'], once: true },
  MandateSubmitted: { by: ['MandateChanged', 'PartyChangeRefused'], once: false },
  MandateChangeSubmitted: { by: ['MandateChanged', 'PartyChangeRefused'], once: false },
  ProductSubmitted: { by: ['ProductPublished', 'ProductRefused'], once: true },
  RosterSubmitted: { by: ['RosterPartTaken', 'RosterApplied', 'RosterHeld', 'RosterRefused'], once: false },
  LearnersSubmitted: { by: ['RosterApplied', 'RosterRefused'], once: true },
  HoldDecisionSubmitted: { by: ['HoldDecided', 'RosterRefused'], once: false },
  LearnerForgetSubmitted: { by: ['LearnerForgotten', 'LearnerForgetHeld'], once: true },
  LearnersMergeSubmitted: { by: ['LearnersMergeHeld', 'LearnersMergeRefused'], once: false },
  LearnersMergeUndoSubmitted: { by: ['LearnersMergeUndone', 'LearnersMergeRefused'], once: true },
  SchoolChangeSubmitted: { by: ['SchoolChangeHeld', 'SchoolChangePlanned', 'SchoolChangeRefused'], once: true },
  SchoolChangeUndoSubmitted: { by: ['SchoolChangeUndone', 'SchoolChangeRefused'], once: true },
  SchoolCrossingSubmitted: { by: ['SchoolCrossed', 'SchoolChangeRefused'], once: true },
  OrderSubmitted: { by: ['OrderPlaced', 'OrderRefused', 'OrderLinesChanged'], once: true },
  OrderConfirmSubmitted: { by: ['OrderLinesChanged', 'OrderChangeRefused'], once: true },
  OrderCancelSubmitted: { by: ['OrderLinesChanged', 'OrderChangeRefused'], once: false },
  GrantSubmitted: { by: ['EntitlementGranted', 'GrantRefused', 'EntitlementChangeHeld'], once: true },
  WithdrawSubmitted: { by: ['EntitlementChanged', 'EntitlementChangeRefused', 'EntitlementChangeHeld'], once: false },
  UsageSubmitted: { by: ['EntitlementChanged', 'EntitlementChangeRefused'], once: true },
  ProvisionSubmitted: { by: ['AccessProvisioned', 'AccessRevoked', 'AccessRefused'], once: true },
  LaunchSubmitted: { by: ['LaunchCreated', 'AccessRefused'], once: true },
  RedeemSubmitted: { by: ['LaunchRedeemed', 'AccessRefused'], once: true },
  ResultSubmitted: { by: ['ResultRecorded', 'ResultRefused'], once: true },
};

/** Everything accepted is decided, and what is decided once is decided once. */
export function checkDecided(run: Run, log: readonly LogRecord[]): void {
  const byFlow = new Map<string, LogRecord[]>();
  for (const record of log) {
    const of = byFlow.get(record.flowId);
    if (of) of.push(record);
    else byFlow.set(record.flowId, [record]);
  }
  for (const [n, { message, answer }] of run.sent) {
    if (!answer) continue;
    const of = byFlow.get(answer.flowId) ?? [];
    const type = message.events[0]!.name;
    const rule = decides[type];
    if (!rule) continue;
    const asked = message.events.length;
    const decided = of.filter((record) => (rule.by as readonly string[]).includes(record.type)).length;
    if (decided < asked || (rule.once && decided > asked))
      run.problem(`message ${n} (${type}) asked ${asked} and was decided ${decided} times`);
  }
}

/** Each service took each record that it reads exactly once, and those of one scope in their order. */
export function checkTaken(run: Run, log: readonly LogRecord[]): void {
  const times = new Map<string, number>();
  const last = new Map<string, number>();
  for (const { consumer, record, scope, outcome } of run.trace) {
    if (outcome !== 'done') continue;
    const place = `${consumer} ${placeOf(record)}`;
    times.set(place, (times.get(place) ?? 0) + 1);
    const lane = `${consumer} ${scope} ${record.stream}/${record.partition}`;
    const before = last.get(lane) ?? 0;
    if (record.number < before)
      run.problem(`${consumer} took ${placeOf(record)} (${record.type}) after number ${before} of its scope`);
    last.set(lane, Math.max(before, record.number));
  }
  for (const { consumers } of services)
    for (const { name, streams, types } of consumers)
      for (const record of log) {
        if (!streams.includes(record.stream) || !types.includes(record.type)) continue;
        const taken = times.get(`${name} ${placeOf(record)}`) ?? 0;
        if (taken !== 1) run.problem(`${name} took ${placeOf(record)} (${record.type}) ${taken} times`);
      }
}

/** Every reader is at the head, nothing is parked, and nothing stands still without a name. */
export function checkAtHead(run: Run): void {
  const { view } = run.engine;
  for (const { consumer, stream, unread, gap, stopped, parkedKeys } of view.ages())
    if (unread > 0 || gap || stopped || parkedKeys > 0)
      run.problem(
        `${consumer} is not at the head of ${stream}: ${unread} unread${gap ? ', a gap' : ''}${stopped ? ', stopped' : ''}${parkedKeys > 0 ? `, ${parkedKeys} keys parked` : ''}`,
      );
}

/** What waits has a name for what it lacks, and what it lacks did not come since it was last asked. */
export function checkWaiting(run: Run, log: readonly LogRecord[]): void {
  const waiting = run.engine.view.waiting({ limit: 100_000 });
  const scopes = new Set(
    waiting.filter(({ what }) => what !== '').map(({ consumer, scope }) => `${consumer} ${scope}`),
  );
  const asked = new Map<string, number>();
  for (const { at, consumer, record } of run.trace) asked.set(`${consumer} ${placeOf(record)}`, at);
  const came = new Map<string, number>();
  const granted = new Map<string, string[]>();
  for (const record of log)
    if (record.type === 'EntitlementGranted') {
      const { schoolOin, terms, unchanged } = read(record, 'EntitlementGranted');
      if (unchanged) continue;
      const names = granted.get(record.flowId) ?? [];
      granted.set(record.flowId, [...names, `entitlement:${schoolOin}/${terms!.entitlementId}`]);
    }
  for (const traced of run.trace)
    if (traced.outcome === 'done')
      for (const name of bringsOf(traced, granted)) came.set(`${traced.consumer} ${name}`, traced.at);
  for (const { consumer, what, scope, record } of waiting) {
    if (what === '') {
      if (!scopes.has(`${consumer} ${scope}`)) run.problem(`${consumer}: ${record.type} stands behind nothing`);
      continue;
    }
    const brought = came.get(`${consumer} ${what}`) ?? -1;
    if (brought > (asked.get(`${consumer} ${placeOf(record)}`) ?? -1))
      run.problem(`${consumer}: ${record.type} still waits for ${what}, which came`);
  }
}

/** What became known to a service by a record that it took. */
function bringsOf({ consumer, record }: Traced, granted: ReadonlyMap<string, string[]>): string[] {
  switch (record.type) {
    case 'ProductPublished':
      return [`product:${read(record, 'ProductPublished').product?.productId}`];
    case 'OrderSubmitted': {
      const { schoolOin, orderId } = read(record, 'OrderSubmitted');
      return consumer === 'orders' ? [`order:${schoolOin}/${orderId}`] : [];
    }
    case 'GrantSubmitted':
    case 'WithdrawSubmitted':
      return consumer === 'entitlements' ? (granted.get(record.flowId) ?? []) : [];
    case 'EntitlementGranted': {
      const { schoolOin, terms, unchanged } = read(record, 'EntitlementGranted');
      return consumer === 'access' && !unchanged ? [`entitlement:${schoolOin}/${terms!.entitlementId}`] : [];
    }
    case 'LaunchSubmitted':
      return consumer === 'access' ? [`launch:${read(record, 'LaunchSubmitted').launchId}`] : [];
    default:
      return [];
  }
}

/** Nothing waits any more: what did not come in time was refused. */
export function checkNothingWaits(run: Run): void {
  for (const { consumer, what, record } of run.engine.view.waiting({ limit: 5 }))
    run.problem(`${consumer}: ${record.type} waits for ${what} beyond every deadline`);
}

type Row = Record<string, any>;

const rowsOf = (run: Run, table: string): readonly Row[] => run.engine.rows(table) as readonly Row[];

/** Receivers that an event names itself, whatever mandates say. */
function namedReceivers(record: LogRecord): { service: number; parties: string[] } | undefined {
  const to = (service: number, ...parties: string[]) => ({ service, parties: parties.filter((party) => party !== '') });
  switch (record.type) {
    case 'ProductPublished':
      return read(record, 'ProductPublished').unchanged ? undefined : to(0, '*');
    case 'OrderPlaced': {
      const { lines, buyerOin } = read(record, 'OrderPlaced');
      return to(Service.SERVICE_ORDER, buyerOin, ...lines.map(({ sellerOin }) => sellerOin));
    }
    case 'OrderRefused':
      return to(Service.SERVICE_ORDER, read(record, 'OrderRefused').buyerOin);
    case 'EntitlementGranted': {
      const { unchanged, publisherOin, platformOin, byOin } = read(record, 'EntitlementGranted');
      return unchanged ? undefined : to(Service.SERVICE_ENTITLEMENT, publisherOin, platformOin, byOin);
    }
    case 'EntitlementChanged': {
      const { unchanged, publisherOin, platformOin, grantedByOin } = read(record, 'EntitlementChanged');
      return unchanged ? undefined : to(Service.SERVICE_ENTITLEMENT, publisherOin, platformOin, grantedByOin);
    }
    case 'GrantRefused':
      return to(Service.SERVICE_ENTITLEMENT, read(record, 'GrantRefused').byOin);
    case 'MandateChanged': {
      const { unchanged, mandate } = read(record, 'MandateChanged');
      return unchanged ? undefined : to(0, mandate!.schoolOin, mandate!.boardOin, mandate!.partyOin);
    }
    case 'ResultRefused':
      return to(Service.SERVICE_RESULT, read(record, 'ResultRefused').byOin);
    default:
      return undefined;
  }
}

/** Mailboxes hold what they should, each row once; readers got everything they may have, each key in its order. */
export function checkMailboxes(run: Run, log: readonly LogRecord[]): void {
  const bodies = rowsOf(run, 'delivery_bodies');
  const mail = [...rowsOf(run, 'delivery_mail'), ...rowsOf(run, 'delivery_parked_mail')];
  const held = new Set<string>();
  for (const { party, service, eventId, first } of mail) {
    for (const mark of [`${party}/${service} ${eventId}`, `${party}/${service} first ${first}`]) {
      if (held.has(mark)) run.problem(`mailbox ${party}/${service} holds a row twice`);
      held.add(mark);
    }
  }
  const receivers = new Map(bodies.map(({ eventId, receivers }) => [eventId as string, receivers as string]));
  // Mail leaves after thirty days: what is older need not be there.
  for (const record of log) {
    const named = record.timeMs > run.nowMs - 29 * DAY_MS ? namedReceivers(record) : undefined;
    if (named === undefined) continue;
    const eventId = uuidText(record.id);
    const told = new Set(
      receivers
        .get(eventId)
        ?.split(' ')
        .map((one) => one.slice(0, one.lastIndexOf('/'))),
    );
    for (const party of new Set(named.parties)) {
      const mailbox = `${party}/${named.service}`;
      if (!told.has(mailbox)) run.problem(`${record.type} ${placeOf(record)} was not told to ${mailbox}`);
      else if (!held.has(`${mailbox} ${eventId}`))
        run.problem(`${record.type} ${placeOf(record)} left mailbox ${mailbox}`);
    }
  }
  checkHolders(run, log, receivers);
  checkDelivered(run, bodies, mail);
}

const DAY_MS = 86_400_000;
/** How long mail is kept. */
const KEPT_MS = 30 * DAY_MS;

/** Rosters and results go only to whom the school gave a mandate for them, at some time before. */
function checkHolders(run: Run, log: readonly LogRecord[], receivers: ReadonlyMap<string, string>): void {
  const given = new Map<string, number>();
  for (const record of log) {
    if (record.type !== 'MandateChanged') continue;
    const { mandate } = read(record, 'MandateChanged');
    for (const service of mandate!.services) {
      const pair = `${mandate!.schoolOin} ${mandate!.partyOin}/${service}`;
      given.set(pair, Math.min(given.get(pair) ?? Infinity, record.timeMs));
    }
  }
  for (const record of log) {
    if (record.type !== 'ResultRecorded' && record.stream !== 'rosters') continue;
    for (const told of receivers.get(uuidText(record.id))?.split(' ') ?? []) {
      const mailbox = told.slice(0, told.lastIndexOf('/'));
      const mine = mailbox.startsWith(`${record.school}/`);
      if (!mine && given.get(`${record.school} ${mailbox}`) === undefined)
        run.problem(`${record.type} of ${record.school} was told to ${mailbox}, which never had a mandate for it`);
    }
  }
}

function checkDelivered(run: Run, bodies: readonly Row[], mail: readonly Row[]): void {
  const forgotten = new Map(
    rowsOf(run, 'delivery_forgotten').map(({ learner, atMs }) => [learner as string, atMs as number]),
  );
  const bodyOf = new Map(bodies.map((body) => [body['eventId'] as string, body]));
  for (const { party, service, delivered } of run.mailboxes) {
    const name = `${party}/${service}`;
    const newest = new Map<string, bigint>();
    const seen = new Map<string, bigint>();
    for (const { row } of delivered) {
      const eventId = uuidText(row.eventId);
      const before = seen.get(eventId);
      if (before !== undefined) {
        if (before !== row.keyNumber) run.problem(`${name}: a row came again under another number of its key`);
        continue;
      }
      seen.set(eventId, row.keyNumber);
      const key = `${row.schoolOin} ${row.key}`;
      if ((newest.get(key) ?? 0n) > row.keyNumber) run.problem(`${name}: ${row.type} of a key came after a later one`);
      newest.set(key, row.keyNumber);
    }
    for (const row of mail) {
      if (row['party'] !== party || row['service'] !== service || seen.has(row['eventId'])) continue;
      const body = bodyOf.get(row['eventId']);
      // The body of several goes with the first mailbox that is cleaned; the row itself when its own turn comes.
      if (body === undefined && row['atMs'] <= run.nowMs - KEPT_MS) continue;
      const at = forgotten.get(body?.['key']);
      if (at !== undefined && body!['timeMs'] < at) continue;
      // Parked mail has no number: it waits for a mandate.
      if (row['number'] === undefined && body !== undefined && !run.mayHave(body['school'], party, service)) continue;
      run.problem(
        `${name}: ${body?.['type'] ?? 'a row without body'} was never read${row['number'] === undefined ? ', though its mandate holds' : ''}`,
      );
    }
  }
}

const { ENTITLEMENT_STATE_UNSPECIFIED, ENTITLEMENT_STATE_WITHDRAWN } = EntitlementState;
const OPEN: ReadonlySet<EntitlementState> = new Set([
  EntitlementState.ENTITLEMENT_STATE_GRANTED,
  EntitlementState.ENTITLEMENT_STATE_PROVISIONED,
  EntitlementState.ENTITLEMENT_STATE_USED,
]);

/** Counts agree with what was taken from them; nobody launches what is closed; who is forgotten is in no row. */
export function checkDomain(run: Run, log: readonly LogRecord[]): void {
  checkCounts(run);
  checkLaunches(run, log);
  checkForgotten(run, log);
}

function checkCounts(run: Run): void {
  const rows = rowsOf(run, 'entitlements_entitlements');
  const drawn = new Map<string, number>();
  for (const { school, state, more } of rows)
    if (more.from && state !== ENTITLEMENT_STATE_WITHDRAWN && state !== ENTITLEMENT_STATE_UNSPECIFIED)
      drawn.set(`${school} ${more.from}`, (drawn.get(`${school} ${more.from}`) ?? 0) + 1);
  for (const { school, id, more } of rows) {
    if (!more.count) continue;
    const taken = more.taken ?? 0;
    if (taken < 0 || taken > more.count) run.problem(`${id}: ${taken} of ${more.count} are taken`);
    if (taken !== (drawn.get(`${school} ${id}`) ?? 0))
      run.problem(`${id}: says that ${taken} are taken, and ${drawn.get(`${school} ${id}`) ?? 0} are`);
  }
}

function checkLaunches(run: Run, log: readonly LogRecord[]): void {
  const outcome = new Map<string, LogRecord>();
  for (const record of log)
    if (record.type === 'LaunchCreated' || record.type === 'LaunchRedeemed') outcome.set(record.flowId, record);
  const rights = new Map<string, { state: EntitlementState; starts: string; ends: string; counted: boolean }>();
  const spent = new Set<string>();
  for (const { consumer, record, outcome: how } of run.trace) {
    if (consumer !== 'access' || how !== 'done') continue;
    if (record.type === 'EntitlementGranted') {
      const { terms, schoolOin, unchanged } = read(record, 'EntitlementGranted');
      if (!unchanged)
        rights.set(`${schoolOin} ${terms!.entitlementId}`, {
          state: EntitlementState.ENTITLEMENT_STATE_GRANTED,
          starts: terms!.startsOn,
          ends: terms!.endsOn,
          counted: terms!.count > 0,
        });
    } else if (record.type === 'EntitlementChanged') {
      const { schoolOin, entitlementId, state, unchanged } = read(record, 'EntitlementChanged');
      const right = rights.get(`${schoolOin} ${entitlementId}`);
      if (right && !unchanged) right.state = state;
    } else if (record.type === 'LaunchSubmitted' || record.type === 'RedeemSubmitted') {
      const came = outcome.get(record.flowId);
      if (came === undefined) continue;
      const { launchId, schoolOin, entitlementId } =
        came.type === 'LaunchCreated' ? read(came, 'LaunchCreated') : read(came, 'LaunchRedeemed');
      if (came.type === 'LaunchRedeemed') {
        if (spent.has(launchId)) run.problem('a launch was redeemed twice');
        spent.add(launchId);
      }
      if (entitlementId === '') continue;
      const right = rights.get(`${schoolOin} ${entitlementId}`);
      const day = dutchDay(came.type === 'LaunchRedeemed' ? record.timeMs : came.timeMs);
      if (!right || !OPEN.has(right.state) || right.counted || day < right.starts || day > right.ends)
        run.problem(`${came.type} of ${entitlementId}, which was closed`);
    }
  }
}

/** Where a row may name a learner. */
const learnerColumns: readonly [table: string, names: (row: Row) => readonly string[]][] = [
  ['rosters_learners', (row) => [row['learner']]],
  ['results_results', (row) => [row['learner']]],
  ['access_learners', (row) => [row['learner']]],
  ['access_rights', (row) => [row['holder'].slice(2)]],
  ['access_launches', (row) => [row['learner']]],
  ['entitlements_entitlements', (row) => [row['holder'].slice(2)]],
  ['orders_entries', (row) => (row['kind'] === 'learner' ? [row['value']] : [])],
  ['orders_orders', (row) => OrderRow.decode(row['order']).lines.map(({ line }) => line?.learner ?? '')],
];

function checkForgotten(run: Run, log: readonly LogRecord[]): void {
  const gone = new Set<string>();
  // Who was forgotten for its term, and is named again before it is destroyed, is kept.
  for (const { type, key } of log)
    if (type === 'LearnerForgotten') gone.add(key);
    else if (type === 'LearnerKept') gone.delete(key);
  if (gone.size === 0) return;
  for (const [table, names] of learnerColumns)
    for (const row of rowsOf(run, table))
      for (const name of names(row)) if (gone.has(name)) run.problem(`${table} still names a learner who is forgotten`);
}
