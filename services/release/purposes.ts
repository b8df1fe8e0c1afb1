/**
 * For what a school lets a party process data of persons: the list of a mandate's purposes, in Dutch and English, as the
 * preview, lists and papers say it. Ours, drawn from what processing agreements of schools name.
 */
import { ProcessingPurpose } from '#proto/eduk/core/v1/party';

/** By number; `name` is the word of the command line, of the audit and of JSON. */
export const purposeWords: Readonly<Record<number, { name: string; en: string; nl: string }>> = {
  [ProcessingPurpose.PROCESSING_PURPOSE_TEACHING]: {
    name: 'teaching',
    en: 'giving and following education',
    nl: 'onderwijs geven en volgen',
  },
  [ProcessingPurpose.PROCESSING_PURPOSE_GUIDANCE]: {
    name: 'guidance',
    en: 'guiding and supporting learners',
    nl: 'leerlingen begeleiden en ondersteunen',
  },
  [ProcessingPurpose.PROCESSING_PURPOSE_SUPPLY]: {
    name: 'supply',
    en: 'ordering and delivering learning material',
    nl: 'leermiddelen bestellen en leveren',
  },
  [ProcessingPurpose.PROCESSING_PURPOSE_ACCESS]: {
    name: 'access',
    en: 'giving access to learning material',
    nl: 'toegang geven tot leermiddelen',
  },
  [ProcessingPurpose.PROCESSING_PURPOSE_RESULTS]: {
    name: 'results',
    en: 'getting results of learning and tests back',
    nl: 'leer- en toetsresultaten terugkrijgen',
  },
  [ProcessingPurpose.PROCESSING_PURPOSE_ADMINISTRATION]: {
    name: 'administration',
    en: "keeping the school's administration",
    nl: 'de schooladministratie voeren',
  },
  [ProcessingPurpose.PROCESSING_PURPOSE_LEGAL_DUTY]: {
    name: 'legal_duty',
    en: 'fulfilling a legal duty of the school',
    nl: 'een wettelijke plicht van de school vervullen',
  },
};

/** What the purposes of mandates say together, in one language, in the order of the list. */
export const tellPurposes = (purposes: readonly ProcessingPurpose[], lang: 'nl' | 'en'): string =>
  [...new Set(purposes)]
    .sort((a, b) => a - b)
    .flatMap((purpose) => purposeWords[purpose]?.[lang] ?? [])
    .join(', ');
