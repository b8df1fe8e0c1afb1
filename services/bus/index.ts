export { allOf, together } from './all.ts';
export { type AsideRow, asideTable, SetAside } from './aside.ts';
export { type Beside, openBeside } from './beside.ts';
export { callBegan } from './calls.ts';
export type { CopiedTable, CopyPlace, Tally } from './copy/place.ts';
export type { PostgresWay } from './copy/postgres.ts';
export type { SqliteUse, SqliteWay } from './copy/sqlite.ts';
export {
  refusal as standingRefusal,
  refuseFolder,
  type Standing,
  setStandingOfDatabase,
  setStandingOfFolder,
  standingOfDatabase,
  standingOfFolder,
} from './copy/standing.ts';
export * from './distributed.ts';
export * from './engine.ts';
export { ForgottenLearners, type ForgottenRow, forgottenTable } from './forgotten.ts';
export { type FreezeRow, Freezes, freezesTable } from './freezes.ts';
export {
  type HoldRuleRow,
  HoldRules,
  holdRulesTable,
  type RuledWord,
  type RuleSpentRow,
  ruleSpentTable,
  rulingOf,
} from './hold-rules.ts';
export type { Remembered, Wants } from './ledger.ts';
export * from './memory.ts';
export { MergedLearners, type MergedRow, mergedTable } from './merged.ts';
export * from './port.ts';
export { LOG_WINDOW_MS, leavesOn, type Term, terms, unclassed } from './retention.ts';
export * from './stepped.ts';
export * from './stepped-elsewhere.ts';
export type { Store } from './store.ts';
export type { Finding, Loss, Survival } from './survival.ts';
