/** Runs the cases for an administration. What sends is the caller's: here is no socket. */
import { setTimeout as sleep } from 'node:timers/promises';
import { child, envelopeOf, MAX_BYTES, readXml, SOAP11, type XmlElement } from '#adapters/xml';
import { GatewayError } from '#kernel';
import { type LasAccess, requestOf, type Sent } from './asks.ts';
import type { Found } from './case.ts';
import { dataIn, type Known, type LasCase, lasCases, type Seen, wholeOf } from './las.ts';
import { addFound, type CaseResult, type Finding, type Report, resultOf } from './report.ts';

export interface Got {
  status: number;
  contentType: string;
  body: Uint8Array;
  /** Seconds after which the administration wants to be asked again, where it says so. */
  retryAfterS?: number | undefined;
}

/** Sends one request. Throws where there is no answer; `reason` of what is thrown, a word, is told. */
export type Transport = (sent: Sent) => Promise<Got>;

/** Nothing could be found out, and why. */
export class CouldNotRun extends Error {
  override name = 'CouldNotRun';
}

/** Who says that it has no time now is asked again so often, after so long at most. */
const ATTEMPTS = 3;
const PAUSE_S = { usual: 2, most: 20 };

/** So many requests in a row without an answer end a run. */
const MOST_SILENT = 3;

const reasonOf = (thrown: unknown): string => {
  const { reason } = thrown as { reason?: unknown };
  return typeof reason === 'string' ? reason : 'no answer';
};

/** Answers that are kept for cases that ask the same; those stand together in the list. More would be a whole school, many times over. */
const KEPT = 4;

/** What stands on the wire, by which it is known that it was asked before. */
const keyOf = ({ url, method, headers, body }: Sent): string => JSON.stringify([url, method, headers, body]);

/**
 * Asks an administration all that it can be asked with what it told of itself. Throws `CouldNotRun` where it gives no answer at all,
 * or does not let us in with what we were given. `pause` is for tests.
 */
export async function runLas(
  access: LasAccess,
  transport: Transport,
  pause: (ms: number) => Promise<unknown> = sleep,
  told: (judged: number, all: number) => void = () => undefined,
): Promise<Report> {
  const asked = new Map<string, Promise<Seen>>();
  let calls = 0;
  let silent = 0;
  let wrote = false;
  const put = (sent: Sent, isResults: boolean, again = false): Promise<Seen> => {
    const key = keyOf(sent);
    const before = again ? undefined : asked.get(key);
    if (before) return before;
    const answer = (async () => {
      if (isResults && sent.method === 'POST') wrote = true;
      for (let attempt = 1; ; attempt++) {
        calls++;
        const got = await transport(sent).catch((thrown: unknown) => {
          silent++;
          throw thrown;
        });
        silent = 0;
        const seen = seenOf(sent, got);
        if (attempt === ATTEMPTS || !isBusy(seen)) return seen;
        await pause(Math.min(got.retryAfterS ?? PAUSE_S.usual, PAUSE_S.most) * 1000);
      }
    })();
    asked.set(key, answer);
    const [oldest] = asked.keys();
    if (asked.size > KEPT && oldest !== undefined) asked.delete(oldest);
    return answer;
  };

  const known: Known = { access, whole: undefined };
  const first = requestOf({ to: 'leerlinggegevens' }, access, 'las.roster.answered');
  const opening = await put(first, false).catch((thrown) => {
    throw new CouldNotRun(`the administration gives no answer (${reasonOf(thrown)})`, { cause: thrown });
  });
  const refusal = /(AutorisatieOngeldig|OngeldigeKlantIdentificatie)$/.exec(opening.fault?.faultcode.trim() ?? '')?.[1];
  if (refusal !== undefined)
    throw new CouldNotRun(
      `the administration does not let us in (Client.${refusal}): look at school, klantcode, klantnaam and autorisatiesleutel`,
    );
  if (opening.status === 401 || opening.status === 403)
    throw new CouldNotRun(
      `the administration does not let us in (HTTP ${opening.status}): look at certificate and headers`,
    );
  const data = dataIn(opening, 'HaalLeerlinggegevens');
  known.whole = data && wholeOf(data);

  const cases: CaseResult[] = [];
  const all = lasCases.filter(({ versions }) => versions.includes(access.version));
  for (const one of all) {
    told(cases.length, all.length);
    const no = (why: string) => cases.push(resultOf(one, 'not judged', { why }));
    if (!access.parts.has(one.part)) {
      no('this part was left out');
      continue;
    }
    const ask = one.ask(known);
    if (typeof ask === 'string') no(ask);
    else if (access.addresses[ask.to] === '') no(`no address was given for ${ask.to}`);
    else if (silent >= MOST_SILENT) no(`${MOST_SILENT} requests in a row had no answer`);
    else {
      const isResults = ask.to === 'leerresultaten';
      try {
        const seen = await put(requestOf(ask, access, one.id), isResults, ask.again);
        const more: Seen[] = [];
        for (const next of one.more?.(seen) ?? []) more.push(await put(requestOf(next, access, one.id), isResults));
        judged(one, one.judge(seen, known, more));
      } catch (thrown) {
        if (thrown instanceof GatewayError && thrown.fault === 'peer.unavailable')
          judged(one, [{ told: `There came no answer (${reasonOf(thrown)}).` }]);
        else throw thrown;
      }
    }
  }
  function judged(one: LasCase, found: Found[] | string): void {
    if (typeof found === 'string') {
      cases.push(resultOf(one, 'not judged', { why: found }));
      return;
    }
    const findings: Finding[] = [];
    addFound(findings, found);
    cases.push(resultOf(one, found.length === 0 ? 'passed' : 'failed', { found: findings }));
  }
  return {
    standard: 'UWLR',
    party: 'las',
    versions: [access.version],
    at: access.now,
    address: shownAddress(access.addresses.leerlinggegevens),
    calls,
    wrote,
    cases,
  };
}

const isBusy = ({ status, fault }: Seen): boolean =>
  status === 429 || status === 503 || /(^|:)Server\.TijdelijkNietBeschikbaar$/.test(fault?.faultcode ?? '');

/** Without what may be a secret in it. */
export function shownAddress(address: string): string {
  const { origin, pathname } = new URL(address);
  return `${origin}${pathname}`;
}

/** An answer, read as far as it can be. */
export function seenOf({ url }: Sent, { status, contentType, body: bytes }: Got): Seen {
  const seen: Seen = {
    url,
    status,
    contentType,
    text: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
    root: undefined,
    body: undefined,
    fault: undefined,
  };
  try {
    seen.root = readXml(bytes, { maxBytes: MAX_BYTES }).root;
    if (seen.root.name === 'Envelope') seen.body = envelopeOf(seen.root).body;
  } catch (thrown) {
    if (!(thrown instanceof GatewayError) || !thrown.fault.startsWith('wire.')) throw thrown;
  }
  if (seen.body && isFault(seen.body))
    seen.fault = { faultcode: child(seen.body, 'faultcode')?.text.trim() ?? '', element: seen.body };
  return seen;
}

const isFault = ({ name, ns }: XmlElement): boolean => name === 'Fault' && ns === SOAP11;
