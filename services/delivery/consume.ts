/** Records → mailboxes. One unit of work writes the body, a row for each receiver, and the position. */
import { type Consumer, decoded, emit, Freezes, type LogRecord, type TimerRow, type Unit } from '#bus';
import { dutchDay, FORGOTTEN_CLOSED_MS, startOfDutchDay, uuidText } from '#kernel';
import { type Mandate, MandateState, type Party, type SchoolForgetting, type Service } from '#proto/eduk/core/v1/party';
import type { DeliveryCommandSubmitted, ReplaySubmitted } from '#proto/eduk/events/v1/deliveries';
import type { PartyStandingChanged } from '#proto/eduk/events/v1/parties';
import type { EventName } from '#proto/events';
import { command } from './dead.ts';
import {
  type Address,
  arrive,
  beginRelease,
  clean,
  gather,
  headOf,
  KEPT_MS,
  send,
  sendKey,
  type Way,
} from './mailbox.ts';
import { boardOf, copyMandate, copyParty, holdersIn, schoolsUnder, stands } from './mandates.ts';
import { beginMoves, stoodBefore } from './moves.ts';
import { cleanAside, forgetOutcome, hasEndpoint, leaveEndpoint, takeEndpoint, wake } from './push.ts';
import { cleanReconciled } from './reconciled.ts';
import { cleanReplays, type ReplayOrder, step, takeOrder } from './replay.ts';
import { type Route, routes } from './routes.ts';
import { cleanSets } from './sets.ts';
import { STANDARDS } from './standards.ts';
import {
  bodies,
  closedSchools,
  forgotten,
  freezes,
  mandateCopies,
  parkedKeys,
  replays,
  stoppedParties,
} from './tables.ts';

/** How long before keys that were parked during a release are looked at again. */
const NEXT_ROUND_MS = 1000;
/** Schools whose parked mail one unit begins to release, where a party goes on. */
const SCHOOLS_AT_ONCE = 200;
/** Behind every key of a school, in the order of keys. */
const LAST_KEY = '~';

type Command =
  | ({ do: 'release' } & Way)
  | ({ do: 'gather'; round: number; after?: number } & Way)
  | ({ do: 'send'; round: number } & Way)
  | ({ do: 'clean' } & Address)
  | { do: 'valid'; school: string; party: string; mandateId: string }
  | { do: 'resume'; party: string; service: number; school: string }
  | { do: 'replay'; party: string; jobId: string };

/** Key by which readers of a mailbox wait. */
export const mailboxName = ({ party, service }: Address): string => `${party}/${service}`;

/** Key by which senders wait. */
export const SENDERS = 'senders';

