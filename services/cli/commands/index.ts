import type { Command } from '../command.ts';
import { mapKeys } from './administration.ts';
import { auditAccess, auditHead, auditVerify } from './audit.ts';
import { breach } from './breach.ts';
import { certsDev } from './certs.ts';
import { openConsole } from './console.ts';
import { partyKeys, partySignIn, renewSecret } from './credentials.ts';
import { dropDead, listDead, retryDead } from './dead.ts';
import { doctor } from './doctor.ts';
import { showFlow, whyBlocked } from './flow.ts';
import { approveHold, listHolds, rejectHold } from './hold.ts';
import { exportRoster, importCatalogue, importRoster, pullRoster, watchRoster } from './import.ts';
import { backup, move, restore } from './keep.ts';
import { holdKey, listKeys, makeKey, rotateKeys } from './key.ts';
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
import { fetchReceipt, verifyReceipt } from './receipt.ts';
import { previewRelease } from './release.ts';
import { approveReveal, askReveal, fetchReveal, listReveals, refuseReveal } from './reveal.ts';
import { answerReview, reviewMandates } from './review.ts';
import { exportSchool, forgetSchool, keepSchool, listForgets, schoolDone } from './school.ts';
import { start } from './start.ts';
import { resumeParty, stopParty } from './stop.ts';
import { switchParty } from './switch.ts';
import { turnYear } from './turn.ts';

/** Every command, in the order of help. */
export const commands: readonly Command[] = [
  start,
  openConsole,
  doctor,
  certsDev,
  addParty,
  removeEndpoint,
  listParties,
  showParty,
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
  watchRoster,
  exportRoster,
  importCatalogue,
  showFlow,
  whyBlocked,
  listHolds,
  approveHold,
  rejectHold,
  listDead,
  retryDead,
  dropDead,
  forgetLearners,
  keepLearners,
  replaceNumbers,
  askReveal,
  listReveals,
  approveReveal,
  refuseReveal,
  fetchReveal,
  mapKeys,
  auditHead,
  auditVerify,
  auditAccess,
  exportSchool,
  forgetSchool,
  keepSchool,
  listForgets,
  schoolDone,
  papers,
  breach,
  fetchReceipt,
  verifyReceipt,
  listKeys,
  rotateKeys,
  holdKey,
  makeKey,
  move,
  backup,
  restore,
];

/** Names that the design gives to later versions: who types one is told so, instead of being sent to another command. */
export const later: readonly string[] = [
  'replay',
  'school merge',
  'school split',
  'school transfer',
  'eckid hash',
  'eckid',
  'conform',
];
