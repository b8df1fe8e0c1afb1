/** What UWLR and the core have no place for in each other, of the rows in mapping.ts: docs/losses.md prints them. */
import type { LossCount, LossReason, LossTable } from '#adapters/contract';
import { answerLosses } from './client-answer.ts';
import { type Loss, rosterLosses } from './mapping.ts';
import { resultLosses, resultsDropped, resultsUnsaid } from './results.ts';
import { type AnswerForm, type Field, fields, has } from './versions.ts';

/** Those of a results message that are left out for the sake of people; the others have no place. */
const minimised: ReadonlySet<string> = new Set(['infourl', 'resultaatverwerkerid', 'commentaar']);
/** Of what an administration answers: the rest of it is never taken in, for the sake of people. */
const answered: Partial<Record<string, LossReason>> = {
  ...Object.fromEntries(Object.keys(answerLosses).map((field) => [field, 'minimised'])),
  start_ondw_jgr3: 'no_place',
  jaargroep: 'unfit',
  rol: 'unfit',
  geslacht: 'unfit',
};
const reasonOf = (field: string): LossReason => answered[field] ?? (minimised.has(field) ? 'minimised' : 'no_place');

/** Counts of a message, as they go with it. */
export const lossCounts = (losses: readonly Loss[]): LossCount[] =>
  losses.map(({ field, count }) => ({ element: field, reason: reasonOf(field), count }));

/** Counts of what is not told of a result on its way out, as they go into its flow. */
export const sentLossCounts = (losses: readonly Pick<Loss, 'field' | 'count'>[]): LossCount[] =>
  losses.map(({ field, count }) => ({ element: field, reason: 'no_place', count }));

/** Answers that have a place for less than is held. */
const forms: readonly (readonly [AnswerForm, string])[] = [
  [{ version: '2.2', fields: 'smalle' }, 'Smalle set'],
  [{ version: '2.2', fields: 'lvs' }, 'LVS-set'],
  [{ version: '2.3', fields: 'smalle' }, 'Smalle set'],
  [{ version: '2.3', fields: 'lvs' }, 'LVS-set'],
];

export const lossTables: readonly LossTable[] = [
  {
    from: 'UWLR 2.2, 2.3 leerlinggegevens',
    to: 'core',
    rows: Object.entries(answerLosses).map(([element, why]) => ({ element, reason: reasonOf(element), why })),
  },
  {
    from: 'UWLR 2.2 leerresultaten',
    to: 'core',
    rows: Object.entries(resultLosses).map(([element, why]) => ({ element, reason: reasonOf(element), why })),
  },
  {
    from: 'core',
    to: 'UWLR 2.2 and 2.3 leerresultaten (the result is not told)',
    rows: Object.entries(resultsUnsaid).map(([element, why]) => ({ element, reason: 'no_place' as const, why })),
  },
  {
    from: 'core',
    to: 'UWLR 2.2 and 2.3 leerresultaten',
    rows: Object.entries(resultsDropped).map(([element, why]) => ({ element, reason: 'no_place' as const, why })),
  },
  {
    from: 'core',
    to: 'UWLR 2.2 and 2.3 leerlinggegevens (every set)',
    rows: (Object.keys(rosterLosses) as LossReason[] as (keyof typeof rosterLosses)[]).flatMap((reason) =>
      Object.entries(rosterLosses[reason]).map(([element, why]) => ({ element, reason, why })),
    ),
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
