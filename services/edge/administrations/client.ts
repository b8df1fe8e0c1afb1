/**
 * Asks one administration for the roster of one school: in one question, or group by group. What it knows is who is asked and
 * what an answer is worth; the adapter words and reads, the dialler sends.
 */
import {
  type Antwoord,
  type Asking,
  type Autorisatie,
  answerOf,
  type Gegevens,
  headersOf,
  momentOf,
  PeerFault,
  type PulledRoster,
  pulledRoster,
  type Question,
  refuseOthers,
  type WantedGroup,
  writeQuestion,
} from '#adapters/uwlr';
import { readXmlApart } from '#adapters/xml';
import { brinOf, type Clear, type Dialler, GatewayError } from '#kernel';
import type { AdministrationSettings, Protocol, SchoolAt } from './settings.ts';

/** What an administration has for who asked. */
export type Pulled =
  | (PulledRoster & {
      kind: 'roster';
      learners: number;
      /** When it was made, as the administration writes it; empty = it does not say. */
      madeAt: string;
    })
  | { kind: 'unchanged' }
  | { kind: 'nothing' };

export interface Ask {
  school: SchoolAt;
  schoolYear: string;
  isRunning: boolean;
  /** Empty = everything. */
  since: string;
  protocol: Protocol;
  header: Clear<Autorisatie>;
  headers: Readonly<Record<string, string>>;
  signal: AbortSignal;
}

/**
 * Faults: PeerFault (it said no in the standard's words), peer.unavailable (no answer, or one that is none), peer.refused (it
 * does not let us in), wire.pgn.
 */
export async function pullFrom(settings: AdministrationSettings, dialler: Dialler, ask: Ask): Promise<Pulled> {
  const { school } = ask;
  const question: Question = {
    school: {
      brincode: brinOf(school.schoolOin) ?? '',
      dependancecode: school.siteCode,
      schoolkey: school.schoolkey,
    },
    schooljaar: ask.schoolYear,
    isRunning: ask.isRunning,
    since: ask.since,
  };
  const client = new Client(settings, dialler, ask, question);
  const parts = ask.protocol === 'getrapt' ? await client.staged() : await client.whole();
  if (parts === 'unchanged') {
    // Who was asked for everything has no "nothing new".
    if (ask.since === '') throw worthless('says that nothing changed, to a question for everything');
    return { kind: 'unchanged' };
  }
  const learners = parts.reduce((sum, { leerlingen }) => sum + leerlingen.length, 0);
  if (learners === 0) return { kind: 'nothing' };
  const { roster, losses } = readable(() =>
    pulledRoster(parts, question, { schoolOin: school.schoolOin, administration: school.administration }),
  );
  return { kind: 'roster', roster, losses, learners, madeAt: momentIn(parts[0]!.school.aanmaakdatum) };
}

/** As it was written, since it goes back to who wrote it; what is no moment is none. */
const momentIn = (text: string): string => (momentOf(text) === '' ? '' : text);

class Client {
  readonly #settings: AdministrationSettings;
  readonly #dialler: Dialler;
  readonly #ask: Ask;
  readonly #question: Question;
  constructor(settings: AdministrationSettings, dialler: Dialler, ask: Ask, question: Question) {
    this.#settings = settings;
    this.#dialler = dialler;
    this.#ask = ask;
    this.#question = question;
  }

  async whole(): Promise<Gegevens[] | 'unchanged'> {
    const answer = await this.#put(this.#settings.leerlinggegevens, 'HaalLeerlinggegevens', this.#question, []);
    if (answer.kind === 'geenwijzigingen') return 'unchanged';
    return answer.kind === 'geengegevens' ? [] : [answer];
  }

