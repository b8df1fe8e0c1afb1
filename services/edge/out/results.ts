/**
 * Results of one school on their way to an endpoint that takes UWLR (BrengLeerresultaten): released at this moment, one message
 * for each attempt, and what the answer means for delivery. Whom it goes to and how that one differs is a file of the folder of
 * administrations; nothing is remembered here.
 */
import {
  type Autorisatie,
  headersOf,
  PeerFault,
  peerFaults,
  type ResultsMessages,
  readConfirmation,
  resultsMessages,
  type SentResult,
  sentLossCounts,
  writeLeerresultaten,
} from '#adapters/uwlr';
import {
  Clear,
  ConfigError,
  type Dialler,
  type Fault,
  GatewayError,
  type Networks,
  schoolYearOf,
  type Who,
} from '#kernel';
import type { Attempt, AttemptOutcome, MailboxRow, RowLosses } from '#proto/eduk/delivery/v1/delivery';
import { ResultRecorded } from '#proto/eduk/events/v1/results';
import { Diallers } from '../administrations/diallers.ts';
import {
  type AdministrationSettings,
  autorisatieFor,
  type SchoolAt,
  SettingsOnHand,
  secretIn,
} from '../administrations/settings.ts';
import type { Caller } from '../caller.ts';
import { showResults } from '../reads/results.ts';
import { learnersAt } from '../sites.ts';
import type { Door } from '../submission.ts';
import { type Answer, posterFor } from './post.ts';

/** How long connecting and the whole answer may take, whatever a file says: an attempt is leased for 5 s more. */
export const LONGEST_MS = 30_000;
/** A confirmation is empty, and a fault says little. */
const KEEP_BYTES = 64 * 1024;
/** Of several results; one alone may be as large as it is. */
const MOST_BODY_BYTES = 2 * 1024 * 1024;

type Outcome = Partial<AttemptOutcome>;

/** What is not set cannot be sent: nobody was asked, and an operator must act. */
const unset = (reach: 'endpoint' | 'school'): Outcome => ({
  result: 'unsent',
  code: 'gateway.unavailable' satisfies Fault,
  cause: 'settings',
  reach,
});

/** A result that this receiver may be told of, where it goes, and its school year. */
interface Item {
  row: MailboxRow;
  sent: SentResult;
  place: SchoolAt;
  year: string;
}

export class ResultsOverUwlr {
  readonly #door: Door;
  readonly #settings: SettingsOnHand;
  readonly #diallers: Diallers;

  /** `folder`: EDUK_ADMINISTRATIONS. */
  constructor(door: Door, networks: Networks, folder: string | undefined) {
    this.#door = door;
    this.#settings = new SettingsOnHand(folder);
    this.#diallers = new Diallers(networks);
  }

  close(): void {
    this.#diallers.close();
  }

