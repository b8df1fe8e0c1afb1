// Written by proto/generate.ts. Do not edit.

import * as access from './eduk/events/v1/access.ts';
import * as audit from './eduk/events/v1/audit.ts';
import * as catalogue from './eduk/events/v1/catalogue.ts';
import * as entitlements from './eduk/events/v1/entitlements.ts';
import * as orders from './eduk/events/v1/orders.ts';
import * as parties from './eduk/events/v1/parties.ts';
import * as results from './eduk/events/v1/results.ts';
import * as rosters from './eduk/events/v1/rosters.ts';

/** Codec and stream of each event, by its name on the log. */
export const events = {
  AccessProvisioned: { stream: 'access', codec: access.AccessProvisioned },
  AccessRefused: { stream: 'access', codec: access.AccessRefused },
  AccessRevoked: { stream: 'access', codec: access.AccessRevoked },
  AuditSubmitted: { stream: 'audit', codec: audit.AuditSubmitted },
  EntitlementChangeRefused: { stream: 'entitlements', codec: entitlements.EntitlementChangeRefused },
  EntitlementChanged: { stream: 'entitlements', codec: entitlements.EntitlementChanged },
  EntitlementGranted: { stream: 'entitlements', codec: entitlements.EntitlementGranted },
  GrantRefused: { stream: 'entitlements', codec: entitlements.GrantRefused },
  GrantSubmitted: { stream: 'entitlements', codec: entitlements.GrantSubmitted },
  GroupChanged: { stream: 'rosters', codec: rosters.GroupChanged },
  HoldDecided: { stream: 'rosters', codec: rosters.HoldDecided },
  HoldDecisionSubmitted: { stream: 'rosters', codec: rosters.HoldDecisionSubmitted },
  LaunchCreated: { stream: 'access', codec: access.LaunchCreated },
  LaunchRedeemed: { stream: 'access', codec: access.LaunchRedeemed },
  LaunchSubmitted: { stream: 'access', codec: access.LaunchSubmitted },
  LearnerChanged: { stream: 'rosters', codec: rosters.LearnerChanged },
  LearnerForgetHeld: { stream: 'rosters', codec: rosters.LearnerForgetHeld },
  LearnerForgetSubmitted: { stream: 'rosters', codec: rosters.LearnerForgetSubmitted },
  LearnerForgotten: { stream: 'rosters', codec: rosters.LearnerForgotten },
  LearnerJoined: { stream: 'rosters', codec: rosters.LearnerJoined },
  LearnerKeepRefused: { stream: 'rosters', codec: rosters.LearnerKeepRefused },
  LearnerKeepSubmitted: { stream: 'rosters', codec: rosters.LearnerKeepSubmitted },
  LearnerKept: { stream: 'rosters', codec: rosters.LearnerKept },
  LearnerLeft: { stream: 'rosters', codec: rosters.LearnerLeft },
  LearnerLineOrdered: { stream: 'orders', codec: orders.LearnerLineOrdered },
  LearnerMoved: { stream: 'rosters', codec: rosters.LearnerMoved },
  LearnersSubmitted: { stream: 'rosters', codec: rosters.LearnersSubmitted },
  MandateChangeSubmitted: { stream: 'parties', codec: parties.MandateChangeSubmitted },
  MandateChanged: { stream: 'parties', codec: parties.MandateChanged },
  MandateReviewSubmitted: { stream: 'parties', codec: parties.MandateReviewSubmitted },
  MandateReviewed: { stream: 'parties', codec: parties.MandateReviewed },
  MandateSubmitted: { stream: 'parties', codec: parties.MandateSubmitted },
  OrderCancelSubmitted: { stream: 'orders', codec: orders.OrderCancelSubmitted },
  OrderChangeRefused: { stream: 'orders', codec: orders.OrderChangeRefused },
  OrderConfirmSubmitted: { stream: 'orders', codec: orders.OrderConfirmSubmitted },
  OrderLinesChanged: { stream: 'orders', codec: orders.OrderLinesChanged },
  OrderPlaced: { stream: 'orders', codec: orders.OrderPlaced },
  OrderRefused: { stream: 'orders', codec: orders.OrderRefused },
  OrderSubmitted: { stream: 'orders', codec: orders.OrderSubmitted },
  PartyChangeRefused: { stream: 'parties', codec: parties.PartyChangeRefused },
  PartyRegistered: { stream: 'parties', codec: parties.PartyRegistered },
  PartyStandingChanged: { stream: 'parties', codec: parties.PartyStandingChanged },
  PartyStandingSubmitted: { stream: 'parties', codec: parties.PartyStandingSubmitted },
  PartySubmitted: { stream: 'parties', codec: parties.PartySubmitted },
  ProductPublished: { stream: 'catalogue', codec: catalogue.ProductPublished },
  ProductRefused: { stream: 'catalogue', codec: catalogue.ProductRefused },
  ProductSubmitted: { stream: 'catalogue', codec: catalogue.ProductSubmitted },
  ProvisionSubmitted: { stream: 'access', codec: access.ProvisionSubmitted },
  RedeemSubmitted: { stream: 'access', codec: access.RedeemSubmitted },
  ResultRecorded: { stream: 'results', codec: results.ResultRecorded },
  ResultRefused: { stream: 'results', codec: results.ResultRefused },
  ResultSubmitted: { stream: 'results', codec: results.ResultSubmitted },
  RosterApplied: { stream: 'rosters', codec: rosters.RosterApplied },
  RosterHeld: { stream: 'rosters', codec: rosters.RosterHeld },
  RosterPartTaken: { stream: 'rosters', codec: rosters.RosterPartTaken },
  RosterRefused: { stream: 'rosters', codec: rosters.RosterRefused },
  RosterSubmitted: { stream: 'rosters', codec: rosters.RosterSubmitted },
  SchoolYearTurnPlanned: { stream: 'rosters', codec: rosters.SchoolYearTurnPlanned },
  SchoolYearTurnRefused: { stream: 'rosters', codec: rosters.SchoolYearTurnRefused },
  SchoolYearTurnSubmitted: { stream: 'rosters', codec: rosters.SchoolYearTurnSubmitted },
  SchoolYearTurned: { stream: 'rosters', codec: rosters.SchoolYearTurned },
  StaffChanged: { stream: 'rosters', codec: rosters.StaffChanged },
  UsageSubmitted: { stream: 'entitlements', codec: entitlements.UsageSubmitted },
  WithdrawSubmitted: { stream: 'entitlements', codec: entitlements.WithdrawSubmitted },
} as const;

export type EventName = keyof typeof events;
export type EventOf<N extends EventName> = ReturnType<(typeof events)[N]["codec"]["decode"]>;
