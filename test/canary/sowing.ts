/** One run against one gateway: who calls it, what was put where, what came back. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MethodDefinition } from '#kernel';
import { fieldsOf } from '#proto/labels';
import type { Administration } from './administration.ts';
import { type Answer, Caller } from './caller.ts';
import type { Subject } from './gateway.ts';
import { type Canary, Identities, type Kind } from './identities.ts';
import { Looking, type May } from './look.ts';
import type { Tried } from './report.ts';

/** Labels of the contracts (eduk.core.v1.Label). */
export const Label = {
  CATALOGUE: 3,
  SCHOOL_TEXT: 20,
  SECRET: 21,
  NUMBER: 30,
  NAME: 31,
  CONTACT: 32,
  PGN_EQUIVALENT: 33,
};

/** Labels of what is a person's, a school's own or a party's secret. */
export const isIdentity = (label: number): boolean => label >= Label.SCHOOL_TEXT;

/** The kind that belongs into a field; undefined = no identity does. */
export function kindOf({ protoName, label }: { protoName: string; label: number }): Kind | undefined {
  switch (label) {
    case Label.NUMBER:
      return protoName === 'eck_id' ? 'ECK iD' : 'key of the administration';
    case Label.NAME:
      if (protoName === 'birth_date') return 'birth date';
      // A digit, which is in everything.
      if (protoName === 'gender') return undefined;
      return protoName === 'call_name' ? 'call name' : 'family name';
    case Label.CONTACT:
      return protoName === 'email' ? 'e-mail address' : 'account name';
    case Label.SCHOOL_TEXT:
      return 'text of a school';
    case Label.SECRET:
      return protoName === 'activation_code' ? 'activation code' : undefined;
    case Label.PGN_EQUIVALENT:
      return 'hashed PGN';
  }
  return undefined;
}

export type Message = Record<string, unknown>;

/** Calls `visit` for every field of a message that holds a string or could, with the message that holds it. */
export function eachField(
  type: string,
  message: Message,
  visit: (holder: Message, field: (typeof fieldsOf)[string][number], path: string) => void,
  path = '',
): void {
  for (const field of fieldsOf[type] ?? []) {
    const at = path === '' ? field.protoName : `${path}.${field.protoName}`;
    if (field.kind === 'string') visit(message, field, at);
    else if (field.kind === 'message' && !field.map && field.of)
      for (const one of [message[field.name]].flat())
        if (one !== undefined && one !== null) eachField(field.of, one as Message, visit, at);
  }
}

export interface Codec {
  fromPartial(object: unknown): Message;
  fromJSON(json: unknown): Message;
  encode(message: unknown): { finish(): Uint8Array };
}

export interface Operation {
  /** `OrderService.PlaceOrder` */
  name: string;
  path: string;
  method: MethodDefinition;
  type: string;
  codec: Codec;
}

export const encodedAs = ({ codec }: Operation, message: unknown): Buffer =>
  Buffer.from(codec.encode(message).finish());

/** An id of docs/grpc that stands in events and rows. */
const RESTING = 'doc-ent-1';

/**
 * `whole`: every kind in every place. `quick`: every operation and place, each with some of the kinds, which the seed chooses.
 * `brief`: the story and some of the rest, for an engine on which the other was tried.
 */
export const sizes = ['whole', 'quick', 'brief'] as const;
export type Size = (typeof sizes)[number];

export class Sowing {
  readonly subject: Subject;
  readonly identities: Identities;
  readonly looking = new Looking(RESTING);
  readonly caller: Caller;
  readonly size: Size;
  readonly problems: string[] = [];
  /** API keys by caller, and `operator`. */
  readonly keys = new Map<string, string>();
  /** What the gateway asks for rosters. */
  administration: Administration | undefined;
  readonly #tried = new Map<string, Tried>();
  #references = 0;