  /**
   * Sends what of an attempt goes into one message. `mayTake`: whether so many milliseconds are left of its lease; asked right
   * before the first byte. Throws mandate.* where the mandate ended meanwhile, and what the owners and the vault throw.
   */
  async send(attempt: Attempt, caller: Caller, mayTake: (ms: number) => boolean): Promise<Outcome> {
    const settings = this.#settings.of(attempt.partyOin);
    if (settings === undefined) return unset('endpoint');
    const places = settings.schools.filter(({ schoolOin }) => schoolOin === attempt.schoolOin);
    if (places.length === 0) return unset('school');
    const items = await this.#itemsOf(attempt, caller, places);
    return items.reveal(async (list) => {
      const chosen = messageOf(attempt.rows, list, settings, new Date(this.#door.clock.now()).toISOString());
      if (chosen === undefined) return { result: 'unsent', code: 'wire.too_large' };
      const { wire, place, ...told } = chosen;
      if (wire === undefined) return { result: 'answered', status: 204, ...told };
      const way = this.#wayTo(settings, place!);
      if ('unset' in way) return way.unset;
      const text = Buffer.from(
        way.header.reveal((header) => wire.reveal((message) => writeLeerresultaten(header, message))),
      );
      if (text.length > MOST_BODY_BYTES && attempt.rows.length > 1) return { result: 'unsent', code: 'wire.too_large' };
      const timeoutMs = Math.min(LONGEST_MS, settings.timeoutMs);
      const poster = posterFor(way.dialler, { timeoutMs, keepBytes: KEEP_BYTES });
      const answer = await poster.post(attempt.url, way.headers, text, () => mayTake(timeoutMs));
      return { ...told, ...outcomeOf(answer), tookMs: answer.tookMs };
    });
  }

  /** What may be told now, each with the entry of the school that it belongs to. */
  async #itemsOf(attempt: Attempt, caller: Caller, places: readonly SchoolAt[]): Promise<Clear<readonly Item[]>> {
    const { rows, schoolOin } = attempt;
    const entries = rows.flatMap((row) => {
      const entry = row.type === 'ResultRecorded' ? ResultRecorded.decode(row.data).result : undefined;
      return entry ? [{ row, entry }] : [];
    });
    const of = entries.map(({ entry }) => entry);
    const [shown, placeOf] = await Promise.all([
      showResults(this.#door, caller, schoolOin, of),
      this.#placesOf(
        schoolOin,
        places,
        of.map(({ learner }) => learner),
      ),
    ]);
    return new Clear(
      entries.flatMap(({ row, entry }, i): Item[] => {
        const { fromOin, result } = shown[i] ?? {};
        if (fromOin === undefined || result === undefined) return [];
        const year = schoolYearOf(Date.parse(`${entry.day}T12:00:00Z`));
        return [{ row, sent: { fromOin, result, day: entry.day }, place: placeOf(entry.learner), year }];
      }),
    );
  }

  /** Whoever is at a site that has an entry of its own goes there; all others to the entry of the whole school, or the first. */
  async #placesOf(
    schoolOin: string,
    places: readonly SchoolAt[],
    learners: readonly string[],
  ): Promise<(learner: string) => SchoolAt> {
    const other = places.find(({ siteCode }) => siteCode === '') ?? places[0]!;
    if (places.length === 1) return () => other;
    const at = new Map<string, SchoolAt>();
    for (const place of places)
      if (place.siteCode !== '')
        for (const learner of await learnersAt(this.#door, schoolOin, new Set([place.siteCode]), learners))
          if (!at.has(learner)) at.set(learner, place);
    return (learner) => at.get(learner) ?? other;
  }

  /** Secrets and connection, or whose it is that they are not there. */
  #wayTo(settings: AdministrationSettings, place: SchoolAt): Way | { unset: Outcome } {
    try {
      const dialler = this.#diallers.of(settings);
      const headers = {
        ...headersOf('BrengLeerresultaten', settings.dialect),
        ...Object.fromEntries(
          [...settings.headers].map(([name, file]) => [name, secretIn(file, `the header ${name}`)]),
        ),
      };
      try {
        return { dialler, headers, header: autorisatieFor(settings, place) };
      } catch (thrown) {
        if (isUnset(thrown)) return { unset: unset('school') };
        throw thrown;
      }
    } catch (thrown) {
      if (isUnset(thrown)) return { unset: unset('endpoint') };
      throw thrown;
    }
  }
}

const isUnset = (thrown: unknown): boolean =>
  thrown instanceof ConfigError || (thrown instanceof GatewayError && thrown.fault === 'gateway.unavailable');

/** How a message goes to one administration. */
interface Way {
  dialler: Dialler;
  headers: Record<string, string>;
  header: Clear<Autorisatie>;
}

/** What goes into one message, and what of the attempt does not. */
interface Chosen {
  /** Undefined = there is nothing to send. */
  wire: ResultsMessages['messages'][number]['wire'] | undefined;
  place: SchoolAt | undefined;
  untold: bigint[];
  rest: bigint[];
  losses: RowLosses[];
}

/**
 * One message has one school, site and school year, and no room for two versions of a test or two results under one key. What
 * does not fit into the first goes in another attempt, of a key all or none: so nothing of a key overtakes. Undefined where every
 * key needs several messages.
 */
function messageOf(
  rows: readonly MailboxRow[],
  items: readonly Item[],
  { dialect }: AdministrationSettings,
  madeAt: string,
): Chosen | undefined {
  // UWLR cannot take back: of what is told together with its taking back, nothing is told.
  const undone = new Set(items.flatMap(({ sent }) => (sent.result.withdrawn ? [idOf(sent)] : [])));
  const [first] = items;
  const say = (some: readonly Item[]): ResultsMessages =>
    resultsMessages({
      school: {
        schoolOin: first!.place.schoolkey === '' ? first!.place.schoolOin : '',
        siteCode: first!.place.siteCode,
        schoolKey: first!.place.schoolkey,
      },
      schoolYear: first!.year,
      madeAt,
      version: dialect.version,
      results: new Clear(
        some.map(({ sent }) =>
          undone.has(idOf(sent)) ? { ...sent, result: { ...sent.result, withdrawn: true } } : sent,
        ),
      ),
    });
  const without = (some: readonly Item[], isOut: (item: Item, i: number) => boolean): Item[] => {
    const out = new Set(some.filter(isOut).map(({ row }) => row.key));
    return some.filter(({ row }) => !out.has(row.key));
  };
  let kept = without(items, ({ place, year }) => place !== first!.place || year !== first!.year);
  if (items.length > 0 && kept.length === 0) return undefined;
  let said = kept.length === 0 ? undefined : say(kept);
  if (said !== undefined && said.messages.length > 1) {
    const later = new Set(said.messages.slice(1).flatMap(({ of }) => of));
    kept = without(kept, (_, i) => later.has(i));
    if (kept.length === 0) return undefined;
    said = say(kept);
    if (said.messages.length > 1) throw new GatewayError('gateway.bug', 'A part of one message is several.');
  }
  const lost = new Map<number, RowLosses['losses']>();
  for (const { of, losses } of said?.dropped ?? []) lost.set(of, sentLossCounts(losses));
  for (const { of, field } of said?.left ?? []) lost.set(of, sentLossCounts([{ field, count: 1 }]));
  const [message] = said?.messages ?? [];
  const told = new Set((message?.of ?? []).map((of) => kept[of]!.row));
  const keys = new Set(kept.map(({ row }) => row.key));
  const later = new Set(items.filter(({ row }) => !keys.has(row.key)).map(({ row }) => row));
  return {
    wire: message?.wire,
    place: first?.place,
    untold: rows.filter((row) => !told.has(row) && !later.has(row)).map(({ number }) => number),
    rest: [...later].map(({ number }) => number),
    losses: [...lost].map(([of, losses]) => ({ number: kept[of]!.row.number, losses })),
  };
}

const idOf = ({ fromOin, result }: SentResult): string => `${fromOin}/${result.resultId}`;

/**
 * What an answer says, in our table: the words of the receiver go no further than the codes of the standard. Where it is not known
 * whether the message was taken, it is sent again under the same keys, which is harmless.
 */
function outcomeOf({ status, cause, retryAfterS, body }: Answer): Outcome {
  if (cause === 'expired') return { result: 'unsent', code: 'gateway.overloaded' };
  if (status === 0) return { result: 'unanswered', status, cause, retryAfterS };
  const answered = { result: 'answered', status, retryAfterS };
  try {
    readConfirmation(body ?? new Uint8Array());
    if (status === 200) return answered;
  } catch (thrown) {
    if (thrown instanceof PeerFault) {
      const { faultcode, fault, reach } = thrown.of;
      if (reach === 'administration') return { ...answered, cause: faultcode, reach: 'endpoint' };
      if (reach === 'school') return { ...answered, cause: faultcode, reach };
      return { ...answered, cause: faultcode, reach: fault === 'peer.refused' ? 'message' : 'doubt' };
    }
    if (!(thrown instanceof GatewayError) || !thrown.fault.startsWith('wire.')) throw thrown;
  }
  if (status < 300) return { ...answered, cause: 'unreadable', reach: 'doubt' };
  // Whoever answers without SOAP is no service: what it says is about the address, and never about a result.
  return status < 500 && status !== 410 ? { ...answered, reach: 'endpoint' } : answered;
}

/** Who must act about a delivery that stands still, and why, by the word that delivery has of it. */
export function saidOf(cause: string): { who: Who; told: string } | undefined {
  if (cause === 'settings')
    return {
      who: 'us',
      told: 'No file of EDUK_ADMINISTRATIONS names this receiver and this school, or a secret that it names cannot be read.',
    };
  const row = peerFaults.find(({ faultcode }) => faultcode === cause);
  return row && { who: row.who, told: row.told };
}
