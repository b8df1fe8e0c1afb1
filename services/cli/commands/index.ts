import type { Command } from '../command.ts';
import { mapKeys, mergeLearners } from './administration.ts';
import { listAlerts, testAlerts } from './alert.ts';
import { auditAccess, auditHead, auditSearch, auditVerify } from './audit.ts';
import { breach } from './breach.ts';
import { certsDev } from './certs.ts';
import { completionFor } from './completion.ts';
import { conformUwlr } from './conform.ts';
import { endLink, linkToPage, listLinks, openConsole } from './console.ts';
import { partyKeys, partySignIn, renewSecret } from './credentials.ts';
import { dropDead, listDead, retryDead, stopDead } from './dead.ts';
import { doctor } from './doctor.ts';
import { listFlows, showFlow, whyBlocked } from './flow.ts';
import { endFreeze, listFreezes, setFreeze } from './freeze.ts';
import { approveHold, listHolds, rejectHold } from './hold.ts';
import { addHoldRule, approveHoldRule, endHoldRule, listHoldRules } from './hold-rule.ts';
import { exportRoster, importCatalogue, importRoster, listPulls, pullRoster, watchRoster } from './import.ts';
import { backup, move, restore } from './keep.ts';
import { holdKey, listKeys, makeKey, rotateKeys } from './key.ts';
import { launches } from './launches.ts';
import { forgetLearners, keepLearners, replaceNumbers } from './learner.ts';
import {
  acceptMandate,
  confirmMandate,
  grantMandate,
  listMandates,
  mandateKey,
  refuseMandate,
  withdrawMandate,
} from './mandate.ts';
import { syncOsr } from './osr.ts';
import { papers } from './papers.ts';
import { addParty, listParties, removeEndpoint, showParty } from './party.ts';
import { preflight } from './preflight.ts';
import { readiness } from './readiness.ts';
import { rebuildFlows } from './rebuild.ts';
import { fetchReceipt, verifyReceipt } from './receipt.ts';
import { mendReconcile, runReconcile, showReconcile } from './reconcile.ts';
import { previewRelease } from './release.ts';
import { listReplays, previewReplay, runReplay, stopReplay } from './replay.ts';
import { approveReveal, askReveal, fetchReveal, listReveals, refuseReveal } from './reveal.ts';
import { answerReview, reviewMandates } from './review.ts';
import { exportSchool, forgetSchool, keepSchool, listForgets, schoolDone, schoolIdentity } from './school.ts';
import { listChanges, mergeSchool, splitSchool, transferSchool, undoChange } from './schools.ts';
import { partyScore } from './score.ts';
import { start } from './start.ts';
import { resumeParty, stopParty } from './stop.ts';
import { switchParty } from './switch.ts';
import { turnYear } from './turn.ts';

/** Every command, in the order of help. */
export const commands: readonly Command[] = [
  start,
  openConsole,
  linkToPage,
  listLinks,
  endLink,
  doctor,
  certsDev,
  addParty,
  removeEndpoint,
  listParties,
  showParty,
  partyScore,
  renewSecret,
  partyKeys,
  partySignIn,
  stopParty,
  resumeParty,
  grantMandate,
  confirmMandate,
  acceptMandate,
  refuseMandate,
  withdrawMandate,
  listMandates,
  mandateKey,
  syncOsr,
  switchParty,
  reviewMandates,
  answerReview,
  previewRelease,
  importRoster,
  turnYear,
  pullRoster,
  listPulls,
  watchRoster,
  exportRoster,
  importCatalogue,
  listFlows,
  showFlow,
  whyBlocked,
  rebuildFlows,
  readiness,
  preflight,
  launches,
  listHolds,
  approveHold,
  rejectHold,
  addHoldRule,
  listHoldRules,
  approveHoldRule,
  endHoldRule,
  setFreeze,
  listFreezes,
  endFreeze,
  listAlerts,
  testAlerts,
  listDead,
  retryDead,
  stopDead,
  dropDead,
  previewReplay,
  runReplay,
  stopReplay,
  listReplays,
  runReconcile,
  showReconcile,
  mendReconcile,
  forgetLearners,
  keepLearners,
  replaceNumbers,
  askReveal,
  listReveals,
  approveReveal,
  refuseReveal,
  fetchReveal,
  mapKeys,
  mergeLearners,
  auditHead,
  auditVerify,
  auditSearch,
  auditAccess,
  exportSchool,
  forgetSchool,
  keepSchool,
  listForgets,
  schoolDone,
  transferSchool,
  mergeSchool,
  splitSchool,
  listChanges,
  undoChange,
  schoolIdentity,
  papers,
  breach,
  conformUwlr,
  fetchReceipt,
  verifyReceipt,
  listKeys,
  rotateKeys,
  holdKey,
  makeKey,
  move,
  backup,
  restore,
  completionFor(() => commands),
];

/** Names that the design gives to later versions: who types one is told so, instead of being sent to another command. */
export const later: readonly string[] = ['eckid hash', 'eckid'];
