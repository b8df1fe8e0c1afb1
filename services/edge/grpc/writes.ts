import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayError } from '#kernel';
import { MandateState, Service } from '#proto/eduk/core/v1/party';
import type { Decision } from '#proto/eduk/core/v1/receipt';
import {
  AccessServiceDefinition,
  type CreateLaunchRequest,
  type RedeemLaunchRequest,
} from '#proto/eduk/gateway/v1/access';
import { CatalogueServiceDefinition } from '#proto/eduk/gateway/v1/catalogue';
import {
  DeliveryServiceDefinition,
  type PreviewReplayRequest,
  type ReplayRequest,
  type StopReplayRequest,
} from '#proto/eduk/gateway/v1/delivery';
import { EntitlementServiceDefinition } from '#proto/eduk/gateway/v1/entitlement';
import { IdentityServiceDefinition } from '#proto/eduk/gateway/v1/identity';
import { OrderServiceDefinition } from '#proto/eduk/gateway/v1/order';
import {
  type AcceptMandateRequest,
  type AnswerReviewRequest,
  type ConfirmMandateRequest,
  type GrantMandateRequest,
  PartyServiceDefinition,
  type RefuseMandateRequest,
  type WithdrawMandateRequest,
} from '#proto/eduk/gateway/v1/party';
import { ResultServiceDefinition } from '#proto/eduk/gateway/v1/result';
import { RosterServiceDefinition } from '#proto/eduk/gateway/v1/roster';
import { revealPeople, revealTexts } from '#release';
import type { Caller } from '../caller.ts';
import { forgetTokens } from '../forgetting.ts';
import type { Gate } from '../gate.ts';
import { createLaunch, launchIdOf, provisionAccess, redeemLaunch, revokeAccess, ticketOf } from '../intake/access.ts';
import { publishProducts } from '../intake/catalogue.ts';
import { hold, previewOwnReplay, release, retry, runOwnReplay, stopOwnReplay } from '../intake/deliveries.ts';
import { grantEntitlements, reportUsage, withdrawEntitlements } from '../intake/entitlements.ts';
import { cancelOrder, confirmOrder, placeOrder } from '../intake/orders.ts';
import {
  acceptMandate,
  confirmMandate,
  grantMandate,
  mandateIdOf,
  refuseMandate,
  type SchoolsMeant,
  sleutelTold,
  withdrawMandate,
} from '../intake/parties.ts';
import { returnResults } from '../intake/results.ts';
import { answerReview, narrowedId } from '../intake/reviews.ts';
import { FORGET_UNDO_MS, forgetLearner, pushRoster, registerLearners } from '../intake/rosters.ts';
import { pass, submit } from '../pipeline.ts';
import { purposeFor } from '../purpose.ts';
import { ownReplay } from '../reads/dead.ts';
import { receiptOf } from '../stages/accept.ts';
import type { Intake, Submission } from '../submission.ts';
import { decisionOf, MAX_WAIT_MS } from './decision.ts';
import { changedParts, grantedParts, stateOf } from './mandates.ts';

/** For calls of a party that wants to know what came of them. */
const COMMAND_WAIT_MS = 5_000;
/** How often a replay that is counted is looked at. */
const COUNT_LOOK_MS = 50;

/** What a unary write answers beyond flow, receipt and decision. */
type More = (
  submission: Submission,
  decision: Decision,
  gate: Gate,
  caller: Caller,
) => Promise<Record<string, unknown>> | Record<string, unknown>;

export interface Write {
  intake: Intake;
  /** For calls whose answer is worth nothing without a decision. */
  defaultWaitMs?: number;
  more?: More;
}

