/** Which mandates schools are asked about, from what was used; what was asked. Nobody's data is looked at. */
import { dutchDay, isDay } from '#kernel';
import { type Mandate, MandateReview, MandateState, type Service } from '#proto/eduk/core/v1/party';
import { serviceNames } from '../audit.ts';
import { judgeOne } from '../chain.ts';
import { serviceOf } from '../methods.ts';
import type { Door } from '../submission.ts';

/** After so many days without use a school is asked, where nobody says otherwise. */
export const UNUSED_DAYS = 90;
/** How long an answer holds before the question may come again. */
const YEAR_MS = 365 * 86_400_000;
const DAY_MS = 86_400_000;

type Reads = Pick<Door, 'services' | 'chain' | 'clock'>;

/** The last day of each service of each (school, party), of `mandate` for its last change, and of `*` for all. */
export interface Uses {
  countedSince: string;
  /** By `school|party`, then by what; `first` of the same. */
  last: ReadonlyMap<string, ReadonlyMap<string, { first: string; last: string }>>;
}

/**
 * Uses by service. What a party sent in messages about several schools counts for each of its schools, and what no service
 * is known of counts for all services: a mandate that may have been used was used.
 */
export async function usesOf({ services }: Pick<Door, 'services'>, schoolOin = ''): Promise<Uses> {
  const last = new Map<string, Map<string, { first: string; last: string }>>();
  let countedSince = '';
  // Those about several schools stand under none.
  for (const school of schoolOin === '' ? [''] : [schoolOin, '']) {
    for (let at = { afterSchool: '', afterParty: '', afterWhat: '' }; ; ) {
      const page = await services.audit.listUse({ schoolOin: school, ...at });
      ({ countedSince } = page);
      let isOver = false;
      for (const { schoolOin: of, partyOin, what, firstDay, lastDay } of page.rows) {
        // Of one school only those under none are wanted besides.
        isOver ||= schoolOin !== '' && school === '' && of !== '';
        if (isOver) break;
        const name = nameOf(what);
        if (name === undefined) continue;
        const pair = `${of}|${partyOin}`;
        const known = last.get(pair) ?? new Map<string, { first: string; last: string }>();
        last.set(pair, known);
        const before = known.get(name);
        known.set(name, {
          first: before && before.first < firstDay ? before.first : firstDay,
          last: before && before.last > lastDay ? before.last : lastDay,
        });
      }
      const { afterSchool, afterParty, afterWhat } = page;
      if (isOver || (afterParty === '' && afterWhat === '')) break;
      at = { afterSchool, afterParty, afterWhat };
    }
  }
  return { countedSince, last };
}

const names: ReadonlyMap<string, string> = serviceNames;
const known: ReadonlySet<string> = new Set(names.values());

/** Name of the service that a use is of; `*` = of any; undefined = a method that no mandate is needed for. */
function nameOf(what: string): string | undefined {
  if (what === 'mandate' || known.has(what)) return what;
  const service = serviceOf(what);
  if (service === null) return undefined;
  return service === undefined ? '*' : names.get(`service_${service}`);
}

/** First and last day on which a service of a mandate was used, its own changes aside; undefined = not since uses are counted. */
export function useOf(
  { last }: Uses,
  school: string,
  party: string,
  service: Service,
): { first: string; last: string } | undefined {
  const wanted = [names.get(`service_${service}`)!, '*'];
  const found = [last.get(`${school}|${party}`), last.get(`|${party}`)].flatMap((of) =>
    wanted.flatMap((name) => of?.get(name) ?? []),
  );
  if (found.length === 0) return undefined;
  return {
    first: found.map(({ first }) => first).sort()[0]!,
    last: found
      .map((one) => one.last)
      .sort()
      .at(-1)!,
  };
}

/** Last day of use or change; empty = none since uses are counted. */
function lastDayOf(uses: Uses, { schoolOin, partyOin, services }: Mandate): string {
  const changed = uses.last.get(`${schoolOin}|${partyOin}`)?.get('mandate')?.last ?? '';
  const days = services.map((service) => useOf(uses, schoolOin, partyOin, service)?.last ?? '');
  return [changed, ...days].sort().at(-1)!;
}

/** Mandates that hold now and were not used, nor changed, for so many days: each as the question that would be asked. */
export function unused(
  mandates: readonly Mandate[],
  uses: Uses,
  reviews: readonly MandateReview[],
  nowMs: number,
  days: number,
): MandateReview[] {
  const before = dutchDay(nowMs - days * DAY_MS);
  // What was used before uses were counted nobody knows.
  if (uses.countedSince === '' || uses.countedSince > before) return [];
  const today = dutchDay(nowMs);
  const newest = new Map(reviews.map((review) => [`${review.schoolOin}|${review.mandateId}`, review]));
  return mandates.flatMap((mandate) => {
    const { mandateId, schoolOin, partyOin, services, validFrom } = mandate;
    if (mandate.state !== MandateState.MANDATE_STATE_ACTIVE || services.length === 0) return [];
    if (judgeOne(mandate, today, false) !== undefined) return [];
    // One that began since cannot have been used for longer.
    if (isDay(validFrom) && validFrom > before) return [];
    const review = newest.get(`${schoolOin}|${mandateId}`);
    if (review?.state === 'open') return [];
    if (review && nowMs - Number(review.answeredMs) < YEAR_MS) return [];
    const lastUsedOn = lastDayOf(uses, mandate);
    if (lastUsedOn > before) return [];
    return [MandateReview.fromPartial({ mandateId, schoolOin, partyOin, services, lastUsedOn })];
  });
}

/** Everything that was asked of these schools (none = of all), and what is due. */
export async function reviewsOf(
  door: Reads,
  schoolOin: string,
  days: number,
): Promise<{ reviews: MandateReview[]; due: MandateReview[]; countedSince: string }> {
  const [uses, { reviews }] = await Promise.all([
    usesOf(door, schoolOin),
    door.services.parties.listReviews({ schoolOins: schoolOin === '' ? [] : [schoolOin] }),
  ]);
  const mandates = door.chain
    .mandates()
    .filter(
      (mandate) => (schoolOin === '' || mandate.schoolOin === schoolOin) && !door.chain.isStopped(mandate.partyOin),
    )
    .sort((a, b) => (`${a.schoolOin}|${a.mandateId}` < `${b.schoolOin}|${b.mandateId}` ? -1 : 1));
  return {
    reviews,
    due: unused(mandates, uses, reviews, door.clock.now(), days || UNUSED_DAYS),
    countedSince: uses.countedSince,
  };
}
