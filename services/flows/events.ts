/**
 * What each event means for its flow, as one table: what was asked and by whom, and what answers it. A test compares it
 * with the contract: an event that is not here touches no flow, and says why.
 */
import { dutchMinute } from '#kernel';
import type { HoldRule } from '#proto/eduk/core/v1/party';
import type { Loss } from '#proto/eduk/core/v1/receipt';
import type { EventName, EventOf } from '#proto/events';

/** A message was accepted. */
export interface Asked<N extends EventName = EventName> {
  kind: 'asked';
  /** As the sender calls it. An adapter's message shows the method that does the same. */
  method(event: EventOf<N>): string;
  party(event: EventOf<N>): string;
  /** Id of what it is about. */
  subject(event: EventOf<N>): string;
  /** What of the message had no place here. */
  losses?(event: EventOf<N>): readonly Loss[];
}

/** A service decided. */
export interface Answer<N extends EventName = EventName> {
  kind: 'answer';
  /** What it can answer; in another flow it is a step that followed. */
  to: readonly EventName[];
  /** `decided`: receivers are told. `done`: nobody else is, but for news of mandates, which nobody waits for. */
  says(event: EventOf<N>): 'decided' | 'done' | 'held' | 'refused';
  code?(event: EventOf<N>): string;
  told?(event: EventOf<N>): string;
  /** Gives way to any later answer: it says that part of the message is taken. */
  partial?: true;
}

const asked = <N extends EventName>(
  method: string | ((event: EventOf<N>) => string),
  party: (event: EventOf<N>) => string,
  subject: (event: EventOf<N>) => string,
  losses?: (event: EventOf<N>) => readonly Loss[],
): Asked<N> => ({
  kind: 'asked',
  method: typeof method === 'string' ? () => method : method,
  party,
  subject,
  ...(losses ? { losses } : {}),
});

const answer = <N extends EventName>(
  to: readonly EventName[],
  says: 'decided' | 'done' | 'held' | ((event: EventOf<N>) => 'decided' | 'done'),
  more: Partial<Answer<N>> = {},
): Answer<N> => ({ kind: 'answer', to, says: typeof says === 'string' ? () => says : says, ...more });

const refusal = <N extends EventName>(...to: readonly EventName[]): Answer<N> => ({
  kind: 'answer',
  to,
  says: () => 'refused',
  code: (event) => (event as unknown as { code: string }).code,
  told: (event) => (event as unknown as { told: string }).told,
});

/** A step of a flow that answers nothing of it. */
const followed = <N extends EventName>(told: (event: EventOf<N>) => string): Answer<N> => ({
  kind: 'answer',
  to: [],
  says: () => 'done',
  told,
});

/** Who let it go: no person is named, but by the first digits of the digest that stands for one. */
const byRule = (rule: HoldRule | undefined): string =>
  rule === undefined
    ? ''
    : `Released by rule ${rule.ruleId} (${rule.reason}), set by ${rule.byPerson.slice(0, 8) || rule.byOin}, until ${dutchMinute(Number(rule.untilMs))}.`;

/** Nobody is told again of what stood already. */
const unlessUnchanged = ({ unchanged }: { unchanged: boolean }): 'done' | 'decided' => (unchanged ? 'done' : 'decided');
const by = ({ byOin }: { byOin: string }): string => byOin;
const byOperator = ({ byOin }: { byOin: string }, mine: string, theirs: string): string =>
  byOin === 'operator' ? theirs : mine;

/** What an operator calls to change how a party stands; others let it go on. */
const standingAsks: Readonly<Record<string, string>> = {
  stop: 'OperatorService/StopParty',
  forget: 'OperatorService/ForgetSchool',
  keep: 'OperatorService/KeepSchool',
  confirm: 'OperatorService/ConfirmSchoolForget',
  names_on_demand: 'OperatorService/SetIdentity',
  names_kept: 'OperatorService/SetIdentity',
};

/** What an operator calls to change a rule that stands; others set it. */
const ruleAsks: Readonly<Record<string, string>> = {
  approve: 'OperatorService/ApproveHoldRule',
  end: 'OperatorService/EndHoldRule',
};

/** What an operator calls to send mail again; others count it. */
const replayAsks: Readonly<Record<string, string>> = {
  run: 'OperatorService/RunReplay',
  stop: 'OperatorService/StopReplay',
};