/** Unary writes of the public surface, by service and key of the method. */
export const writes: readonly { definition: { fullName: string }; methods: Record<string, Write> }[] = [
  {
    definition: PartyServiceDefinition,
    methods: {
      grantMandate: {
        intake: grantMandate,
        defaultWaitMs: 2_000,
        more: async ({ flowId, message, located, repeated }, decision, gate, caller) => {
          await gate.door.chain.refresh();
          const mandateId = message.reveal(({ reference }: GrantMandateRequest) => mandateIdOf(caller.oin, reference));
          const { board, schools } = located as SchoolsMeant;
          if (!board) {
            const mandate = gate.door.chain.mandate(mandateId);
            const autorisatiesleutel = mandate ? sleutelTold(gate.door, flowId, mandate, false) : '';
            return { mandateId, autorisatiesleutel, schools: [] };
          }
          // A repeat is about the schools that the board had then.
          const expected = decision.code ? 0 : repeated ? 1 : schools.length;
          return { mandateId, autorisatiesleutel: '', ...(await grantedParts(gate, flowId, mandateId, expected)) };
        },
      },
      withdrawMandate: {
        intake: withdrawMandate,
        defaultWaitMs: 2_000,
        more: async ({ flowId, message }, decision, gate) => {
          await gate.door.chain.refresh();
          const { mandateId, runOffUntil } = message.reveal((request: WithdrawMandateRequest) => request);
          if (decision.code || gate.door.chain.partsOf(mandateId).length === 0) return {};
          const done = await changedParts(gate, flowId, mandateId, runOffUntil ? 'run_off' : 'stop');
          return { decision: done.decision };
        },
      },
      confirmMandate: { intake: confirmMandate, defaultWaitMs: 2_000, more: changedState('confirm') },
      acceptMandate: { intake: acceptMandate, defaultWaitMs: 2_000, more: changedState('accept') },
      refuseMandate: { intake: refuseMandate, defaultWaitMs: 2_000, more: changedState('refuse') },
      answerReview: {
        intake: answerReview,
        defaultWaitMs: 2_000,
        more: async ({ message }, _decision, gate, caller) => {
          await gate.door.chain.refresh();
          const { answer, reference } = message.reveal((request: AnswerReviewRequest) => request);
          return { mandateId: answer === 'narrow' ? narrowedId(caller.oin, reference) : '' };
        },
      },
    },
  },
  {
    definition: OrderServiceDefinition,
    methods: {
      placeOrder: { intake: placeOrder },
      confirmOrder: { intake: confirmOrder },
      cancelOrder: { intake: cancelOrder },
    },
  },
  {
    definition: EntitlementServiceDefinition,
    methods: { withdrawEntitlements: { intake: withdrawEntitlements }, reportUsage: { intake: reportUsage } },
  },
  {
    definition: AccessServiceDefinition,
    methods: {
      provisionAccess: { intake: provisionAccess },
      revokeAccess: { intake: revokeAccess },
      createLaunch: { intake: createLaunch, defaultWaitMs: 5_000, more: launchAnswer },
      redeemLaunch: { intake: redeemLaunch, defaultWaitMs: 5_000, more: redeemAnswer },
    },
  },
  {
    definition: IdentityServiceDefinition,
    methods: {
      registerLearners: { intake: registerLearners, more: () => ({ refusals: [] }) },
      forgetLearner: {
        intake: forgetLearner(false),
        more: async (submission, decision, { door }) => {
          const at = submission.acceptedMs! + FORGET_UNDO_MS;
          // What is held is not forgotten; what was decided later than the answer, or before, the watch tells the vault.
          if (decision.outcome === 'LearnerForgetHeld') return { destroyedMs: 0n };
          if (decision.outcome === 'LearnerForgotten' && !submission.repeated)
            await forgetTokens(door.services, {
              schoolOin: submission.school!,
              token: submission.found!.tokens[0]!,
              atMs: BigInt(at),
            });
          return { destroyedMs: BigInt(at) };
        },
      },
    },
  },
  {
    definition: DeliveryServiceDefinition,
    methods: {
      retry: { intake: retry, defaultWaitMs: COMMAND_WAIT_MS },
      hold: { intake: hold, defaultWaitMs: COMMAND_WAIT_MS },
      release: { intake: release, defaultWaitMs: COMMAND_WAIT_MS },
      previewReplay: {
        intake: previewOwnReplay,
        defaultWaitMs: COMMAND_WAIT_MS,
        more: async ({ message }, decision, gate, caller) => {
          const { reference, waitMs } = message.reveal((request: PreviewReplayRequest) => request);
          const until = performance.now() + (Number(waitMs) || COMMAND_WAIT_MS);
          for (;;) {
            const replay = await ownReplay(caller, reference, gate);
            const isCounting = replay?.state === 'counting' && decision.outcome !== '';
            if (!isCounting || performance.now() >= until) return { replay };
            await sleep(COUNT_LOOK_MS);
          }
        },
      },
      replay: {
        intake: runOwnReplay,
        defaultWaitMs: COMMAND_WAIT_MS,
        more: async ({ message }, _decision, gate, caller) => {
          const reference = message.reveal((request: ReplayRequest) => request.previewReference);
          return { replay: await ownReplay(caller, reference, gate) };
        },
      },
      stopReplay: {
        intake: stopOwnReplay,
        defaultWaitMs: COMMAND_WAIT_MS,
        more: async ({ message }, _decision, gate, caller) => {
          const reference = message.reveal((request: StopReplayRequest) => request.previewReference);
          return { replay: await ownReplay(caller, reference, gate) };
        },
      },
    },
  },
];

/** The state of a mandate after a change, or of the parts of a board's grant the first that any of them has. */
function changedState(change: string): More {
  return async ({ flowId, message }, decision, gate, caller) => {
    const { chain } = gate.door;
    await chain.refresh();
    const mandateId = message.reveal(
      (request: ConfirmMandateRequest | AcceptMandateRequest | RefuseMandateRequest) => request.mandateId,
    );
    const one = chain.mandate(mandateId);
    if (one || decision.code) return { state: one?.state ?? MandateState.MANDATE_STATE_UNSPECIFIED };
    const done = await changedParts(gate, flowId, mandateId, change);
    const own = done.schools.filter((part) => part.partyOin === caller.oin || part.boardOin === caller.oin);
    return { decision: done.decision, state: stateOf(own) };
  };
}

