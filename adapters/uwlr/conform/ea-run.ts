/**
 * An administration with an invented school, for an educational application that is tried: it answers, and judges each call. What
 * listens is the caller's: here is no socket.
 */
import { envelopeOf, readXml, type XmlElement } from '#adapters/xml';
import { asGatewayError, Clear, GatewayError } from '#kernel';
import type { Roster } from '#proto/eduk/core/v1/learner';
import { writeAnswer, writeEmpty } from '../answer.ts';
import { sayFault } from '../faults.ts';
import { type AskedGroup, rosterAnswer, rosterQuestion } from '../mapping.ts';
import { type AnswerForm, isVersion, type Version } from '../versions.ts';
import { requestOf, type Verzoek, writeBevestiging } from '../wire.ts';
import { wsdl, xsd } from '../wsdl.ts';
import type { Part } from './case.ts';
import { type Call, eaCases, type Past, remember, requestIn } from './ea.ts';
import { addFound, type Finding, type Outcome, type Report, resultOf } from './report.ts';
import { BRIN, inventedRoster } from './school.ts';

/** What the application must be told so that it can call. */
export interface EaGiven {
  klantcode: string;
  klantnaam: string;
  autorisatiesleutel: string;
  /** `2026-2027`. */
  schooljaar: string;
}

export interface EaRequest {
  method: string;
  /** Path and query. */
  url: string;
  /** By which it was reached, such as `http://127.0.0.1:8090`. */
  origin: string;
  contentType: string;
  soapAction: string | undefined;
  body: Uint8Array;
}

export interface EaAnswer {
  status: number;
  contentType: string;
  body: string;
}

const XML = 'text/xml; charset=utf-8';
/** A message with results; more is refused. Bytes. */
export const MOST_BYTES = 8 * 1024 * 1024;

interface Judged {
  times: number;
  isFailed: boolean;
  found: Finding[];
}

export class EaRun {
  readonly #given: EaGiven;
  readonly #roster: Roster;
  readonly #past: Past;
  readonly #parts: ReadonlySet<Part>;
  readonly #judged = new Map<string, Judged>();
  readonly #versions = new Set<Version>();
  #calls = 0;
  #wrote = false;

