import {
  endpointsToCore,
  type KnownSchool,
  type Mandated,
  MOST_BYTES,
  mandateToCore,
  readEndpoints,
  readMandate,
  readSchools,
  type SchoolEndpoint,
  schoolsToCore,
} from '#adapters/osr';
import { type DialAnswer, DialError, type Dialler, GatewayError } from '#kernel';

/** Asks OSR. What it knows is who is asked and what an answer is worth; the adapter reads, the dialler sends. */

export interface OsrAddress {
  /** Up to and with `/api/v2`, without a slash at its end. */
  url: string;
  /** Header and value of the API key. */
  key?: { name: string; value: string } | undefined;
}

export interface Osr {
  /** The school under this OIN; undefined = OSR does not know it. */
  school(oin: string): Promise<KnownSchool | undefined>;
  /** Whether a school mandated a supplier for a service on a day. */
  mandate(asked: { school: string; supplier: string; namespace: string; day: string }): Promise<Mandated>;
  /** Where suppliers of a school answer for a service on a day, and later. */
  endpoints(asked: { school: string; namespace: string; day: string }): Promise<SchoolEndpoint[]>;
}

/** One question, ms; how often it is asked in all, and how long is waited before it is asked again at least and at most, ms. */
const TIMEOUT_MS = 10_000;
const TRIES = 3;
const WAIT_MS = 200;
const MOST_WAIT_MS = 30_000;
const MOST_PAGES = 100;

export interface OsrOptions {
  /** Ends what is under way. */
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
  /** For tests. */
  rest?(ms: number): Promise<void>;
}

/**
 * Faults of all questions: peer.unavailable (no answer, or none that can be read: nothing is known), peer.refused (it does
 * not let us in, or does not understand us).
 */
export function osrAt(
  { url, key }: OsrAddress,
  dialler: Dialler,
  { signal, timeoutMs = TIMEOUT_MS, rest = (ms) => sleep(ms, signal) }: OsrOptions = {},
): Osr {
  const headers = { accept: 'application/json', ...(key ? { [key.name]: key.value } : {}) };

  /** One answer that says something: 200 or 404. */
  async function get(to: URL): Promise<DialAnswer> {
    for (let tries = 1; ; tries++) {
      let failed: GatewayError;
      let waitMs = WAIT_MS * 4 ** (tries - 1);
      try {
        const answer = await dialler.dial(to, { headers, timeoutMs, mostBytes: MOST_BYTES, signal });
        if (answer.status === 200 || answer.status === 404) return answer;
        if (answer.status === 401 || answer.status === 403)
          throw new GatewayError('peer.refused', 'OSR does not let us in: look at our certificate and API key.');
        if (answer.status !== 429 && answer.status < 500)
          throw new GatewayError(
            'peer.refused',
            'OSR does not understand what we ask: look at EDUK_OSR_URL and EDUK_OSR_SERVICES.',
          );
        failed = new GatewayError(
          'peer.unavailable',
          answer.status === 429 ? 'OSR is asked too much.' : 'OSR has a failure of its own.',
        );
        waitMs = Math.max(waitMs, retryAfterMs(answer));
      } catch (thrown) {
        if (!(thrown instanceof DialError)) throw thrown;
        // A certificate, an address or a size is the same the next time.
        if (thrown.reason !== 'timeout' && thrown.reason !== 'reset' && thrown.reason !== 'refused') throw thrown;
        failed = thrown;
      }
      if (tries === TRIES || waitMs > MOST_WAIT_MS || signal?.aborted) throw failed;
      await rest(waitMs);
    }
  }

  const addressOf = (path: string, query: Readonly<Record<string, string>>): URL => {
    const to = new URL(`${url}${path}`);
    for (const [name, value] of Object.entries(query)) to.searchParams.set(name, value);
    return to;
  };

  /** All pages of a list. */
  async function all<Wire>(to: URL, read: (bytes: Uint8Array) => Wire[]): Promise<Wire[]> {
    const found: Wire[] = [];
    const been = new Set<string>();
    for (let at: URL | undefined = to; at; ) {
      if (been.has(at.href) || been.size === MOST_PAGES) throw worthless();
      been.add(at.href);
      const answer: DialAnswer = await get(at);
      // The API has no list that is not there: only what stands in between answers so.
      if (answer.status === 404) throw worthless();
      found.push(...readable(() => read(answer.body)));
      at = nextOf(answer, at);
    }
    return found;
  }

  return {
    async school(oin) {
      const found = schoolsToCore(await all(addressOf('/schools', { oin }), readSchools));
      return found.find((one) => one.oin === oin);
    },
    async mandate({ school, supplier, namespace, day }) {
      const answer = await get(
        addressOf('/mandates', {
          school_oin: school,
          service_version_namespace: namespace,
          supplier_oin: supplier,
          reference_date: day,
        }),
      );
      if (answer.status === 404) return { holds: false, validFrom: '', validUntil: '' };
      const mandate = readable(() => readMandate(answer.body));
      // An answer about others, or about another day, is none to what was asked.
      const about = (said: string, asked: string): boolean => said === '' || said === asked;
      if (!about(mandate.school_oin, school) || !about(mandate.supplier_oin, supplier)) throw worthless();
      const { start_date, end_date } = mandate;
      if ((start_date !== '' && start_date > day) || (end_date !== '' && end_date < day))
        return { holds: false, validFrom: '', validUntil: '' };
      return mandateToCore(mandate);
    },
    async endpoints({ school, namespace, day }) {
      const to = addressOf('/endpoints', {
        school_oin: school,
        service_version_namespace: namespace,
        reference_date: day,
        // So that an address that changes does so on its day, and not at the next comparison.
        include_future_endpoints: 'true',
      });
      return endpointsToCore(await all(to, readEndpoints));
    },
  };
}

const worthless = (): GatewayError => new GatewayError('peer.unavailable', 'OSR gave an answer that says nothing.');

/** What cannot be read is no answer, whatever is wrong with it. */
function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown;
    throw new GatewayError('peer.unavailable', 'OSR gave an answer that cannot be read.', { cause: thrown });
  }
}

/** Milliseconds that it asks to be left alone; 0 = it does not. */
function retryAfterMs({ headers }: DialAnswer): number {
  const said = headers['retry-after'];
  return said !== undefined && /^\d{1,6}$/.test(said) ? Number(said) * 1000 : 0;
}

/** The next page (RFC 8288), on the same host; undefined = this was the last. */
function nextOf({ headers }: DialAnswer, at: URL): URL | undefined {
  const link = [headers.link ?? []].flat().join(',');
  const to = /<([^<>]{1,2048})>\s*;[^<]*\brel="?next"?(?:[\s,;]|$)/.exec(link)?.[1];
  if (to === undefined) return undefined;
  const next = URL.canParse(to, at.href) ? new URL(to, at.href) : undefined;
  // The key must not travel elsewhere.
  if (next?.origin !== at.origin) throw worthless();
  return next;
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    timer.unref();
    signal?.addEventListener('abort', done, { once: true });
    if (signal?.aborted) done();
  });
}