/** `changed` is told each mailbox that may have new mail, and `SENDERS` when an endpoint may, before the commit. */
export const consumer = (changed: (mailbox: string) => void): Consumer => ({
  name: 'delivery',
  streams: ['parties', 'catalogue', 'rosters', 'orders', 'entitlements', 'results', 'deliveries'],
  // Who receives is known before what is received: a mandate that stood when a message was accepted counts for it.
  first: ['parties'],
  types: [
    'PartyRegistered',
    'LearnerKept',
    'ReplaySubmitted',
    'DeliveryCommandSubmitted',
    'FreezeChanged',
    ...Object.keys(routes),
  ],
  handle(record, unit) {
    if (record.type === 'DeliveryCommandSubmitted')
      return onCommand(decoded(record, 'DeliveryCommandSubmitted'), unit, changed);
    if (record.type === 'ReplaySubmitted') return onReplay(decoded(record, 'ReplaySubmitted'), unit);
    if (record.type === 'FreezeChanged') return new Freezes(freezes).take(unit, decoded(record, 'FreezeChanged'));
    if (record.type === 'PartyRegistered') return onParty(decoded(record, 'PartyRegistered').party!, unit, changed);
    if (record.type === 'LearnerKept') {
      unit.remove(forgotten, decoded(record, 'LearnerKept').learner);
      return;
    }
    if (record.type === 'PartyStandingChanged') onStanding(decoded(record, 'PartyStandingChanged'), unit);
    if (record.type === 'MandateChanged') onMandate(decoded(record, 'MandateChanged').mandate!, unit);
    if (record.type === 'LearnerForgotten') onForgotten(record, unit);
    fanOut(record, unit, changed);
  },
  onTimer(timer, unit) {
    const command = JSON.parse(timer.payload) as Command;
    switch (command.do) {
      case 'release':
        return order(unit, { ...command, do: 'gather', round: beginRelease(unit, command) });
      case 'gather': {
        const after = gather(unit, command, command.after);
        return order(unit, after === undefined ? { ...command, do: 'send' } : { ...command, after });
      }
      case 'send': {
        const { more, later } = send(unit, command, command.round);
        changed(mailboxName(command));
        if (wake(unit, command.party, command.service)) changed(SENDERS);
        if (more) return order(unit, command);
        if (later) order(unit, { ...wayOf(command), do: 'release' }, unit.now + NEXT_ROUND_MS);
        return;
      }
      case 'clean':
        return order(unit, command, cleanAll(unit, command));
      case 'valid':
        return onValid(command, unit);
      case 'resume':
        return goOn(command, unit);
      case 'replay': {
        const { party, jobId } = command;
        const { atMs, woke } = step(unit, party, jobId);
        tellReplay(unit, party, jobId);
        if (woke) changed(SENDERS);
        if (atMs !== undefined) order(unit, command, atMs);
        return;
      }
    }
  },
});

/** A mailbox, and what its endpoint has of it. Answers when to come again. */
function cleanAll(unit: Unit, address: Address): number {
  const { party, service } = address;
  cleanReplays(unit, party);
  const isMore = cleanReconciled(unit, party);
  if (!hasEndpoint(unit, party)) {
    const at = clean(unit, address);
    return isMore ? unit.now + 1 : at;
  }
  const at = clean(unit, address, (row) => forgetOutcome(unit, party, row));
  const again = Math.min(at, cleanSets(unit, party) ?? at);
  return cleanAside(unit, party, service) > 0 || isMore ? unit.now + 1 : again;
}

function fanOut(record: LogRecord, unit: Unit, changed: (mailbox: string) => void): void {
  const name = record.type as EventName;
  const route = routes[name] as Route<EventName> | undefined;
  if (route === undefined) return;
  const event = decoded(record, name);
  const receivers = new Set(route.receivers(event, holdersIn(unit)));
  receivers.delete('');
  if (receivers.size === 0) return;
  const { service } = route;
  const { flowId, type, key, timeMs, data } = record;
  const school = route.school?.(event) ?? record.school;
  const body = { flowId, eventId: uuidText(record.id), type, school, key, timeMs, data };
  let told = '';
  for (const party of receivers) {
    if (type === 'LearnerForgotten') sendKey(unit, { party, service, school }, key);
    const number = arrive(unit, { party, service }, body);
    if (number === 1) order(unit, { do: 'clean', party, service }, unit.now + KEPT_MS);
    told += `${told === '' ? '' : ' '}${party}/${service}/${number}`;
    changed(mailboxName({ party, service }));
    if (wake(unit, party, service)) changed(SENDERS);
  }
  unit.put(bodies, { ...body, receivers: told });
}

/** A party wants something of what fails at its endpoints: what an operator's call does, as far as the party may. */
function onCommand(event: DeliveryCommandSubmitted, unit: Unit, changed: (mailbox: string) => void): void {
  const { partyOin, action } = event;
  const { keys, rows, more } = command(unit, event);
  if (action !== 'hold' && keys > 0) changed(SENDERS);
  emit(unit, 'DeliveryCommandDone', { partyOin, action, keys, messages: BigInt(rows), more }, partyOin);
}