  /** Structure, then the people of its groups, then those in none. Where anything changed, everything is had. */
  async staged(): Promise<Gegevens[] | 'unchanged'> {
    const everything = { ...this.#question, since: '' };
    const asked = await this.#staged('HaalStructuur', this.#question, []);
    if (asked.kind === 'geengegevens') return [];
    // The groups are needed to ask for their people, also where nothing of them changed.
    const structure = asked.kind === 'geenwijzigingen' ? await this.#staged('HaalStructuur', everything, []) : asked;
    if (structure.kind !== 'gegevens') throw worthless('has a school, and says that it has none');
    const { groupsAtOnce } = this.#settings;
    const groups: WantedGroup[] = [
      ...structure.groepen.map(({ key, samengesteld }) => ({ key, samengesteld })),
      { key: '', samengesteld: false },
    ];
    const questions: { operation: Asking; groups: WantedGroup[] }[] = [];
    for (let i = 0; i < groups.length; i += groupsAtOnce)
      for (const operation of ['HaalLeerlingen', 'HaalLeerkrachten'] as const)
        questions.push({ operation, groups: groups.slice(i, i + groupsAtOnce) });
    const answers: Antwoord[] = [];
    for (const { operation, groups: of } of questions) answers.push(await this.#staged(operation, this.#question, of));
    if (asked.kind === 'geenwijzigingen' && answers.every(({ kind }) => kind === 'geenwijzigingen')) return 'unchanged';
    for (const [i, { operation, groups: of }] of questions.entries())
      if (answers[i]!.kind === 'geenwijzigingen') answers[i] = await this.#staged(operation, everything, of);
    if (answers.some(({ kind }) => kind === 'geenwijzigingen'))
      throw worthless('says that nothing changed, to a question for everything');
    return [structure, ...answers.flatMap((answer) => (answer.kind === 'gegevens' ? [answer] : []))];
  }

  #staged(operation: Asking, question: Question, groups: readonly WantedGroup[]): Promise<Antwoord> {
    return this.#put(this.#settings.getrapt, operation, question, groups);
  }

  async #put(
    address: string,
    operation: Asking,
    question: Question,
    groups: readonly WantedGroup[],
  ): Promise<Antwoord> {
    const { dialect, timeoutMs, mostBytes } = this.#settings;
    const { header, headers, signal } = this.#ask;
    if (address === '')
      throw new GatewayError('gateway.unavailable', 'The settings of the administration name no address for this.');
    const { status, body } = await this.#dialler.dial(address, {
      method: 'POST',
      headers: { ...headersOf(operation, dialect), ...headers },
      body: writeQuestion(operation, question, groups, header, dialect),
      timeoutMs,
      mostBytes,
      signal,
    });
    refuseStatus(status, body.length);
    try {
      const answer = answerOf((await readXmlApart(body, { maxBytes: mostBytes })).root, operation);
      if (status !== 200) throw worthless('answers with a status that is not of an answer');
      // Each part says whose it is: an answer about another school is never put beside the others.
      if (answer.kind === 'gegevens') readable(() => refuseOthers(answer.school, question));
      return answer;
    } catch (thrown) {
      throw asPeers(thrown);
    }
  }
}

/** Statuses that need no reading: SOAP faults come with 500, answers with 200. */
export function refuseStatus(status: number, length: number): void {
  if (status === 401 || status === 403)
    throw new GatewayError(
      'peer.refused',
      'The administration does not let us in: look at certificate and headers in its settings.',
    );
  if (status === 404 || status === 405 || status === 410)
    throw new GatewayError(
      'peer.refused',
      'There is no such service at this address: look at the settings of the administration.',
    );
  if (status >= 300 && status < 400)
    throw new GatewayError(
      'peer.refused',
      'The administration sends us elsewhere, where we do not go: look at its address.',
    );
  if (status === 429 || status === 502 || status === 503 || status === 504)
    throw new GatewayError('peer.unavailable', 'The administration has no time now.');
  if (length === 0) throw worthless('says nothing');
}

const worthless = (told: string): GatewayError => new GatewayError('peer.unavailable', `The administration ${told}.`);

function readable<T>(read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    throw asPeers(thrown);
  }
}

/** What is wrong with an answer is for who wrote it: to us it is none. A personal number stays what it is. */
export function asPeers(thrown: unknown): unknown {
  if (!(thrown instanceof GatewayError) || thrown instanceof PeerFault) return thrown;
  const { fault, told, where } = thrown;
  if (!fault.startsWith('wire.') || fault === 'wire.pgn') return thrown;
  return new GatewayError('peer.unavailable', `The administration gave an answer that cannot be used. ${told}`, {
    where,
  });
}
