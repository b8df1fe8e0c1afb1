import { dutchDay, GatewayError, isDay } from '#kernel';
import { type Mandate, MandateState, Role, type Service } from '#proto/eduk/core/v1/party';
import { GrantMandateRequest, WithdrawMandateRequest } from '#proto/eduk/gateway/v1/party';
import { ChangeMandateRequest } from '#proto/eduk/operator/v1/operator';
import { defaults } from '#release';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { decisionOf } from '../grpc/decision.ts';
import { changedParts, stateOf } from '../grpc/mandates.ts';
import { take } from '../grpc/writes.ts';
import { changes, gives, grantMandate, mandateIdOf, spokenFor, withdrawMandate } from '../intake/parties.ts';
import type { Intake } from '../submission.ts';
import { notTaken } from './claims.ts';
import type { Action } from './words.ts';

/**
 * What an authorised person sees and does. Decisions go in by the intakes of PartyService, with receipts, audit and references as
 * any other; the log of what was done says `SignIn/…`, so that it shows that a person decided, and nobody which.
 */

const { MANDATE_STATE_UNCONFIRMED, MANDATE_STATE_ACTIVE, MANDATE_STATE_RUN_OFF, MANDATE_STATE_ENDED } = MandateState;
/** Longest that a page waits for its decision, ms. */
const WAIT_MS = 10_000;

/** A mandate of one school, or what a board gave all its schools. */
export interface Item {
  /** By which it is named: of a mandate, or of a board's grant. */
  id: string;
  /** One a school; of a mandate itself alone. */
  parts: readonly [Mandate, ...Mandate[]];
  /** Whether it is a board's grant as a whole. */
  whole: boolean;
  state: MandateState;
}

const itemOf = (id: string, parts: readonly Mandate[], whole: boolean): Item => ({
  id,
  parts: parts as Item['parts'],
  whole,
  state: stateOf(parts),
});

/** Whether the caller is the board that gave a mandate as part of a grant for all its schools. */
const isWhole = (caller: Caller, { boardMandateId, boardOin }: Mandate): boolean =>
  boardMandateId !== '' && boardOin === caller.oin && caller.roles.has(Role.ROLE_BOARD);

/** Everything that the caller's school, or schools, agreed to or is asked for: what waits comes first, then by party. */
export function itemsOf({ door }: Gate, caller: Caller): Item[] {
  const wholes = new Map<string, Mandate[]>();
  const items: Item[] = [];
  for (const mandate of door.chain.mandates()) {
    if (!gives(door, caller, mandate)) continue;
    if (!isWhole(caller, mandate)) items.push(itemOf(mandate.mandateId, [mandate], false));
    else wholes.set(mandate.boardMandateId, [...(wholes.get(mandate.boardMandateId) ?? []), mandate]);
  }
  for (const [id, parts] of wholes) items.push(itemOf(id, parts, true));
  const name = ({ parts: [{ partyOin, schoolOin }] }: Item) =>
    `${door.chain.party(partyOin)?.name ?? ''}|${partyOin}|${schoolOin}`;
  return items
    .map((item) => ({ item, at: `${item.state}|${name(item)}|${item.id}` }))
    .sort((a, b) => (a.at < b.at ? -1 : 1))
    .map(({ item }) => item);
}

/** One by its id. Faults: state.missing, also for what is of another's school. */
export function itemNamed({ door }: Gate, caller: Caller, id: string): Item {
  const parts = door.chain.partsOf(id);
  if (parts.length > 0 && parts.every((part) => isWhole(caller, part))) return itemOf(id, parts, true);
  const mandate = door.chain.mandate(id);
  if (!mandate || !gives(door, caller, mandate))
    throw new GatewayError('state.missing', 'This is no mandate of your school.', { where: 'mandate_id' });
  return itemOf(id, [mandate], false);
}

/** What mandates say in versions that keep it: read where it is there. */
interface More {
  confirmedBy?: string;
}

/** Whether the school's word is still asked for. */
export const isAsked = ({ parts }: { parts: readonly Mandate[] }): boolean =>
  parts.some((part) => part.state === MANDATE_STATE_UNCONFIRMED && !(part as More).confirmedBy);

/** What of a board only the board confirms: a school gives its own instead. */
const isOfItsBoard = (caller: Caller, { boardOin }: Mandate): boolean => boardOin !== '' && boardOin !== caller.oin;

