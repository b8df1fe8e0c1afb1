import { isAbsolute } from 'node:path';
import { outcomes } from '#adapters/eckdt';
import {
  describeError,
  dutchDay,
  GatewayError,
  isChangeHold,
  isDay,
  isRosterKind,
  isSchoolYear,
  isWebhook,
  log,
  MANDATES_WEBHOOK,
  NOT_SENT,
  newId,
  SERVICE_WEBHOOKS,
  seenForgetHold,
  UWLR,
  WEBHOOK,
  WEBHOOKS,
} from '#kernel';
import type { LearnerRef } from '#proto/eduk/core/v1/learner';
import { type Mandate, MandateState, Party, Role } from '#proto/eduk/core/v1/party';
import type { GoingMail, ListKeptResponse } from '#proto/eduk/delivery/v1/delivery';
import type { ChangeHold } from '#proto/eduk/entitlements/v1/entitlements';
import { CredentialDigests } from '#proto/eduk/events/v1/parties';
import type { HoldDecisionSubmitted } from '#proto/eduk/events/v1/rosters';
import { LaunchesRequest, PreflightRequest, ReadinessRequest } from '#proto/eduk/gateway/v1/flow';
import type * as op from '#proto/eduk/operator/v1/operator';
import { DecideHoldRequest, type HeldGroup, HeldRoster, TurnYearRequest } from '#proto/eduk/operator/v1/operator';
import { alertKinds, isAlertCode } from '../alerts/index.ts';
import { keysIn } from '../assertions.ts';
import { type Caller, operator } from '../caller.ts';
import { noteFile, saveNew, writeRoster } from '../exports.ts';
import { readCatalogueFile, readRosterFile } from '../files.ts';
import { forgetTokens, KEPT } from '../forgetting.ts';
import type { Gate } from '../gate.ts';
import { importProducts, importRoster } from '../imports.ts';
import { renewSecret, setKeys, setSignIn } from '../intake/credentials.ts';
import { confirmSchoolForget, forgetSchool, keepSchool } from '../intake/forgetting.ts';
import {
  addParty,
  mandateIdOf,
  operatorChange,
  operatorGrant,
  removeEndpoint,
  type SchoolsMeant,
  sleutelOf,
  sleutelTold,
} from '../intake/parties.ts';
import { hasRef } from '../intake/people.ts';
import { narrowedId, openReviews, operatorAnswer } from '../intake/reviews.ts';
import { FORGET_UNDO_MS, forgetLearner, keepLearner } from '../intake/rosters.ts';
import { resumeParty, setIdentity, stopParty } from '../intake/standing.ts';
import { checkGrammar } from '../labels.ts';
import { exportSchool } from '../leaving/export.ts';
import { previewForget } from '../leaving/forget.ts';
import { saidOf } from '../out/results.ts';
import { HOLDINGS, webhookKeys, webhookSecret } from '../out/sign.ts';
import { findPgn } from '../pgn.ts';
import { countedBeside } from '../reads/counted.ts';
import { flowOf, present } from '../reads/flows.ts';
import { requireKnown, schoolNamed } from '../reads/known.ts';
import { launches } from '../reads/launches.ts';
import { isOfSchool } from '../reads/mandates.ts';
import { preflight } from '../reads/preflight.ts';
import { previewRelease } from '../reads/preview.ts';
import { showProcessing, stoppedOf } from '../reads/processing.ts';
import { readiness } from '../reads/readiness.ts';
import { getReceipt } from '../reads/receipts.ts';
import { reviewsOf } from '../reads/reviews.ts';
import { scorecard } from '../reads/scores.ts';
import { searchFlows, showOverview } from '../reads/search.ts';
import { why } from '../reads/why-party.ts';
import { goingBy, goingTo, mandatesNamed, previewWithheld } from '../reads/withheld.ts';
import { digestOf, newApiKey, newClientSecret, sameDigest } from '../secrets.ts';
import { partyCaller } from '../stages/authenticate.ts';
import { event, type Intake } from '../submission.ts';
import { changeAnswer, listAnswer, previewAnswer, undoAnswer } from './changes.ts';
import { decisionOf } from './decision.ts';
import { freezeUnary, requireThawed } from './freezes.ts';
import { heldClasses, heldProducts, messagesOf, namesOfGroups } from './held-groups.ts';
import { holdRuleUnary } from './hold-rules.ts';
import { mapKeysAnswer } from './keys-of-school.ts';
import { changedParts, grantedParts, stateOf } from './mandates.ts';
import { approved, mergeAnswer, personOf } from './merges.ts';
import { reconcileUnary } from './reconcile.ts';
import { replayUnary } from './replays.ts';
import { revealUnary } from './reveals.ts';
import { applySwitchAnswer, previewSwitchAnswer } from './switch.ts';
import { transferAnswer } from './transfer.ts';
import { take } from './writes.ts';

/** Longest that an operator's command waits for its decision. */
const WAIT_MS = 10_000;

async function decided(gate: Gate, flowId: string) {
  const decision = await decisionOf(gate, flowId, WAIT_MS);
  await gate.door.chain.refresh();
  return decision;
}

const _none = new Uint8Array(0);
/** Schools or parties that one comparison may name. */
const MOST_NAMED = 20_000;
/** Keys that delivery resolves in one call. */
const RESOLVED_AT_ONCE = 1000;

/** By what a party can prove itself, without any of it. */
function proofsOf(of: ReturnType<Gate['door']['chain']['credentials']>, now: number): op.RegisteredProofs | undefined {
  if (of === undefined) return undefined;
  const holds = of.clientSecretBefore.length > 0 && Number(of.beforeUntilMs) > now;
  return {
    clientId: of.clientId,
    hasSecret: of.clientSecret.length > 0,
    beforeUntilMs: holds ? of.beforeUntilMs : 0n,
    jwksUrl: of.jwksUrl,
    keys: keysIn(of.jwks),
  };
}

/** What mail would be sent that was not, or elsewhere, if a party were named so, and lost an endpoint. */
async function keptFor(gate: Gate, party: Party, without = ''): Promise<ListKeptResponse> {
  const { chain, services } = gate.door;
  const stands = chain.party(party.oin);
  const before = stands?.endpoints ?? [];
  const given = new Set(party.endpoints.map(({ standard }) => standard));
  const left = before.filter(({ standard }) => standard !== without && !given.has(standard));
  const roles = [...new Set([...(stands?.roles ?? []), ...party.roles])];
  const after = [...left, ...party.endpoints];
  if (![...WEBHOOKS, UWLR].some((standard) => urlOf({ ...party, endpoints: after }, standard) !== undefined))
    return { kept: [], going: [] };
  return services.delivery.listKept({ partyOin: party.oin, roles, before, after });
}

/** Nothing of the past is sent before somebody chose it. Answers what goes elsewhere, about which nobody has to. Faults: wire.invalid. */
async function requireChoice(
  gate: Gate,
  party: Party,
  isChosen: (standard: string) => boolean,
  without = '',
): Promise<GoingMail[]> {
  const look = async () => {
    const { kept, going } = await keptFor(gate, party, without);
    return { isOpen: kept.some(({ standard }) => !isChosen(standard)), going };
  };
  let { isOpen, going } = await look();
  if (!isOpen) return going;
  // Another door may have named the endpoint a moment ago.
  await gate.door.chain.refresh();
  ({ isOpen, going } = await look());
  if (!isOpen) return going;
  throw new GatewayError(
    'wire.invalid',
    'Mail of before is kept that was not sent: say from when it is (from_ms; 0 = all of it). PreviewEndpoints tells what there is.',
    { where: 'from_ms' },
  );
}

/** A moment from which mail is sent has been. Faults: wire.invalid. */
function checkMoment(gate: Gate, fromMs: bigint | undefined): void {
  if (fromMs === undefined || (fromMs >= 0n && Number(fromMs) <= gate.door.clock.now() + FUTURE_MS)) return;
  throw new GatewayError('wire.invalid', 'Mail is sent from a moment on that has been.', { where: 'from_ms' });
}