  constructor(subject: Subject, seed: number, size: Size) {
    this.subject = subject;
    this.identities = new Identities(seed);
    this.caller = new Caller(subject.grpc);
    this.size = size;
    this.keys.set('operator', subject.operatorKey);
  }

  get isWhole(): boolean {
    return this.size === 'whole';
  }

  get tried(): Tried[] {
    return [...this.#tried.values()].sort((a, b) => (a.operation < b.operation ? -1 : 1));
  }

  /** A new identity for a place; from here on it is looked for. */
  plant(kind: Kind, operation: string, place: string, belongs = false): Canary {
    const canary = this.identities.make(kind, `${operation}, ${place}`, belongs);
    this.looking.search.add(canary);
    this.#of(operation).planted += 1;
    return canary;
  }

  /** A secret that was given out is looked for as well: it rests nowhere as it is. */
  keep(secret: string, whose: string, belongs = false): void {
    if (secret !== '') this.looking.search.add(this.identities.given(secret, `given to ${whose}`, belongs));
  }

  fresh(name: string): string {
    this.#references += 1;
    return `${name}-${this.#references}`;
  }

  /** Notes a call and looks at what came back. */
  hear(operation: string, answer: Pick<Answer, 'code' | 'messages' | 'words'>, may: May = 'nobody'): void {
    const tried = this.#of(operation);
    tried.calls += 1;
    if (answer.code !== '') tried.refused += 1;
    const refused = answer.code !== '';
    const place = refused ? 'answers to what was refused' : may === 'nobody' ? 'answers' : 'answers to who is entitled';
    for (const one of answer.messages) this.looking.at(place, one, refused ? 'nobody' : may, operation);
    for (const one of answer.words)
      this.looking.at(refused ? 'answers to what was refused' : 'headers of answers', one, 'nobody', operation);
    if (answer.code === 'gateway.bug' || answer.code === 'gateway.clear_data')
      this.problems.push(`${operation} was answered ${answer.code}`);
  }

  /** A call as a party, with what came of it looked at. */
  async call(
    { name, path, method }: Operation,
    by: string,
    bytes: readonly Buffer[],
    {
      headers = {},
      may = 'nobody',
      listenMs,
    }: { headers?: Record<string, string | Buffer>; may?: May; listenMs?: number } = {},
  ): Promise<Answer> {
    const answer = await this.caller.call(
      path,
      method,
      bytes,
      { authorization: `Bearer ${this.keys.get(by)}`, ...headers },
      listenMs,
    );
    this.hear(name, answer, may);
    return answer;
  }

  /** Over HTTP; the answer's text, looked at with its headers. */
  async fetch(
    operation: string,
    path: string,
    init: RequestInit,
    may: May = 'nobody',
  ): Promise<{ status: number; text: string }> {
    const response = await fetch(path.startsWith('http') ? path : `${this.subject.http}${path}`, {
      redirect: 'manual',
      ...init,
      // Kept open, a connection can be closed by the gateway just as it is used again.
      headers: { connection: 'close', ...init.headers },
    });
    const body = Buffer.from(await response.arrayBuffer());
    const refused = response.status >= 400;
    this.hear(
      operation,
      {
        code: refused ? String(response.status) : '',
        messages: [body],
        words: [JSON.stringify([...response.headers]), response.statusText],
      },
      may,
    );
    return { status: response.status, text: body.toString() };
  }

  #of(operation: string): Tried {
    const known = this.#tried.get(operation);
    if (known) return known;
    const made = { operation, calls: 0, refused: 0, planted: 0 };
    this.#tried.set(operation, made);
    return made;
  }
}

/** Runs all, so many at once. */
export async function together<T>(work: readonly T[], atOnce: number, run: (one: T) => Promise<void>): Promise<void> {
  const left = work[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const one of left) await run(one);
    }),
  );
}

/** Asks until it is so, or no longer than `ms`. */
export async function until(isSo: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(50)) if (await isSo()) return true;
  return isSo();
}