/**
 * A school narrows what it or its board gave. A board narrows its own, and what was entered for a school: what the school gave
 * is the school's, and to end one's own would end with it what the school gave beside it.
 */
function mayNarrow({ chain }: Gate['door'], caller: Caller, mandate: Mandate): boolean {
  if (caller.oin === mandate.schoolOin) return true;
  if (mandate.boardOin === '' && mandate.state !== MANDATE_STATE_UNCONFIRMED) return false;
  return !chain
    .between(mandate.schoolOin, mandate.partyOin)
    .some(
      ({ boardOin, state }) => boardOin === '' && (state === MANDATE_STATE_ACTIVE || state === MANDATE_STATE_RUN_OFF),
    );
}

/** What the caller may do with it now. */
export function actionsOf({ door }: Gate, caller: Caller, item: Item): readonly Action[] {
  const { parts, whole, state } = item;
  const [mandate] = parts;
  const may: Action[] = [];
  const isOwn = ({ schoolOin }: Mandate) =>
    schoolOin === caller.oin || door.chain.party(schoolOin)?.boardOin === caller.oin;
  if (isAsked({ ...item, parts: parts.filter(isOwn) }) && !isOfItsBoard(caller, mandate)) may.push('confirm');
  if (
    !whole &&
    (state === MANDATE_STATE_UNCONFIRMED || state === MANDATE_STATE_ACTIVE) &&
    mayNarrow(door, caller, mandate)
  )
    may.push('narrow');
  if (parts.some((part) => part.state === MANDATE_STATE_ACTIVE || part.state === MANDATE_STATE_RUN_OFF))
    may.push('run_off');
  if (state !== MANDATE_STATE_ENDED) may.push('stop');
  return may;
}

/** Attributes that a mandate gives, whether it lists them or not. */
export const attributesOf = ({ attributes, services }: Pick<Mandate, 'attributes' | 'services'>): readonly string[] =>
  attributes.length > 0 ? attributes : [...new Set(services.flatMap((service) => defaults[service] ?? []))];

/** What was chosen on a page. */
export interface Choice {
  /** Made with the page: a form that is sent twice is one decision. */
  reference: string;
  services: readonly Service[];
  attributes: readonly string[];
  runOffUntil: string;
}

export interface Outcome {
  flowId: string;
  /** False = accepted, not decided yet. */
  decided: boolean;
  /** Where it is told of: of a narrowing, the new mandate. */
  id: string;
}

/** Does it. Faults: those of the intakes; party.forbidden (`where` = may_not, nothing_left, day). */
export async function act(gate: Gate, caller: Caller, item: Item, action: Action, choice: Choice): Promise<Outcome> {
  if (action === 'confirm') {
    if (isOfItsBoard(caller, item.parts[0])) throw mayNot();
    return decide(
      gate,
      caller,
      confirmMandate(item, caller, choice.reference),
      asked(item, 'confirm'),
      item,
      'confirm',
    );
  }
  if (action === 'narrow') return narrow(gate, caller, item, choice);
  const { runOffUntil } = choice;
  if (action === 'run_off' && (!isDay(runOffUntil) || runOffUntil < dutchDay(gate.door.clock.now())))
    throw notTaken('day', 'A run-off needs a last day that is not past.');
  return end(gate, caller, item, choice.reference, action === 'run_off' ? runOffUntil : '');
}

const mayNot = (): GatewayError => notTaken('may_not', 'This cannot be done with this mandate.');

const end = (gate: Gate, caller: Caller, item: Item, reference: string, runOffUntil: string): Promise<Outcome> =>
  decide(
    gate,
    caller,
    { ...withdrawMandate, method: 'SignIn/WithdrawMandate' },
    WithdrawMandateRequest.fromPartial({
      reference,
      mandateId: item.id,
      schoolOin: item.whole ? caller.oin : item.parts[0].schoolOin,
      runOffUntil,
    }),
    item,
    runOffUntil ? 'run_off' : 'stop',
  );

const asked = ({ id }: Item, change: string): ChangeMandateRequest =>
  ChangeMandateRequest.fromPartial({ mandateId: id, change });