function onReplay(event: ReplaySubmitted, unit: Unit): void {
  const {
    partyOin: party,
    jobId,
    action,
    selection: asked,
    rate,
    mostErrors,
    secondAbove,
    byPerson,
    confirmed,
    byOin,
  } = event;
  const selection: ReplayOrder['selection'] = {
    service: asked?.service ?? 0,
    school: asked?.schoolOin ?? '',
    key: asked?.key ?? '',
    about: asked?.about ?? '',
    flowId: asked?.flowId ?? '',
    types: asked?.types ?? [],
    fromMs: Number(asked?.fromMs ?? 0n),
    untilMs: Number(asked?.untilMs ?? 0n),
    again: asked?.again ?? false,
    outOfOrder: asked?.outOfOrder ?? false,
    reconciled: asked?.reconciled ?? '',
  };
  const byParty = byOin !== '';
  const given = { action, jobId, party, selection, rate, mostErrors, secondAbove, byPerson, confirmed, byParty };
  const decided = takeOrder(unit, given);
  if ('code' in decided) {
    emit(unit, 'ReplayRefused', { partyOin: party, jobId, ...decided }, party);
    return;
  }
  // Where it stands so already, that is told once more.
  const row = unit.get(replays, party, jobId)!;
  unit.put(replays, { ...row, told: '' });
  tellReplay(unit, party, jobId);
  order(unit, { do: 'replay', party, jobId });
}

function tellReplay(unit: Unit, party: string, jobId: string): void {
  const row = unit.get(replays, party, jobId);
  if (row === undefined || row.told === row.state) return;
  unit.put(replays, { ...row, told: row.state });
  emit(unit, 'ReplayChanged', { partyOin: party, jobId, state: row.state }, party);
}

/** What is older than this is not delivered any more; who reads it passes it over. */
function onForgotten(record: LogRecord, unit: Unit): void {
  const { learner } = decoded(record, 'LearnerForgotten');
  const before = unit.get(forgotten, learner);
  if (before === undefined || before.atMs < record.timeMs) unit.put(forgotten, { learner, atMs: record.timeMs });
}

function onParty(party: Party, unit: Unit, changed: (mailbox: string) => void): void {
  const board = boardOf(unit, party.oin);
  const before = stoodBefore(unit, party.oin);
  copyParty(unit, party);
  for (const standard of STANDARDS) {
    const named = party.endpoints.find((one) => one.standard === standard);
    if (named !== undefined) {
      const { url, maxInFlight: mostAtOnce = 0, maxPerSecond: perSecond = 0 } = named;
      takeEndpoint(unit, party.oin, standard, url, { mostAtOnce, perSecond });
      changed(SENDERS);
    } else leaveEndpoint(unit, party.oin, standard);
  }
  beginMoves(unit, party.oin, before, (standard) => {
    const fromMs = party.endpoints.find((one) => one.standard === standard)?.fromMs;
    return fromMs === undefined ? undefined : Number(fromMs);
  });
  if (party.boardOin === '' || party.boardOin === board) return;
  for (const mandate of unit.list(mandateCopies, { equals: [party.boardOin] }))
    if (stands(mandate, dutchDay(unit.now))) release(unit, mandate.party, mandate.services, [party.oin]);
}

/** A party is stopped: what is read for it from now on parks. Or it goes on: what parked is read again. */
function onStanding({ oin: party, standing, change }: PartyStandingChanged, unit: Unit): void {
  // Where names are is nothing that mail waits for.
  if (change.startsWith('names_')) return;
  if (change !== '') {
    onForgetting(standing?.forgetting, unit);
    return;
  }
  const sinceMs = Number(standing?.stoppedMs ?? 0n);
  if (sinceMs > 0) {
    unit.put(stoppedParties, { party, sinceMs });
    return;
  }
  if (unit.get(stoppedParties, party) === undefined) return;
  unit.remove(stoppedParties, party);
  order(unit, { do: 'resume', party, service: 0, school: '' });
}