/** Clocks of who asks may be ahead by so much. */
const FUTURE_MS = 60_000;

const addPartyAnswer = async (request: op.AddPartyRequest, gate: Gate): Promise<op.AddPartyResponse> => {
  const party = request.party;
  if (!party) throw new GatewayError('wire.invalid', undefined, { where: 'party' });
  const chosen = (standard: string) => party.endpoints.find((one) => one.standard === standard)?.fromMs !== undefined;
  for (const { fromMs } of party.endpoints) checkMoment(gate, fromMs);
  const going = await requireChoice(gate, party, chosen);
  const known = gate.door.chain.credentials(party.oin);
  const existed = gate.door.chain.party(party.oin) !== undefined && known !== undefined && known.apiKey.length > 0;
  const secrets = existed
    ? undefined
    : {
        clientId: `eduk-${party.oin}`,
        clientSecret: newClientSecret(),
        apiKey: newApiKey(),
        klantcode: party.oin,
        klantnaam: party.name.slice(0, 64),
      };
  const credentials = secrets
    ? CredentialDigests.fromPartial({
        clientId: secrets.clientId,
        clientSecret: digestOf(secrets.clientSecret),
        apiKey: digestOf(secrets.apiKey),
        klantcode: secrets.klantcode,
        klantnaam: secrets.klantnaam,
      })
    : undefined;
  const before = new Set(
    gate.door.chain
      .party(party.oin)
      ?.endpoints.flatMap(({ standard, url }) => (isWebhook(standard) || standard === HOLDINGS ? [url] : [])),
  );
  const { flowId } = await take(addParty(party, credentials, gate.door.dialler.networks), request, operator, gate);
  const decision = await decided(gate, flowId);
  // Of the address that stands now: another may have been named at the same moment.
  const secretOf = (standard: string): string => {
    const url = urlOf(gate.door.chain.party(party.oin), standard);
    const isNew = url !== undefined && url === urlOf(party, standard) && !before.has(url);
    return isNew ? webhookSecret(webhookKeyOf(gate, party.oin, url)) : '';
  };
  const shown = gate.door.chain.credentials(party.oin);
  return {
    party: gate.door.chain.party(party.oin) ?? party,
    clientId: secrets?.clientId ?? shown?.clientId ?? '',
    clientSecret: secrets?.clientSecret ?? '',
    apiKey: secrets?.apiKey ?? '',
    klantcode: shown?.klantcode ?? secrets?.klantcode ?? '',
    klantnaam: shown?.klantnaam ?? secrets?.klantnaam ?? '',
    existed,
    flowId,
    decision,
    going,
    ...webhookSecrets(secretOf),
  };
};

const webhookKeyOf = ({ door }: Gate, oin: string, url: string): Buffer => webhookKeys(door, oin, url)[0];

/** Endpoints for results over UWLR of which nobody has written down how they are spoken to. */
const unsetEndpoints = ({ door, administrations }: Gate): string[] => {
  const set = new Set((administrations?.read().list ?? []).map(({ partyOin }) => partyOin));
  return door.chain
    .parties()
    .filter(({ oin, endpoints }) => !set.has(oin) && endpoints.some(({ standard }) => standard === UWLR))
    .map(({ oin }) => `no file names ${oin}, to whose endpoint uwlr results would be sent: docs/administrations.md`);
};

const urlOf = (party: Party | undefined, standard: string): string | undefined =>
  party?.endpoints.find((endpoint) => endpoint.standard === standard && endpoint.url !== NOT_SENT)?.url;

/** Secrets of its endpoints, in the fields that an answer has for them; empty where there is none to tell. */
const webhookSecrets = (secretOf: (standard: string) => string) => ({
  webhookSecret: secretOf(WEBHOOK),
  mandatesWebhookSecret: secretOf(MANDATES_WEBHOOK),
  holdingsSecret: secretOf(HOLDINGS),
  serviceWebhookSecrets: SERVICE_WEBHOOKS.map((standard) => ({ standard, secret: secretOf(standard) })).filter(
    ({ secret }) => secret !== '',
  ),
});

const grantMandateAnswer = async (request: op.GrantMandateRequest, gate: Gate): Promise<op.GrantMandateResponse> => {
  if (!request.mandate) throw new GatewayError('wire.invalid', undefined, { where: 'mandate' });
  const mandate: Mandate = { ...request.mandate, mandateId: '', state: MandateState.MANDATE_STATE_UNSPECIFIED };
  const intake = operatorGrant(mandate, request.confirm);
  const { flowId, located } = await take(intake, request, operator, gate);
  const decision = await decided(gate, flowId);
  const mandateId = mandateIdOf(operator.oin, intake.reference(request));
  const { board, schools } = located as SchoolsMeant;
  if (board) {
    const told = await grantedParts(gate, flowId, mandateId, decision.code ? 0 : schools.length);
    const state = stateOf(told.schools.map((one) => one.mandate!));
    return { mandateId, state, autorisatiesleutel: '', flowId, ...told };
  }
  const given = gate.door.chain.mandate(mandateId);
  return {
    mandateId,
    state: given?.state ?? MandateState.MANDATE_STATE_UNSPECIFIED,
    autorisatiesleutel: given ? sleutelTold(gate.door, flowId, given, false) : '',
    flowId,
    decision,
    schools: [],
  };
};

const changeMandateAnswer = async (request: op.ChangeMandateRequest, gate: Gate): Promise<op.ChangeMandateResponse> => {
  const parts = gate.door.chain.partsOf(request.mandateId);
  const { found: going, uncounted } = await countedBeside(async () =>
    ['confirm', 'accept'].includes(request.change)
      ? (await goingBy(gate.door, mandatesNamed(gate.door.chain, request.mandateId), request.change)).going
      : [],
  );
  if (parts[0]) {
    const { flowId } = await take(operatorChange(parts, parts[0].boardOin), request, operator, gate);
    const decision = await decided(gate, flowId);
    const told = decision.code
      ? { schools: gate.door.chain.partsOf(request.mandateId), decision }
      : await changedParts(gate, flowId, request.mandateId, request.change);
    const state = stateOf(told.schools);
    return { state, autorisatiesleutel: '', flowId, ...told, going: decision.code ? [] : going, uncounted };
  }
  const mandate = gate.door.chain.mandate(request.mandateId);
  if (!mandate) throw new GatewayError('state.missing', undefined, { where: 'mandate_id' });
  const { flowId } = await take(operatorChange([mandate], ''), request, operator, gate);
  const decision = await decided(gate, flowId);
  return {
    state: gate.door.chain.mandate(request.mandateId)?.state ?? mandate.state,
    autorisatiesleutel: request.change === 'key' && !decision.code ? sleutelOf(gate.door, flowId) : '',
    flowId,
    decision,
    schools: [],
    going: decision.code ? [] : going,
    uncounted,
  };
};

const turnYear = (reference: string): Intake<op.TurnYearRequest> => ({
  method: 'OperatorService/TurnYear',
  type: 'eduk.operator.v1.TurnYearRequest',
  codec: TurnYearRequest,
  roles: [Role.ROLE_OPERATOR],
  remember: 35,
  reference: () => reference,
  school: (request) => request.schoolOin,
  events: ({ schoolOin, schoolYear, onDay }) => [
    event('SchoolYearTurnSubmitted', { schoolOin, schoolYear, onDay, byOin: 'operator' }, schoolOin),
  ],
});

/** Faults: wire.invalid, state.missing for a school that nobody registered. */
function checkTurn({ door }: Gate, { schoolOin, schoolYear, onDay = '' }: Partial<op.TurnYearRequest>): void {
  if (!schoolOin) throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
  if (schoolYear && !isSchoolYear(schoolYear))
    throw new GatewayError('wire.invalid', 'A school year is two years that follow each other.', {
      where: 'school_year',
    });
  if (onDay !== '' && !isDay(onDay))
    throw new GatewayError('wire.invalid', 'This day does not exist.', { where: 'on_day' });
  if (!door.chain.party(schoolOin))
    throw new GatewayError('state.missing', 'No school has this OIN.', { where: 'school_oin' });
}