/** A school's or board's own word for what was entered for it. */
const confirmMandate = (item: Item, caller: Caller, reference: string): Intake<ChangeMandateRequest> => ({
  method: 'SignIn/ConfirmMandate',
  type: 'eduk.operator.v1.ChangeMandateRequest',
  codec: ChangeMandateRequest,
  roles: [Role.ROLE_SCHOOL, Role.ROLE_BOARD],
  remember: 400,
  reference: () => reference,
  school: () => (item.whole ? caller.oin : item.parts[0].schoolOin),
  locate: async (_request, { chain }) => {
    // What it is a word about is looked up once more: a school may have gone to another board meanwhile.
    const now = item.parts.flatMap(({ mandateId }) => chain.mandate(mandateId) ?? []);
    if (now.length !== item.parts.length || now.some((mandate) => !gives({ chain }, caller, mandate)))
      throw new GatewayError('state.missing', undefined, { where: 'mandate_id' });
    return spokenFor(chain, caller, now);
  },
  events: (_request, _found, { located }) =>
    changes(located as Mandate[], {
      change: 'confirm',
      runOffUntil: '',
      byOin: caller.oin,
      boardOin: caller.roles.has(Role.ROLE_BOARD) ? caller.oin : '',
    }),
});

/** Takes it in and waits for what is decided. Faults: those of the intake, and what the decision refuses. */
async function decide<Request>(
  gate: Gate,
  caller: Caller,
  intake: Intake<Request>,
  request: Request,
  item: Item,
  change: Action,
): Promise<Outcome> {
  const { flowId } = await take(intake, request, caller, gate);
  let decision = await decisionOf(gate, flowId, WAIT_MS);
  if (item.whole && !decision.code && decision.outcome)
    decision = (await changedParts(gate, flowId, item.id, change)).decision;
  await gate.door.chain.refresh();
  // Its words are ours, of the decider.
  if (decision.code) throw notTaken('may_not', 'This was refused: the mandate has changed meanwhile.');
  return { flowId, decided: decision.outcome !== '', id: item.id };
}

/** What is given instead: one mandate, or where a list would give a service more than it had, one a service. */
export function narrowed(
  mandate: Pick<Mandate, 'services' | 'attributes' | 'narrowed'>,
  services: readonly Service[],
  attributes: readonly string[],
): { services: Service[]; attributes: string[] }[] {
  const kept = services.filter((service) => mandate.services.includes(service));
  const all = attributesOf(mandate);
  const chosen = all.filter((attribute) => attributes.includes(attribute));
  if (kept.length === 0) throw notTaken('nothing_left', 'Nothing is left of it.');
  if (mandate.attributes.length > 0) {
    if (chosen.length === 0) throw notTaken('nothing_left', 'Nothing is left of it.');
    return [{ services: kept, attributes: chosen }];
  }
  // A mandate without a list gives each service what goes with it: nothing was taken out, so it stays without.
  if (attributesOf({ services: kept, attributes: [] }).every((attribute) => chosen.includes(attribute)))
    return [{ services: kept, attributes: [] }];
  return kept.map((service) => {
    const own = defaults[service] ?? [];
    const left = own.filter((attribute) => chosen.includes(attribute));
    // An empty list would mean all that goes with the service.
    if (own.length > 0 && left.length === 0) throw notTaken('nothing_left', 'Nothing is left for one of the services.');
    return { services: [service], attributes: left };
  });
}

/** The narrower one first, so that what stays is never away; then the old one ends. Repeated, each step is the same one. */
async function narrow(gate: Gate, caller: Caller, item: Item, choice: Choice): Promise<Outcome> {
  const [mandate] = item.parts;
  const { reference } = choice;
  const given = narrowed(mandate, choice.services, choice.attributes);
  const first = mandateIdOf(caller.oin, `${reference}.0`);
  const isRepeat = gate.door.chain.mandate(first) !== undefined;
  if (!isRepeat && !actionsOf(gate, caller, item).includes('narrow')) throw mayNot();
  for (const [i, one] of given.entries()) {
    const request = GrantMandateRequest.fromPartial({
      // What else a mandate says, it goes on saying.
      ...mandate,
      ...one,
      reference: `${reference}.${i}`,
    });
    const { flowId } = await take({ ...grantMandate, method: 'SignIn/GrantMandate' }, request, caller, gate);
    const decision = await decisionOf(gate, flowId, WAIT_MS);
    await gate.door.chain.refresh();
    if (decision.code) throw mayNot();
    if (!decision.outcome) return { flowId, decided: false, id: item.id };
  }
  const ended = await end(gate, caller, item, `${reference}.end`, '');
  return { ...ended, id: first };
}