/** A school closes: what is read of it from now on parks. Or it is kept after all: what parked is read again. */
function onForgetting(forgetting: SchoolForgetting | undefined, unit: Unit): void {
  const { schoolOin: school = '', state, destroyAtMs = 0n } = forgetting ?? {};
  if (state === 'waits') unit.put(closedSchools, { school, untilMs: 0 });
  else if (state === 'destroyed')
    unit.put(closedSchools, { school, untilMs: Number(destroyAtMs) + FORGOTTEN_CLOSED_MS });
  else if (unit.get(closedSchools, school) !== undefined) {
    unit.remove(closedSchools, school);
    const today = dutchDay(unit.now);
    const grantors = [school, boardOf(unit, school)].filter((oin) => oin !== '');
    for (const mandate of grantors.flatMap((oin) => unit.list(mandateCopies, { equals: [oin] })))
      if (stands(mandate, today)) release(unit, mandate.party, mandate.services, [school]);
  }
}

/** Begins to release what is parked for a party, some schools at a time. What it may not have after all parks again. */
function goOn({ party, ...from }: { party: string; service: number; school: string }, unit: Unit): void {
  let { service, school } = from;
  for (let i = 0; i < SCHOOLS_AT_ONCE; i++) {
    // From one school to the next without reading its keys.
    const [next] = unit.list(parkedKeys, { equals: [party], after: [service, school, LAST_KEY], limit: 1 });
    if (next === undefined) return;
    ({ service, school } = next);
    order(unit, { do: 'release', party, service, school });
  }
  order(unit, { do: 'resume', party, service, school });
}

function onMandate(mandate: Mandate, unit: Unit): void {
  copyMandate(unit, mandate);
  const { schoolOin: school, partyOin: party, mandateId, services, state, validFrom } = mandate;
  const today = dutchDay(unit.now);
  if (stands(mandate, today)) release(unit, party, services, schoolsUnder(unit, school));
  else if (state === MandateState.MANDATE_STATE_ACTIVE && validFrom > today)
    order(unit, { do: 'valid', school, party, mandateId }, startOfDutchDay(validFrom));
}

function onValid({ school, party, mandateId }: { school: string; party: string; mandateId: string }, unit: Unit): void {
  const mandate = unit.get(mandateCopies, school, party, mandateId);
  if (mandate && stands(mandate, dutchDay(unit.now)))
    release(unit, party, mandate.services, schoolsUnder(unit, school));
}

/** Lets go of what is parked for a party. What it may not have after all is parked again when it is read. */
function release(unit: Unit, party: string, services: readonly Service[], schools: readonly string[]): void {
  for (const service of services) {
    if (headOf(unit, { party, service }).parkedKeys === 0) continue;
    for (const school of schools)
      if (unit.list(parkedKeys, { equals: [party, service, school], limit: 1 }).length > 0)
        order(unit, { do: 'release', party, service, school });
  }
}

const wayOf = ({ party, service, school }: Way): Way => ({ party, service, school });

/** A later step. Steps of one release share their id, so that a mandate confirmed meanwhile begins it anew. */
function order(unit: Unit, command: Command, atMs = unit.now): void {
  const { party } = command;
  const id =
    command.do === 'clean'
      ? `clean/${party}/${command.service}`
      : command.do === 'valid'
        ? `valid/${command.school}/${party}/${command.mandateId}`
        : command.do === 'resume'
          ? `resume/${party}`
          : command.do === 'replay'
            ? `replay/${party}/${command.jobId}`
            : `release/${party}/${command.service}/${command.school}`;
  unit.setTimer({ id, atMs, key: party, payload: JSON.stringify(command) } satisfies Pick<
    TimerRow,
    'id' | 'atMs' | 'key' | 'payload'
  >);
}
