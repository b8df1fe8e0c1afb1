/** The yearly question to schools: which mandates that nobody uses stay. */
import type { MandateReview } from '#proto/eduk/core/v1/party';
import type { PartyName } from '#proto/eduk/operator/v1/operator';
import { day, schoolFlag } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { counted, dutchTime, isoTime, list, paragraph, table } from '../print.ts';
import { misuse, refusalIn } from '../problem.ts';
import { services } from '../words.ts';
import { named } from './mandate.ts';

const reviewJson = (review: MandateReview) => ({
  mandateId: review.mandateId,
  schoolOin: review.schoolOin,
  partyOin: review.partyOin,
  services: review.services.map(services.word),
  lastUsedOn: review.lastUsedOn || null,
  state: review.state || 'due',
  openedAt: isoTime(review.openedMs),
  answeredAt: isoTime(review.answeredMs),
  byOin: review.byOin || null,
  endsOn: review.endsOn || null,
});

const reviewTable = (reviews: readonly MandateReview[], names: readonly PartyName[]): string =>
  table(
    ['mandate', 'school\nparty', 'services', 'last used', 'question'],
    reviews.map((review) => [
      review.mandateId,
      `${named(review.schoolOin, names)}\n${named(review.partyOin, names)}`,
      review.services.map(services.word).join(', '),
      review.lastUsedOn || 'never seen',
      stateWords(review),
    ]),
  );

function stateWords({ state, openedMs, answeredMs, byOin, endsOn }: MandateReview): string {
  if (state === '') return 'to be asked';
  if (state === 'open')
    return `asked ${dutchTime(openedMs)}${endsOn ? `\nends ${endsOn} without an answer` : '\nstays without an answer'}`;
  return `${state} ${dutchTime(answeredMs)}${byOin ? `\nby ${byOin}` : ''}`;
}

const MOST_DAYS = 730;

export const reviewMandates: Command = {
  name: 'mandate review',
  about: 'List mandates that nobody uses, ask their schools to keep, narrow or end them; show answers.',
  flags: {
    school: schoolFlag('Only of this school.'),
    'unused-days': {
      about: 'Ask about what was not used for so many days; default 90.',
      value: 'DAYS',
      check: (value) =>
        /^\d{1,3}$/.test(value) && Number(value) >= 1 && Number(value) <= MOST_DAYS
          ? undefined
          : `must be 1 to ${MOST_DAYS} days`,
    },
    open: { about: 'Ask the schools: each sees its questions over gRPC (PartyService/ListReviews) and answers there.' },
    'ends-on': {
      about: 'With --open: a mandate about which nobody has answered by then ends after this day.',
      value: 'DAY',
      check: day,
    },
  },
  notes: [
    'Used is what was given to the party under a mandate, and what the party sent for the school. Messages about several schools count for each of the party’s schools.',
    'Without an answer nothing ends by itself, unless --ends-on was given. After an answer the question rests for a year.',
    'Run it now and then, with --open: who was asked already is not asked twice.',
  ],
  async run(call): Promise<Result> {
    const gateway = call.gateway();
    const schoolOin = call.one('school') ?? '';
    const unusedDays = Number(call.one('unused-days') ?? 0);
    const endsOn = call.one('ends-on') ?? '';
    if (endsOn !== '' && !call.has('open')) throw misuse('--ends-on goes with --open.');
    const opened = call.has('open') ? (await gateway.ask('openReviews', { schoolOin, unusedDays, endsOn })).opened : 0;
    const { reviews, due, countedSince, names } = await gateway.ask('listReviews', { schoolOin, unusedDays });
    const shown = [...due, ...reviews];
    const since =
      countedSince === ''
        ? 'Nothing was counted yet, so that no mandate can be called unused.'
        : `Uses are counted since ${countedSince}: what was not used for longer than that cannot be told yet.`;
    return {
      json: { opened, countedSince: countedSince || null, due: due.map(reviewJson), reviews: reviews.map(reviewJson) },
      text: shown.length === 0 ? 'Nothing to ask, and nothing was asked.' : reviewTable(shown, names),
      said: paragraph(call.has('open') ? `Asked about ${counted(opened, 'mandate')}. ${since}` : since),
    };
  },
};

export const answerReview: Command = {
  name: 'mandate answer',
  about: 'Answer for a school what it was asked about a mandate: keep it, narrow it or end it.',
  arguments: [{ name: 'MANDATE', about: 'The mandate.' }],
  flags: {
    answer: { about: 'What the school said.', value: 'ANSWER', required: true, choices: ['keep', 'narrow', 'end'] },
    service: { about: 'Of narrow: a service that stays.', value: 'SERVICE', many: true, choices: services.all },
    attributes: { about: 'Of narrow: what the party may still receive.', value: 'NAME', many: true },
    'run-off': { about: 'Of end: last day of the run-off; without it it ends at once.', value: 'DAY', check: day },
  },
  notes: ['A narrower mandate is another one, confirmed in the place of the first, which ends.'],
  async run(call): Promise<Result> {
    const mandateId = call.args('MANDATE')[0]!;
    const answered = await call.gateway().ask('answerReview', {
      mandateId,
      answer: call.one('answer')!,
      services: call.all('service').map(services.value),
      attributes: [...call.all('attributes')],
      runOffUntil: call.one('run-off') ?? '',
    });
    const refusal = refusalIn(answered.decision);
    if (refusal) throw refusal;
    const json = { mandateId, answer: call.one('answer')!, instead: answered.mandateId || null };
    return {
      json,
      text: list([
        ['mandate', mandateId],
        ['answer', json.answer],
        ...(json.instead ? [['stands instead', json.instead] as [string, string]] : []),
      ]),
      ...(answered.decision?.outcome
        ? {}
        : { said: `Accepted, not decided yet; follow it with eduk flow show ${answered.flowId}` }),
    };
  },
};