/** Kinds are those of a difference; only a roster has parts. Faults: wire.invalid. */
function checkPart({ kinds, groups, productIds }: op.DecideHoldRequest, isRoster: boolean): void {
  if (!kinds.every(isRosterKind))
    throw new GatewayError('wire.invalid', 'A kind is one of those that docs/holds.md names.', { where: 'kinds' });
  if (productIds.length > 0)
    throw new GatewayError('wire.invalid', 'Only withdrawals are decided in parts by product.', {
      where: 'product_ids',
    });
  if (!isRoster && kinds.length + groups.length > 0)
    throw new GatewayError('wire.invalid', 'Only rosters and withdrawals are decided in parts.', { where: 'kinds' });
}

/** Changes of entitlements that wait, with what the catalogue calls their products. */
async function changesShown(holds: readonly ChangeHold[], gate: Gate): Promise<op.HeldRoster[]> {
  const { chain, services } = gate.door;
  const ids = [...new Set(holds.flatMap(({ products }) => products.map(({ productId }) => productId)))];
  const { products } = ids.length === 0 ? { products: [] } : await services.catalogue.getProducts({ productIds: ids });
  const titles = new Map(products.map(({ productId, title }) => [productId, title]));
  // One after the other: a hold may be of thousands of learners.
  const groups: HeldGroup[][] = [];
  for (const hold of holds) groups.push(hold.state === 'waiting' ? await heldClasses(gate.door, hold) : []);
  return holds.map((hold, i) =>
    HeldRoster.fromPartial({
      groups: groups[i]!,
      ...{ holdId: hold.holdId, schoolOin: hold.schoolOin, schoolName: chain.party(hold.schoolOin)?.name ?? '' },
      ...{ reason: hold.reason, state: hold.state, sinceMs: hold.sinceMs, byOin: hold.byOin, flowId: hold.flowId },
      part: hold.part,
      approvedOnce: hold.approvedOnce,
      ruling: hold.ruling && { ...hold.ruling, asks: hold.byClass ? [] : hold.ruling.asks },
      products: heldProducts(hold, groups[i]!).map((one) => ({ ...one, title: titles.get(one.productId) ?? '' })),
    }),
  );
}

/**
 * What was decided is told before anything is submitted. A decision that was refused, or of a part, binds nobody: what is held may be another
 * thing the next time, so each is a message of its own. Faults: state.conflict.
 */
function requireOpen({ state }: { state: string }): void {
  const conflict = (told: string) => new GatewayError('state.conflict', told, { where: 'hold_id' });
  if (state === 'waiting') return;
  if (state === 'superseded')
    throw conflict('A newer roster has taken the place of this one: eduk hold list shows what waits.');
  if (state === 'ended') throw conflict('Nothing of this hold is left: all of it ended by itself.');
  throw conflict(`This hold was ${state === 'approved' ? 'approved' : 'rejected'} before.`);
}

const decideChange = (byPerson: string, messages: number[]): Intake<op.DecideHoldRequest & { schoolOin: string }> => ({
  method: 'OperatorService/DecideHold',
  type: 'eduk.operator.v1.DecideHoldRequest',
  codec: DecideHoldRequest as never,
  roles: [Role.ROLE_OPERATOR],
  remember: 35,
  reference: submitReference,
  school: (request) => request.schoolOin,
  events: ({ schoolOin, holdId, approve, productIds, groups, confirm }) => [
    event(
      'EntitlementHoldDecisionSubmitted',
      {
        ...{ schoolOin, holdId, approve, productIds, groups, messages, byOin: 'operator', byPerson },
        confirmed: byPerson === '' && confirm,
      },
      schoolOin,
    ),
  ],
});

async function decideChanges(
  request: op.DecideHoldRequest,
  gate: Gate,
  byPerson: string,
): Promise<op.DecideHoldResponse> {
  const { holds } = await gate.door.services.entitlements.listChangeHolds({ schoolOin: '', decided: true });
  const hold = holds.find(({ holdId }) => holdId === request.holdId);
  if (!hold) throw new GatewayError('state.missing', 'Nothing is held under this id.', { where: 'hold_id' });
  requireOpen(hold);
  if (request.kinds.length > 0)
    throw new GatewayError('wire.invalid', 'Withdrawals are decided in parts by product and by group.', {
      where: 'kinds',
    });
  const messages = await messagesOf(gate.door, hold, request);
  const of = { ...request, schoolOin: hold.schoolOin };
  const { flowId } = await take(decideChange(byPerson, messages), of, operator, gate);
  return { flowId, decision: await decided(gate, flowId) };
}

const decideHold = (byPerson: string): Intake<op.DecideHoldRequest & { schoolOin: string }> => ({
  method: 'OperatorService/DecideHold',
  type: 'eduk.operator.v1.DecideHoldRequest',
  codec: DecideHoldRequest as never,
  roles: [Role.ROLE_OPERATOR],
  remember: 35,
  reference: submitReference,
  school: (request) => request.schoolOin,
  events: (request) => [
    event(
      'HoldDecisionSubmitted',
      {
        schoolOin: request.schoolOin,
        holdId: request.holdId,
        approve: request.approve,
        byOin: 'operator',
        byPerson,
        confirmed: byPerson === '' && request.confirm,
        kinds: request.kinds,
        groups: request.groups,
      } satisfies HoldDecisionSubmitted,
      request.schoolOin,
    ),
  ],
});

/** What those of these OINs are called that are registered. */
const namesOf = (chain: Gate['door']['chain'], oins: readonly string[]): op.PartyName[] =>
  [...new Set(oins)].flatMap((oin) => {
    const name = chain.party(oin)?.name;
    return name ? [{ oin, name }] : [];
  });

async function holdNamed(gate: Gate, holdId: string) {
  const { holds } = await gate.door.services.rosters.listHolds({ schoolOin: '', decided: true });
  const idOf = (shown: string): string => seenForgetHold(shown).holdId;
  const hold = holds.find((one) => idOf(one.holdId) === idOf(holdId));
  if (!hold) throw new GatewayError('state.missing', 'Nothing is held under this id.', { where: 'hold_id' });
  return hold;
}

const renewSecretAnswer = async (request: op.RenewSecretRequest, gate: Gate): Promise<op.RenewSecretResponse> => {
  const { chain, clock } = gate.door;
  const signedFor = [...WEBHOOKS, HOLDINGS];
  const party = chain.party(request.oin);
  if (request.webhooks && party && signedFor.every((standard) => urlOf(party, standard) === undefined))
    throw new GatewayError('state.missing', 'This party has no webhook, and no address where it is asked.', {
      where: 'webhooks',
    });
  const beforeUntilMs = BigInt(request.overlapS === 0 ? 0 : clock.now() + request.overlapS * 1000);
  const [clientSecret, apiKey] = request.webhooks ? ['', ''] : [newClientSecret(), newApiKey()];
  const renewed = request.webhooks
    ? { webhookSalt: newId(), webhookBeforeUntilMs: beforeUntilMs }
    : { clientSecret: digestOf(clientSecret), apiKey: digestOf(apiKey), beforeUntilMs };
  const { flowId } = await take(renewSecret(renewed), request, operator, gate);
  const decision = await decided(gate, flowId);
  const { clientId, webhookSalt } = chain.credentials(request.oin)!;
  // Not decided yet, or renewed anew by another operator at the same moment: then what stands is not what was asked here.
  const isOurs = request.webhooks && webhookSalt === renewed.webhookSalt;
  const secretOf = (standard: string): string => {
    const url = urlOf(chain.party(request.oin), standard);
    return isOurs && url !== undefined ? webhookSecret(webhookKeyOf(gate, request.oin, url)) : '';
  };
  return {
    clientId,
    clientSecret,
    apiKey,
    beforeUntilMs,
    flowId,
    decision,
    ...webhookSecrets(secretOf),
  };
};

const REPLACE = 'eduk.operator.v1.ReplaceNumberRequest';