  /** `made`: when the roster was made, RFC 3339. */
  constructor(given: EaGiven, made: string, parts: ReadonlySet<Part>) {
    this.#given = given;
    this.#roster = inventedRoster(given.schooljaar, made);
    this.#parts = parts;
    this.#past = {
      given: { ...given, brincode: BRIN },
      now: 0,
      answered: new Set(),
      groups: new Set(this.#roster.groups.map(({ key }) => key)),
      asked: new Set(),
      pupils: new Map(this.#roster.learners.map(({ ref }) => [ref!.lasKey, ref!.eckId])),
      results: new Map(),
    };
  }

  /** How many calls were judged. */
  get calls(): number {
    return this.#calls;
  }

  /** Whether every case, of the versions that were spoken, was met by at least one call. */
  get isComplete(): boolean {
    if (this.#versions.size === 0) return false;
    const isSpoken = (of: readonly Version[]) => of.some((version) => this.#versions.has(version));
    return this.#cases().every(
      ({ id, end, versions }) => end !== undefined || !isSpoken(versions) || this.#judged.has(id),
    );
  }

  /** Judges a call and answers it. `now`: milliseconds since 1970. */
  answer(request: EaRequest, now: number): EaAnswer {
    const url = new URL(request.url, request.origin);
    const service = /\/(leerlinggegevens|leerresultaten)$/.exec(url.pathname)?.[1];
    if (service !== 'leerlinggegevens' && service !== 'leerresultaten')
      return {
        status: 404,
        contentType: 'text/plain; charset=utf-8',
        body: 'The services are at /leerlinggegevens and /leerresultaten.\n',
      };
    if (request.method === 'GET' && url.search !== '') return described(service, url);
    this.#calls++;
    const call: Call = {
      method: request.method,
      contentType: request.contentType,
      action: request.soapAction,
      service,
      root: undefined,
      header: undefined,
      request: undefined,
    };
    let failure: unknown;
    let root: XmlElement | undefined;
    try {
      root = readXml(request.body, { maxBytes: MOST_BYTES }).root;
      const { header, body } = envelopeOf(root);
      call.root = root;
      call.header = header.find(({ name }) => name === 'autorisatie');
      call.request = requestIn(body);
    } catch (thrown) {
      if (!(thrown instanceof GatewayError) || !thrown.fault.startsWith('wire.')) throw thrown;
      failure = thrown;
    }
    this.#past.now = now;
    if (call.request?.version) this.#versions.add(call.request.version);
    for (const one of this.#cases()) {
      const found = one.judge(call, this.#past);
      if (found !== undefined) this.#note(one.id, found);
    }
    remember(call, this.#past);
    try {
      if (failure !== undefined) throw failure;
      if (request.method !== 'POST') throw new GatewayError('wire.invalid', 'SOAP 1.1 uses POST.', { where: 'method' });
      return { status: 200, contentType: XML, body: this.#say(requestOf(root!)) };
    } catch (thrown) {
      const error = asGatewayError(thrown);
      if (error.fault === 'gateway.bug') throw thrown;
      return { status: 500, contentType: XML, body: sayFault(error) };
    }
  }

  /** What it came to. `address`: where we were called. */
  report(address: string, at: string): Report {
    const cases = this.#cases().map((one) => {
      const last = one.end?.(this.#past);
      if (last !== undefined) this.#note(one.id, last);
      const judged = this.#judged.get(one.id);
      const outcome: Outcome = !judged ? 'not judged' : judged.isFailed ? 'failed' : 'passed';
      return resultOf(one, outcome, {
        why: judged ? '' : 'no such call came',
        found: judged?.found ?? [],
      });
    });
    return {
      standard: 'UWLR',
      party: 'ea',
      versions: [...this.#versions].sort(),
      at,
      address,
      calls: this.#calls,
      wrote: this.#wrote,
      cases,
    };
  }

  #cases() {
    return eaCases.filter(({ part }) => part === 'calls' || this.#parts.has(part));
  }

  #note(id: string, found: Parameters<typeof addFound>[1]): void {
    const judged = this.#judged.get(id) ?? { times: 0, isFailed: false, found: [] };
    judged.times++;
    judged.isFailed ||= found.length > 0;
    addFound(judged.found, found);
    this.#judged.set(id, judged);
  }

  /** As an administration would: liberally. Throws what it refuses. */
  #say(asked: Verzoek): string {
    const { klantcode, klantnaam, autorisatiesleutel, schooljaar } = this.#given;
    asked.header.reveal((it) => {
      if (it.klantcode !== klantcode || it.klantnaam !== klantnaam) throw new GatewayError('party.unknown');
      if (it.autorisatiesleutel !== autorisatiesleutel)
        throw new GatewayError('party.unknown', undefined, {
          where: 'Envelope/Header/autorisatie/autorisatiesleutel',
        });
    });
    if (asked.operation === 'BrengLeerresultaten') {
      if (asked.body.school.brincode !== BRIN) throw new GatewayError('state.missing');
      const isUnknown = asked.body.toetsafnames.some(
        ({ leerlingid = '', eckid }) =>
          !this.#past.pupils.has(leerlingid) && (!eckid || ![...this.#past.pupils.values()].includes(eckid)),
      );
      if (isUnknown)
        throw new GatewayError('learner.unknown', undefined, {
          where: 'Envelope/Body/leerresultaten_verzoek/toetsafnames/toetsafname/leerlingid',
        });
      this.#wrote = true;
      return writeBevestiging();
    }
    const question = rosterQuestion(asked.body);
    if (question.school.schoolOin !== this.#roster.schoolOin) throw new GatewayError('state.missing');
    const { operation } = asked;
    if (question.schoolYear !== '' && question.schoolYear !== schooljaar) return writeEmpty(operation, 'geengegevens');
    if (question.changedSince !== undefined && question.changedSince >= Date.parse(this.#roster.madeAt))
      return writeEmpty(operation, 'geenwijzigingen');
    const form: AnswerForm = { version: question.version, fields: 'smalle' };
    const part = question.groups ? question.groups.reveal((groups) => this.#of(groups)) : this.#roster;
    const list = operation === 'HaalLeerkrachten' ? part.staff : part.learners;
    if (list.length === 0) return writeEmpty(operation, 'geengegevens');
    this.#past.answered.add(operation);
    // An answer without pupils would say that there is nothing.
    const roster = operation === 'HaalLeerkrachten' ? { ...part, learners: this.#roster.learners } : part;
    return writeAnswer(operation, rosterAnswer({ kind: 'roster', roster: new Clear(roster) }, form));
  }

  /** The roster with the people of some groups. */
  #of(groups: readonly AskedGroup[]): Roster {
    const { groups: all } = this.#roster;
    const isComposite = (key: string) => all.some((it) => it.key === key && it.composite);
    const isIn = (keys: readonly string[]): boolean =>
      groups.some(({ key, composite }) =>
        key === ''
          ? keys.every((one) => isComposite(one) !== composite)
          : keys.includes(key) && isComposite(key) === composite,
      );
    return {
      ...this.#roster,
      learners: this.#roster.learners.filter(({ groupKey, compositeGroupKeys }) =>
        isIn(groupKey === '' ? compositeGroupKeys : [groupKey, ...compositeGroupKeys]),
      ),
      staff: this.#roster.staff.filter((one) => isIn(one.groups.map(({ key }) => key))),
    };
  }
}

/** The description and its schemas, as our own server gives them. */
function described(service: 'leerlinggegevens' | 'leerresultaten', url: URL): EaAnswer {
  const address = `${url.origin}${url.pathname}`;
  const asked = [...url.searchParams].find(([key]) => /^((single)?wsdl|xsd)$/i.test(key));
  if (asked && /^xsd$/i.test(asked[0])) {
    const text = xsd(service, asked[1], address);
    if (text !== undefined) return { status: 200, contentType: XML, body: text };
  } else if (asked) {
    const version = isVersion(asked[1]) ? { version: asked[1] } : {};
    const single = /^single/i.test(asked[0]);
    return { status: 200, contentType: XML, body: wsdl(service, address, { ...version, single }) };
  }
  return { status: 404, contentType: 'text/plain; charset=utf-8', body: 'The description is at ?wsdl.\n' };
}