/** What a party calls to have its mail sent again, or not any more; others count it. */
const ownReplayAsks: Readonly<Record<string, string>> = {
  run: 'DeliveryService/Replay',
  stop: 'DeliveryService/StopReplay',
};

const deliveryAsks: Readonly<Record<string, string>> = {
  hold: 'DeliveryService/Hold',
  release: 'DeliveryService/Release',
};

const counted = (n: number | bigint, one: string, many: string): string => `${n} ${Number(n) === 1 ? one : many}`;

/** What a school, board or party calls to ask for a change of a mandate; others withdraw it. */
const asksOf: Readonly<Record<string, string>> = {
  confirm: 'PartyService/ConfirmMandate',
  accept: 'PartyService/AcceptMandate',
  refuse: 'PartyService/RefuseMandate',
};

export const meanings: { readonly [N in EventName]?: Asked<N> | Answer<N> } = {
  ProductSubmitted: asked('CatalogueService/PublishProducts', by, (e) => e.product?.productId ?? ''),
  ProductPublished: answer(['ProductSubmitted'], unlessUnchanged),
  ProductRefused: refusal('ProductSubmitted'),

  RosterSubmitted: asked(
    'RosterService/PushRoster',
    by,
    (e) => e.rosterId,
    (e) => e.losses,
  ),
  LearnersSubmitted: asked('IdentityService/RegisterLearners', by, () => ''),
  HoldDecisionSubmitted: asked('OperatorService/DecideHold', by, (e) => e.holdId),
  LearnerForgetSubmitted: asked('IdentityService/ForgetLearner', by, () => ''),
  LearnerKeepSubmitted: asked('OperatorService/KeepLearner', by, () => ''),
  SchoolYearTurnSubmitted: asked('OperatorService/TurnYear', by, (e) => e.schoolYear),
  SchoolYearTurned: answer(['SchoolYearTurnSubmitted'], 'decided'),
  SchoolYearTurnPlanned: answer(['SchoolYearTurnSubmitted'], 'done'),
  SchoolYearTurnRefused: refusal('SchoolYearTurnSubmitted'),
  RosterPartTaken: answer(['RosterSubmitted'], 'done', { partial: true }),
  RosterApplied: answer(['RosterSubmitted', 'LearnersSubmitted'], 'decided'),
  RosterHeld: answer(['RosterSubmitted'], 'held', {
    code: (e) => (e.reason === 'freeze' ? 'freeze.holds' : 'hold.pending'),
    told: (e) =>
      e.reason === 'freeze' ? 'A freeze holds: it goes on by itself afterwards.' : 'It waits for approval.',
  }),
  RosterRefused: refusal('RosterSubmitted', 'LearnersSubmitted', 'HoldDecisionSubmitted', 'LearnerForgetSubmitted'),
  HoldDecided: answer(['HoldDecisionSubmitted'], 'done'),
  RosterReleased: followed((e) => byRule(e.rule)),
  LearnerForgotten: answer(['LearnerForgetSubmitted'], 'decided'),
  LearnerForgetHeld: answer(['LearnerForgetSubmitted'], 'held', {
    code: () => 'hold.pending',
    told: () => 'More learners than usual are to be forgotten: it waits for approval.',
  }),
  LearnerKept: answer(['LearnerKeepSubmitted'], 'decided'),
  LearnerKeepRefused: refusal('LearnerKeepSubmitted'),
  LearnersMergeSubmitted: asked('OperatorService/MergeLearners', by, () => ''),
  LearnersMergeUndoSubmitted: asked('OperatorService/MergeLearners', by, () => ''),
  LearnersMergeHeld: answer(['LearnersMergeSubmitted'], 'held', {
    code: () => 'hold.pending',
    told: () => 'It waits for a second person.',
  }),
  LearnersMerged: answer(['LearnersMergeSubmitted'], 'decided'),
  LearnersMergeUndone: answer(['LearnersMergeUndoSubmitted'], 'decided'),
  SchoolChangeSubmitted: asked('OperatorService/ChangeSchool', by, () => ''),
  SchoolChangeUndoSubmitted: asked('OperatorService/UndoSchoolChange', by, (e) => e.changeId),
  SchoolCrossingSubmitted: asked('OperatorService/ChangeSchool', by, (e) => e.changeId),
  SchoolChangeHeld: answer(['SchoolChangeSubmitted'], 'held', {
    code: () => 'hold.pending',
    told: () => 'It waits for a second person.',
  }),
  SchoolChangePlanned: answer(['SchoolChangeSubmitted'], 'decided'),
  SchoolCrossed: answer(['SchoolCrossingSubmitted'], 'done'),
  SchoolChangeUndone: answer(['SchoolChangeUndoSubmitted'], 'done'),
  SchoolChangeRefused: refusal(
    'SchoolChangeSubmitted',
    'SchoolChangeUndoSubmitted',
    'SchoolCrossingSubmitted',
    'HoldDecisionSubmitted',
  ),
  LearnersMergeRefused: refusal('LearnersMergeSubmitted', 'LearnersMergeUndoSubmitted', 'HoldDecisionSubmitted'),

  OrderSubmitted: asked(
    'OrderService/PlaceOrder',
    (e) => e.buyerOin,
    (e) => e.orderId,
  ),
  OrderConfirmSubmitted: asked(
    'OrderService/ConfirmOrder',
    (e) => e.sellerOin,
    (e) => e.orderId,
  ),
  OrderCancelSubmitted: asked(
    'OrderService/CancelOrder',
    (e) => e.buyerOin,
    (e) => e.orderId,
  ),
  OrderPlaced: answer(['OrderSubmitted'], 'decided'),
  OrderRefused: refusal('OrderSubmitted'),
  // An order that stands and is sent again is answered by saying that nothing changed.
  OrderLinesChanged: answer(['OrderSubmitted', 'OrderConfirmSubmitted', 'OrderCancelSubmitted'], unlessUnchanged),
  OrderChangeRefused: refusal('OrderConfirmSubmitted', 'OrderCancelSubmitted'),

  GrantSubmitted: asked('EntitlementService/GrantEntitlements', by, (e) => e.terms?.entitlementId ?? ''),
  WithdrawSubmitted: asked('EntitlementService/WithdrawEntitlements', by, (e) => e.entitlementId),
  UsageSubmitted: asked('EntitlementService/ReportUsage', by, (e) => e.entitlementId),
  EntitlementGranted: answer(['GrantSubmitted'], unlessUnchanged),
  GrantRefused: refusal('GrantSubmitted'),
  EntitlementChanged: answer(['WithdrawSubmitted', 'UsageSubmitted'], unlessUnchanged),
  EntitlementChangeRefused: refusal('WithdrawSubmitted', 'UsageSubmitted'),
  EntitlementChangeHeld: answer(['WithdrawSubmitted', 'GrantSubmitted'], 'held', {
    code: ({ reason }) => (reason === 'freeze' ? 'freeze.holds' : 'hold.pending'),
    told: ({ reason }) =>
      reason === 'freeze'
        ? 'A freeze holds: it goes on by itself afterwards.'
        : reason === 'behind'
          ? 'An earlier change of this entitlement waits for approval, and this waits behind it.'
          : 'It would take much away: it waits for approval.',
  }),
  EntitlementHoldDecisionSubmitted: asked('OperatorService/DecideHold', by, (e) => e.holdId),
  EntitlementHoldDecided: answer(['EntitlementHoldDecisionSubmitted'], 'done'),
  EntitlementsReleased: followed((e) => byRule(e.rule)),
  EntitlementHoldRefused: refusal('EntitlementHoldDecisionSubmitted'),

  ProvisionSubmitted: asked(
    (e) => (e.revoke ? 'AccessService/RevokeAccess' : 'AccessService/ProvisionAccess'),
    by,
    (e) => e.entitlementId,
  ),
  LaunchSubmitted: asked('AccessService/CreateLaunch', by, (e) => e.launchId),
  RedeemSubmitted: asked('AccessService/RedeemLaunch', by, (e) => e.launchId),
  AccessProvisioned: answer(['ProvisionSubmitted'], 'done'),
  AccessRevoked: answer(['ProvisionSubmitted'], 'done'),
  LaunchCreated: answer(['LaunchSubmitted'], 'done'),
  LaunchRedeemed: answer(['RedeemSubmitted'], 'done'),
  AccessRefused: refusal('ProvisionSubmitted', 'LaunchSubmitted', 'RedeemSubmitted'),

  ResultSubmitted: asked(
    'ResultService/ReturnResults',
    (e) => e.result?.byOin ?? '',
    (e) => e.result?.resultId ?? '',
    (e) => e.losses,
  ),
  ResultRecorded: answer(['ResultSubmitted'], unlessUnchanged),
  ResultRefused: refusal('ResultSubmitted'),

  PartySubmitted: asked(
    'OperatorService/AddParty',
    () => 'operator',
    (e) => e.party?.oin ?? '',
  ),
  MandateSubmitted: asked(
    (e) => byOperator(e, 'PartyService/GrantMandate', 'OperatorService/GrantMandate'),
    by,
    (e) => e.mandate?.mandateId ?? '',
  ),
  MandateChangeSubmitted: asked(
    (e) => byOperator(e, asksOf[e.change] ?? 'PartyService/WithdrawMandate', 'OperatorService/ChangeMandate'),
    by,
    (e) => e.mandateId,
  ),
  PartyStandingSubmitted: asked(
    (e) => standingAsks[e.change] ?? 'OperatorService/ResumeParty',
    () => 'operator',
    (e) => e.oin,
  ),
  MandateReviewSubmitted: asked(
    (e) =>
      e.change === 'open'
        ? 'OperatorService/OpenReviews'
        : byOperator(e, 'PartyService/AnswerReview', 'OperatorService/AnswerReview'),
    by,
    (e) => e.mandateId,
  ),
  FreezeSubmitted: asked(
    (e) => (e.change === 'end' ? 'OperatorService/EndFreeze' : 'OperatorService/SetFreeze'),
    by,
    (e) => e.freeze?.freezeId ?? '',
  ),
  PartyRegistered: answer(['PartySubmitted'], 'done'),
  PartyStandingChanged: answer(['PartyStandingSubmitted'], 'done'),
  MandateReviewed: answer(['MandateReviewSubmitted'], 'done'),
  FreezeChanged: answer(['FreezeSubmitted'], 'done'),
  HoldRuleSubmitted: asked(
    (e) => ruleAsks[e.change] ?? 'OperatorService/SetHoldRule',
    by,
    (e) => e.rule?.ruleId ?? '',
  ),
  HoldRuleChanged: answer(['HoldRuleSubmitted'], 'done'),
  ReplaySubmitted: asked(
    (e) =>
      e.byOin === ''
        ? (replayAsks[e.action] ?? 'OperatorService/PreviewReplay')
        : (ownReplayAsks[e.action] ?? 'DeliveryService/PreviewReplay'),
    (e) => e.byOin || 'operator',
    (e) => e.jobId,
  ),
  ReplayChanged: answer(['ReplaySubmitted'], 'done'),
  ReplayRefused: refusal('ReplaySubmitted'),
  DeliveryCommandSubmitted: asked(
    (e) => deliveryAsks[e.action] ?? 'DeliveryService/Retry',
    (e) => e.partyOin,
    (e) => e.selection?.about ?? '',
  ),
  DeliveryCommandDone: answer(['DeliveryCommandSubmitted'], 'done', {
    told: ({ keys, messages, more }) =>
      `${counted(messages, 'message', 'messages')} in ${counted(keys, 'order of delivery', 'orders of delivery')}${more ? '; there may be more: ask again under a new reference' : ''}.`,
  }),
  // A review that narrows or ends a mandate changes it too.
  MandateChanged: answer(['MandateSubmitted', 'MandateChangeSubmitted', 'MandateReviewSubmitted'], 'done'),
  PartyChangeRefused: refusal(
    'PartySubmitted',
    'PartyStandingSubmitted',
    'MandateSubmitted',
    'MandateChangeSubmitted',
    'MandateReviewSubmitted',
    'FreezeSubmitted',
    'HoldRuleSubmitted',
  ),
};

/**
 * Events that touch no flow. A roster of a school has thousands of them, and its outcome says how many; what was done is told
 * of to the audit log only, whose stream is not read here.
 */
export const passedOver: readonly EventName[] = [
  'LearnerJoined',
  'LearnerMoved',
  'LearnerChanged',
  'LearnerLeft',
  'GroupChanged',
  'StaffChanged',
  'LearnerLineOrdered',
  'AuditSubmitted',
];