/** Two ECK iDs or two keys; faults: wire.invalid. */
function oneNumber(before: LearnerRef | undefined, after: LearnerRef | undefined) {
  for (const [kind, column] of [
    ['eck_id', 'eckId'],
    ['las_key', 'lasKey'],
  ] as const) {
    const other = column === 'eckId' ? 'lasKey' : 'eckId';
    if (before?.[column] && after?.[column] && !before[other] && !after[other])
      return { kind, before: before[column], after: after[column] };
  }
  throw new GatewayError('wire.invalid', 'Name two ECK iDs, or two keys of the administration.', { where: 'after' });
}

/** What a stop would come to, as it is now. */
async function previewStop(oin: string, { door, certificates }: Gate): Promise<op.PreviewStopResponse> {
  const { chain, services } = door;
  const party = chain.party(oin);
  if (!party) throw new GatewayError('state.missing', 'No party has this OIN.', { where: 'oin' });
  const standing = chain
    .mandates()
    .filter((one) => one.partyOin === oin && one.state !== MandateState.MANDATE_STATE_ENDED);
  const inState = (state: MandateState): number => standing.filter((one) => one.state === state).length;
  const [{ parked }, { endpoints }] = await Promise.all([
    services.delivery.listParkedRows({ schoolOin: '', partyOin: oin }),
    services.delivery.listEndpoints({ idle: true, partyOin: oin }),
  ]);
  const known = chain.credentials(oin);
  return {
    party,
    stopped: stoppedOf(chain, oin),
    schools: new Set(standing.map(({ schoolOin }) => schoolOin)).size,
    active: inState(MandateState.MANDATE_STATE_ACTIVE),
    runOff: inState(MandateState.MANDATE_STATE_RUN_OFF),
    unconfirmed: inState(MandateState.MANDATE_STATE_UNCONFIRMED),
    services: [...new Set(standing.flatMap((one) => one.services))].sort((a, b) => a - b),
    pairwiseSchools: new Set(standing.filter(({ pairwise }) => pairwise).map(({ schoolOin }) => schoolOin)).size,
    endpoints,
    parked: parked.reduce((sum, { rows }) => sum + BigInt(rows), 0n),
    proofs: [
      ...(certificates?.seen().has(oin) ? ['certificate'] : []),
      ...(known && (known.jwksUrl !== '' || known.jwks.length > 0) ? ['keys'] : []),
    ],
  };
}

const resumeAnswer = async (request: op.ResumePartyRequest, gate: Gate): Promise<op.ResumePartyResponse> => {
  const { chain } = gate.door;
  const wasStopped = chain.isStopped(request.oin);
  // Of a party that proves itself otherwise there are none to renew.
  const hasSecrets = (chain.credentials(request.oin)?.clientId ?? '') !== '';
  const [clientSecret, apiKey] = hasSecrets ? [newClientSecret(), newApiKey()] : ['', ''];
  const digests = CredentialDigests.fromPartial(
    hasSecrets ? { clientSecret: digestOf(clientSecret), apiKey: digestOf(apiKey) } : {},
  );
  const { found: going, uncounted } = await countedBeside(() => goingTo(gate.door, request.oin));
  const { flowId } = await take(resumeParty(digests), request, operator, gate);
  const decision = await decided(gate, flowId);
  const known = chain.credentials(request.oin);
  // Another operator may have let it go on at the same moment: then those secrets hold, and these are nobody's.
  const isOurs = wasStopped && hasSecrets && sameDigest(known?.apiKey ?? new Uint8Array(0), digests.apiKey);
  const secretOf = (standard: string): string => {
    const url = urlOf(chain.party(request.oin), standard);
    return wasStopped && url !== undefined ? webhookSecret(webhookKeyOf(gate, request.oin, url)) : '';
  };
  return {
    flowId,
    decision,
    unchanged: !wasStopped,
    going,
    uncounted,
    clientId: known?.clientId ?? '',
    clientSecret: isOurs ? clientSecret : '',
    apiKey: isOurs ? apiKey : '',
    ...webhookSecrets(secretOf),
  };
};

/** What was decided about the forgetting of a school, and how it stands now. */
async function schoolAnswer<R extends { schoolOin: string }>(intake: Intake<R>, request: R, gate: Gate) {
  const { flowId } = await take(intake, request, operator, gate);
  const decision = await decided(gate, flowId);
  return { flowId, decision, forgetting: gate.door.chain.forgetting(request.schoolOin) };
}

