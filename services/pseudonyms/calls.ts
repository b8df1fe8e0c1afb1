import { type Clock, GatewayError, type Implementation, implement } from '#kernel';
import { type RevealRequest, VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import type { AskedReveals, Known } from './asked.ts';
import type { Custody } from './custody.ts';
import { arrive, checkEnrolAt, leaving } from './enrolling.ts';
import type { Forgetting } from './forgetting.ts';
import { peopleHeld } from './held.ts';
import type { DoorKeys } from './keys.ts';
import { checkMapKeys, mapKeys } from './mapping.ts';
import { mergeTokens } from './merging.ts';
import { readPseudonym } from './pairwise.ts';
import { checkIdentify, findLearner, identify, reveal, type Touched } from './people.ts';
import { replace } from './replacing.ts';
import type { RevealWatch } from './reveals.ts';
import type { KeyRotation, RotationStore } from './rotation.ts';
import { each } from './rows.ts';
import { base32, mac } from './seal.ts';
import type { School, Shelf } from './shelf.ts';

/** What a call works with. */
export interface Desk {
  shelf: Shelf;
  forgetting: Forgetting;
}

/** One call that waits to be run. */
export interface Call {
  /** Synchronous, and without effect but on rows: it may be run again, on other rows. */
  run(desk: Desk): unknown;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/** How often a receiver was shown something, for one purpose, since the start. */
export interface RevealCount {
  partyOin: string;
  purpose: string;
  numbers: number;
  names: number;
  contact: number;
  payloads: number;
}

const DAY_MS = 86_400_000;
/** Texts that are used again are marked so at most this often. */
const TOUCH_TEXT_MS = 30 * DAY_MS;
const MAX_COUNTS = 10_000;
const EMPTY = Buffer.alloc(0);
/** People, or texts, of a forgotten school that go in one transaction; and how many of these one call does. */
const LOT = 64;
const LOTS_AT_ONCE = 20;
const COUNTED_AT_ONCE = 1000;
/** Of everybody of a school whose names end, in one call. */
const EVERYONE_AT_ONCE = 640;

export interface ServedVault {
  doors: DoorKeys;
  devKey: boolean;
  touched: Touched;
  rotation: Pick<KeyRotation, 'begin' | 'state'>;
  watch: Pick<RevealWatch, 'note' | 'state'>;
  asked: Pick<AskedReveals, 'ask' | 'list' | 'decide' | 'take'>;
  custody: Pick<Custody, 'opening' | 'hold' | 'takeBack' | 'list' | 'master'>;
  /** As renewing keys runs its lots and finds what there is, also while calls are answered. */
  store: Pick<RotationStore, 'run' | 'learnersAfter' | 'textsAfter' | 'prepare'>;
  clock: Clock;
  /**
   * Runs a call together with others, in one transaction if it writes, and resolves when that is committed; it is told a
   * school so that calls of one school may be kept together.
   */
  grouped<T>(school: string, run: (desk: Desk) => T): Promise<T>;
}

/** `VaultService` over any database. */
export function serveVault({
  doors,
  devKey,
  touched,
  rotation,
  watch,
  asked,
  custody,
  store,
  clock,
  grouped: asItIs,
}: ServedVault): {
  implementation: Implementation;
  reveals(): readonly RevealCount[];
} {
  /** A school that is not open is opened first. */
  const grouped: typeof asItIs = (school, call) => custody.opening(school, () => asItIs(school, call));
  const counts = new Map<string, RevealCount>();
  const count = (
    partyOin: string,
    purpose: string,
    what: 'numbers' | 'names' | 'contact' | 'payloads',
    n: number,
  ): void => {
    let key = `${partyOin} ${purpose}`;
    if (!counts.has(key) && counts.size >= MAX_COUNTS) key = ' ';
    let row = counts.get(key);
    if (!row) {
      row = {
        partyOin: key === ' ' ? '' : partyOin,
        purpose: key === ' ' ? '' : purpose,
        numbers: 0,
        names: 0,
        contact: 0,
        payloads: 0,
      };
      counts.set(key, row);
    }
    row[what] += n;
  };
  const countReveal = (request: RevealRequest, known: number): void => {
    // A pseudonym reveals no number.
    for (const what of ['numbers', 'names', 'contact'] as const)
      if (request[what] && !(what === 'numbers' && request.pairwise))
        count(request.partyOin, request.purpose, what, known);
    if (request.names || request.contact || (request.numbers && !request.pairwise)) watch.note(request.partyOin, known);
  };
  const known: Known = {
    async count(schoolOin, tokens) {
      const found = await grouped(schoolOin, ({ shelf }) => {
        const school = shelf.school(schoolOin, false);
        return school && each(tokens, (token) => shelf.byToken(school, token) !== undefined).filter(Boolean).length;
      });
      if (found === undefined)
        throw new GatewayError('state.missing', 'Nobody of this school is known here.', { where: 'school_oin' });
      return found;
    },
    open: (request) => grouped(request.schoolOin, ({ shelf }) => reveal(shelf, request, touched)),
  };

  const implementation = implement(VaultServiceDefinition, {
    identify(request) {
      checkIdentify(request);
      return grouped(request.schoolOin, ({ shelf }) => identify(shelf, request));
    },
    findLearner: (request) => grouped('', ({ shelf }) => findLearner(shelf, request)),
    async reveal(request) {
      mustBeFor(request);
      const revealed = await known.open(request);
      countReveal(request, revealed.filter((one) => one.known).length);
      return { revealed };
    },
    sealTexts: ({ schoolOin, texts, partyOin }) =>
      grouped(schoolOin, ({ shelf }) => {
        const school = shelf.school(schoolOin, true);
        return { tokens: each(texts, (text) => sealText(shelf, school, text, partyOin)) };
      }),
    openTexts: ({ schoolOin, tokens, keys, partyOin, pseudonyms = 0 }) => {
      if (keys.length > 0 && partyOin === '')
        throw new GatewayError('gateway.bug', 'Pseudonyms are of a party.', { where: 'party_oin' });
      return grouped(schoolOin, ({ shelf }) => {
        const school = shelf.school(schoolOin, false);
        return {
          texts: each(tokens, (token) => (school ? openText(shelf, school, token) : '')),
          keys: each(keys, (token) => {
            const known = school && shelf.rows.text(school.id, token);
            return known ? shelf.pseudonyms(school, partyOin, 'text', pseudonyms).of(token) : '';
          }),
        };
      });
    },
    sealPayloads: ({ schoolOin, payloads }) =>
      grouped(schoolOin, ({ shelf }) => {
        const school = shelf.school(schoolOin, true);
        const sealed = each(payloads, ({ token, data, context }) => {
          const learner = token === '' ? undefined : shelf.byToken(school, token);
          return token !== '' && !learner ? EMPTY : shelf.sealPayload(school, learner, context, data);
        });
        return { sealed };
      }),
    async openPayloads({ schoolOin, sealed, partyOin, purpose }) {
      mustBeFor({ partyOin, purpose });
      const data = await grouped(schoolOin, ({ shelf }) => {
        const school = shelf.school(schoolOin, false);
        return each(sealed, (one) => {
          const learner = school && one.token !== '' ? shelf.byToken(school, one.token) : undefined;
          if (!school || (one.token !== '' && !learner)) return EMPTY;
          return shelf.openPayload(school, learner, one.context, one.sealed) ?? EMPTY;
        });
      });
      count(partyOin, purpose, 'payloads', data.filter((one) => one.length > 0).length);
      return { data };
    },
    salts: ({ schoolOin, flowIds }) =>
      grouped(schoolOin, ({ shelf }) => {
        const school = shelf.school(schoolOin, true);
        const salt = (flowId: Uint8Array) => mac(shelf.saltKey(school, beganMs(flowId)), 'salt', flowId);
        return { salts: flowIds.map((flowId) => salt(flowId).subarray(0, 16)) };
      }),
    // Needs no key.
    forget: ({ schoolOin, token, atMs }) =>
      asItIs(schoolOin, ({ forgetting }) => forgetting.decide(schoolOin, token, Number(atMs))),
    // Needs no key either.
    async endNames({ schoolOin, tokens, everyone, after }) {
      let people = 0;
      if (everyone) {
        const found = await store.learnersAfter(schoolOin, Number(after ?? 0n), EVERYONE_AT_ONCE);
        for (let from = 0; from < found.length; from += LOT) {
          const lot = found.slice(from, from + LOT).map(({ token }) => token);
          people += await asItIs(schoolOin, ({ forgetting }) => forgetting.endNames(schoolOin, lot));
        }
        return { people, ...(found.length < EVERYONE_AT_ONCE ? {} : { next: BigInt(found.at(-1)!.id) }) };
      }
      for (let from = 0; from < tokens.length; from += LOT) {
        const lot = tokens.slice(from, from + LOT);
        people += await asItIs(schoolOin, ({ forgetting }) => forgetting.endNames(schoolOin, lot));
      }
      return { people };
    },
    async forgetSchool({ schoolOin, atMs }) {
      const since = Number(atMs);
      if (since > clock.now()) throw new GatewayError('wire.invalid', 'Its hour has not come.', { where: 'at_ms' });
      const isDone = () => asItIs(schoolOin, ({ forgetting }) => forgetting.isSchoolDone(schoolOin, since));
      if (await isDone()) return { people: 0, texts: 0, done: true, renewed: false };
      const gone = { people: 0, texts: 0 };
      for (let lots = 0; lots < LOTS_AT_ONCE; lots++) {
        const people = await store.learnersAfter(schoolOin, 0, LOT);
        const texts = people.length > 0 ? [] : await store.textsAfter(schoolOin, '', LOT);
        if (people.length + texts.length === 0) {
          await store.prepare();
          // The one thing that needs its keys.
          await grouped(schoolOin, ({ forgetting }) => forgetting.renewAfterSchool(schoolOin, since));
          return { ...gone, done: true, renewed: true };
        }
        const tokens = people.map(({ token }) => token);
        const lot = await asItIs(schoolOin, ({ forgetting }) => forgetting.destroyOfSchool(schoolOin, tokens, texts));
        gone.people += lot.people;
        gone.texts += lot.texts;
      }
      return { ...gone, done: false, renewed: false };
    },
    async countHeld({ schoolOin }) {
      const counts = { learners: 0, staff: 0, texts: 0 };
      for (let after = 0; ; ) {
        const found = await store.learnersAfter(schoolOin, after, COUNTED_AT_ONCE);
        for (const { token } of found) counts[token.startsWith('st_') ? 'staff' : 'learners']++;
        if (found.length < COUNTED_AT_ONCE) break;
        after = found.at(-1)!.id;
      }
      for (let after = ''; ; ) {
        const found = await store.textsAfter(schoolOin, after, COUNTED_AT_ONCE);
        counts.texts += found.length;
        if (found.length < COUNTED_AT_ONCE) return counts;
        after = found.at(-1)!;
      }
    },
    async lackEckId({ schoolOin, tokens }) {
      if (tokens.length > 1_000)
        throw new GatewayError('wire.invalid', 'At most 1,000 learners at once.', { where: 'tokens' });
      const lacking = await grouped(schoolOin, ({ shelf }) => {
        const school = shelf.school(schoolOin, false);
        if (!school) return [];
        return each(tokens, (token) => {
          const one = shelf.byToken(school, token);
          return one && shelf.parts(school, shelf.whole(school, one)).every(({ hasEckId }) => !hasEckId) ? token : '';
        });
      });
      return { tokens: lacking.filter((token) => token !== '') };
    },
    replace: (request) => grouped(request.schoolOin, ({ shelf }) => replace(shelf, request)),
    mapKeys(request) {
      checkMapKeys(request);
      return grouped(request.schoolOin, ({ shelf }) => mapKeys(shelf, request));
    },
    async enrolAt(request) {
      checkEnrolAt(request);
      const { going, staying } = await grouped(request.fromSchoolOin, ({ shelf }) => leaving(shelf, request, touched));
      if (going.length === 0) return { enrolled: [], staying };
      const there = await grouped(request.toSchoolOin, ({ shelf }) => arrive(shelf, request, going));
      return { enrolled: there.enrolled, staying: [...staying, ...there.staying] };
    },
    mergeTokens: (request) => grouped(request.schoolOin, ({ shelf }) => mergeTokens(shelf, request)),
    doorKeys: () => ({ ...doors, devKey }),
    async rotateKeys({ kinds, schoolOin }) {
      await rotation.begin(kinds, schoolOin);
      return {};
    },
    async showKeys() {
      const [keys, held] = await Promise.all([rotation.state(), custody.list()]);
      const { at, awaySinceMs, isOpen } = custody.master();
      return { ...keys, held, masterAt: at, masterAwayMs: BigInt(awaySinceMs), masterClosed: !isOpen };
    },
    async showHolds({ schoolOin }) {
      return { held: await custody.list(schoolOin) };
    },
    async holdKeys({ schoolOin, at, token }) {
      if (schoolOin === '') throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
      if (at === '') await custody.takeBack(schoolOin, store.run);
      else await custody.hold(schoolOin, at, token, rotation, store.run);
      return {};
    },
    showReveals: () => watch.state(),
    async showPeople({ schoolOin, after, limit, partyOin, purpose, pseudonymsOf }) {
      mustBeFor({ partyOin, purpose });
      const size = pageOf(limit);
      const found = await store.learnersAfter(schoolOin, Number(after), size);
      const people = await grouped(schoolOin, ({ shelf }) =>
        peopleHeld(
          shelf,
          schoolOin,
          found.map(({ token }) => token),
          pseudonymsOf,
        ),
      );
      const told = people.filter(({ forgetting }) => !forgetting).length;
      for (const what of ['numbers', 'names', 'contact'] as const) count(partyOin, purpose, what, told);
      watch.note(partyOin, told);
      return { people, next: BigInt(found.length < size ? 0 : found.at(-1)!.id) };
    },
    async showTexts({ schoolOin, after, limit, partyOin, purpose, pseudonymsOf }) {
      mustBeFor({ partyOin, purpose });
      const size = pageOf(limit);
      const found = await store.textsAfter(schoolOin, after, size);
      const texts = await grouped(schoolOin, ({ shelf }) => {
        const school = shelf.school(schoolOin, false);
        return each(found, (token) => ({
          token,
          text: school ? openText(shelf, school, token) : '',
          pseudonyms: pseudonymsOf.map((of) =>
            school ? shelf.pseudonyms(school, of.partyOin, 'text', of.pseudonyms).of(token) : '',
          ),
        }));
      });
      return { texts, next: found.length < size ? '' : found.at(-1)! };
    },
    askReveal: async (request) => ({ asked: await asked.ask(request, known) }),
    listAskedReveals: async ({ schoolOin }) => ({ asked: await asked.list(schoolOin) }),
    decideReveal: async (request) => ({ asked: await asked.decide(request) }),
    async takeReveal(request) {
      mustBeFor(request);
      return asked.take(request, known, countReveal);
    },
  });
  return { implementation, reveals: () => [...counts.values()] };
}

/** People, or texts, on a page of what a school is given. */
const PAGE = 100;
const LARGEST_PAGE = 500;
const pageOf = (limit: number): number => Math.min(limit || PAGE, LARGEST_PAGE);

/** Nobody is shown for nobody, or for nothing. */
function mustBeFor({ partyOin, purpose }: { partyOin: string; purpose: string }): void {
  if (partyOin === '') throw new GatewayError('gateway.bug', 'What is shown is for a party.', { where: 'party_oin' });
  if (purpose === '') throw new GatewayError('gateway.bug', 'What is shown has a purpose.', { where: 'purpose' });
}

/** When a flow began, by its id, which is a UUID of version 7. */
const beganMs = (flowId: Uint8Array): number =>
  flowId.length < 6 ? 0 : Buffer.from(flowId.buffer, flowId.byteOffset, 6).readUIntBE(0, 6);

/**
 * A school's text → its token, always the same: HMAC under a key that serves nothing else. A pseudonym of the party's own
 * leads to the token of its text, or to none.
 */
function sealText(shelf: Shelf, school: School, text: string, party: string): string {
  if (text === '') return '';
  const pseudonym = readPseudonym(text);
  if (pseudonym) {
    const { version, renewed, characters } = pseudonym;
    const own = party && shelf.pseudonyms(school, party, 'text', renewed, version)?.tokenOf(characters);
    return own && shelf.rows.text(school.id, own) ? own : '';
  }
  const { version } = shelf.key(school, 'text_tokens');
  // Senders write one letter in two ways (Unicode forms): whoever changes its way has changed no text.
  const composed = text.normalize('NFC');
  const tokenUnder = (keyVersion: number, form = composed) =>
    `tx_${base32(mac(shelf.key(school, 'text_tokens', keyVersion)!.hmac, 'text', form))}`;
  const newest = tokenUnder(version);
  const older = shelf.olderVersions(school, 'text_tokens');
  const others = [
    ...older.map((keyVersion) => tokenUnder(keyVersion)),
    // As it was kept before its form was looked at.
    ...(composed === text ? [] : [version, ...older].map((keyVersion) => tokenUnder(keyVersion, text))),
  ];
  // A text keeps the token that it has, which stands in events and groups.
  const token = others.find((one) => shelf.rows.text(school.id, one)) ?? newest;
  const now = shelf.clock.now();
  const row = shelf.rows.text(school.id, token);
  if (!row) {
    const { write } = shelf.rows;
    const sealed = shelf.sealText(school, token, text);
    write.putText(school.id, { token, keyVersion: version, touchedMs: now, sealed });
  } else if (now - row.touchedMs > TOUCH_TEXT_MS) shelf.rows.write.putText(school.id, { ...row, touchedMs: now });
  return token;
}

function openText(shelf: Shelf, school: School, token: string): string {
  const row = shelf.rows.text(school.id, token);
  return row ? shelf.openText(school, token, row.sealed) : '';
}
