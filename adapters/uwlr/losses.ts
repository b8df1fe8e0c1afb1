/** What UWLR and the core have no place for in each other, of the rows in mapping.ts: docs/losses.md prints them. */
import type { LossCount, LossReason, LossTable } from '#adapters/contract';
import type { Loss } from './mapping.ts';
import { resultLosses } from './results.ts';
import { type AnswerForm, type Field, fields, has } from './versions.ts';

/** Those of a results message that are left out for the sake of people; the others have no place. */
const minimised: ReadonlySet<string> = new Set(['infourl', 'resultaatverwerkerid', 'commentaar']);
const reasonOf = (field: string): LossReason => (minimised.has(field) ? 'minimised' : 'no_place');

/** Counts of a message, as they go with it. */
export const lossCounts = (losses: readonly Loss[]): LossCount[] =>
  losses.map(({ field, count }) => ({ element: field, reason: reasonOf(field), count }));

/** Answers that have a place for less than is held. */
const forms: readonly (readonly [AnswerForm, string])[] = [
  [{ version: '2.2', fields: 'smalle' }, 'Smalle set'],
  [{ version: '2.2', fields: 'lvs' }, 'LVS-set'],
  [{ version: '2.3', fields: 'smalle' }, 'Smalle set'],
  [{ version: '2.3', fields: 'lvs' }, 'LVS-set'],
];

export const lossTables: readonly LossTable[] = [
  {
    from: 'UWLR 2.2 leerresultaten',
    to: 'core',
    rows: Object.entries(resultLosses).map(([element, why]) => ({ element, reason: reasonOf(element), why })),
  },
  ...forms.map(([form, name]) => ({
    from: 'core',
    to: `UWLR ${form.version} leerlinggegevens (${name})`,
    rows: (Object.keys(fields) as Field[])
      .filter((field) => !has(form, field))
      .map((field) => ({
        element: field,
        reason: 'minimised' as const,
        why: 'This set has no place for it, so that no more is given than the exchange is for.',
      })),
  })),
];
