/** Conformance of others with UWLR: one list of cases for who serves it and one for who calls it, and the engines that run them. */
export type { LasAccess, Sent } from './asks.ts';
export { type Case, type Part, parts, rules, type Severity } from './case.ts';
export { type EaCase, eaCases } from './ea.ts';
export { type EaAnswer, type EaGiven, type EaRequest, EaRun, MOST_BYTES } from './ea-run.ts';
export { type LasCase, lasCases } from './las.ts';
export { CouldNotRun, type Got, runLas, type Transport } from './las-run.ts';
export { conformancePage } from './page.ts';
export {
  type CaseResult,
  type Counts,
  countsOf,
  findingLines,
  htmlReport,
  markdownReport,
  type Report,
  summaryOf,
} from './report.ts';
export { BRIN } from './school.ts';
