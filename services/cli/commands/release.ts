import type { PreviewedService, PreviewReleaseResponse } from '#proto/eduk/operator/v1/operator';
import { oin, schoolFlag } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { list, paragraph, table } from '../print.ts';
import { services } from '../words.ts';
import { named } from './mandate.ts';

const langs = ['nl', 'en'] as const;
type Lang = (typeof langs)[number];

/** What stands around the words that the gateway gives. */
const frame: Record<Lang, Frame> = {
  nl: {
    party: 'partij',
    school: 'school',
    head: ['gegeven', 'krijgt', 'waarom'],
    yes: 'ja',
    pseudonym: 'als pseudoniem',
    no: 'nee',
  },
  en: {
    party: 'party',
    school: 'school',
    head: ['attribute', 'given', 'why'],
    yes: 'yes',
    pseudonym: 'as pseudonym',
    no: 'no',
  },
};
interface Frame {
  party: string;
  school: string;
  head: readonly [string, string, string];
  yes: string;
  pseudonym: string;
  no: string;
}
const nothing: Record<Lang, string> = {
  nl: 'Niets: deze school gaf deze partij geen mandaat.',
  en: 'Nothing: this school gave this party no mandate.',
};

const serviceJson = (preview: PreviewedService) => ({
  service: services.word(preview.service),
  code: preview.code || null,
  told: preview.told,
  mandateIds: preview.mandateIds,
  pairwise: preview.pairwise,
  linkableBy: preview.linkableBy,
  linkableTold: preview.linkableTold || null,
  attributes: preview.attributes.map(({ name, about, given, pairwise, reasons, told }) => ({
    name,
    about,
    given,
    pairwise,
    reasons,
    told,
  })),
});

function previewText(answer: PreviewReleaseResponse, partyOin: string, schoolOin: string, lang: Lang): string {
  const words = frame[lang];
  const facts = list([
    [words.party, named(partyOin, answer.names).replace('\n', ', ')],
    [words.school, named(schoolOin, answer.names).replace('\n', ', ')],
  ]);
  const parts = answer.services.map(({ service, told, linkableTold, attributes }) => {
    const rows = attributes.map(({ name, about, given, pairwise, told }) => [
      `${name}\n${about}`,
      given ? (pairwise ? words.pseudonym : words.yes) : words.no,
      told,
    ]);
    const head = paragraph(`${services.word(service)}: ${[told, linkableTold].filter(Boolean).join(' ')}`);
    return `${head}\n\n${table(words.head, rows)}`;
  });
  return [facts, ...(parts.length > 0 ? parts : [nothing[lang]])].join('\n\n');
}

export const previewRelease: Command = {
  name: 'release preview',
  about: 'Say what a party would receive of a school’s learners now, attribute by attribute, and why.',
  flags: {
    party: { about: 'Who would receive it.', value: 'OIN', required: true, check: oin },
    school: { ...schoolFlag('Of which school.'), required: true },
    service: {
      about: 'For one service; without it each that a mandate of the two names.',
      value: 'SERVICE',
      choices: services.all,
    },
    lang: { about: 'Language of the words: en or nl.', value: 'LANG', choices: langs },
  },
  notes: [
    'It is made by the function that releases, from mandates and parties as they are now; no learner is looked up.',
  ],
  async run(call): Promise<Result> {
    const lang = (call.one('lang') ?? 'en') as Lang;
    const [partyOin, schoolOin] = [call.one('party')!, call.one('school')!];
    const service = call.one('service');
    const answer = await call.gateway().ask('previewRelease', {
      partyOin,
      schoolOin,
      lang,
      ...(service === undefined ? {} : { service: services.value(service) }),
    });
    const nameOf = (oin: string) => answer.names.find((one) => one.oin === oin)?.name ?? null;
    return {
      json: {
        partyOin,
        partyName: nameOf(partyOin),
        schoolOin,
        schoolName: nameOf(schoolOin),
        services: answer.services.map(serviceJson),
      },
      text: previewText(answer, partyOin, schoolOin, lang),
    };
  },
};