export const operatorUnary: Record<string, (request: any, gate: Gate, caller: Caller) => Promise<unknown>> = {
  exportRoster: async (
    { partyOin, file, ...asked }: op.ExportRosterRequest,
    gate,
  ): Promise<op.ExportRosterResponse> => {
    const { door } = gate;
    if (!door.chain.party(partyOin))
      throw new GatewayError('state.missing', 'No party has this OIN.', { where: 'party_oin' });
    const { text, version, ...written } = await writeRoster(door, partyCaller(door.chain, partyOin), asked);
    const bytes = BigInt(saveNew(file, text));
    noteFile(gate, partyOin, 'OperatorService/ExportRoster', asked, version, written);
    return { ...written, bytes };
  },
  addParty: addPartyAnswer,
  removeEndpoint: async (request: op.RemoveEndpointRequest, gate): Promise<op.RemoveEndpointResponse> => {
    const { oin, standard, fromMs } = request;
    checkMoment(gate, fromMs);
    const going = await requireChoice(gate, Party.fromPartial({ oin }), () => fromMs !== undefined, standard);
    const { flowId } = await take(removeEndpoint(oin), request, operator, gate);
    const decision = await decided(gate, flowId);
    return { party: gate.door.chain.party(request.oin), flowId, decision, going };
  },
  renewSecret: renewSecretAnswer,
  setKeys: async (request: op.SetKeysRequest, gate): Promise<op.SetKeysResponse> => {
    const { flowId } = await take(setKeys(gate.door.dialler.networks), request, operator, gate);
    const decision = await decided(gate, flowId);
    return { clientId: gate.door.chain.credentials(request.oin)!.clientId, flowId, decision };
  },
  setSignIn: async (request: op.SetSignInRequest, gate): Promise<op.SetSignInResponse> => {
    const { flowId } = await take(setSignIn(), request, operator, gate);
    const decision = await decided(gate, flowId);
    return { numbers: gate.door.chain.credentials(request.oin)?.signIn?.numbers ?? [], flowId, decision };
  },
  listParties: async (request: op.ListPartiesRequest, { door }): Promise<op.ListPartiesResponse> => {
    const parties = door.chain
      .parties()
      .filter(
        (party) =>
          (request.oin === '' || party.oin === request.oin) &&
          (request.role === Role.ROLE_UNSPECIFIED || party.roles.includes(request.role)),
      )
      .sort((a, b) => (a.oin < b.oin ? -1 : 1));
    const signIns = parties
      .map(({ oin }) => ({ oin, numbers: door.chain.credentials(oin)?.signIn?.numbers ?? [] }))
      .filter(({ numbers }) => numbers.length > 0);
    return {
      parties,
      signIns,
      stopped: parties.flatMap(({ oin }) => stoppedOf(door.chain, oin) ?? []),
      proofs: request.oin === '' ? undefined : proofsOf(door.chain.credentials(request.oin), door.clock.now()),
    };
  },
  grantMandate: grantMandateAnswer,
  changeMandate: changeMandateAnswer,
  listMandates: async (request: op.ListMandatesRequest, { door }) => {
    const mandates = door.chain
      .mandates()
      .filter(
        (mandate) =>
          (request.schoolOin === '' || isOfSchool(door.chain, mandate, request.schoolOin)) &&
          (request.partyOin === '' || mandate.partyOin === request.partyOin),
      )
      .sort((a, b) => (a.mandateId < b.mandateId ? -1 : 1));
    if (mandates.length === 0) await requireKnown({ door }, request, { orBoard: true });
    const named = mandates.flatMap(({ schoolOin, partyOin, boardOin }) => [schoolOin, partyOin, boardOin]);
    return { mandates: mandates.map((one) => door.chain.shown(one)), names: namesOf(door.chain, named) };
  },
  previewRelease: async (request: op.PreviewReleaseRequest, { door }): Promise<op.PreviewReleaseResponse> => ({
    services: previewRelease(door, request),
    names: namesOf(door.chain, [request.partyOin, request.schoolOin]),
  }),
  previewSwitch: previewSwitchAnswer,
  previewSchoolChange: previewAnswer,
  changeSchool: changeAnswer,
  undoSchoolChange: undoAnswer,
  listSchoolChanges: listAnswer,
  transferSchool: (request: op.TransferSchoolRequest, gate): Promise<op.TransferSchoolResponse> =>
    transferAnswer(request, gate),
  applySwitch: applySwitchAnswer,
  showFlow: async (request: op.ShowFlowRequest, gate) => {
    const row = await flowOf(gate, operator, { ...request, method: '' });
    return {
      flow: await present(gate, operator, row, request.reference),
      partyOin: row.partyOin,
      partyName: gate.door.chain.party(row.partyOin)?.name ?? '',
    };
  },
  async listFlows(request: op.ListFlowsRequest, gate) {
    const found = await searchFlows(request, gate);
    const { schoolOin, partyOin } = request;
    if (found.flows.length === 0 && !found.more)
      await requireKnown(gate, {
        schoolOin: schoolNamed(schoolOin),
        partyOin: partyOin === operator.oin ? '' : partyOin,
      });
    return found;
  },
  showOverview: (_request: op.ShowOverviewRequest, gate) => showOverview(gate),
  whyBlocked: (request: op.WhyBlockedRequest, gate) => why(request, operator, gate),
  showReadiness: async (request: op.ShowReadinessRequest, gate): Promise<op.ShowReadinessResponse> => {
    const asked = request.asked ?? ReadinessRequest.fromPartial({});
    if (request.partyOin === '') return { readiness: await readiness(asked, operator, gate) };
    const { chain } = gate.door;
    await requireKnown(gate, { partyOin: request.partyOin, schoolOin: '' });
    const caller = partyCaller(chain, request.partyOin);
    // A school sees its own counts as they are; whoever runs the gateway does not by asking in its name.
    return { readiness: await readiness(asked, caller, gate, false) };
  },
  showPreflight: async ({ asked, partyOin }: op.ShowPreflightRequest, gate): Promise<op.ShowPreflightResponse> => {
    const { chain } = gate.door;
    await requireKnown(gate, { partyOin, schoolOin: '' });
    const caller = partyOin === '' ? operator : partyCaller(chain, partyOin);
    const seen = await preflight(asked ?? PreflightRequest.fromPartial({}), caller, gate);
    if (seen.lines.length === 0) await requireKnown(gate, { partyOin: '', schoolOin: asked?.schoolOin ?? '' });
    return { preflight: seen };
  },
  showLaunches: async ({ asked, partyOin }: op.ShowLaunchesRequest, gate): Promise<op.ShowLaunchesResponse> => {
    const { chain } = gate.door;
    await requireKnown(gate, { partyOin, schoolOin: '' });
    const caller = partyOin === '' ? operator : partyCaller(chain, partyOin);
    return { launches: await launches(asked ?? LaunchesRequest.fromPartial({}), caller, gate) };
  },
  listHolds: async (request: op.ListHoldsRequest, gate) => {
    const [{ holds }, changes] = await Promise.all([
      gate.door.services.rosters.listHolds(request),
      gate.door.services.entitlements.listChangeHolds(request),
    ]);
    if (holds.length === 0 && changes.holds.length === 0)
      await requireKnown(gate, { partyOin: '', schoolOin: request.schoolOin });
    const heldChanges = await changesShown(changes.holds, gate);
    return {
      holds: heldChanges
        .concat(
          await Promise.all(
            holds.map(async (hold) => {
              const tokens = [...new Set([...hold.groupsClosing, ...hold.groups.map(({ group }) => group)])];
              const names = await namesOfGroups(gate.door, hold, tokens);
              const groupsClosing = hold.groupsClosing.map((group) => names.get(group)!);
              const { holdId, schoolOin, schoolYear, reason, difference, sinceMs, state, byOin, flowId } = hold;
              const { siteCode, administration, forgets, yearGroups } = hold;
              return {
                holdId,
                schoolOin,
                schoolName: gate.door.chain.party(schoolOin)?.name ?? '',
                schoolYear,
                reason,
                difference,
                sinceMs,
                state,
                groupsClosing,
                groups: hold.groups.map((group) => ({ ...group, name: names.get(group.group)!, loses: [] })),
                part: hold.part,
                approvedOnce: hold.approvedOnce,
                byOin,
                flowId,
                siteCode,
                administration,
                forgets,
                yearGroups,
                merges: hold.loser === '' ? 0 : 1,
                toSchoolOin: hold.toSchoolOin,
                onDay: hold.onDay,
                ruling: hold.ruling,
                products: [],
              };
            }),
          ),
        )
        .sort((a, b) => Number(a.sinceMs - b.sinceMs)),
    };
  },
  listSites: async ({ schoolOin }: op.ListSitesRequest, { door }): Promise<op.ListSitesResponse> => {
    if (schoolOin === '') throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
    const { rosters } = await door.services.rosters.listSchools({ schoolOin });
    return { years: rosters.sort((a, b) => (a.schoolYear < b.schoolYear ? 1 : -1)) };
  },
  decideHold: async (request: op.DecideHoldRequest, gate, caller) => {
    if (isChangeHold(request.holdId)) return decideChanges(request, gate, personOf(caller));
    const hold = await holdNamed(gate, request.holdId);
    const isMerge = hold.loser !== '';
    const isChange = hold.toSchoolOin !== '';
    requireOpen(hold);
    checkPart(request, !isMerge && !isChange && hold.forgets === 0);
    const { flowId } = await take(
      decideHold(personOf(caller)),
      { ...request, schoolOin: hold.schoolOin },
      operator,
      gate,
    );
    const decision = await decided(gate, flowId);
    if (isMerge) await approved(gate);
    if (isChange) gate.crossing?.soon();
    return { flowId, decision };
  },
  showScorecard: async (request: op.ShowScorecardRequest, gate): Promise<op.ShowScorecardResponse> => {
    const { partyOin } = request;
    const { chain, services } = gate.door;
    if (!chain.party(partyOin))
      throw new GatewayError('state.missing', 'No party has this OIN.', { where: 'party_oin' });
    const [card, { endpoints }] = await Promise.all([
      scorecard(request, partyOin, gate),
      services.delivery.listEndpoints({ idle: true, partyOin }),
    ]);
    return { scorecard: card, endpoints };
  },
  listPulls: async (request: op.ListPullsRequest, { administrations, door }): Promise<op.ListPullsResponse> => {
    if (!administrations)
      throw new GatewayError(
        'state.missing',
        'This gateway asks no administration for rosters: set EDUK_ADMINISTRATIONS.',
      );
    const pulls = await administrations.list(request);
    const named = pulls.flatMap(({ pull }) => [pull!.schoolOin, pull!.partyOin]);
    return { pulls, names: namesOf(door.chain, named), problems: [...administrations.read().problems] };
  },
  previewTurn: async (request: op.PreviewTurnRequest, gate): Promise<op.PreviewTurnResponse> => {
    checkTurn(gate, request);
    const { door } = gate;
    return {
      schoolName: door.chain.party(request.schoolOin)?.name ?? '',
      turn: await door.services.rosters.previewTurn(request),
    };
  },
  turnYear: async (request: op.TurnYearRequest, gate): Promise<op.TurnYearResponse> => {
    if (request.schoolYear === '')
      throw new GatewayError('wire.invalid', 'Name the school year.', { where: 'school_year' });
    checkTurn(gate, request);
    const { flowId } = await take(turnYear(submitReference()), request, operator, gate);
    return { flowId, decision: await decided(gate, flowId) };
  },
  forgetLearner: async (request: op.ForgetLearnerRequest, gate) => {
    if (!hasRef(request.learner))
      throw new GatewayError('wire.invalid', 'Name the learner by ECK iD or key.', { where: 'learner' });
    const submission = await take(
      forgetLearner(request.now),
      { reference: submitReference(), schoolOin: request.schoolOin, learner: request.learner, waitMs: 0n },
      operator,
      gate,
    );
    const at = request.now ? gate.door.clock.now() : submission.acceptedMs! + FORGET_UNDO_MS;
    const decision = await decided(gate, submission.flowId);
    const isHeld = decision?.outcome === 'LearnerForgetHeld';
    // The routes are closed by the event; only then the vault destroys what they led to.
    if (decision?.outcome === 'LearnerForgotten')
      await forgetTokens(gate.door.services, {
        schoolOin: request.schoolOin,
        token: submission.found!.tokens[0]!,
        atMs: request.now ? 0n : BigInt(at),
      });
    return { flowId: submission.flowId, decision, destroyedMs: isHeld ? 0n : BigInt(at) };
  },
  previewSchoolForget: async ({ schoolOin }: op.PreviewSchoolForgetRequest, { door }) => {
    const preview = await previewForget(schoolOin, door);
    return { ...preview, names: namesOf(door.chain, [schoolOin, ...preview.receivers.map((one) => one.partyOin)]) };
  },
  forgetSchool: async (request: op.ForgetSchoolRequest, gate): Promise<op.ForgetSchoolResponse> => {
    const { check, receivers } = await previewForget(request.schoolOin, gate.door);
    if (request.check !== check)
      throw new GatewayError(
        'state.conflict',
        'The numbers are others by now, or were not looked at: preview it first.',
        {
          where: 'check',
        },
      );
    return schoolAnswer(forgetSchool(receivers, gate.door), request, gate);
  },
  keepSchool: (request: op.KeepSchoolRequest, gate) => schoolAnswer(keepSchool(), request, gate),
  confirmSchoolForget: (request: op.ConfirmSchoolForgetRequest, gate) =>
    schoolAnswer(confirmSchoolForget(), request, gate),
  listSchoolForgets: async ({ schoolOin }: op.ListSchoolForgetsRequest, { door }) => {
    const forgettings = door.chain
      .forgettings()
      .filter((one) => schoolOin === '' || one.schoolOin === schoolOin)
      .sort((a, b) => (a.schoolOin < b.schoolOin ? -1 : 1));
    if (forgettings.length === 0) await requireKnown({ door }, { partyOin: '', schoolOin });
    const named = forgettings.flatMap((one) => [one.schoolOin, ...one.receivers.map(({ partyOin }) => partyOin)]);
    return { forgettings, names: namesOf(door.chain, named) };
  },
  replaceNumber: async (request: op.ReplaceNumberRequest, gate): Promise<op.ReplaceNumberResponse> => {
    const { schoolOin, before, after } = request;
    if (schoolOin === '') throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
    const numbers = oneNumber(before, after);
    const [pgn] = findPgn([{ type: REPLACE, message: { ...request }, sender: operator.oin, school: schoolOin }]);
    if (pgn) throw pgn;
    const { code, changed } = await gate.door.services.vault.replace({ schoolOin, ...numbers });
    if (code === 'learner.unknown') throw new GatewayError('learner.unknown', undefined, { where: 'before' });
    if (code !== '')
      throw new GatewayError('state.conflict', 'The two numbers are of two learners.', { where: 'after' });
    return { changed };
  },
  mapKeys: (request: op.MapKeysRequest, gate) => mapKeysAnswer(request, gate),
  mergeLearners: mergeAnswer,
  keepLearner: async (request: op.KeepLearnerRequest, gate): Promise<op.KeepLearnerResponse> => {
    const { flowId, found } = await take(keepLearner(submitReference()), request, operator, gate);
    const decision = await decided(gate, flowId);
    // Where this door ends before it says so, another does within a minute.
    if (decision?.outcome === 'LearnerKept')
      await forgetTokens(gate.door.services, {
        schoolOin: request.schoolOin,
        token: found!.tokens[0]!,
        atMs: KEPT,
      });
    return { flowId, decision };
  },
  status: async (_request: op.StatusRequest, gate, { duty = 'operator' }): Promise<op.StatusResponse> => {
    const [
      { ages, freeDiskBytes, head },
      { disks },
      { holds },
      changes,
      { parked },
      reveals,
      { runs },
      { pulls },
      overdue,
      late,
    ] = await Promise.all([
      gate.door.services.log.ages({}),
      gate.door.services.delivery.listDisks({}).catch(() => ({ disks: [] })),
      gate.door.services.rosters.listHolds({ schoolOin: '', decided: false }),
      gate.door.services.entitlements.listChangeHolds({ schoolOin: '', decided: false }),
      gate.door.services.log.listParked({ limit: 1000 }),
      // How the rest is must be told also while the vault is away.
      gate.door.services.vault.showReveals({}).catch(() => ({ perHour: 0n, tooMany: [] })),
      gate.door.services.parties.listRegisters({}),
      gate.door.services.rosters.listPulls({ partyOin: '', failing: true, limit: 2_000 }),
      gate.door.services.rosters.countOverdue({}),
      gate.door.services.rosters.listTurns({ schoolOin: '', limit: 0 }),
    ]);
    const untold = gate.untoldNames();
    return {
      duty,
      leavers: {
        overdue: overdue.people,
        sinceMs: overdue.sinceMs,
        untoldSchools: untold.schools,
        untoldSinceMs: BigInt(untold.sinceMs),
      },
      registers: runs,
      // Whoever asked once, by hand, was told what came of it, and nobody asks again.
      pulls: gate.administrations?.stillWanted(pulls).slice(0, 200) ?? [],
      turns: late.turns,
      turnsTotal: late.total,
      administrationProblems: [...(gate.administrations?.read().problems ?? []), ...unsetEndpoints(gate)],
      bulkReveals: reveals.tooMany.map((one) => ({
        ...one,
        partyName: gate.door.chain.party(one.partyOin)?.name ?? '',
      })),
      revealsPerHour: reveals.perHour,
      ages,
      freeDiskBytes: BigInt(freeDiskBytes),
      disks,
      holds: holds.length + changes.holds.length,
      parkedKeys: parked.length,
      devKey: gate.devKey,
      version: gate.version,
      events: BigInt(head),
      certificates: [...(gate.certificates?.seen() ?? [])]
        .filter(([oin]) => gate.door.chain.party(oin) !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([oin, notAfterMs]) => ({
          partyOin: oin,
          partyName: gate.door.chain.party(oin)!.name,
          notAfterMs: BigInt(notAfterMs),
        })),
    };
  },
  backup: async ({ folder }: op.BackupRequest, gate): Promise<op.BackupResponse> => {
    if (!gate.backup)
      throw new GatewayError('state.conflict', 'This gateway keeps all in databases: eduk backup copies them itself.');
    if (!isAbsolute(folder)) throw new GatewayError('wire.invalid', undefined, { where: 'folder' });
    await gate.backup(folder);
    return {};
  },
  readAuditLog: async ({ from, limit, sinceSize, headsAbove }: op.ReadAuditLogRequest, { door }) => {
    const { audit } = door.services;
    const { head, keys } = await audit.getHead({});
    const size = head?.size ?? 0n;
    const [{ leaves, trunks }, { path }, { heads }] = await Promise.all([
      limit > 0 && from < size ? audit.listLeaves({ from, limit }) : { leaves: [], trunks: [] },
      sinceSize > 0n && sinceSize <= size
        ? // Leaves that lack are for whoever asks to find.
          audit.getConsistency({ fromSize: sinceSize, toSize: size }).catch((thrown: unknown) => {
            if (thrown instanceof GatewayError && thrown.fault === 'state.missing') return { path: [] };
            throw thrown;
          })
        : { path: [] },
      headsAbove === undefined ? { heads: [] } : audit.listHeads({ aboveSize: headsAbove, limit: 500 }),
    ]);
    // What came after the head is the next one's.
    return { head, keys, leaves: leaves.filter(({ index }) => index < size), trunks, consistency: path, heads };
  },
  searchAuditLog: async ({ asked }: op.SearchAuditLogRequest, { door }): Promise<op.SearchAuditLogResponse> => {
    if (!asked) throw new GatewayError('wire.invalid', 'Say what is looked for.', { where: 'asked' });
    const found = await door.services.audit.searchLog(asked);
    const named = found.rows.flatMap(({ partyOin, actedBy, schoolOins }) => [partyOin, actedBy, ...schoolOins]);
    return { found, names: namesOf(door.chain, [asked.partyOin, asked.schoolOin, ...named]) };
  },
  showReceipt: ({ receiptId, waitMs }: op.ShowReceiptRequest, gate) =>
    getReceipt({ receiptId, waitMs, reference: '', method: '' }, operator, gate),
  listAccess: async (request: op.ListAccessRequest, { door }): Promise<op.ListAccessResponse> => {
    const { rows } = await door.services.audit.listAccess(request);
    return { rows, names: namesOf(door.chain, [request.schoolOin, ...rows.map(({ partyOin }) => partyOin)]) };
  },
  previewEndpoints: async (request: op.PreviewEndpointsRequest, gate): Promise<op.PreviewEndpointsResponse> => {
    const { party, without } = request;
    if (!party) throw new GatewayError('wire.invalid', undefined, { where: 'party' });
    return { ...(await keptFor(gate, party, without)), nowMs: BigInt(gate.door.clock.now()) };
  },
  previewWithheld: (request: op.PreviewWithheldRequest, { door }) => previewWithheld(door, request),
  previewStop: ({ oin }: op.PreviewStopRequest, gate) => previewStop(oin, gate),
  stopParty: async (request: op.StopPartyRequest, gate): Promise<op.StopPartyResponse> => {
    const before = stoppedOf(gate.door.chain, request.oin);
    const { flowId } = await take(stopParty(), request, operator, gate);
    const decision = await decided(gate, flowId);
    return { flowId, decision, stopped: stoppedOf(gate.door.chain, request.oin), unchanged: before !== undefined };
  },
  setIdentity: async (request: op.SetIdentityRequest, gate): Promise<op.SetIdentityResponse> => {
    const { chain } = gate.door;
    const { schoolOin, identity } = request;
    const unchanged = chain.isOnDemand(schoolOin) === (identity === 'on-demand');
    const { flowId } = await take(setIdentity(), request, operator, gate);
    const decision = await decided(gate, flowId);
    // At once, and not with the next minute; who is told that it was decided need not wait for all of it.
    if (chain.isOnDemand(schoolOin))
      void gate.tellNames().catch((thrown: unknown) => log('warn', 'names_not_told', describeError(thrown)));
    return { flowId, decision, unchanged, administrations: gate.names.administrationsOf(schoolOin) };
  },
  resumeParty: resumeAnswer,
  listReach: async (request: op.ListReachRequest, { door }): Promise<op.ListReachResponse> => {
    const { chain } = door;
    if (!chain.party(request.partyOin) && chain.schoolsOf(request.partyOin).length === 0)
      throw new GatewayError('state.missing', 'No party has this OIN.', { where: 'party_oin' });
    const page = await door.services.audit.listReach(request);
    if (page.rows.length === 0) await requireKnown({ door }, { partyOin: '', schoolOin: request.schoolOin });
    return { ...page, names: namesOf(chain, [request.partyOin, ...page.rows.map(({ schoolOin }) => schoolOin)]) };
  },
  showProcessing: ({ schoolOin }: op.ShowProcessingRequest, gate) => showProcessing(gate, schoolOin),
  listReviews: async (request: op.ListReviewsRequest, { door }): Promise<op.ListReviewsResponse> => {
    const found = await reviewsOf(door, request.schoolOin, request.unusedDays);
    if (found.reviews.length === 0 && found.due.length === 0)
      await requireKnown({ door }, { partyOin: '', schoolOin: request.schoolOin });
    const named = [...found.reviews, ...found.due].flatMap(({ schoolOin, partyOin }) => [schoolOin, partyOin]);
    return { ...found, names: namesOf(door.chain, named) };
  },
  openReviews: async (request: op.OpenReviewsRequest, gate): Promise<op.OpenReviewsResponse> => {
    const { due } = await reviewsOf(gate.door, request.schoolOin, request.unusedDays);
    if (due.length === 0) await requireKnown(gate, { partyOin: '', schoolOin: request.schoolOin });
    if (request.endsOn !== '' && (!isDay(request.endsOn) || request.endsOn < dutchDay(gate.door.clock.now())))
      throw new GatewayError('wire.invalid', 'The last day to answer is a day that is not past.', { where: 'ends_on' });
    const flowIds: string[] = [];
    // Those of one school are one message. Who is killed between two asks the others the next time: asked twice is asked once.
    for (const [schoolOin, ofSchool] of Map.groupBy(due, (review) => review.schoolOin))
      flowIds.push((await take(openReviews(ofSchool), { ...request, schoolOin }, operator, gate)).flowId);
    if (flowIds.length > 0) await decided(gate, flowIds.at(-1)!);
    return { opened: due.length, flowIds };
  },
  answerReview: async (request: op.AnswerReviewRequest, gate): Promise<op.AnswerReviewResponse> => {
    const mandate = gate.door.chain.mandate(request.mandateId);
    if (!mandate) throw new GatewayError('state.missing', undefined, { where: 'mandate_id' });
    const intake = operatorAnswer(mandate);
    const { flowId } = await take(intake, request, operator, gate);
    const decision = await decided(gate, flowId);
    return {
      flowId,
      decision,
      mandateId: request.answer === 'narrow' ? narrowedId(operator.oin, intake.reference(request)) : '',
    };
  },
  rotateKeys: async (request: op.RotateKeysRequest, { door }): Promise<op.RotateKeysResponse> => {
    const { kinds, schoolOin, emergency } = request;
    const act = {
      kind: 'key_rotation',
      schools: [schoolOin || '*'],
      parties: kinds.includes('pairwise') ? ['*'] : [],
    } as const;
    if (emergency === '') requireThawed(door, act);
    const held = door.chain.frozen(act);
    if (held)
      log('warn', 'freeze_overridden', {
        school_oin: schoolOin,
        kinds: kinds.join(' '),
        why: emergency,
        cause: held.freeze.reason,
      });
    await door.services.vault.rotateKeys({ kinds, schoolOin });
    return { keys: await door.services.vault.showKeys({}) };
  },
  holdKeys: async ({ schoolOin, at, token }: op.HoldKeysRequest, { door }): Promise<op.HoldKeysResponse> => {
    const problem = at === '' ? undefined : door.dialler.networks.problemWith(at);
    if (problem !== undefined) throw new GatewayError('wire.invalid', `This address ${problem}.`, { where: 'at' });
    await door.services.vault.holdKeys({ schoolOin, at, token });
    return { keys: await door.services.vault.showKeys({}) };
  },
  showKeys: async (_request: op.ShowKeysRequest, { door }): Promise<op.ShowKeysResponse> => ({
    keys: await door.services.vault.showKeys({}),
  }),
  makeLink: (request: op.MakeLinkRequest, { links }) => links.make(request),
  listLinks: (_request: op.ListLinksRequest, { links }) => links.list(),
  endLink: async ({ linkId }: op.EndLinkRequest, { links }): Promise<op.EndLinkResponse> => {
    await links.end(linkId);
    return {};
  },
  openLink: (request: op.OpenLinkRequest, { links }) => links.open(request),
  ...revealUnary,
  ...replayUnary,
  ...freezeUnary,
  ...holdRuleUnary,
  ...reconcileUnary,
  listAlerts: async (_request: op.ListAlertsRequest, { door, alerts }): Promise<op.ListAlertsResponse> => {
    const { alerts: standing } = await door.services.delivery.listAlerts({});
    return {
      alerts: standing.map(({ alert, openedMs, toldMs, failures }) => {
        const kind = isAlertCode(alert!.code) ? alertKinds[alert!.code] : undefined;
        const { nl = '', en = '', who = 'operator', see = '' } = kind ?? {};
        return { alert, openedMs, toldMs, failures, nl, en, who, see };
      }),
      names: namesOf(
        door.chain,
        standing.flatMap(({ alert }) => [alert!.partyOin, alert!.schoolOin]),
      ),
      channels: (alerts?.channels ?? []).map(({ name }) => name),
    };
  },
  testAlerts: async (_request: op.TestAlertsRequest, { alerts }): Promise<op.TestAlertsResponse> => ({
    channels: (await alerts?.trial()) ?? [],
  }),
  listParked: async (request: op.ListParkedRequest, gate) => {
    const { log, delivery } = gate.door.services;
    const { schoolOin, partyOin, code, fromMs, untilMs } = request;
    const [{ parked: all }, { parked: waiting, dropped }, { endpoints: known }] = await Promise.all([
      log.listParked({ limit: 1000 }),
      delivery.listParkedRows({ schoolOin, partyOin, code, fromMs, untilMs }),
      delivery.listEndpoints({ idle: false, partyOin }),
    ]);
    // What a service could not handle is of no party.
    const keys = all.filter(
      (key) =>
        partyOin === '' &&
        (code === '' || key.code === code) &&
        key.sinceMs >= fromMs &&
        (untilMs === 0n || key.sinceMs < untilMs),
    );
    const rows = waiting.map((row) => ({ ...row, ...saidOf(row.cause) }));
    const endpoints = known.filter(({ state }) => state !== 'up');
    if (rows.length === 0 && dropped.length === 0) await requireKnown(gate, request);
    const named = [
      ...[...rows, ...dropped].flatMap(({ partyOin, schoolOin }) => [partyOin, schoolOin]),
      ...endpoints.map(({ partyOin }) => partyOin),
    ];
    return { keys, rows, dropped, endpoints, names: namesOf(gate.door.chain, named) };
  },
  retryParked: (request: op.RetryParkedRequest, gate) => gate.door.services.log.retryParked(request),
  resolveDeliveries: async (request: op.ResolveDeliveriesRequest, gate): Promise<op.ResolveDeliveriesResponse> => {
    const { delivery } = gate.door.services;
    const sum = { keys: 0, rows: 0n };
    // One transaction takes so many; fewer are the last. What fails anew meanwhile is not chased.
    for (;;) {
      const { keys, rows } = await delivery.resolveKeys(request);
      sum.keys += keys;
      sum.rows += rows;
      if (keys < RESOLVED_AT_ONCE) break;
    }
    if (sum.keys === 0) await requireKnown(gate, request);
    return sum;
  },
};