/** Bulk streams of the public surface. */
export const bulks: readonly { definition: { fullName: string }; methods: Record<string, Intake> }[] = [
  { definition: CatalogueServiceDefinition, methods: { publishProducts } },
  { definition: RosterServiceDefinition, methods: { pushRoster } },
  { definition: EntitlementServiceDefinition, methods: { grantEntitlements } },
  { definition: ResultServiceDefinition, methods: { returnResults } },
];

/** Takes one message in; throws what refused it. */
export async function take<Req>(
  intake: Intake<Req>,
  request: Req,
  caller: Caller,
  gate: Gate,
  traceparent = '',
): Promise<Submission<Req>> {
  const submission = submit(intake, request, caller, { traceparent });
  await pass([submission], gate.door);
  if (submission.refused) {
    gate.notes.note(submission, submission.refused);
    throw submission.refused;
  }
  return submission;
}

export async function serveWrite(
  { intake, defaultWaitMs = 0, more }: Write,
  request: Record<string, unknown>,
  caller: Caller,
  gate: Gate,
  traceparent: string,
): Promise<unknown> {
  const asked = Number(request['waitMs'] ?? 0n);
  if (asked < 0 || asked > MAX_WAIT_MS)
    throw new GatewayError('wire.invalid', 'wait_ms is 0 to 30,000.', { where: 'wait_ms' });
  const submission = await take(intake, request, caller, gate, traceparent);
  const decision = await decisionOf(gate, submission.flowId, asked || defaultWaitMs);
  return {
    flowId: submission.flowId,
    receipt: receiptOf(submission),
    decision,
    ...(await more?.(submission, decision, gate, caller)),
  };
}

async function launchAnswer(
  submission: Submission<CreateLaunchRequest>,
  decision: Decision,
  { door }: Gate,
): Promise<Record<string, unknown>> {
  const launchId = launchIdOf(submission.flowId);
  const nothing = { launchId, ticket: '', launchUrl: '', expiresMs: 0n };
  if (decision.outcome !== 'LaunchCreated') return nothing;
  const { launch } = await door.services.access.getLaunch({ launchId });
  // A repeat has the first answer; that its ticket is spent, the platform hears.
  if (launch?.outcome !== 'created' && launch?.outcome !== 'redeemed') return nothing;
  const { products } = await door.services.catalogue.getProducts({ productIds: [launch.productId] });
  const ticket = ticketOf(door, launchId);
  // In the fragment, so that it stands in no server's log.
  const accessUrl = products[0]?.accessUrl ?? '';
  return {
    launchId,
    ticket,
    launchUrl: accessUrl ? `${accessUrl.split('#')[0]}#ticket=${ticket}` : '',
    expiresMs: launch.expiresMs,
  };
}

async function redeemAnswer(
  submission: Submission<RedeemLaunchRequest>,
  decision: Decision,
  gate: Gate,
  caller: Caller,
): Promise<Record<string, unknown>> {
  const { door } = gate;
  const located = submission.located as {
    launchId: string;
    schoolOin: string;
    learner: string;
    entitlementId: string;
    productId: string;
  };
  const nobody = {
    schoolOin: '',
    entitlementId: '',
    productId: '',
    learner: undefined,
    person: undefined,
    groupKeys: [],
  };
  if (decision.outcome !== 'LaunchRedeemed') return nobody;
  const purpose = purposeFor(door, caller, located.schoolOin, Service.SERVICE_ACCESS);
  const year = (await door.services.rosters.listSchools({ schoolOin: located.schoolOin })).rosters
    .map(({ schoolYear }) => schoolYear)
    .sort();
  const { learners } =
    year.length === 0
      ? { learners: [] }
      : await door.services.rosters.getLearners({
          schoolOin: located.schoolOin,
          schoolYear: year.at(-1)!,
          learners: [located.learner],
        });
  const entry = learners[0];
  const groups = entry ? [entry.group, ...entry.compositeGroups].filter((group) => group !== '') : [];
  const [people, texts] = await Promise.all([
    revealPeople(door.services.vault, purpose, [
      { token: located.learner, ...(entry ? { nameMark: entry.nameMark } : {}) },
    ]),
    purpose.released.has('groups') ? revealTexts(door.services.vault, purpose, { keys: groups }) : undefined,
  ]);
  const known = people.reveal((list) => list[0]);
  return {
    schoolOin: located.schoolOin,
    entitlementId: located.entitlementId,
    productId: located.productId,
    learner: known?.ref,
    person: known?.person,
    // Of a learner of a site that the mandate is not about nothing is told.
    groupKeys:
      texts && (known !== undefined || purpose.within === undefined)
        ? texts.reveal((text) => groups.map((group) => text.keys.get(group) ?? '').filter((key) => key !== ''))
        : [],
  };
}
