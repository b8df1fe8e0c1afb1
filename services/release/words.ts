/** What a preview says, in Dutch and English: one table, so that a console says the same as the command line. */
import { type Fault, faults } from '#kernel';
import { type Agreed, type Reason, sitesOf } from './attributes.ts';
import { tellPurposes } from './purposes.ts';

export type Lang = 'nl' | 'en';
export const langs: readonly Lang[] = ['nl', 'en'];

const reasons: Record<Exclude<Reason, Fault>, Record<Lang, string>> = {
  own: { en: 'The school itself sees it.', nl: 'De school zelf ziet het.' },
  mandate: { en: 'The mandate names it.', nl: 'Het mandaat noemt het.' },
  default: {
    en: 'The mandate has no list, and the service has it by default.',
    nl: 'Het mandaat heeft geen lijst, en bij deze dienst hoort het standaard.',
  },
  not_declared: {
    en: 'The party does not declare that it needs it.',
    nl: 'De partij geeft niet op dat zij het nodig heeft.',
  },
  role: { en: 'No role of the party may have it.', nl: 'Geen rol van de partij mag het hebben.' },
  not_in_mandate: { en: 'The mandate does not name it.', nl: 'Het mandaat noemt het niet.' },
};

const isOurs = (reason: Reason): reason is Exclude<Reason, Fault> => Object.hasOwn(reasons, reason);

/** Reasons as sentences. */
export const tellReasons = (given: readonly Reason[], lang: Lang): string =>
  given.map((reason) => (isOurs(reason) ? reasons[reason][lang] : faults[reason][lang])).join(' ');

const ids: Record<string, Record<Lang, string>> = {
  order_id: { en: 'ids of orders', nl: 'nummers van bestellingen' },
  entitlement_id: { en: 'ids of entitlements', nl: 'nummers van licenties' },
  result_id: { en: 'ids of results', nl: 'nummers van resultaten' },
  earlier: { en: 'what it may have had before', nl: 'wat zij eerder kan hebben gehad' },
};

/** By what pseudonyms can be linked, as a sentence; empty where there are none. */
export function tellLinks(links: readonly string[], pairwise: boolean, lang: Lang): string {
  if (!pairwise) return '';
  const own = lang === 'nl' ? 'De partij krijgt eigen pseudoniemen' : 'The party gets pseudonyms of its own';
  if (links.length === 0) return `${own}.`;
  const by = links.map((link) => ids[link]?.[lang] ?? link).join(', ');
  return lang === 'nl' ? `${own}, te koppelen via ${by}.` : `${own}, linkable by ${by}.`;
}

/** Whether a service is released at all, and by which right. */
export function tellRight(
  agreement: { mandates: readonly Agreed[]; fault?: Fault | undefined; own?: boolean },
  lang: Lang,
): string {
  if (agreement.own)
    return lang === 'nl'
      ? 'Deze partij is de school zelf, of handelt voor haar: zij ziet wat de school ziet.'
      : 'This party is the school itself, or acts for it: it sees what the school sees.';
  const ids = agreement.mandates.map(({ mandateId }) => mandateId).join(', ');
  if (agreement.fault === undefined)
    return [
      lang === 'nl' ? `Volgens mandaat ${ids}.` : `By mandate ${ids}.`,
      ...tellTerms(agreement.mandates, lang),
    ].join(' ');
  return `${lang === 'nl' ? 'Niets.' : 'Nothing.'} ${faults[agreement.fault][lang]}${ids && ` (${ids})`}`;
}

/** Under which agreement, for what, and of which sites: a sentence each, where mandates say it. */
function tellTerms(mandates: readonly Agreed[], lang: Lang): string[] {
  const papers = [
    ...new Set(
      mandates.flatMap(({ agreement = '', agreementVersion = '' }) => {
        if (agreement === '') return [];
        if (agreementVersion === '') return [agreement];
        return [`${agreement}, ${lang === 'nl' ? 'versie' : 'version'} ${agreementVersion}`];
      }),
    ),
  ].join('; ');
  const purposes = tellPurposes(
    mandates.flatMap((mandate) => mandate.purposes ?? []),
    lang,
  );
  const sites = [...(sitesOf(mandates) ?? [])].sort().join(', ');
  return [
    ...(papers ? [lang === 'nl' ? `Verwerkersovereenkomst: ${papers}.` : `Processing agreement: ${papers}.`] : []),
    ...(purposes ? [lang === 'nl' ? `Doel: ${purposes}.` : `Purpose: ${purposes}.`] : []),
    ...(sites ? [lang === 'nl' ? `Alleen leerlingen van vestiging ${sites}.` : `Only learners of site ${sites}.`] : []),
  ];
}