/** Each command of the operator is a message of its own, whichever door it came to. */
const submitReference = (): string => `operator-${newId()}`;

export const operatorStreams: Record<string, (requests: AsyncGenerator<any>, gate: Gate) => Promise<unknown>> = {
  importRoster: async (requests: AsyncGenerator<op.ImportRosterRequest>, gate): Promise<op.ImportRosterResponse> => {
    const given = { schoolOin: '', schoolYear: '', siteCode: '', wholeSchool: false };
    let sender = '';
    const bytes = await gather(requests, (request) => {
      sender ||= request.partyOin;
      given.schoolOin ||= request.schoolOin;
      given.schoolYear ||= request.schoolYear;
      given.siteCode ||= request.siteCode;
      given.wholeSchool ||= request.wholeSchool;
    });
    const file = await readRosterFile(bytes, { ...given, sender, nowMs: gate.door.clock.now() });
    return importRoster(gate, operator, file, given, WAIT_MS);
  },
  exportSchool: async (requests: AsyncGenerator<op.ExportSchoolRequest>, gate): Promise<op.ExportSchoolResponse> => {
    for await (const request of requests) {
      checkGrammar('eduk.operator.v1.ExportSchoolRequest', { ...request });
      return exportSchool(request, gate.door);
    }
    throw new GatewayError('wire.unreadable', 'Nothing was asked.');
  },
  syncRegister: async (requests: AsyncGenerator<op.SyncRegisterRequest>, gate): Promise<op.SyncRegisterResponse> => {
    let asked: op.SyncRegisterRequest | undefined;
    for await (const request of requests) {
      checkGrammar('eduk.operator.v1.SyncRegisterRequest', { ...request });
      if (!asked) asked = request;
      else {
        asked.schoolOins.push(...request.schoolOins);
        asked.partyOins.push(...request.partyOins);
      }
      if (asked.schoolOins.length > MOST_NAMED || asked.partyOins.length > MOST_NAMED)
        throw new GatewayError('wire.too_large', 'Name fewer schools or parties, or none for all.');
    }
    if (!asked) throw new GatewayError('wire.unreadable', 'Nothing was asked.');
    if (!gate.register)
      throw new GatewayError(
        'state.missing',
        'This gateway does not know where OSR is: set EDUK_OSR_URL and EDUK_OSR_SERVICES.',
      );
    const done = await gate.register.sync(asked);
    const named = done.lines.flatMap(({ schoolOin, partyOin }) => [schoolOin, partyOin]);
    return { ...done, names: namesOf(gate.door.chain, named) };
  },
  pullRoster: async (requests: AsyncGenerator<op.PullRosterRequest>, gate): Promise<op.PullRosterResponse> => {
    const { value: asked } = await requests.next();
    if (!asked) throw new GatewayError('wire.unreadable', 'Nothing was asked.');
    checkGrammar('eduk.operator.v1.PullRosterRequest', { ...asked });
    if (!gate.administrations)
      throw new GatewayError(
        'state.missing',
        'This gateway asks no administration for rosters: set EDUK_ADMINISTRATIONS.',
      );
    const rosters = await gate.administrations.pull(asked);
    const named = rosters.flatMap(({ pull }) => [pull!.schoolOin, pull!.partyOin]);
    return { rosters, names: namesOf(gate.door.chain, named) };
  },
  importCatalogue: async (
    requests: AsyncGenerator<op.ImportCatalogueRequest>,
    gate,
  ): Promise<op.ImportCatalogueResponse> => {
    let partyOin = '';
    const bytes = await gather(requests, (request) => {
      partyOin ||= request.partyOin;
    });
    const caller: Caller = partyCallerNamed(gate, partyOin);
    const catalogue = await readCatalogueFile(bytes);
    const refusals: op.ImportCatalogueResponse['refusals'] = [];
    const products: { index: number; product: NonNullable<ReturnType<typeof productOf>> }[] = [];
    for (const outcome of outcomes(catalogue)) {
      const product = productOf(outcome);
      if (product) products.push({ index: outcome.index, product });
      else if (outcome.refusal)
        refusals.push({
          index: BigInt(outcome.index),
          code: outcome.refusal.code,
          where: outcome.refusal.where.map(({ path, line }) => (line ? `${path} (line ${line})` : path)).join(', '),
          told: '',
        });
    }
    const taken = await importProducts(gate, caller, products);
    return {
      records: products.length + refusals.length,
      published: taken.published,
      unchanged: taken.unchanged,
      refusals: [...refusals, ...taken.refusals],
    };
  },
};

const productOf = (outcome: {
  product?: Parameters<typeof importProducts>[2] extends Iterable<{ product: infer P }> ? P : never;
}) => outcome.product;

function partyCallerNamed(gate: Gate, oin: string): Caller {
  if (!gate.door.chain.party(oin))
    throw new GatewayError('state.missing', 'No party has this OIN: eduk party add it first.', { where: 'party_oin' });
  const caller = partyCaller(gate.door.chain, oin);
  if (!caller.roles.has(Role.ROLE_PUBLISHER))
    throw new GatewayError('party.forbidden', 'Only a party with the role publisher has a catalogue.', {
      where: 'party_oin',
    });
  return caller;
}

/** Largest file, bytes: as over HTTP. */
const LARGEST_FILE = 64 * 1024 * 1024;

async function gather<R extends { chunk: Uint8Array }>(
  requests: AsyncGenerator<R>,
  each: (request: R) => void,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const request of requests) {
    each(request);
    size += request.chunk.length;
    if (size > LARGEST_FILE) throw new GatewayError('wire.too_large', 'A file may hold 64 MiB.');
    chunks.push(request.chunk);
  }
  if (size === 0) throw new GatewayError('wire.unreadable', 'The file is empty.');
  return Buffer.concat(chunks);
}
