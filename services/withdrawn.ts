/**
 * What a restore must not lose, whatever the backup: what a school took back, an old key included, who was stopped, and whom it
 * wants forgotten, or kept after all.
 */
import { decoded, type LogRecord, type Wants } from '#bus';
import { isForgetHold } from '#kernel';

/** Changes of a mandate that take something back: with `key` the old one stops working. */
const ENDS = ['stop', 'run_off', 'key'];

export const takesBack: Wants = (record) =>
  record.type === 'LearnerForgetSubmitted' ||
  record.type === 'LearnerKeepSubmitted' ||
  (record.type === 'HoldDecisionSubmitted' &&
    isForgetHold(decoded(record as LogRecord, 'HoldDecisionSubmitted').holdId)) ||
  record.type === 'PartyStandingSubmitted' ||
  (record.type === 'MandateChangeSubmitted' &&
    ENDS.includes(decoded(record as LogRecord, 'MandateChangeSubmitted').change));
