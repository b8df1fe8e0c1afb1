import { randomBytes } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { type Client, connect, dispatcher, type GatewayError, logTo, uuid7 } from '#kernel';
import { Person } from '#proto/eduk/core/v1/learner';
import { type Identified, VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { MasterSource, makeHeldKey, readAtStart } from './custody.ts';
import type { Holders } from './holder.ts';
import { heldKeyText } from './master.ts';
import { testHolders } from './testing.ts';
import type { Vault, VaultOptions } from './vault.ts';

/** A place for one vault, on one kind of database. */
export interface Place {
  /** Opens the vault, or makes it. */
  open(options: Omit<VaultOptions, 'file'>): Promise<Vault>;
  /** On its tables, while it may be open or not. Bytes come as `Uint8Array`. */
  sql(statement: string): Promise<Record<string, unknown>[]>;
  /** Keeps a copy of it while it is closed, without the list of who was forgotten. What is returned brings that copy back. */
  backup(): Promise<() => Promise<void>>;
  /** Every byte that it has on disk. */
  bytes(): Promise<Buffer>;
  /** The list of who was forgotten: token and decision of each line. */
  forgotten(): Promise<string[]>;
  remove(): Promise<void>;
}

const SCHOOL = '0000000700099XX00000';
const OTHER = '0000000700099YY00000';
const PARTY = '00000001234567890000';
const DAY_MS = 86_400_000;
const eckId = (name: string) => `https://ketenid.nl/pilot/${Buffer.from(name).toString('hex').padEnd(128, '0')}`;
const NONE = Buffer.alloc(0);

interface Opened {
  vault: Vault;
  call: Client<typeof VaultServiceDefinition>;
  place: Place;
  masterKey: Uint8Array;
  clock: { ms: number; now(): number };
  reopen(): Promise<Opened>;
}

const TABLES = [
  'meta',
  'schools',
  'school_sectors',
  'school_keys',
  'learners',
  'lookups',
  'numbers',
  'names',
  'births',
  'contact',
  'texts',
  'forgetting',
  'merged',
];

export interface Particulars {
  /** The table in which the secrets of learners stand, and its column of whose they are. */
  secrets: { table: string; learner: string };
  /** Bytes in an SQL statement. */
  bytesInSql(hex: string): string;
  /** How many series of steps are compared with the model. */
  modelRuns: number;
}

/** What every vault owes the gateway, whatever database it rests in. */
export function vaultContract(newPlace: () => Promise<Place>, { secrets, bytesInSql, modelRuns }: Particulars): void {
  const places: Place[] = [];
  const vaults: Vault[] = [];
  afterEach(async () => {
    for (const vault of vaults.splice(0)) await vault.stop();
    for (const place of places.splice(0)) await place.remove();
  });

  async function opened(
    options: {
      place?: Place;
      masterKey?: Uint8Array;
      nextKey?: VaultOptions['nextKey'];
      clock?: Opened['clock'];
      maxCached?: number;
      revealsPerHour?: number;
      source?: MasterSource;
      holders?: Holders;
      leaseMs?: number;
      elapsed?: () => number;
    } = {},
  ): Promise<Opened> {
    const place = options.place ?? (await newPlace());
    if (!options.place) places.push(place);
    const masterKey = options.masterKey ?? randomBytes(32);
    const clock = options.clock ?? {
      ms: Date.UTC(2026, 10, 22),
      now() {
        return this.ms;
      },
    };
    const vault = await place.open({
      masterKey,
      clock,
      ...(options.revealsPerHour ? { revealsPerHour: options.revealsPerHour } : {}),
      ...(options.nextKey ? { nextKey: options.nextKey } : {}),
      ...(options.maxCached ? { maxCached: options.maxCached } : {}),
      ...(options.source ? { source: options.source } : {}),
      ...(options.holders ? { holders: options.holders } : {}),
      ...(options.leaseMs ? { leaseMs: options.leaseMs } : {}),
      ...(options.elapsed ? { elapsed: options.elapsed } : {}),
    });
    vaults.push(vault);
    return {
      vault,
      call: connect(VaultServiceDefinition, dispatcher(vault.implementations)),
      place,
      masterKey,
      clock,
      async reopen() {
        await vault.stop();
        return opened({ ...options, place, masterKey, clock });
      },
    };
  }

  interface Who {
    kind?: 'learner' | 'staff';
    eck?: string;
    las?: string;
    person?: Partial<Person>;
    /** Whose pseudonyms are understood. */
    by?: string;
  }

  async function identifyAll(
    { call }: Opened,
    whos: Who[],
    more: { school?: string; sector?: string; create?: boolean; saltFor?: Uint8Array[] } = {},
  ): Promise<Identified[]> {
    const { identified } = await call.identify({
      schoolOin: more.school ?? SCHOOL,
      sector: more.sector ?? '',
      create: more.create ?? true,
      saltFor: (more.saltFor ?? []).map((id) => Buffer.from(id)),
      identities: whos.map(({ kind = 'learner', eck = '', las = '', person, by = '' }) => ({
        kind,
        eckId: eck === '' || eck.startsWith('urn:') ? eck : eckId(eck),
        lasKey: las,
        person: person && Person.fromPartial(person),
        partyOin: by,
      })),
    });
    return identified;
  }
  const identifyOne = async (on: Opened, who: Who, more: Parameters<typeof identifyAll>[2] = {}) =>
    (await identifyAll(on, [who], more))[0]!;

  const revealOne = async ({ call }: Opened, token: string, nameMark: Uint8Array = NONE, school = SCHOOL) =>
    (
      await call.reveal({
        schoolOin: school,
        wanted: [{ token, nameMark }],
        numbers: true,
        names: true,
        contact: true,
        partyOin: PARTY,
        purpose: 'roster',
        pairwise: false,
      })
    ).revealed[0]!;

  const forget = ({ call }: Opened, token: string, atMs = 0, school = SCHOOL) =>
    call.forget({ schoolOin: school, token, atMs: BigInt(atMs) });

  const FAYE: Partial<Person> = {
    familyName: 'Zandvliet-Quist',
    familyNamePrefix: 'van der',
    givenNames: 'Fayenne Oktavia',
    initials: 'F.O.',
    callName: 'Fayenne',
    birthDate: '2013-02-29',
    gender: '2',
    email: 'fayenne@leerling.example',
    accountName: 'fzandvliet13',
  };

  describe('identities become tokens', () => {
    test('one learner of one school keeps one token, also after a restart', async () => {
      const vault = await opened();
      const first = await identifyOne(vault, { eck: 'faye', las: '100' });
      expect(first).toMatchObject({ created: true, code: '' });
      expect(first.token).toMatch(/^lt_[a-z2-7]{26}$/);
      expect(await identifyOne(vault, { eck: 'faye' })).toMatchObject({ token: first.token, created: false });
      const again = await vault.reopen();
      expect(await identifyOne(again, { las: '100' })).toMatchObject({ token: first.token, created: false });
    });

    test('the same ECK iD at two schools, or in two sectors of one, is two tokens', async () => {
      const vault = await opened();
      const here = await identifyOne(vault, { eck: 'faye' }, { sector: 'po' });
      const there = await identifyOne(vault, { eck: 'faye' }, { school: OTHER, sector: 'po' });
      const later = await identifyOne(vault, { eck: 'faye' }, { sector: 'vo' });
      expect(new Set([here.token, there.token, later.token]).size).toBe(3);
      // Without a sector it is the school's first.
      expect((await identifyOne(vault, { eck: 'faye' })).token).toBe(here.token);
      const { found } = await vault.call.findLearner({ eckId: eckId('faye'), schoolOins: [OTHER, 'nowhere', SCHOOL] });
      expect(found).toEqual([
        { schoolOin: OTHER, token: there.token },
        { schoolOin: SCHOOL, token: here.token },
        { schoolOin: SCHOOL, token: later.token },
      ]);
    });

    test('a sector that is named later is the one the school had without a name', async () => {
      const vault = await opened();
      const unnamed = await identifyOne(vault, { eck: 'faye' });
      expect((await identifyOne(vault, { eck: 'faye' }, { sector: 'vo' })).token).toBe(unnamed.token);
      expect((await identifyOne(vault, { eck: 'faye' }, { sector: 'po' })).token).not.toBe(unnamed.token);
    });

    test('a learner known by key gets the ECK iD later, and the other way round', async () => {
      const vault = await opened();
      const [byKey, byEckId] = await identifyAll(vault, [{ las: '7' }, { eck: 'noor' }]);
      expect(await identifyOne(vault, { eck: 'faye', las: '7' })).toMatchObject({
        token: byKey!.token,
        created: false,
      });
      expect((await identifyOne(vault, { eck: 'faye' })).token).toBe(byKey!.token);
      expect((await identifyOne(vault, { eck: 'noor', las: '8' })).token).toBe(byEckId!.token);
      expect((await identifyOne(vault, { las: '8' })).token).toBe(byEckId!.token);
      expect((await revealOne(vault, byKey!.token)).ref).toEqual({ eckId: eckId('faye'), lasKey: '7' });
    });

    test('who has no ECK iD is told by token, until one comes', async () => {
      const vault = await opened();
      const [numbered, keyed] = await identifyAll(vault, [{ eck: 'pupil 1' }, { las: 'L-2' }]);
      const asked = { schoolOin: SCHOOL, tokens: [numbered!.token, keyed!.token, 'lt_nobody'] };
      expect(await vault.call.lackEckId(asked)).toEqual({ tokens: [keyed!.token] });
      expect(await vault.call.lackEckId({ ...asked, schoolOin: OTHER })).toEqual({ tokens: [] });
      const again = await vault.reopen();
      await identifyOne(again, { eck: 'pupil 2', las: 'L-2' });
      expect(await again.call.lackEckId(asked)).toEqual({ tokens: [] });
      await expect(again.call.lackEckId({ ...asked, tokens: Array(1_001).fill('lt_x') })).rejects.toMatchObject({
        fault: 'wire.invalid',
      });
    });

    test('another administration’s key leads to the same learner; the old key stays outward', async () => {
      const vault = await opened();
      const { token } = await identifyOne(vault, { eck: 'faye', las: 'old' });
      expect((await identifyOne(vault, { eck: 'faye', las: 'new' })).token).toBe(token);
      expect((await identifyOne(vault, { las: 'new' })).token).toBe(token);
      expect((await revealOne(vault, token)).ref?.lasKey).toBe('old');
    });

    test('a number that takes the place of another leads to the same learner; it can be taken back', async () => {
      let at = await opened();
      const [anna] = await identifyAll(at, [{ eck: 'anna', las: 'k-1' }]);
      await identifyAll(at, [{ eck: 'ben', las: 'k-2' }]);
      const [vo] = await identifyAll(at, [{ eck: 'anna' }], { sector: 'po' });
      await identifyAll(at, [{ eck: 'anna' }], { sector: 'vo' });
      const replace = (kind: string, before: string, after: string) =>
        at.call.replace({ schoolOin: SCHOOL, kind, before, after });
      const shown = async () => {
        const { revealed } = await at.call.reveal({
          schoolOin: SCHOOL,
          wanted: [{ token: anna!.token, nameMark: NONE }],
          numbers: true,
          names: false,
          contact: false,
          partyOin: PARTY,
          purpose: 'service_1',
          pairwise: false,
        });
        return revealed[0]!.ref;
      };
      expect(vo!.token).toBe(anna!.token);
      expect(await replace('eck_id', eckId('anna'), eckId('anna-2'))).toEqual({ code: '', changed: true });
      expect(await replace('las_key', 'k-1', 'k-9')).toEqual({ code: '', changed: true });
      at = await at.reopen();
      expect(await shown()).toEqual({ eckId: eckId('anna-2'), lasKey: 'k-1' });
      const after = await identifyAll(at, [
        { eck: 'anna' },
        { eck: 'anna-2' },
        { las: 'k-1' },
        { eck: 'anna-2', las: 'k-9' },
      ]);
      expect(after.map(({ token, code }) => [token, code])).toEqual(Array(4).fill([anna!.token, '']));
      const [two] = await identifyAll(at, [{ eck: 'anna-2' }], { sector: 'vo', create: false });
      expect([two!.token !== anna!.token, two!.token !== '']).toEqual([true, true]);
      // Twice is once; of another learner, or of nobody, nothing is linked.
      expect(await replace('eck_id', eckId('anna'), eckId('anna-2'))).toEqual({ code: '', changed: false });
      expect(await replace('eck_id', eckId('anna'), eckId('ben'))).toEqual({ code: 'state.conflict', changed: false });
      expect(await replace('las_key', 'k-1', 'k-2')).toEqual({ code: 'state.conflict', changed: false });
      expect(await replace('las_key', 'nobody', 'k-3')).toEqual({ code: 'learner.unknown', changed: false });
      expect((await at.call.replace({ schoolOin: OTHER, kind: 'las_key', before: 'k-1', after: 'k-3' })).code).toBe(
        'learner.unknown',
      );
      // Back again; and what is forgotten is forgotten under every number.
      expect(await replace('eck_id', eckId('anna-2'), eckId('anna'))).toEqual({ code: '', changed: true });
      expect(await shown()).toEqual({ eckId: eckId('anna'), lasKey: 'k-1' });
      await at.call.forget({ schoolOin: SCHOOL, token: anna!.token, atMs: 0n });
      const gone = await identifyAll(at, [{ eck: 'anna' }, { eck: 'anna-2' }, { las: 'k-1' }, { las: 'k-9' }], {
        create: false,
      });
      expect(gone.map(({ code }) => code)).toEqual(Array(4).fill('learner.unknown'));
      const stamp = 'https://ketenid.nl/sp/1';
      await expect(replace('eck_id', eckId('ben'), stamp)).rejects.toMatchObject({ fault: 'wire.pgn' });
    });

    test('keys of another administration are mapped in by ECK iD: nobody is made, and the key that was shown stays', async () => {
      let at = await opened();
      const [anna, ben] = await identifyAll(
        at,
        [
          { eck: 'anna', las: 'k-1' },
          { eck: 'ben', las: 'k-2' },
        ],
        {
          sector: 'po',
        },
      );
      const [vo] = await identifyAll(at, [{ eck: 'anna' }], { sector: 'vo' });
      await identifyAll(at, [{ las: 'k-3' }], { sector: 'po' });
      const map = async (apply: boolean, ...pairs: [string, string][]) => {
        const learners = pairs.map(([name, lasKey]) => ({ eckId: eckId(name), lasKey }));
        const { mapped } = await at.call.mapKeys({ schoolOin: SCHOOL, learners, apply });
        return mapped.map(({ outcome, tokens }) => [outcome, ...tokens]);
      };
      const annas = [anna!.token, vo!.token];
      const lines: [string, string][] = [
        ['anna', 'n-1'],
        ['nobody', 'n-2'],
        ['ben', 'k-1'],
        ['ben', 'k-3'],
        ['ben', 'k-2'],
      ];
      const others = [['unknown'], ['taken', ben!.token], ['taken', ben!.token], ['known', ben!.token]];
      expect(await map(false, ...lines)).toEqual([['maps', ...annas], ...others]);
      // Looking changes nothing: the key is still nobody's.
      expect((await identifyAll(at, [{ las: 'n-1' }], { create: false }))[0]!.code).toBe('learner.unknown');
      expect(await map(true, ...lines)).toEqual([['maps', ...annas], ...others]);
      at = await at.reopen();
      expect(await map(true, ...lines)).toEqual([['known', ...annas], ...others]);
      const found = async (las: string, sector: string) =>
        (await identifyAll(at, [{ las }], { sector, create: false }))[0]!.token;
      expect([await found('n-1', 'po'), await found('n-1', 'vo'), await found('n-2', 'po')]).toEqual([...annas, '']);
      expect((await identifyOne(at, { eck: 'anna', las: 'n-1' })).token).toBe(anna!.token);
      expect((await revealOne(at, anna!.token)).ref).toEqual({ eckId: eckId('anna'), lasKey: 'k-1' });
      // What is forgotten is forgotten under the new key too; another school knows nothing of it.
      await at.call.forget({ schoolOin: SCHOOL, token: anna!.token, atMs: 0n });
      expect(await found('n-1', 'po')).toBe('');
      const elsewhere = { schoolOin: OTHER, learners: [{ eckId: eckId('ben'), lasKey: 'n-9' }], apply: true };
      expect((await at.call.mapKeys(elsewhere)).mapped).toEqual([{ outcome: 'unknown', tokens: [] }]);
      const stamp = { ...elsewhere, learners: [{ eckId: 'https://ketenid.nl/sp/1', lasKey: 'n-9' }] };
      await expect(at.call.mapKeys(stamp)).rejects.toMatchObject({ fault: 'wire.pgn' });
    });

    test('learners of one school become learners of another: other tokens that nothing relates, by ECK iD, and the same lot given again changes nothing', async () => {
      let at = await opened();
      const [anna, ben, keyed, gone] = await identifyAll(
        at,
        [
          { eck: 'anna', las: 'k-1', person: FAYE },
          { eck: 'ben', las: 'k-2', person: { callName: 'Ben' } },
          { las: 'k-3' },
          { eck: 'gone' },
        ],
        { sector: 'po' },
      );
      const [vo, teacher] = [
        await identifyOne(at, { eck: 'anna' }, { sector: 'vo' }),
        await identifyOne(at, { kind: 'staff', eck: 'els' }),
      ];
      // The other school has Ben already, and its key k-1 is somebody else's.
      const [known, other] = await identifyAll(
        at,
        [{ eck: 'ben', las: 'n-2', person: { callName: 'Benno' } }, { las: 'k-1' }],
        { school: OTHER, sector: 'po' },
      );
      await forget(at, gone!.token, at.clock.ms + DAY_MS);
      const asked = [anna!, ben!, keyed!, gone!, teacher!, { token: 'lt_nobody' }].map(({ token }, i) => ({
        token,
        nameMark: NONE,
        tag: i % 2,
      }));
      const enrol = (look: boolean, learners = asked) =>
        at.call.enrolAt({ fromSchoolOin: SCHOOL, toSchoolOin: OTHER, learners, look });
      const stay = [keyed!.token, gone!.token, teacher!.token, 'lt_nobody'].sort();
      const looked = await enrol(true);
      expect(looked.enrolled).toMatchObject([{ token: known!.token, tag: 1 }]);
      expect(looked.staying.sort()).toEqual(stay);
      expect((await identifyOne(at, { eck: 'anna' }, { school: OTHER, create: false })).code).toBe('learner.unknown');

      const first = await enrol(false);
      expect(first.staying.sort()).toEqual(stay);
      const tokens = first.enrolled.map(({ token }) => token);
      // In the order of these tokens, whatever the order asked.
      expect(tokens).toEqual([...tokens].sort());
      const there = first.enrolled.find(({ tag }) => tag === 0)!;
      expect(tokens).toContain(known!.token);
      expect(new Set([...tokens, anna!.token, ben!.token, vo.token, other!.token]).size).toBe(6);
      for (const again of [0, 1]) {
        expect((await enrol(false)).enrolled).toEqual(first.enrolled);
        expect((await enrol(false, [...asked].reverse())).enrolled).toEqual(first.enrolled);
        expect(await identifyOne(at, { eck: 'anna' }, { school: OTHER, sector: 'po', create: false })).toMatchObject({
          token: there.token,
        });
        // Names go along, a key does not: it is the other school's to give.
        expect(await revealOne(at, there.token, there.nameMark, OTHER)).toMatchObject({
          ref: { eckId: eckId('anna'), lasKey: '' },
          person: { familyName: FAYE.familyName!, callName: FAYE.callName!, birthDate: FAYE.birthDate! },
        });
        expect((await revealOne(at, anna!.token)).ref).toEqual({ eckId: eckId('anna'), lasKey: 'k-1' });
        if (again === 0) at = await at.reopen();
      }
      // Forgotten at the one, it is there at the other; who is to be forgotten there stays where it is.
      await forget(at, anna!.token);
      expect((await revealOne(at, there.token, NONE, OTHER)).ref!.eckId).toBe(eckId('anna'));
      await forget(at, known!.token, at.clock.ms + DAY_MS, OTHER);
      expect(await enrol(false, [asked[1]!])).toEqual({ enrolled: [], staying: [ben!.token] });
      await expect(
        at.call.enrolAt({ fromSchoolOin: SCHOOL, toSchoolOin: SCHOOL, learners: [], look: true }),
      ).rejects.toMatchObject({ fault: 'gateway.bug' });
    });

    test('two tokens of one learner are merged and parted: both numbers lead to one, nothing moves, and a repeat changes nothing', async () => {
      let at = await opened();
      const [anna, second, other] = await identifyAll(
        at,
        [{ las: 'k-1' }, { eck: 'anna', las: 'k-2', person: { callName: 'Anna' } }, { eck: 'ben' }],
        { sector: 'po' },
      );
      const [vo] = await identifyAll(at, [{ eck: 'anna' }], { sector: 'vo' });
      const merge = (winner: string, loser: string, more: { undo?: boolean; look?: boolean } = {}) =>
        at.call.mergeTokens({ schoolOin: SCHOOL, winner, loser, undo: false, look: false, ...more });
      const found = async (...refs: { eck?: string; las?: string }[]) =>
        (await identifyAll(at, refs, { sector: 'po', create: false })).map(({ token, code }) => token || code);
      const payload = { token: second!.token, data: Buffer.from('result'), context: 'x' };
      const { sealed } = await at.call.sealPayloads({ schoolOin: SCHOOL, payloads: [payload] });
      expect(await merge(anna!.token, second!.token, { look: true })).toEqual({ code: '', changed: true });
      expect(await found({ las: 'k-2' })).toEqual([second!.token]);
      expect(await merge(anna!.token, second!.token)).toEqual({ code: '', changed: true });
      for (const again of [0, 1]) {
        expect(await merge(anna!.token, second!.token)).toEqual({ code: '', changed: false });
        // Numbers of the two together are no conflict any more, and another ECK iD beside the key of one still is.
        expect(
          await found({ las: 'k-2' }, { eck: 'anna' }, { eck: 'anna', las: 'k-1' }, { eck: 'new', las: 'k-1' }),
        ).toEqual([...Array(3).fill(anna!.token), 'state.conflict']);
        // Shown is what the first has, and what it lacks is had from the second; both say the same.
        for (const token of [anna!.token, second!.token])
          expect(await revealOne(at, token)).toMatchObject({
            ref: { eckId: eckId('anna'), lasKey: 'k-1' },
            person: { callName: 'Anna' },
          });
        const opening = { schoolOin: SCHOOL, partyOin: '1', purpose: 'test' };
        const { data } = await at.call.openPayloads({
          ...opening,
          sealed: [{ token: second!.token, context: 'x', sealed: sealed[0]! }],
        });
        expect(Buffer.from(data[0]!).toString()).toBe('result');
        const [byKey] = await identifyAll(at, [{ las: 'k-2' }], { sector: 'po', create: false });
        expect(byKey!.merged).toBe(second!.token);
        if (again === 0) at = await at.reopen();
      }
      const { revealed } = await at.call.reveal({
        schoolOin: SCHOOL,
        wanted: [{ token: second!.token, nameMark: new Uint8Array(0) }],
        numbers: true,
        names: false,
        contact: false,
        partyOin: '1',
        purpose: 'test',
        pairwise: false,
        formerly: true,
      });
      expect(revealed[0]!.ref).toEqual({ eckId: eckId('anna'), lasKey: 'k-2' });
      // One step leads to the learner; a sector, or a school, is not left.
      for (const [winner, loser] of [
        [second!.token, other!.token],
        [other!.token, anna!.token],
        [other!.token, second!.token],
        [vo!.token, other!.token],
        [other!.token, other!.token],
      ])
        expect(await merge(winner!, loser!)).toEqual({ code: 'state.conflict', changed: false });
      expect((await merge(anna!.token, 'lt_nobody')).code).toBe('learner.unknown');
      await identifyAll(at, [{ eck: 'anna', las: 'k-9' }], { sector: 'po' });
      // Another ECK iD takes the place of the one that is shown, which is the second's; a list of keys finds one learner.
      const replace = (before: string, after: string) =>
        at.call.replace({ schoolOin: SCHOOL, kind: 'eck_id', before: eckId(before), after: eckId(after) });
      expect(await replace('anna', 'anna-new')).toEqual({ code: '', changed: true });
      expect((await revealOne(at, anna!.token)).ref).toEqual({ eckId: eckId('anna-new'), lasKey: 'k-1' });
      expect(await replace('anna-new', 'anna')).toEqual({ code: '', changed: true });
      const learners = ['k-1', 'k-2', 'k-8'].map((lasKey) => ({ eckId: eckId('anna'), lasKey }));
      const { mapped } = await at.call.mapKeys({ schoolOin: SCHOOL, learners, apply: false });
      expect(mapped.map(({ outcome, tokens }) => [outcome, tokens.includes(anna!.token)])).toEqual([
        ['maps', true],
        ['maps', true],
        ['maps', true],
      ]);
      // The school is told of both, and that they are one.
      const { people } = await at.call.showPeople({
        schoolOin: SCHOOL,
        partyOin: SCHOOL,
        purpose: 'test',
        after: 0n,
        limit: 100,
        pseudonymsOf: [],
      });
      expect(
        people
          .filter(({ token }) => token === anna!.token || token === second!.token)
          .map(({ token, refs, mergedInto }) => [token, refs.length, mergedInto]),
      ).toEqual([
        [anna!.token, 2, ''],
        [second!.token, 2, anna!.token],
      ]);
      expect(await merge(anna!.token, second!.token, { undo: true })).toEqual({ code: '', changed: true });
      for (const again of [0, 1]) {
        expect(await merge(anna!.token, second!.token, { undo: true })).toEqual({ code: '', changed: false });
        // What came meanwhile stays where it came.
        expect(await found({ las: 'k-1' }, { las: 'k-2' }, { eck: 'anna' }, { las: 'k-9' })).toEqual([
          anna!.token,
          second!.token,
          second!.token,
          anna!.token,
        ]);
        expect((await revealOne(at, anna!.token)).ref).toEqual({ eckId: '', lasKey: 'k-1' });
        if (again === 0) at = await at.reopen();
      }
      // Of the two each is forgotten by itself.
      await merge(anna!.token, second!.token);
      await at.call.forget({ schoolOin: SCHOOL, token: anna!.token, atMs: 0n });
      expect(await found({ las: 'k-1' }, { las: 'k-2' })).toEqual(['learner.unknown', second!.token]);
      await at.call.forget({ schoolOin: SCHOOL, token: second!.token, atMs: 0n });
      expect(await found({ las: 'k-2' })).toEqual(['learner.unknown']);
    });

    test('numbers that name two learners are a conflict and link nothing', async () => {
      const vault = await opened();
      const [faye, noor] = await identifyAll(vault, [{ eck: 'faye', las: '1' }, { las: '2' }]);
      const conflicts = await identifyAll(vault, [
        { eck: 'faye', las: '2' },
        { eck: 'unseen', las: '1' },
      ]);
      for (const conflict of conflicts) expect(conflict).toMatchObject({ token: '', code: 'state.conflict' });
      expect((await identifyOne(vault, { las: '2' })).token).toBe(noor!.token);
      expect((await identifyOne(vault, { eck: 'unseen' }, { create: false })).code).toBe('learner.unknown');
      expect((await identifyOne(vault, { eck: 'faye' })).token).toBe(faye!.token);
    });

    test('staff stand apart from learners, whatever the sector', async () => {
      const vault = await opened();
      const learner = await identifyOne(vault, { las: '1' });
      const staff = await identifyOne(vault, { kind: 'staff', las: '1' }, { sector: 'po' });
      expect(staff.token).toMatch(/^st_[a-z2-7]{26}$/);
      expect((await identifyOne(vault, { kind: 'staff', las: '1' }, { sector: 'vo' })).token).toBe(staff.token);
      expect((await identifyOne(vault, { las: '1' })).token).toBe(learner.token);
    });

    test('without create nothing is written', async () => {
      const vault = await opened();
      expect(await identifyOne(vault, { eck: 'faye' }, { create: false })).toMatchObject({
        token: '',
        code: 'learner.unknown',
      });
      const { token } = await identifyOne(vault, { eck: 'faye' });
      const asked = await identifyOne(vault, { eck: 'faye', las: '9', person: FAYE }, { create: false });
      expect(asked.token).toBe(token);
      expect((await identifyOne(vault, { las: '9' }, { create: false })).code).toBe('learner.unknown');
      expect((await revealOne(vault, token)).person).toMatchObject({ familyName: '', birthDate: '' });
    });

    test('nobody without a number, no stampseudoniem, no unknown kind; errors quote nothing', async () => {
      const vault = await opened();
      expect(await identifyOne(vault, {})).toMatchObject({ token: '', code: 'learner.unknown' });
      const number = `https://ketenid.nl/sppilot/${'a'.repeat(128)}`;
      const asked = vault.call.identify({
        schoolOin: SCHOOL,
        sector: '',
        create: true,
        saltFor: [],
        identities: [{ kind: 'learner', eckId: number, lasKey: '', person: undefined, partyOin: '' }],
      });
      const error = await asked.then(
        () => undefined,
        (thrown: GatewayError) => thrown,
      );
      expect(error).toMatchObject({ fault: 'wire.pgn', where: [{ path: 'identities[0]' }] });
      expect(`${error?.message} ${JSON.stringify(error)}`).not.toContain('aaaa');
      expect((await vault.place.bytes()).includes('sppilot')).toBe(false);
      await expect(identifyOne(vault, { kind: 'parent' as 'staff', las: '1' })).rejects.toMatchObject({
        fault: 'gateway.bug',
      });
    });

    test('calls of one turn see each other and share one transaction; one that fails fails alone', async () => {
      const vault = await opened();
      const same = await Promise.all(Array.from({ length: 50 }, () => identifyOne(vault, { eck: 'faye', las: '1' })));
      expect(new Set(same.map(({ token }) => token)).size).toBe(1);
      expect(same.filter(({ created }) => created)).toHaveLength(1);
      const [left, failed, right] = await Promise.allSettled([
        identifyOne(vault, { eck: 'a' }),
        // No text that a token could be made of: fails inside the transaction.
        vault.vault.implementations[0]!.handlers['sealTexts']!({ schoolOin: SCHOOL, texts: [{}] }),
        identifyOne(vault, { eck: 'b' }),
      ]);
      expect([left.status, failed.status, right.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      const again = await vault.reopen();
      for (const eck of ['a', 'b']) expect((await identifyOne(again, { eck }, { create: false })).token).not.toBe('');
    });

    test('after stop a call is told to come back', async () => {
      const vault = await opened();
      const last = identifyOne(vault, { eck: 'faye' });
      await vault.vault.stop();
      expect((await last).token).not.toBe('');
      await expect(identifyOne(vault, { eck: 'faye' })).rejects.toMatchObject({ fault: 'gateway.stopping' });
    });
  });

  describe('names', () => {
    test('everything given comes back, and only what is asked', async () => {
      const vault = await opened();
      const { token, nameMark } = await identifyOne(vault, { eck: 'faye', person: FAYE });
      expect(nameMark).toHaveLength(32);
      expect((await revealOne(vault, token)).person).toEqual(Person.fromPartial(FAYE));
      const { revealed } = await vault.call.reveal({
        schoolOin: SCHOOL,
        wanted: [
          { token, nameMark: NONE },
          { token: 'lt_unknown', nameMark: NONE },
        ],
        numbers: false,
        names: false,
        contact: true,
        partyOin: PARTY,
        purpose: 'access',
        pairwise: false,
      });
      expect(revealed).toEqual([
        {
          known: true,
          ref: undefined,
          person: Person.fromPartial({ email: FAYE.email!, accountName: FAYE.accountName! }),
          forgetting: false,
        },
        { known: false, ref: undefined, person: undefined, forgetting: false },
      ]);
      expect((await revealOne(vault, token, NONE, OTHER)).known).toBe(false);
      const counted = [...vault.vault.reveals()].sort((a, b) => a.purpose.localeCompare(b.purpose));
      expect(counted).toEqual([
        { partyOin: PARTY, purpose: 'access', numbers: 0, names: 0, contact: 1, payloads: 0 },
        { partyOin: PARTY, purpose: 'roster', numbers: 1, names: 1, contact: 1, payloads: 0 },
      ]);
    });

    test('nobody is shown, and nothing opened, for nobody or without a purpose', async () => {
      const vault = await opened();
      const { token } = await identifyOne(vault, { eck: 'faye', person: FAYE });
      for (const nothing of [{ partyOin: '' }, { purpose: '' }]) {
        const to = { schoolOin: SCHOOL, partyOin: PARTY, purpose: 'roster', ...nothing };
        const wanted = [{ token, nameMark: NONE }];
        const all = { numbers: true, names: true, contact: true, pairwise: false };
        await expect(vault.call.reveal({ ...to, ...all, wanted })).rejects.toMatchObject({ fault: 'gateway.bug' });
        await expect(vault.call.openPayloads({ ...to, sealed: [] })).rejects.toMatchObject({ fault: 'gateway.bug' });
      }
      expect(vault.vault.reveals()).toEqual([]);
    });

    test('other names stand beside the ones before; each is found by its mark', async () => {
      const vault = await opened();
      const before = await identifyOne(vault, { eck: 'faye', person: FAYE });
      const after = await identifyOne(vault, {
        eck: 'faye',
        person: { ...FAYE, familyName: 'Berg', birthDate: '2013-03-01' },
      });
      expect(after.nameMark).not.toEqual(before.nameMark);
      const familyName = async (mark: Uint8Array) => (await revealOne(vault, before.token, mark)).person?.familyName;
      expect(await familyName(before.nameMark)).toBe('Zandvliet-Quist');
      expect(await familyName(after.nameMark)).toBe('Berg');
      expect(await familyName(NONE)).toBe('Berg');
      // A birth date is no name: it replaces, whatever the mark.
      expect((await revealOne(vault, before.token, before.nameMark)).person?.birthDate).toBe('2013-03-01');
      await identifyOne(vault, { eck: 'faye', person: FAYE });
      expect(await familyName(NONE)).toBe('Zandvliet-Quist');
      expect(await familyName(Buffer.alloc(16))).toBe('');
    });

    test('spacing is no other name; no names give no mark; absent fields leave what is held', async () => {
      const vault = await opened();
      const { token, nameMark } = await identifyOne(vault, { eck: 'faye', person: FAYE });
      const spaced = { ...FAYE, familyNamePrefix: ' van  der' };
      expect((await identifyOne(vault, { eck: 'faye', person: spaced })).nameMark).toEqual(nameMark);
      const nameless = await identifyOne(vault, { eck: 'faye', person: { email: 'new@leerling.example' } });
      // Of the names nothing, and another address is something else to show.
      expect(Buffer.from(nameless.nameMark.subarray(0, 16))).toEqual(Buffer.alloc(16));
      expect(nameless.nameMark.subarray(16)).not.toEqual(nameMark.subarray(16));
      expect((await identifyOne(vault, { eck: 'faye' })).nameMark).toHaveLength(0);
      expect((await identifyOne(vault, { las: 'nobody', person: {} })).nameMark).toHaveLength(0);
      expect((await revealOne(vault, token)).person).toEqual(
        Person.fromPartial({ ...FAYE, email: 'new@leerling.example' }),
      );
    });

    test('a mark changes with what else is held, and its part of names does not; the same again is the same', async () => {
      const vault = await opened();
      const asks: [string, Parameters<typeof identifyOne>[1]][] = [
        ['first', { las: '1', person: { familyName: 'Berg' } }],
        ['birth date', { las: '1', person: { familyName: 'Berg', birthDate: '2013-03-01' } }],
        ['gender', { las: '1', person: { familyName: 'Berg', gender: '2' } }],
        ['address', { las: '1', person: { familyName: 'Berg', email: 'b@leerling.example' } }],
        ['an ECK iD that comes later', { eck: 'berg', las: '1', person: { familyName: 'Berg' } }],
      ];
      const seen = new Set<string>();
      let names = '';
      for (const [what, asked] of asks) {
        const { nameMark } = await identifyOne(vault, asked);
        const hex = Buffer.from(nameMark).toString('hex');
        names ||= hex.slice(0, 32);
        expect([what, hex.slice(0, 32)]).toEqual([what, names]);
        expect([what, seen.has(hex)]).toEqual([what, false]);
        seen.add(hex);
        // Also by who leaves out what is held.
        const again = await identifyOne(vault, { las: '1', person: { familyName: 'Berg' } });
        expect([what, Buffer.from(again.nameMark).toString('hex')]).toEqual([what, hex]);
      }
      const reopened = await vault.reopen();
      const last = await identifyOne(reopened, { las: '1', person: { familyName: 'Berg' } });
      expect(Buffer.from(last.nameMark).toString('hex')).toBe([...seen].at(-1));
      expect((await revealOne(reopened, last.token, last.nameMark)).person).toMatchObject({ familyName: 'Berg' });
    });

    test('two learners of one name have marks that show nothing of it', async () => {
      const vault = await opened();
      const [a, b] = await identifyAll(vault, [
        { eck: 'a', person: FAYE },
        { eck: 'b', person: FAYE },
      ]);
      expect(a!.nameMark).not.toEqual(b!.nameMark);
    });

    test('old names are swept after 30 days, unless they are still asked for', async () => {
      const vault = await opened();
      const first = await identifyOne(vault, { eck: 'faye', person: FAYE });
      const second = await identifyOne(vault, { eck: 'faye', person: { ...FAYE, callName: 'Fay' } });
      await identifyOne(vault, { eck: 'faye', person: { ...FAYE, callName: 'F' } });
      const callName = async (mark: Uint8Array) => (await revealOne(vault, first.token, mark)).person?.callName;
      vault.clock.ms += 20 * DAY_MS;
      expect(await callName(first.nameMark)).toBe('Fayenne');
      await vault.vault.tick();
      vault.clock.ms += 11 * DAY_MS;
      await vault.vault.tick();
      expect(await callName(first.nameMark)).toBe('Fayenne');
      expect(await callName(second.nameMark)).toBe('');
      expect(await callName(NONE)).toBe('F');
    });
  });

  describe('names of who left', () => {
    const end = ({ call }: Opened, tokens: string[], schoolOin = SCHOOL) => call.endNames({ schoolOin, tokens });

    test('go from every table and every byte, and their numbers and payloads stay', async () => {
      let vault = await opened();
      const people = await identifyAll(
        vault,
        Array.from({ length: 150 }, (_, i) => ({ eck: `pupil ${i}`, las: `las ${i}`, person: FAYE })),
      );
      const earlier = await identifyOne(vault, { eck: 'pupil 7', person: { ...FAYE, callName: 'Fay' } });
      const payload = { token: people[7]!.token, data: Buffer.from('8'), context: 'result' };
      const { sealed } = await vault.call.sealPayloads({ schoolOin: SCHOOL, payloads: [payload] });
      await vault.vault.stop();
      const of = (column: string) =>
        vault.place.sql(column).then((rows) => rows.map(({ sealed }) => sealed as Uint8Array));
      const kept = [
        ...(await of('SELECT sealed FROM names')),
        ...(await of('SELECT sealed FROM births')),
        ...(await of('SELECT sealed FROM contact')),
      ];
      expect(kept).toHaveLength(451);
      vault = await vault.reopen();
      const tokens = people.map(({ token }) => token);
      expect(await end(vault, [...tokens, 'lt_unknown'], OTHER)).toEqual({ people: 0 });
      expect(await end(vault, [...tokens.slice(1), 'lt_unknown'])).toEqual({ people: 149 });
      expect(await end(vault, tokens.slice(1))).toEqual({ people: 0 });
      await vault.vault.tick();
      const there = await revealOne(vault, tokens[7]!);
      expect(there).toMatchObject({ known: true, forgetting: false, ref: { lasKey: 'las 7' } });
      expect(there.person).toEqual(Person.fromPartial({}));
      expect((await revealOne(vault, tokens[7]!, earlier.nameMark)).person).toEqual(Person.fromPartial({}));
      expect((await revealOne(vault, tokens[0]!)).person).toEqual(Person.fromPartial(FAYE));
      const open = { token: tokens[7]!, sealed: sealed[0]!, context: 'result' };
      const { data } = await vault.call.openPayloads({
        schoolOin: SCHOOL,
        sealed: [open],
        partyOin: PARTY,
        purpose: 'x',
      });
      expect(Buffer.from(data[0]!).toString()).toBe('8');
      await vault.vault.stop();
      expect(windows(await vault.place.bytes()).countOf(kept)).toBe(3);
      const again = await vault.reopen();
      expect((await revealOne(again, tokens[7]!)).person).toEqual(Person.fromPartial({}));
    });

    test('go under both tokens of one learner', async () => {
      const vault = await opened();
      const [winner, loser] = await identifyAll(vault, [
        { eck: 'faye', las: '1', person: FAYE },
        { eck: 'fay', las: '2', person: FAYE },
      ]);
      const two = { schoolOin: SCHOOL, winner: winner!.token, loser: loser!.token, undo: false, look: false };
      expect(await vault.call.mergeTokens(two)).toMatchObject({ code: '', changed: true });
      expect(await end(vault, [winner!.token])).toEqual({ people: 1 });
      expect(await vault.call.mergeTokens({ ...two, undo: true })).toMatchObject({ changed: true });
      for (const token of [winner!.token, loser!.token])
        expect((await revealOne(vault, token)).person).toEqual(Person.fromPartial({}));
    });

    test('come back with whoever is named again, under the same token and mark, also in the same moment', async () => {
      const vault = await opened();
      const first = await identifyOne(vault, { eck: 'faye', las: '1', person: FAYE });
      await end(vault, [first.token]);
      const [, again] = await Promise.all([
        end(vault, [first.token]),
        identifyOne(vault, { eck: 'faye', person: FAYE }),
      ]);
      expect(again).toMatchObject({ token: first.token });
      expect(Buffer.from(again.nameMark)).toEqual(Buffer.from(first.nameMark));
      // Two replicas take them in an order of their own: what ended last is what is so, whole.
      const either = (await revealOne(vault, first.token, first.nameMark)).person;
      expect([Person.fromPartial(FAYE), Person.fromPartial({})]).toContainEqual(either);
      const named = await identifyOne(vault, { eck: 'faye', person: FAYE });
      expect([named.token, Buffer.from(named.nameMark)]).toEqual([first.token, Buffer.from(first.nameMark)]);
      expect((await revealOne(vault, first.token, first.nameMark)).person).toEqual(Person.fromPartial(FAYE));
      const [, , third] = await Promise.all([
        identifyOne(vault, { eck: 'faye', person: { ...FAYE, callName: 'Fay', email: 'a@b.example' } }),
        end(vault, [first.token]),
        identifyOne(vault, { eck: 'faye', person: { callName: 'F' } }),
      ]);
      // In whichever order they were taken: what is in memory is what is saved.
      const there = await revealOne(vault, first.token, third.nameMark);
      expect(there.person?.familyName).toBe('');
      expect(['F', '']).toContain(there.person?.callName);
      const reopened = await vault.reopen();
      expect(await revealOne(reopened, first.token, third.nameMark)).toEqual(there);
    });
  });

  describe('of a school whose names are asked when they are needed', () => {
    const identifyFleeting = async ({ call }: Opened, people: { eck: string; person: Partial<Person> }[]) =>
      (
        await call.identify({
          schoolOin: SCHOOL,
          sector: '',
          identities: people.map(({ eck, person }) => ({
            kind: 'learner',
            eckId: eckId(eck),
            lasKey: '',
            person: Person.fromPartial(person),
            partyOin: '',
          })),
          create: true,
          saltFor: [],
          fleeting: true,
        })
      ).identified;

    test('people are recognised and marked as elsewhere, and nothing else of them is kept', async () => {
      let vault = await opened();
      const [one, two] = await identifyFleeting(vault, [
        { eck: 'faye', person: FAYE },
        { eck: 'noor', person: { ...FAYE, callName: 'Noor' } },
      ]);
      expect([one!.created, one!.nameMark.length, two!.nameMark.length]).toEqual([true, 32, 32]);
      await vault.vault.stop();
      for (const table of ['names', 'births', 'contact'])
        expect(await vault.place.sql(`SELECT * FROM ${table}`), table).toEqual([]);
      vault = await vault.reopen();
      expect((await revealOne(vault, one!.token)).person).toEqual(Person.fromPartial({}));
      // Another name is another mark of names, another birth date one of the rest; the same is the same.
      const half = (mark: Uint8Array, from: number) => Buffer.from(mark.subarray(from, from + 16)).toString('hex');
      const [again] = await identifyFleeting(vault, [{ eck: 'faye', person: FAYE }]);
      expect(Buffer.from(again!.nameMark)).toEqual(Buffer.from(one!.nameMark));
      const [renamed] = await identifyFleeting(vault, [{ eck: 'faye', person: { ...FAYE, callName: 'Fay' } }]);
      expect(half(renamed!.nameMark, 0)).not.toBe(half(one!.nameMark, 0));
      expect(half(renamed!.nameMark, 16)).toBe(half(one!.nameMark, 16));
      const [older] = await identifyFleeting(vault, [{ eck: 'faye', person: { ...FAYE, birthDate: '2012-02-29' } }]);
      expect(half(older!.nameMark, 0)).toBe(half(one!.nameMark, 0));
      expect(half(older!.nameMark, 16)).not.toBe(half(one!.nameMark, 16));
      // Kept from now on, they have the marks that they had.
      const kept = await identifyOne(vault, { eck: 'faye', person: FAYE });
      expect(kept).toMatchObject({ token: one!.token, created: false });
      expect(Buffer.from(kept.nameMark)).toEqual(Buffer.from(one!.nameMark));
      expect((await revealOne(vault, one!.token)).person).toMatchObject({ callName: 'Fayenne' });
    });

    test('what is held of everybody goes in lots, and is counted', async () => {
      const vault = await opened();
      const people = await identifyAll(
        vault,
        Array.from({ length: 700 }, (_, i) => ({ eck: `pupil ${i}`, person: FAYE })),
      );
      const end = (after?: bigint) =>
        vault.call.endNames({
          schoolOin: SCHOOL,
          tokens: [],
          everyone: true,
          ...(after === undefined ? {} : { after }),
        });
      const first = await end();
      expect(first.people).toBe(640);
      expect(await end(first.next)).toEqual({ people: 60 });
      expect(await end()).toMatchObject({ people: 0 });
      expect((await revealOne(vault, people[699]!.token)).person).toEqual(Person.fromPartial({}));
      await vault.vault.stop();
      expect(await vault.place.sql('SELECT * FROM names')).toEqual([]);
    });
  });

  describe('pseudonyms of one receiver', () => {
    const RIVAL = '00000001000000000757';
    const told = async ({ call }: Opened, token: string, partyOin = PARTY, schoolOin = SCHOOL, pseudonyms = 0) =>
      (
        await call.reveal({
          schoolOin,
          wanted: [{ token, nameMark: NONE }],
          numbers: true,
          names: false,
          contact: true,
          partyOin,
          purpose: 'access',
          pairwise: true,
          pseudonyms,
        })
      ).revealed[0]!;

    test('stand for numbers and account name, differ by receiver and school, and stay', async () => {
      const vault = await opened();
      const { token } = await identifyOne(vault, { eck: 'faye', las: '100', person: FAYE });
      const there = await identifyOne(vault, { eck: 'faye', las: '100' }, { school: OTHER });
      const first = await told(vault, token);
      expect(first.ref!.lasKey).toMatch(/^pw1-[a-z2-7]{26}$/);
      expect(first.ref!.eckId).toBe(`urn:eduk:${first.ref!.lasKey}`);
      expect(first.person).toEqual(Person.fromPartial({ email: FAYE.email!, accountName: first.ref!.lasKey }));
      const elsewhere = [await told(vault, token, RIVAL), await told(vault, there.token, PARTY, OTHER)];
      const all = [first, ...elsewhere].map(({ ref }) => ref!.lasKey);
      expect(new Set(all).size).toBe(3);
      for (const one of all) expect(one).not.toContain(token.slice(3));
      // A number was told to nobody.
      expect(vault.vault.reveals().every(({ numbers }) => numbers === 0)).toBe(true);
      const again = await vault.reopen();
      expect(await told(again, token)).toEqual(first);
      // Nor does it matter that a school was there before it had a key for them, or came back from before.
      await again.vault.stop();
      await again.place.sql(`DELETE FROM school_keys WHERE purpose = 'pairwise'`);
      const last = await again.reopen();
      expect(await told(last, token)).toEqual(first);
      await expect(told(last, token, '')).rejects.toMatchObject({ fault: 'gateway.bug' });
    });

    test('renewed for one receiver they are others, for it alone; those of before are still understood from it', async () => {
      const vault = await opened();
      const { token } = await identifyOne(vault, { eck: 'faye', las: '100' });
      const rival = await told(vault, token, RIVAL);
      const [before, after] = [await told(vault, token), await told(vault, token, PARTY, SCHOOL, 1)];
      expect(after.ref!.lasKey).toMatch(/^pw1r1-[a-z2-7]{26}$/);
      expect(after.ref!.lasKey.slice(-26)).not.toBe(before.ref!.lasKey.slice(-26));
      expect(await told(vault, token, RIVAL)).toEqual(rival);
      for (const { ref } of [before, after])
        for (const who of [{ eck: ref!.eckId }, { las: ref!.lasKey }])
          expect((await identifyOne(vault, { ...who, by: PARTY })).token, JSON.stringify(who)).toBe(token);
      expect((await identifyOne(vault, { las: after.ref!.lasKey, by: RIVAL })).token).toBe('');
      const { tokens } = await vault.call.sealTexts({ schoolOin: SCHOOL, texts: ['7a'], partyOin: '' });
      const keys = async (pseudonyms: number) =>
        (await vault.call.openTexts({ schoolOin: SCHOOL, tokens: [], keys: tokens, partyOin: PARTY, pseudonyms })).keys;
      const [old, renewed] = [await keys(0), await keys(1)];
      expect(old).not.toEqual(renewed);
      for (const texts of [old, renewed])
        expect((await vault.call.sealTexts({ schoolOin: SCHOOL, texts, partyOin: PARTY })).tokens).toEqual(tokens);
    });

    test('are understood of who was told them, and of nobody else; nobody is made for one', async () => {
      const vault = await opened();
      const [faye, sam] = await identifyAll(vault, [{ eck: 'faye', las: '100' }, { las: '101' }]);
      const teacher = await identifyOne(vault, { kind: 'staff', las: '100' });
      const { eckId: eck, lasKey: las } = (await told(vault, faye!.token)).ref!;
      const whose = async (who: Who) => {
        const { token, code, created } = await identifyOne(vault, who);
        expect(created).toBe(false);
        return token || code;
      };
      for (const who of [{ eck }, { las }, { eck, las }, { eck, las: '100' }, { eck: 'faye', las }])
        expect(await whose({ ...who, by: PARTY }), JSON.stringify(who)).toBe(faye!.token);
      expect(await whose({ las, by: RIVAL })).toBe('learner.unknown');
      expect(await whose({ eck, by: '' })).toBe('learner.unknown');
      expect(await whose({ eck: eck.replace('pw1', 'pw2'), by: PARTY })).toBe('learner.unknown');
      expect(await whose({ las: `pw1-${'a'.repeat(26)}`, by: PARTY })).toBe('learner.unknown');
      expect(await whose({ las, kind: 'staff', by: PARTY })).toBe('learner.unknown');
      expect(await whose({ eck, las: '101', by: PARTY })).toBe('state.conflict');
      expect(await whose({ eck, las: (await told(vault, sam!.token)).ref!.lasKey, by: PARTY })).toBe('state.conflict');
      // Another number beside one is not linked on its word.
      expect(await whose({ eck: 'new', las, by: PARTY })).toBe(faye!.token);
      expect(await identifyOne(vault, { eck: 'new' }, { create: false })).toMatchObject({ code: 'learner.unknown' });
      const member = (await told(vault, teacher.token)).ref!.lasKey;
      expect(await whose({ las: member, kind: 'staff', by: PARTY })).toBe(teacher.token);
      await forget(vault, faye!.token);
      expect(await whose({ eck, by: PARTY })).toBe('learner.unknown');
      expect(await told(vault, faye!.token)).toMatchObject({ known: false, ref: undefined });
    });

    test('of texts are keys of the receiver, and lead back to their token', async () => {
      const vault = await opened();
      const seal = async (texts: string[], partyOin: string) =>
        (await vault.call.sealTexts({ schoolOin: SCHOOL, texts, partyOin })).tokens;
      const [token] = await seal(['7a'], '');
      const asked = { schoolOin: SCHOOL, tokens: [token!], keys: [token!, 'tx_unknown', ''], partyOin: PARTY };
      const { texts, keys } = await vault.call.openTexts(asked);
      expect(texts).toEqual(['7a']);
      expect(keys).toEqual([expect.stringMatching(/^pw1-[a-z2-7]{26}$/), '', '']);
      const other = await vault.call.openTexts({ ...asked, partyOin: RIVAL });
      expect(other.keys[0]).not.toBe(keys[0]);
      expect(await seal([keys[0]!, '7a'], PARTY)).toEqual([token, token]);
      expect([...(await seal([keys[0]!], RIVAL)), ...(await seal([keys[0]!], ''))]).toEqual(['', '']);
      await expect(vault.call.openTexts({ ...asked, partyOin: '' })).rejects.toMatchObject({ fault: 'gateway.bug' });
    });
  });

  describe('all that is held of a school', () => {
    const show = async ({ call }: Opened, more: { schoolOin?: string; limit?: number; pseudonymsOf?: [] } = {}) => {
      const asked = {
        schoolOin: SCHOOL,
        partyOin: SCHOOL,
        purpose: 'school_export',
        limit: 0,
        pseudonymsOf: [],
        ...more,
      };
      const people = [];
      let pages = 0;
      for (let after = 0n; ; pages++) {
        const page = await call.showPeople({ ...asked, after });
        people.push(...page.people);
        if (page.next === 0n) return { people, pages: pages + 1 };
        after = page.next;
      }
    };

    test('people come in pages, with every number and the newest names; of who waits to be forgotten nothing', async () => {
      const vault = await opened();
      const [faye] = await identifyAll(vault, [{ eck: 'faye', las: '1', person: FAYE }]);
      await identifyAll(vault, [{ eck: 'faye', las: '2', person: { ...FAYE, callName: 'Fee' } }]);
      const [sam, waits, gone, member] = await identifyAll(vault, [
        { las: '3', person: { callName: 'Sam' } },
        { las: '4', person: { callName: 'Wacht' } },
        { las: '5', person: { callName: 'Weg' } },
        { kind: 'staff', las: 'juf' },
      ]);
      await identifyAll(vault, [{ eck: 'faye', las: '9' }], { school: OTHER });
      await forget(vault, waits!.token, vault.clock.ms + 3 * DAY_MS);
      await forget(vault, gone!.token);
      const { people, pages } = await show(vault, { limit: 2 });
      expect(pages).toBe(3);
      expect(people.map(({ token }) => token)).toEqual([faye, sam, waits, member].map((one) => one!.token));
      expect(people[0]).toMatchObject({
        kind: 'learner',
        refs: [
          { eckId: eckId('faye'), lasKey: '1' },
          { eckId: '', lasKey: '2' },
        ],
        person: { ...FAYE, callName: 'Fee' },
        forgetting: false,
      });
      expect(people[2]).toEqual({
        token: waits!.token,
        kind: 'learner',
        refs: [],
        person: undefined,
        mergedInto: '',
        forgetting: true,
        pseudonyms: [],
      });
      expect(people[3]).toMatchObject({ kind: 'staff', refs: [{ eckId: '', lasKey: 'juf' }] });
      expect((await show(vault, { schoolOin: 'nowhere' })).people).toEqual([]);
      // It is counted as shown, to the school.
      // In one row or in several: an hour may begin meanwhile.
      const counted = vault.vault.reveals().filter(({ partyOin }) => partyOin === SCHOOL);
      const sum = (what: 'numbers' | 'names') => counted.reduce((all, one) => all + one[what], 0);
      expect([sum('numbers'), sum('names')]).toEqual([3, 3]);
      const nobody = { schoolOin: SCHOOL, after: 0n, limit: 0, pseudonymsOf: [] };
      for (const lacks of [
        { partyOin: '', purpose: 'school_export' },
        { partyOin: SCHOOL, purpose: '' },
      ])
        await expect(vault.call.showPeople({ ...nobody, ...lacks })).rejects.toMatchObject({ fault: 'gateway.bug' });
    });

    test('with the pseudonyms that receivers are told, of people and of texts', async () => {
      const vault = await opened();
      const faye = await identifyOne(vault, { eck: 'faye', las: '1' });
      const { tokens } = await vault.call.sealTexts({ schoolOin: SCHOOL, texts: ['7a', 'Groep 7A'], partyOin: '' });
      await vault.call.sealTexts({ schoolOin: OTHER, texts: ['7b'], partyOin: '' });
      const of = { schoolOin: SCHOOL, partyOin: PARTY, pseudonyms: 2 };
      const told = await vault.call.reveal({
        ...of,
        wanted: [{ token: faye.token, nameMark: NONE }],
        numbers: true,
        names: false,
        contact: false,
        purpose: 'roster',
        pairwise: true,
      });
      const keys = (await vault.call.openTexts({ ...of, tokens: [], keys: tokens })).keys;
      const asked = {
        schoolOin: SCHOOL,
        partyOin: SCHOOL,
        purpose: 'school_export',
        pseudonymsOf: [{ partyOin: PARTY, pseudonyms: 2 }],
      };
      const { people } = await vault.call.showPeople({ ...asked, after: 0n, limit: 0 });
      expect(people.map(({ pseudonyms }) => pseudonyms)).toEqual([[told.revealed[0]!.ref!.lasKey]]);
      const first = await vault.call.showTexts({ ...asked, after: '', limit: 1 });
      const second = await vault.call.showTexts({ ...asked, after: first.next, limit: 1 });
      const shown = [...first.texts, ...second.texts];
      expect(new Map(shown.map(({ token, text, pseudonyms }) => [token, [text, ...pseudonyms]]))).toEqual(
        new Map([
          [tokens[0], ['7a', keys[0]]],
          [tokens[1], ['Groep 7A', keys[1]]],
        ]),
      );
      expect((await vault.call.showTexts({ ...asked, after: second.next, limit: 1 })).next).toBe('');
    });
  });

  describe('texts, payloads, salts, door keys', () => {
    test('a text in another Unicode form is the same text, also after the keys were renewed; it is shown as it came first', async () => {
      const vault = await opened();
      const seal = async (...texts: string[]) =>
        (await vault.call.sealTexts({ schoolOin: SCHOOL, texts, partyOin: '' })).tokens;
      const [composed, apart] = ['Groep Zo\u00eb', 'Groep Zoe\u0308'];
      const [one, other, third] = await seal(apart, composed, 'Groep Zoe');
      expect([other, third === one]).toEqual([one, false]);
      await vault.call.rotateKeys({ kinds: ['index'], schoolOin: SCHOOL });
      expect(await seal(composed, apart)).toEqual([one, one]);
      const { texts } = await vault.call.openTexts({ schoolOin: SCHOOL, tokens: [one!], keys: [], partyOin: '' });
      expect(texts).toEqual([apart]);
    });

    test('the same text of a school has the same token; another school’s has another', async () => {
      const vault = await opened();
      const { tokens } = await vault.call.sealTexts({
        schoolOin: SCHOOL,
        texts: ['Groep 7b', 'Groep 8', 'Groep 7b', ''],
        partyOin: '',
      });
      expect(tokens[0]).toMatch(/^tx_[a-z2-7]{26}$/);
      expect(tokens[2]).toBe(tokens[0]);
      expect(tokens[1]).not.toBe(tokens[0]);
      expect(tokens[3]).toBe('');
      const other = await vault.call.sealTexts({ schoolOin: OTHER, texts: ['Groep 7b'], partyOin: '' });
      expect(other.tokens[0]).not.toBe(tokens[0]);
      const again = await vault.reopen();
      expect((await again.call.sealTexts({ schoolOin: SCHOOL, texts: ['Groep 8'], partyOin: '' })).tokens).toEqual([
        tokens[1],
      ]);
      const opens = await again.call.openTexts({
        schoolOin: SCHOOL,
        tokens: [tokens[1]!, other.tokens[0]!, '', tokens[0]!],
        keys: [],
        partyOin: '',
      });
      expect(opens.texts).toEqual(['Groep 8', '', '', 'Groep 7b']);
      expect(
        (await again.call.openTexts({ schoolOin: 'nowhere', tokens: [tokens[0]!], keys: [], partyOin: '' })).texts,
      ).toEqual(['']);
    });

    test('a payload opens for its learner, school and context only', async () => {
      const vault = await opened();
      const [a, b] = await identifyAll(vault, [{ eck: 'a' }, { eck: 'b' }]);
      const data = Buffer.from('score 7.5');
      const { sealed } = await vault.call.sealPayloads({
        schoolOin: SCHOOL,
        payloads: [
          { token: a!.token, data, context: 'result' },
          { token: '', data, context: 'activation_code' },
          { token: 'lt_unknown', data, context: 'result' },
        ],
      });
      expect(sealed[2]).toHaveLength(0);
      expect(Buffer.from(sealed[0]!).includes('score')).toBe(false);
      const again = await vault.reopen();
      const openAt = async (schoolOin: string, token: string, bytes: Uint8Array, context: string) => {
        const one = { token, sealed: bytes, context };
        const { data } = await again.call.openPayloads({
          schoolOin,
          sealed: [one],
          partyOin: PARTY,
          purpose: 'result',
        });
        return Buffer.from(data[0]!).toString();
      };
      expect(await openAt(SCHOOL, a!.token, sealed[0]!, 'result')).toBe('score 7.5');
      expect(await openAt(SCHOOL, '', sealed[1]!, 'activation_code')).toBe('score 7.5');
      expect(await openAt(SCHOOL, b!.token, sealed[0]!, 'result')).toBe('');
      expect(await openAt(SCHOOL, '', sealed[0]!, 'result')).toBe('');
      expect(await openAt(SCHOOL, a!.token, sealed[1]!, 'activation_code')).toBe('');
      expect(await openAt(SCHOOL, a!.token, sealed[0]!, 'launch')).toBe('');
      expect(await openAt(OTHER, a!.token, sealed[0]!, 'result')).toBe('');
      for (let i = 0; i < sealed[0]!.length; i++) {
        const changed = Buffer.from(sealed[0]!);
        changed[i]! ^= 1;
        expect(await openAt(SCHOOL, a!.token, changed, 'result')).toBe('');
      }
      expect(await openAt(SCHOOL, a!.token, sealed[0]!.subarray(0, 20), 'result')).toBe('');
    });

    test('salts are the same when asked again, and differ by learner, flow and school', async () => {
      const vault = await opened();
      const [one, two] = [Buffer.from(uuid7()), Buffer.from(uuid7())];
      const salts = async (on: Opened) => [
        ...(await identifyAll(on, [{ eck: 'a' }, { eck: 'a' }, { eck: 'b' }], { saltFor: [one, two, one] })).map(
          (i) => i.salt,
        ),
        ...(await on.call.salts({ schoolOin: SCHOOL, flowIds: [one, two] })).salts,
        ...(await on.call.salts({ schoolOin: '', flowIds: [one] })).salts,
      ];
      const first = await salts(vault);
      for (const salt of first) expect(salt).toHaveLength(16);
      expect(new Set(first.map((salt) => Buffer.from(salt).toString('hex'))).size).toBe(first.length);
      expect(await salts(await vault.reopen())).toEqual(first);
      const [unknown] = await identifyAll(await opened(), [{ eck: 'z' }], { create: false, saltFor: [one] });
      expect(unknown!.salt).toHaveLength(0);
    });

    test('door keys are three, stable, and not the master key', async () => {
      const vault = await opened();
      const keys = await vault.call.doorKeys({});
      const all = [keys.digestKey, keys.cursorKey, keys.tokenKey];
      for (const key of all) expect(key).toHaveLength(32);
      expect(new Set([...all, Buffer.from(vault.masterKey)].map((key) => Buffer.from(key).toString('hex'))).size).toBe(
        4,
      );
      expect(await (await vault.reopen()).call.doorKeys({})).toEqual(keys);
    });
  });

  describe('forgetting', () => {
    const fill = async (vault: Opened) => {
      const { token, salt } = await identifyOne(
        vault,
        { eck: 'faye', las: 'key-of-faye', person: FAYE },
        { saltFor: [Buffer.alloc(16, 1)] },
      );
      const payload = { token, data: Buffer.from('score 9'), context: 'result' };
      const { sealed } = await vault.call.sealPayloads({ schoolOin: SCHOOL, payloads: [payload] });
      return { token, salt, sealed: { token, sealed: sealed[0]!, context: 'result' } };
    };
    const payloadOpens = async (vault: Opened, sealed: { token: string; sealed: Uint8Array; context: string }) =>
      (await vault.call.openPayloads({ schoolOin: SCHOOL, sealed: [sealed], partyOin: PARTY, purpose: 'result' }))
        .data[0]!.length > 0;

    test('now: nothing resolves any more, and the same ECK iD is a new learner', async () => {
      const vault = await opened();
      const faye = await fill(vault);
      expect(await forget(vault, faye.token)).toEqual({ known: true, destroyed: true });
      for (const reopened of [false, true]) {
        const on = reopened ? await vault.reopen() : vault;
        expect((await revealOne(on, faye.token)).known).toBe(false);
        expect(await payloadOpens(on, faye.sealed)).toBe(false);
        const payload = { token: faye.token, data: Buffer.from('x'), context: 'result' };
        expect((await on.call.sealPayloads({ schoolOin: SCHOOL, payloads: [payload] })).sealed[0]).toHaveLength(0);
        expect((await identifyOne(on, { eck: 'faye' }, { create: false })).code).toBe('learner.unknown');
        expect((await identifyOne(on, { las: 'key-of-faye' }, { create: false })).code).toBe('learner.unknown');
        expect(await forget(on, faye.token)).toEqual({ known: true, destroyed: true });
        if (!reopened) continue;
        const anew = await identifyOne(on, { eck: 'faye', las: 'key-of-faye' }, { saltFor: [Buffer.alloc(16, 1)] });
        expect(anew).toMatchObject({ created: true });
        expect(anew.token).not.toBe(faye.token);
        expect(anew.salt).not.toEqual(faye.salt);
      }
      expect(await forget(await opened(), 'lt_unknown')).toEqual({ known: false, destroyed: false });
    });
    test('later: it waits, can be taken back, brought forward, and is done when due or at the next start', async () => {
      const vault = await opened();
      const faye = await fill(vault);
      const in72h = vault.clock.ms + 3 * DAY_MS;
      expect(await forget(vault, faye.token, in72h)).toEqual({ known: true, destroyed: false });
      expect(await revealOne(vault, faye.token)).toMatchObject({ known: true, forgetting: true });
      expect((await identifyOne(vault, { eck: 'faye' })).token).toBe(faye.token);
      expect(await forget(vault, faye.token, -1)).toEqual({ known: true, destroyed: false });
      vault.clock.ms = in72h + 1;
      await vault.vault.tick();
      expect(await revealOne(vault, faye.token)).toMatchObject({ known: true, forgetting: false });

      await forget(vault, faye.token, in72h + DAY_MS);
      vault.clock.ms = in72h + 2 * DAY_MS;
      await vault.vault.tick();
      expect((await revealOne(vault, faye.token)).known).toBe(false);

      // Asked again it comes no later.
      const liv = await identifyOne(vault, { eck: 'liv' });
      await forget(vault, liv.token, vault.clock.ms + DAY_MS);
      await forget(vault, liv.token, vault.clock.ms + 3 * DAY_MS);
      vault.clock.ms += 2 * DAY_MS;
      await vault.vault.tick();
      expect((await revealOne(vault, liv.token)).known).toBe(false);

      const noor = await identifyOne(vault, { eck: 'noor' });
      await forget(vault, noor.token, vault.clock.ms + DAY_MS);
      expect(await forget(vault, noor.token, 0)).toEqual({ known: true, destroyed: true });

      const sam = await identifyOne(vault, { eck: 'sam' });
      await forget(vault, sam.token, vault.clock.ms + DAY_MS);
      vault.clock.ms += 2 * DAY_MS;
      const again = await vault.reopen();
      expect((await revealOne(again, sam.token)).known).toBe(false);
    });

    test('a vault that was started does what is due by itself', async () => {
      const vault = await opened();
      const faye = await fill(vault);
      await forget(vault, faye.token, vault.clock.ms + DAY_MS);
      vault.vault.start();
      vault.clock.ms += 2 * DAY_MS;
      await expect.poll(async () => (await revealOne(vault, faye.token)).known, { timeout: 5000 }).toBe(false);
    });

    test('only the school of the learner can have it done', async () => {
      const vault = await opened();
      const { token } = await fill(vault);
      await identifyOne(vault, { eck: 'x' }, { school: OTHER });
      expect(await forget(vault, token, 0, OTHER)).toEqual({ known: false, destroyed: false });
      expect((await revealOne(vault, token)).known).toBe(true);
    });

    test('what is destroyed leaves the files: secrets, hashes, sealed values', async () => {
      const vault = await opened();
      // Others around and after, so that pages split and rows move.
      const whos = Array.from({ length: 1500 }, (_, i) => ({
        eck: `pupil ${i}`,
        las: `las ${i}`,
        person: { ...FAYE, callName: `n${i}` },
      }));
      const tokens = (await identifyAll(vault, whos)).map(({ token }) => token);
      const doomed = tokens.filter((_, i) => i % 7 === 3);
      await vault.vault.stop();
      const chosen = `SELECT id FROM learners WHERE token IN (${doomed.map((token) => `'${token}'`).join(', ')})`;
      const values: Uint8Array[] = [];
      for (const [columns, table, learner] of [
        ['sealed, eck_id_hash, las_key_hash', 'numbers', 'learner'],
        ['mark, sealed', 'names', 'learner'],
        ['content, sealed', 'births', 'learner'],
        ['content, sealed', 'contact', 'learner'],
      ])
        for (const row of await vault.place.sql(`SELECT ${columns} FROM ${table} WHERE ${learner} IN (${chosen})`))
          values.push(...(Object.values(row) as Uint8Array[]));
      const wrapped = (
        await vault.place.sql(`SELECT wrapped FROM ${secrets.table} WHERE ${secrets.learner} IN (${chosen})`)
      ).map((row) => row['wrapped'] as Uint8Array);
      expect(values.length).toBe(doomed.length * 9);
      expect(wrapped.length).toBe(doomed.length);
      const again = await opened({ place: vault.place, masterKey: vault.masterKey, clock: vault.clock });
      expect(windows(await vault.place.bytes()).countOf([...wrapped, ...values])).toBe(doomed.length * 10);
      await Promise.all(doomed.map((token) => forget(again, token)));
      await again.vault.tick();
      const left = windows(await vault.place.bytes());
      expect(left.countOf([...wrapped, ...values])).toBe(0);
      // The scan can see: the token stays as a tombstone, others stay whole.
      expect(left.countOf([Buffer.from(doomed[0]!)])).toBe(1);
      expect((await revealOne(again, tokens[0]!)).person?.callName).toBe('n0');
      expect(await vault.place.forgotten()).toHaveLength(doomed.length);
    });

    test('of a whole school nothing stays, nothing that was sealed opens, and it is done once: who comes later stays', async () => {
      const vault = await opened();
      const people = await identifyAll(vault, [
        ...Array.from({ length: 150 }, (_, i) => ({ eck: `pupil ${i}`, las: `las ${i}`, person: FAYE })),
        { kind: 'staff' as const, las: 'juf', person: FAYE },
      ]);
      const texts = Array.from({ length: 70 }, (_, i) => `groep van juf ${i}`);
      const seal = () => vault.call.sealTexts({ schoolOin: SCHOOL, texts, partyOin: '' });
      const { tokens } = await seal();
      const ofSchool = [{ token: '', data: Buffer.from('code'), context: 'activation_code' }];
      const { sealed } = await vault.call.sealPayloads({ schoolOin: SCHOOL, payloads: ofSchool });
      const open = (of: typeof vault) =>
        of.call.openPayloads({
          schoolOin: SCHOOL,
          sealed: [{ token: '', sealed: sealed[0]!, context: 'activation_code' }],
          partyOin: PARTY,
          purpose: 'test',
        });
      expect(Buffer.from((await open(vault)).data[0]!).toString()).toBe('code');
      const other = await identifyOne(vault, { eck: 'elsewhere' }, { school: OTHER });
      expect(await vault.call.countHeld({ schoolOin: SCHOOL })).toEqual({ learners: 150, staff: 1, texts: 70 });
      await vault.vault.stop();
      const kept = (await vault.place.sql('SELECT sealed FROM texts')).map((row) => row['sealed'] as Uint8Array);
      expect(windows(await vault.place.bytes()).countOf(kept)).toBe(70);
      const restore = await vault.place.backup();
      vault.clock.ms += DAY_MS;
      const atMs = BigInt(vault.clock.ms);
      const again = await opened({ place: vault.place, masterKey: vault.masterKey, clock: vault.clock });
      await expect(again.call.forgetSchool({ schoolOin: SCHOOL, atMs: atMs + 1n })).rejects.toMatchObject({
        fault: 'wire.invalid',
      });
      const forgetAll = async (of: typeof vault) => {
        const sum = { people: 0, texts: 0, calls: 0 };
        for (let done = false; !done; sum.calls++) {
          const gone = await of.call.forgetSchool({ schoolOin: SCHOOL, atMs });
          ({ done } = gone);
          sum.people += gone.people;
          sum.texts += gone.texts;
        }
        return sum;
      };
      expect(await forgetAll(again)).toMatchObject({ people: 151, texts: 70 });
      await again.vault.tick();
      const none = { learners: 0, staff: 0, texts: 0 };
      expect(await again.call.countHeld({ schoolOin: SCHOOL })).toEqual(none);
      expect(windows(await again.place.bytes()).countOf(kept)).toBe(0);
      expect((await revealOne(again, people.at(-1)!.token)).known).toBe(false);
      expect((await open(again)).data.map(({ length }) => length)).toEqual([0]);
      expect((await again.call.openTexts({ schoolOin: SCHOOL, tokens, keys: [], partyOin: '' })).texts).toEqual(
        texts.map(() => ''),
      );
      expect((await identifyOne(again, { eck: 'elsewhere' }, { school: OTHER })).token).toBe(other.token);
      // It comes back as one of which nothing is known; told again, that stays.
      again.clock.ms += 1000;
      const comer = await identifyOne(again, { eck: 'pupil 3', person: FAYE });
      expect(people.map(({ token }) => token)).not.toContain(comer.token);
      expect(await forgetAll(again)).toEqual({ people: 0, texts: 0, calls: 1 });
      expect((await revealOne(again, comer.token)).known).toBe(true);
      expect((await again.place.forgotten()).filter((line) => line.startsWith('sc_'))).toHaveLength(1);
      await again.vault.stop();
      // A backup of before has neither people nor texts as soon as it is open, and no key when the doors tell it again.
      await restore();
      const restored = await opened({ place: vault.place, masterKey: vault.masterKey, clock: vault.clock });
      expect(await restored.call.countHeld({ schoolOin: SCHOOL })).toEqual(none);
      expect(await forgetAll(restored)).toEqual({ people: 0, texts: 0, calls: 1 });
      expect((await open(restored)).data.map(({ length }) => length)).toEqual([0]);
    });

    test('a backup that comes back is told who was forgotten, who waits, and who was kept after all', async () => {
      const vault = await opened();
      const [gone, waits, kept, stays] = await identifyAll(
        vault,
        ['a', 'b', 'c', 'd'].map((eck) => ({ eck })),
      );
      const at = vault.clock.ms + 3 * DAY_MS;
      await forget(vault, kept!.token, at);
      await vault.vault.stop();
      const restore = await vault.place.backup();
      const on = await opened({ place: vault.place, masterKey: vault.masterKey, clock: vault.clock });
      await forget(on, gone!.token);
      await forget(on, waits!.token, at);
      await forget(on, kept!.token, -1);
      await on.vault.stop();
      await restore();
      const restored = await opened({ place: vault.place, masterKey: vault.masterKey, clock: vault.clock });
      expect((await revealOne(restored, gone!.token)).known).toBe(false);
      expect(await revealOne(restored, waits!.token)).toMatchObject({ known: true, forgetting: true });
      expect(await revealOne(restored, kept!.token)).toMatchObject({ known: true, forgetting: false });
      expect((await revealOne(restored, stays!.token)).known).toBe(true);
    });
  });

  describe('at rest', () => {
    test('nothing stands in clear', async () => {
      const vault = await opened();
      await identifyAll(vault, [
        { eck: 'faye', las: 'administration-key-of-faye', person: FAYE },
        { kind: 'staff', las: 'administration-key-of-juf', person: { familyName: 'Quispelaar', callName: 'Juf Anka' } },
      ]);
      await vault.call.sealTexts({ schoolOin: SCHOOL, texts: ['De Bonte Specht groep 7'], partyOin: '' });
      const check = async () => {
        const bytes = await vault.place.bytes();
        const folded = bytes.toString('latin1').toLowerCase();
        const values = Object.values(FAYE).filter((value) => value.length > 1 && value !== 'F.O.');
        for (const value of [
          ...values,
          eckId('faye'),
          eckId('faye').slice(-128, -100),
          'administration-key',
          'Quispelaar',
          'Juf Anka',
          'Bonte Specht',
        ])
          for (const form of [
            value,
            Buffer.from(value).toString('hex'),
            Buffer.from(value, 'utf16le').toString('latin1'),
          ])
            expect(folded.includes(form.toLowerCase())).toBe(false);
        expect(bytes.indexOf(vault.masterKey)).toBe(-1);
      };
      await check();
      await vault.vault.stop();
      await check();
    });

    test('two vaults with the same people under two master keys have no value in common', async () => {
      const values = async () => {
        const vault = await opened();
        const people = [
          { eck: 'faye', las: '1', person: FAYE },
          { las: '2', person: { callName: 'Sam' } },
        ];
        const answers = await identifyAll(vault, people, { saltFor: [Buffer.alloc(16), Buffer.alloc(16)] });
        const texts = await vault.call.sealTexts({ schoolOin: SCHOOL, texts: ['Groep 7'], partyOin: '' });
        const keys = await vault.call.doorKeys({});
        await vault.vault.stop();
        const blobs: unknown[] = [];
        for (const table of TABLES)
          for (const row of await vault.place.sql(`SELECT * FROM ${table}`)) blobs.push(...Object.values(row));
        return [
          ...blobs.filter((value) => value instanceof Uint8Array),
          ...answers.flatMap(({ token, nameMark, salt }) => [Buffer.from(token.slice(3)), nameMark, salt]),
          ...texts.tokens.map((token) => Buffer.from(token.slice(3))),
          ...Object.values(keys),
        ] as Uint8Array[];
      };
      const [a, b] = [await values(), await values()];
      expect(a.length).toBeGreaterThan(30);
      // Past the first five bytes, which state form and versions.
      const pieces = (all: Uint8Array[]) =>
        new Set(
          all.flatMap((v) =>
            Array.from({ length: Math.max(0, v.length - 12) }, (_, i) => Buffer.from(v).toString('hex', i + 5, i + 12)),
          ),
        );
      const common = [...pieces(a)].filter((piece) => piece.length === 14 && pieces(b).has(piece));
      expect(common.filter((piece) => !/^0+$/.test(piece))).toEqual([]);
    });

    test('a value that was moved to another row, school or column does not open', async () => {
      const vault = await opened();
      const [a, b] = await identifyAll(vault, [
        { eck: 'a', las: '1', person: FAYE },
        { eck: 'b', las: '2', person: { ...FAYE, callName: 'B' } },
      ]);
      const c = await identifyOne(vault, { eck: 'a', las: '1', person: FAYE }, { school: OTHER });
      const { tokens } = await vault.call.sealTexts({ schoolOin: SCHOOL, texts: ['one', 'two'], partyOin: '' });
      const idOf = (token: string) => `(SELECT id FROM learners WHERE token = '${token}')`;
      const swaps: [string, () => Promise<unknown>][] = [];
      const reveals =
        (token: string, school = SCHOOL) =>
        () =>
          revealOne(opening!, token, NONE, school);
      for (const table of ['numbers', 'births', 'contact']) {
        swaps.push([
          `UPDATE ${table} SET sealed = (SELECT sealed FROM ${table} WHERE learner = ${idOf(b!.token)}) WHERE learner = ${idOf(a!.token)}`,
          reveals(a!.token),
        ]);
        swaps.push([
          `UPDATE ${table} SET sealed = (SELECT sealed FROM ${table} WHERE learner = ${idOf(a!.token)}) WHERE learner = ${idOf(c.token)}`,
          reveals(c.token, OTHER),
        ]);
      }
      swaps.push([
        `UPDATE names SET sealed = (SELECT sealed FROM births WHERE learner = ${idOf(a!.token)}) WHERE learner = ${idOf(a!.token)}`,
        reveals(a!.token),
      ]);
      swaps.push([
        `UPDATE contact SET sealed = (SELECT sealed FROM births WHERE learner = ${idOf(a!.token)}) WHERE learner = ${idOf(a!.token)}`,
        reveals(a!.token),
      ]);
      swaps.push([
        `UPDATE names SET mark = (SELECT mark FROM names WHERE learner = ${idOf(b!.token)}) WHERE learner = ${idOf(a!.token)}`,
        reveals(a!.token),
      ]);
      swaps.push([`UPDATE numbers SET ordinal = 1 WHERE learner = ${idOf(a!.token)}`, reveals(a!.token)]);
      swaps.push([
        `UPDATE ${secrets.table} SET wrapped = (SELECT wrapped FROM ${secrets.table} WHERE ${secrets.learner} = ${idOf(b!.token)}) WHERE ${secrets.learner} = ${idOf(a!.token)}`,
        () => identifyOne(opening!, { eck: 'a' }, { saltFor: [Buffer.alloc(16)] }),
      ]);
      swaps.push([
        `UPDATE texts SET sealed = (SELECT sealed FROM texts WHERE token = '${tokens[1]}') WHERE token = '${tokens[0]}'`,
        () => opening!.call.openTexts({ schoolOin: SCHOOL, tokens: [tokens[0]!], keys: [], partyOin: '' }),
      ]);
      swaps.push([
        `UPDATE school_keys SET wrapped = (SELECT k.wrapped FROM school_keys k WHERE k.school = school_keys.school AND k.purpose = 'names') WHERE purpose = 'numbers'`,
        reveals(a!.token),
      ]);
      await vault.vault.stop();
      const restore = await vault.place.backup();
      let opening: Opened | undefined;
      for (const [sql, ask] of swaps) {
        await restore();
        await vault.place.sql(sql);
        opening = await opened({ place: vault.place, masterKey: vault.masterKey, clock: vault.clock });
        await expect(ask(), sql).rejects.toMatchObject({ fault: 'gateway.bug' });
        await opening.vault.stop();
      }
    });

    test('under a wrong key it is refused in words, and left alone', async () => {
      const vault = await opened();
      const { token } = await identifyOne(vault, { eck: 'faye', person: FAYE });
      await vault.vault.stop();
      await expect(opened({ place: vault.place, masterKey: randomBytes(32) })).rejects.toThrow(
        /master key is not the one.*nothing was changed/,
      );
      const on = await opened({ place: vault.place, masterKey: vault.masterKey });
      expect((await revealOne(on, token)).person?.callName).toBe('Fayenne');
    });

    test('the vault remembers that it was made under a development key', async () => {
      const place = await newPlace();
      places.push(place);
      const masterKey = randomBytes(32);
      const clock = { now: () => 0 };
      const first = await place.open({ masterKey, clock, devKey: true });
      expect(first.devKey).toBe(true);
      await first.stop();
      const later = await place.open({ masterKey, clock });
      expect(later.devKey).toBe(true);
      await later.stop();
    });
  });

  describe('bulk', () => {
    const lines: Record<string, unknown>[] = [];
    afterEach(() => {
      logTo((line) => process.stderr.write(`${line}\n`), 'error');
      lines.length = 0;
    });

    test('above a number in an hour somebody is paged, once, whoever of the processes has shown them', async () => {
      logTo((line) => lines.push(JSON.parse(line)));
      const vault = await opened({ revealsPerHour: 10 });
      const tokens = (await identifyAll(vault, [{ eck: 'a' }, { eck: 'b' }, { eck: 'c' }])).map(({ token }) => token);
      const show = (more: object = {}) =>
        vault.call.reveal({
          schoolOin: SCHOOL,
          wanted: [...tokens, 'lt_nobody'].map((token) => ({ token, nameMark: NONE })),
          numbers: true,
          names: true,
          contact: false,
          partyOin: PARTY,
          purpose: 'roster',
          pairwise: false,
          ...more,
        });
      const tick = async () => {
        vault.clock.ms += 6_000;
        await vault.vault.tick();
      };
      const paged = () => lines.filter(({ event }) => event === 'vault.bulk_reveal');
      for (let i = 0; i < 3; i++) await show();
      // Nobody is known by a pseudonym.
      for (let i = 0; i < 9; i++) await show({ numbers: true, names: false, pairwise: true });
      await tick();
      expect(paged()).toEqual([]);
      for (let i = 0; i < 3; i++) {
        await show();
        await tick();
      }
      expect(paged()).toMatchObject([{ level: 'error', party_oin: PARTY, per_hour: 10 }]);
      const hour = { partyOin: PARTY, hourMs: BigInt(vault.clock.ms - (vault.clock.ms % 3_600_000)), learners: 18n };
      expect(await vault.call.showReveals({})).toEqual({ perHour: 10n, thisHour: [hour], tooMany: [hour] });
      const again = await vault.reopen();
      again.clock.ms += 3_600_000;
      await revealOne(again, tokens[0]!);
      again.clock.ms += 6_000;
      await again.vault.tick();
      expect(await again.call.showReveals({})).toMatchObject({ thisHour: [{ learners: 1n }], tooMany: [hour] });
      again.clock.ms += 2 * DAY_MS;
      expect(await again.call.showReveals({})).toMatchObject({ thisHour: [], tooMany: [] });
      again.clock.ms += 100 * DAY_MS;
      await again.vault.tick();
      await again.vault.stop();
      expect(await again.place.sql('SELECT * FROM reveal_hours')).toEqual([]);
    });
  });

  describe('to be told who learners are, by two persons', () => {
    const [ANNE, BRAM, CAS] = [1, 2, 3].map((n) => Buffer.alloc(32, n)) as [Buffer, Buffer, Buffer];
    const HOUR_MS = 3_600_000;
    const ask = async (on: Opened, tokens: string[], more: object = {}) =>
      (
        await on.call.askReveal({
          schoolOin: SCHOOL,
          reason: 'case-7',
          attributes: ['las_key', 'call_name'],
          tokens,
          flowId: '',
          numbers: true,
          names: true,
          contact: false,
          askedBy: ANNE,
          ...more,
        })
      ).asked!;
    const decide = async (on: Opened, requestId: string, decidedBy: Uint8Array, approve = true) =>
      (await on.call.decideReveal({ requestId, approve, decidedBy })).asked!;
    const take = (on: Opened, requestId: string, askedBy: Uint8Array = ANNE) =>
      on.call.takeReveal({ requestId, askedBy, partyOin: 'operator', purpose: 'reveal' });
    const list = async (on: Opened, schoolOin = '') => (await on.call.listAskedReveals({ schoolOin })).asked;
    const faultOf = (answer: Promise<unknown>): Promise<string> =>
      answer.then(
        () => '',
        (thrown: GatewayError) => thrown.fault,
      );
    const two = async (on: Opened) =>
      (await identifyAll(on, [{ eck: 'faye', las: '7', person: FAYE }, { eck: 'gus' }])).map(({ token }) => token);

    test('who asked is told once, after another approved; restarts in between change nothing', async () => {
      const first = await opened();
      const tokens = await two(first);
      const asked = await ask(first, tokens);
      expect(asked).toMatchObject({ state: 'asked', learners: 2, tokens, reason: 'case-7', decidedMs: 0n, shown: 0 });
      expect(await faultOf(take(first, asked.requestId))).toBe('state.conflict');
      expect(await faultOf(decide(first, asked.requestId, ANNE))).toBe('party.forbidden');
      const second = await first.reopen();
      const approved = await decide(second, asked.requestId, BRAM);
      expect(approved).toMatchObject({ state: 'approved', tokens, untilMs: BigInt(second.clock.ms + HOUR_MS) });
      expect([...approved.decidedBy]).toEqual([...BRAM]);
      for (const other of [BRAM, CAS])
        expect(await faultOf(take(second, asked.requestId, other))).toBe('party.forbidden');
      const third = await second.reopen();
      const { revealed, asked: taken } = await take(third, asked.requestId);
      expect(revealed).toMatchObject([
        { known: true, ref: { lasKey: '7' }, person: { callName: 'Fayenne', email: '' } },
        { known: true, ref: { eckId: eckId('gus') } },
      ]);
      expect(taken).toMatchObject({ state: 'taken', shown: 2, tokens });
      // Each process counts by itself, and adds it up with the others within seconds.
      third.clock.ms += 6_000;
      await third.vault.tick();
      expect((await third.call.showReveals({})).thisHour).toMatchObject([{ partyOin: 'operator', learners: 2n }]);
      expect(third.vault.reveals()).toMatchObject([{ partyOin: 'operator', purpose: 'reveal', names: 2, contact: 0 }]);
      const last = await third.reopen();
      expect(await faultOf(take(last, asked.requestId))).toBe('state.conflict');
      expect(await list(last)).toMatchObject([{ state: 'taken', tokens: [], shown: 2, untilMs: 0n }]);
    });

    test('of many who fetch at the same time one is told', async () => {
      const vault = await opened();
      const { requestId } = await ask(vault, await two(vault));
      await decide(vault, requestId, BRAM);
      const faults = await Promise.all(Array.from({ length: 20 }, () => faultOf(take(vault, requestId))));
      expect(faults.filter((fault) => fault === '')).toHaveLength(1);
      expect(new Set(faults)).toEqual(new Set(['', 'state.conflict']));
      vault.clock.ms += 6_000;
      await vault.vault.tick();
      expect((await vault.call.showReveals({})).thisHour).toMatchObject([{ learners: 2n }]);
    });

    test('of many who decide at the same time one does; what was refused stays so', async () => {
      const vault = await opened();
      const { requestId } = await ask(vault, await two(vault));
      const faults = await Promise.all(
        Array.from({ length: 20 }, (_, i) => faultOf(decide(vault, requestId, i % 2 ? BRAM : CAS, false))),
      );
      expect(faults.filter((fault) => fault === '')).toHaveLength(1);
      expect(await faultOf(decide(vault, requestId, BRAM))).toBe('state.conflict');
      expect(await faultOf(take(vault, requestId))).toBe('state.conflict');
      expect(await list(vault)).toMatchObject([{ state: 'refused', tokens: [] }]);
    });

    test('nobody waits for ever: a day to decide, an hour to fetch, a month to be listed', async () => {
      const vault = await opened();
      const tokens = await two(vault);
      const late = await ask(vault, tokens);
      vault.clock.ms += DAY_MS;
      expect(await faultOf(decide(vault, late.requestId, BRAM))).toBe('state.conflict');
      const { requestId } = await ask(vault, tokens, { reason: 'case-8' });
      await decide(vault, requestId, BRAM);
      vault.clock.ms += HOUR_MS;
      expect(await faultOf(take(vault, requestId))).toBe('state.conflict');
      expect((await list(vault)).map(({ state, reason }) => [state, reason])).toEqual([
        ['expired', 'case-8'],
        ['expired', 'case-7'],
      ]);
      await vault.vault.tick();
      await vault.vault.stop();
      expect(await vault.place.sql("SELECT * FROM asked_reveals WHERE tokens <> ''")).toEqual([]);
      const again = await vault.reopen();
      expect(await list(again)).toMatchObject([{ state: 'expired' }, { state: 'expired' }]);
      again.clock.ms += 31 * DAY_MS;
      await again.vault.tick();
      expect(await list(again)).toEqual([]);
    });

    test('what is asked has bounds, and is about learners of that school', async () => {
      const vault = await opened();
      const tokens = await two(vault);
      const nobody = (n: number) => Array.from({ length: n }, (_, i) => `lt_${'a'.repeat(i + 1)}`);
      expect(await faultOf(ask(vault, [...tokens, ...nobody(48)]))).toBe('');
      expect(await faultOf(ask(vault, [...tokens, ...nobody(49)]))).toBe('wire.too_large');
      expect(await faultOf(ask(vault, nobody(2)))).toBe('learner.unknown');
      expect(await faultOf(ask(vault, tokens, { schoolOin: OTHER }))).toBe('state.missing');
      for (const wrong of [{ reason: '' }, { attributes: [] }, { numbers: false, names: false }])
        expect(await faultOf(ask(vault, tokens, wrong))).toBe('wire.invalid');
      for (const wrong of [[], ['st_aaaa'], ['lt_a,lt_b'], ['x']])
        expect(await faultOf(ask(vault, wrong))).toBe('wire.invalid');
      expect(await faultOf(ask(vault, tokens, { askedBy: NONE }))).toBe('gateway.bug');
      for (let i = 0; i < 3; i++) await ask(vault, [...tokens, ...nobody(48)]);
      expect(await faultOf(ask(vault, tokens))).toBe('gateway.overloaded');
      expect(await faultOf(ask(vault, tokens, { askedBy: BRAM }))).toBe('');
      vault.clock.ms += DAY_MS;
      expect(await faultOf(ask(vault, tokens))).toBe('');
      expect(await faultOf(decide(vault, 'none', BRAM))).toBe('state.missing');
      expect(await faultOf(take(vault, 'none'))).toBe('state.missing');
      await identifyOne(vault, { eck: 'hil' }, { school: OTHER });
      expect(await faultOf(ask(vault, tokens, { schoolOin: OTHER }))).toBe('learner.unknown');
      expect(await list(vault, OTHER)).toEqual([]);
    });

    test('who was forgotten meanwhile, or is to be, is nobody', async () => {
      const vault = await opened();
      const tokens = await two(vault);
      const third = await identifyOne(vault, { eck: 'hil' });
      const { requestId } = await ask(vault, [...tokens, third.token]);
      await decide(vault, requestId, BRAM);
      await forget(vault, tokens[0]!);
      await forget(vault, tokens[1]!, vault.clock.ms + DAY_MS);
      const { revealed, asked } = await take(vault, requestId);
      expect(revealed.map(({ known, ref, person }) => [known, ref?.eckId ?? '', person?.callName ?? ''])).toEqual([
        [false, '', ''],
        [false, '', ''],
        [true, eckId('hil'), ''],
      ]);
      expect(asked!.shown).toBe(1);
    });

    test('a school that is closed shows nobody, and the request is not spent', async () => {
      const holders = testHolders();
      const elapsed = { ms: 0 };
      const vault = await opened({ holders, leaseMs: 1_000, elapsed: () => elapsed.ms });
      const tokens = await two(vault);
      await vault.call.holdKeys({
        schoolOin: SCHOOL,
        at: 'https://keys.example/v1/transit/keys/s',
        token: 'let-me-in',
      });
      const { requestId } = await ask(vault, tokens);
      await decide(vault, requestId, BRAM);
      holders.mood = 'no';
      elapsed.ms += 2_000;
      await vault.vault.tick();
      expect(await faultOf(take(vault, requestId))).toBe('school.closed');
      holders.mood = 'yes';
      elapsed.ms += 60_000;
      await vault.vault.tick();
      expect((await take(vault, requestId)).revealed).toMatchObject([{ known: true }, { known: true }]);
    });

    test('holds no identity at rest', async () => {
      const vault = await opened();
      const { requestId } = await ask(vault, await two(vault));
      await decide(vault, requestId, BRAM);
      await take(vault, requestId);
      await vault.vault.stop();
      const bytes = await vault.place.bytes();
      for (const name of ['Fayenne', 'Zandvliet', 'fayenne@']) expect(bytes.includes(name)).toBe(false);
    });
  });

  describe('renewing keys', () => {
    const keysOf = async ({ call }: Opened) => {
      const { keys, ...state } = await call.showKeys({});
      return { ...state, left: Object.fromEntries(keys.map(({ kind, schoolsLeft }) => [kind, schoolsLeft])) };
    };
    /** When each kind was last renewed. */
    const renewedOf = async ({ call }: Opened) =>
      Object.fromEntries((await call.showKeys({})).keys.map(({ kind, renewedMs }) => [kind, Number(renewedMs)]));
    const rotate = ({ call }: Opened, ...kinds: string[]) => call.rotateKeys({ kinds, schoolOin: '' });
    /** Until it is done; `between` each two lots. */
    async function finish(on: Opened, between: (lot: number) => Promise<unknown> = async () => undefined) {
      for (let lot = 0; lot < 300; lot++) {
        await on.vault.tick();
        await between(lot);
        if (!(await keysOf(on)).rotating) return lot;
        on.clock.ms += 1000;
      }
      throw new Error('It comes to no end.');
    }
    /** Id of a flow that began then. */
    const flowAt = (ms: number) => {
      const id = Buffer.alloc(16, 7);
      id.writeUIntBE(ms, 0, 6);
      return id;
    };
    const NONE_LEFT = { master: 0, data: 0, index: 0, pairwise: 0 };
    const MARK: Partial<Person> = { email: 'a@b.example', birthDate: '2013-02-29', callName: 'Mark' };
    const pupils = Array.from({ length: 90 }, (_, i) => ({ eck: `e${i}`, las: `k${i}`, person: MARK }));

    /** A school of two sectors with staff, texts, a payload and a salt; and another. */
    async function fill(on: Opened) {
      const [payload, flow] = [{ data: Buffer.from('score'), context: 'result' }, flowAt(on.clock.ms)];
      const first = (await identifyAll(on, pupils, { sector: 'po' })).map(({ token }) => token);
      const [vo, staff, there] = [
        await identifyOne(on, { eck: 'e0' }, { sector: 'vo' }),
        await identifyOne(on, { kind: 'staff', las: 'k0' }),
        await identifyOne(on, { eck: 'e0', person: MARK }, { school: OTHER }),
      ];
      const texts = await on.call.sealTexts({ schoolOin: SCHOOL, texts: ['Groep 7', 'Groep 8'], partyOin: '' });
      const seal = async (token: string) =>
        (await on.call.sealPayloads({ schoolOin: SCHOOL, payloads: [{ token, ...payload }] })).sealed[0]!;
      const sealed = [
        { token: first[1]!, context: 'result', sealed: await seal(first[1]!) },
        { token: '', context: 'result', sealed: await seal('') },
      ];
      const salts = async (of: Opened) => [
        (await of.call.salts({ schoolOin: SCHOOL, flowIds: [flow] })).salts[0]!,
        (await identifyOne(of, { eck: 'e1' }, { saltFor: [flow] })).salt,
      ];
      const made = await salts(on);
      const face = async (of: Opened) =>
        (
          await of.call.reveal({
            schoolOin: SCHOOL,
            wanted: [{ token: first[1]!, nameMark: NONE }],
            numbers: true,
            names: false,
            contact: false,
            partyOin: PARTY,
            purpose: 'roster',
            pairwise: true,
          })
        ).revealed[0]!.ref!.lasKey;
      const known = await face(on);
      return {
        first,
        known,
        face,
        async holds(of: Opened) {
          const again = await identifyAll(
            of,
            pupils.slice(1).map(({ eck, las }, i) => (i % 2 ? { eck } : { las })),
          );
          expect(again.map(({ token, created }) => (created ? 'new' : token))).toEqual(first.slice(1));
          expect((await identifyOne(of, { eck: 'e0' }, { sector: 'vo' })).token).toBe(vo.token);
          expect((await identifyOne(of, { kind: 'staff', las: 'k0' })).token).toBe(staff.token);
          expect((await identifyOne(of, { eck: 'e0' }, { school: OTHER })).token).toBe(there.token);
          expect(await revealOne(of, first[1]!)).toMatchObject({
            ref: { eckId: eckId('e1'), lasKey: 'k1' },
            person: { callName: 'Mark', email: 'a@b.example', birthDate: '2013-02-29' },
          });
          const opened = await of.call.openTexts({ schoolOin: SCHOOL, tokens: texts.tokens, keys: [], partyOin: '' });
          expect(opened.texts).toEqual(['Groep 7', 'Groep 8']);
          const anew = await of.call.sealTexts({ schoolOin: SCHOOL, texts: ['Groep 7', 'Groep 8'], partyOin: '' });
          expect(anew).toEqual(texts);
          const { data } = await of.call.openPayloads({
            schoolOin: SCHOOL,
            sealed,
            partyOin: PARTY,
            purpose: 'result',
          });
          expect(data.map((one) => Buffer.from(one).toString())).toEqual(['score', 'score']);
          expect(await salts(of)).toEqual(made);
          const byFace = await identifyOne(of, { las: known, by: PARTY }, { create: false });
          expect(byFace.token).toBe(first[1]);
        },
      };
    }
    const versionsHeld = async ({ place }: Opened) =>
      (
        await place.sql(
          'SELECT purpose, count(*) AS n, max(version) AS newest FROM school_keys GROUP BY purpose ORDER BY purpose',
        )
      ).map(({ purpose, n, newest }) => `${purpose} ${Number(n)} ${Number(newest)}`);

    test('of what rests and is found: under load everything holds, and the old keys go', async () => {
      const vault = await opened();
      const held = await fill(vault);
      expect(await renewedOf(vault)).toEqual(NONE_LEFT);
      const beganMs = vault.clock.ms;
      await rotate(vault, 'data', 'index');
      expect(await keysOf(vault)).toMatchObject({
        rotating: true,
        schools: 2,
        left: { data: 2, index: 2, pairwise: 0 },
      });
      const newcomers: string[] = [];
      let gone = '';
      const lots = await finish(vault, async (lot) => {
        if (lot % 2 === 1) return;
        await held.holds(vault);
        newcomers.push((await identifyOne(vault, { eck: `new${lot}`, las: `n${lot}`, person: MARK })).token);
        if (lot === 2) gone = (await identifyOne(vault, { eck: 'e0' })).token;
        if (lot === 2) await forget(vault, gone);
      });
      expect(lots).toBeGreaterThan(2);
      expect(await keysOf(vault)).toMatchObject({ rotating: false, left: NONE_LEFT });
      const renewed = await renewedOf(vault);
      expect(renewed).toMatchObject({ master: 0, pairwise: 0 });
      for (const kind of ['data', 'index']) expect(renewed[kind]).toBeGreaterThanOrEqual(beganMs);
      let last = vault;
      for (const reopened of [false, true]) {
        if (reopened) last = await vault.reopen();
        await held.holds(last);
        for (const [i, token] of newcomers.entries())
          expect((await identifyOne(last, { las: `n${i * 2}` })).token).toBe(token);
        expect((await revealOne(last, gone)).known).toBe(false);
      }
      await last.vault.stop();
      // Two schools; what rests elsewhere keeps its keys.
      expect(await versionsHeld(last)).toEqual([
        'contact 2 2',
        'index 2 2',
        'learners 2 2',
        'names 2 2',
        'numbers 2 2',
        'pairwise 2 1',
        'payloads 4 2',
        'salts 4 2',
        'text_tokens 4 2',
        'texts 2 2',
      ]);
      const versions = await last.place.sql(
        `SELECT DISTINCT sealed FROM numbers UNION ALL SELECT sealed FROM names UNION ALL SELECT sealed FROM births
          UNION ALL SELECT sealed FROM contact UNION ALL SELECT sealed FROM texts
          UNION ALL SELECT wrapped FROM ${secrets.table} WHERE wrapped IS NOT NULL`,
      );
      expect(versions.length).toBeGreaterThan(400);
      for (const { sealed } of versions) expect((sealed as Uint8Array)[2]).toBe(2);
    });

    test('of one school only; texts and salts of before stay what they are, those of after are under new keys', async () => {
      const vault = await opened();
      const held = await fill(vault);
      await expect(vault.call.rotateKeys({ kinds: ['index'], schoolOin: 'none' })).rejects.toMatchObject({
        fault: 'state.missing',
      });
      for (const [kinds, schoolOin] of [
        [[], ''],
        [['master'], SCHOOL],
        [['names'], ''],
      ] as [string[], string][])
        await expect(vault.call.rotateKeys({ kinds, schoolOin })).rejects.toMatchObject({ fault: 'wire.invalid' });
      const later = flowAt(vault.clock.ms + 2 * 3_600_000);
      const saltOf = async () => (await vault.call.salts({ schoolOin: SCHOOL, flowIds: [later] })).salts[0];
      const before = await saltOf();
      await vault.call.rotateKeys({ kinds: ['index', 'data'], schoolOin: SCHOOL });
      await finish(vault, () => held.holds(vault));
      expect(await saltOf()).not.toEqual(before);
      await vault.vault.stop();
      expect(
        await vault.place.sql(
          "SELECT DISTINCT s.oin, k.version FROM school_keys k JOIN schools s ON s.id = k.school WHERE k.purpose = 'names' ORDER BY s.oin",
        ),
      ).toEqual([
        { oin: SCHOOL, version: 2 },
        { oin: OTHER, version: 1 },
      ]);
    });

    test('of pseudonyms: others are shown from then on, and both are understood', async () => {
      const vault = await opened();
      const held = await fill(vault);
      await rotate(vault, 'pairwise');
      await finish(vault);
      const shown = await held.face(vault);
      expect(shown).toMatch(/^pw2-/);
      const again = await vault.reopen();
      await held.holds(again);
      expect((await identifyOne(again, { las: shown, by: PARTY }, { create: false })).token).toBe(held.first[1]);
    });

    test('stopped at any lot it goes on from there; asked again meanwhile it ends under the newest', async () => {
      let vault = await opened();
      const held = await fill(vault);
      await rotate(vault, 'data', 'index');
      for (let lot = 0; (await keysOf(vault)).rotating; lot++) {
        expect(lot).toBeLessThan(40);
        await vault.vault.tick();
        if (lot === 3) await rotate(vault, 'data');
        vault.clock.ms += 1000;
        if (lot % 2 === 1) vault = await vault.reopen();
        if (lot % 4 === 1) await held.holds(vault);
      }
      expect(await keysOf(vault)).toMatchObject({ left: NONE_LEFT, skipped: 0 });
      await held.holds(vault);
      await vault.vault.stop();
      expect((await versionsHeld(vault)).filter((one) => /^(index|names|learners)/.test(one))).toEqual([
        'index 2 2',
        'learners 2 3',
        'names 2 3',
      ]);
    });

    test('of the master: all that parties know stays, the new key opens and the old one does not', async () => {
      const [oldKey, newKey] = [randomBytes(32), randomBytes(32)];
      let laid: Uint8Array | undefined;
      const nextKey = () => laid && Uint8Array.from(laid);
      let vault = await opened({ masterKey: oldKey, nextKey });
      const held = await fill(vault);
      const doors = await vault.call.doorKeys({});
      // A school from before there were pseudonyms has no row of their key.
      await vault.vault.stop();
      await vault.place.sql("DELETE FROM school_keys WHERE purpose = 'pairwise'");
      vault = await opened({ place: vault.place, clock: vault.clock, masterKey: oldKey, nextKey });
      await expect(rotate(vault, 'master')).rejects.toMatchObject({ fault: 'state.missing' });
      laid = oldKey;
      await expect(rotate(vault, 'master')).rejects.toMatchObject({ fault: 'state.conflict' });
      laid = newKey;
      await rotate(vault, 'master');
      expect(await keysOf(vault)).toMatchObject({ master: 1, left: { master: 2 } });
      await held.holds(vault);
      await vault.vault.stop();
      // As when it was killed between the one and the other.
      await vault.place.sql("DELETE FROM meta WHERE name = 'rotating'");
      const at = { place: vault.place, clock: vault.clock };
      // Halfway: the old one does not suffice, whatever lies beside it.
      await expect(opened({ ...at, masterKey: oldKey })).rejects.toThrow(
        /being replaced, and the new one is not there/,
      );
      await expect(opened({ ...at, masterKey: randomBytes(32), nextKey: () => randomBytes(32) })).rejects.toThrow(
        /master key is not the one/,
      );
      const renamed = await opened({ ...at, masterKey: newKey });
      await held.holds(renamed);
      await renamed.vault.stop();
      const on = await opened({ ...at, masterKey: oldKey, nextKey });
      await finish(on, () => held.holds(on));
      expect(await keysOf(on)).toMatchObject({ master: 2, left: NONE_LEFT });
      const { master, ...others } = await renewedOf(on);
      expect(master).toBeGreaterThan(0);
      expect(others).toEqual({ data: 0, index: 0, pairwise: 0 });
      await on.vault.stop();
      const names = await vault.place.sql('SELECT DISTINCT wrapped_by FROM school_keys');
      expect(names).toEqual([{ wrapped_by: 'master:2' }]);

      // As long as nobody has renamed the files, and after.
      await expect(opened({ ...at, masterKey: oldKey })).rejects.toThrow(/master key is not the one/);
      for (const given of [{ masterKey: oldKey, nextKey }, { masterKey: newKey }]) {
        const again = await opened({ ...at, ...given });
        await held.holds(again);
        expect(await again.call.doorKeys({})).toEqual(doors);
        await again.vault.stop();
      }
      // And once more.
      const third = randomBytes(32);
      const more = await opened({ ...at, masterKey: newKey, nextKey: () => Uint8Array.from(third) });
      await identifyOne(more, { eck: 'x' }, { school: 'another' });
      await rotate(more, 'master');
      await finish(more);
      await more.vault.stop();
      const last = await opened({ ...at, masterKey: third });
      await held.holds(last);
      expect(await last.call.doorKeys({})).toEqual(doors);
    });

    describe('that are held elsewhere', () => {
      const AT = 'https://keys.example/v1/transit/keys/school';
      const LEASE_MS = 10_000;
      /** Time of leases, which goes by when a test says so. */
      let nowMs = 0;
      const lent = { leaseMs: LEASE_MS, elapsed: () => nowMs };
      const TOKEN = 'let-me-in';
      const hold = ({ call }: Opened, more: { schoolOin?: string; at?: string; token?: string } = {}) =>
        call.holdKeys({ schoolOin: SCHOOL, at: AT, token: TOKEN, ...more });
      const wrappers = async ({ place }: Opened, school = SCHOOL) =>
        (
          await place.sql(
            `SELECT DISTINCT k.wrapped_by AS name FROM school_keys k JOIN schools s ON s.id = k.school WHERE s.oin = '${school}'`,
          )
        ).map(({ name }) => (name as string).replace(/^held:.*/, 'held'));
      /** Until what was opened is open no longer, and nobody has asked again. */
      const lapse = async ({ vault }: Opened, ms = LEASE_MS) => {
        for (const until = nowMs + ms + 1_000; nowMs < until; ) {
          nowMs += 1_000;
          await vault.tick();
        }
      };
      /** Everything that needs a key of the school. */
      const asked = (on: Opened, token: string): [string, () => Promise<unknown>][] => [
        ['identify', () => identifyOne(on, { eck: 'e1' })],
        ['reveal', () => revealOne(on, token)],
        ['sealTexts', () => on.call.sealTexts({ schoolOin: SCHOOL, texts: ['x'], partyOin: '' })],
        [
          'sealPayloads',
          () => on.call.sealPayloads({ schoolOin: SCHOOL, payloads: [{ token, data: NONE, context: 'x' }] }),
        ],
        ['salts', () => on.call.salts({ schoolOin: SCHOOL, flowIds: [flowAt(on.clock.ms)] })],
      ];
      const faultsOf = async (on: Opened, token: string) => {
        const faults: string[] = [];
        for (const [, ask] of asked(on, token))
          faults.push(
            await ask().then(
              () => 'answered',
              (thrown: GatewayError) => thrown.fault,
            ),
          );
        return [...new Set(faults)];
      };

      test('by a school that has closed them: names of who left go all the same', async () => {
        const holders = testHolders();
        const vault = await opened({ holders, ...lent });
        const { token } = await identifyOne(vault, { eck: 'e1', person: FAYE });
        await hold(vault);
        holders.mood = 'no';
        await lapse(vault);
        expect(await faultsOf(vault, token)).toEqual(['school.closed']);
        expect(await vault.call.endNames({ schoolOin: SCHOOL, tokens: [token] })).toEqual({ people: 1 });
        holders.mood = 'yes';
        await lapse(vault);
        expect((await revealOne(vault, token)).person).toEqual(Person.fromPartial({}));
      });

      test('by a school: without it nothing is found, sealed or shown and nothing is lost; with it all is as it was', async () => {
        const holders = testHolders();
        let vault = await opened({ holders, ...lent });
        const held = await fill(vault);
        const token = held.first[1]!;
        await hold(vault);
        await held.holds(vault);
        // What the master key had wrapped opens nothing of later.
        await finish(vault);
        await vault.vault.stop();
        expect(await versionsHeld(vault)).toEqual(expect.arrayContaining(['names 2 2', 'index 2 2', 'pairwise 2 1']));
        expect([await wrappers(vault), await wrappers(vault, OTHER)]).toEqual([['held'], ['master:1']]);
        vault = await vault.reopen();
        await held.holds(vault);
        expect((await vault.call.showKeys({})).held).toMatchObject([
          { schoolOin: SCHOOL, at: AT, open: true, code: '' },
        ]);

        for (const [mood, code] of [
          ['no', 'peer.refused'],
          ['away', 'peer.unavailable'],
        ] as const) {
          holders.mood = mood;
          // What is used meanwhile is asked for again in time, and is not had: it stays open until its time is over.
          await lapse(vault);
          expect(await faultsOf(vault, token)).toEqual(['school.closed']);
          expect((await vault.call.showHolds({ schoolOin: '' })).held).toMatchObject([{ open: false, code }]);
          expect((await vault.call.showHolds({ schoolOin: OTHER })).held).toEqual([]);
          // Another school has nothing to do with it, nor has whoever is found at both.
          await identifyOne(vault, { eck: 'e0' }, { school: OTHER, create: false });
          holders.mood = 'yes';
          nowMs += LEASE_MS / 4;
          expect(await faultsOf(vault, token)).toEqual(['answered']);
        }
        await held.holds(vault);
        // Used, it is asked for again before its time is over, and nobody notices.
        for (let i = 0; i < 4; i++) {
          await lapse(vault, LEASE_MS / 3);
          await identifyOne(vault, { eck: 'e1' });
        }

        // To be forgotten needs no key, and waits for nobody.
        holders.mood = 'no';
        await lapse(vault);
        expect(await vault.call.forget({ schoolOin: SCHOOL, token: held.first[0]!, atMs: 0n })).toMatchObject({
          known: true,
          destroyed: true,
        });
        // The master key and the keys of others are renewed meanwhile, these when they can be.
        await rotate(vault, 'data');
        for (let lot = 0; lot < 30; lot++) await vault.vault.tick();
        expect(await keysOf(vault)).toMatchObject({ rotating: true, left: { data: 1 } });
        holders.mood = 'yes';
        vault.clock.ms += 120_000;
        nowMs += LEASE_MS / 4;
        await finish(vault);
        expect(await keysOf(vault)).toMatchObject({ rotating: false, left: NONE_LEFT });

        // A start knows where the key is, and the master key wraps again when the school wants that.
        let again = await vault.reopen();
        expect((await revealOne(again, token)).ref).toMatchObject({ lasKey: 'k1' });
        await again.call.holdKeys({ schoolOin: SCHOOL, at: '', token: '' });
        expect((await again.call.showKeys({})).held).toEqual([]);
        await expect(again.call.holdKeys({ schoolOin: SCHOOL, at: '', token: '' })).rejects.toMatchObject({
          fault: 'state.missing',
          message: expect.stringContaining('Nobody else holds the key'),
        });
        await again.vault.stop();
        expect(await wrappers(again)).toEqual(['master:1']);
        expect(await again.place.sql("SELECT name FROM meta WHERE name LIKE 'hold:%'")).toEqual([]);
        again = await again.reopen();
        holders.mood = 'no';
        await lapse(again);
        expect((await revealOne(again, token)).ref).toMatchObject({ lasKey: 'k1' });
      });

      test('by a school: another holder, another master key, and holders that do not let us', async () => {
        const holders = testHolders();
        const [oldKey, newKey] = [randomBytes(32), randomBytes(32)];
        const given = { holders, ...lent, masterKey: oldKey, nextKey: () => Uint8Array.from(newKey) };
        let vault = await opened(given);
        const token = (await identifyOne(vault, { las: 'k1' })).token;
        const wrappedKeys = async () => {
          await vault.vault.stop();
          const rows = await vault.place.sql('SELECT wrapped FROM school_keys ORDER BY purpose');
          vault = await vault.reopen();
          return rows;
        };
        const before = await wrappedKeys();
        const refused = (more: Parameters<typeof hold>[1]) => expect(hold(vault, more)).rejects;
        await refused({ token: 'another' }).toMatchObject({ fault: 'peer.refused' });
        holders.mood = 'away';
        await refused({}).toMatchObject({ fault: 'peer.unavailable' });
        holders.mood = 'yes';
        await refused({ schoolOin: 'none' }).toMatchObject({ fault: 'state.missing' });
        await refused({ schoolOin: '' }).toMatchObject({ fault: 'wire.invalid' });
        expect(await wrappedKeys()).toEqual(before);

        await hold(vault);
        await hold(vault, { at: `${AT}-2` });
        await finish(vault);
        await rotate(vault, 'master');
        await finish(vault);
        await vault.vault.stop();
        // Nothing of the holder, or of what lets us in there, can be read without the master key.
        const rows = await vault.place.sql("SELECT * FROM meta WHERE name LIKE 'hold:%'");
        expect(rows).toHaveLength(1);
        const row = rows[0]!;
        const bytes = Buffer.from((row['bytes'] ?? row['value']) as Uint8Array).toString('utf8');
        expect(JSON.parse(bytes)).toMatchObject({ at: `${AT}-2`, by: 'master:2' });
        expect(bytes).not.toContain(TOKEN);
        expect(bytes).not.toContain('vault:v1');
        const on = await opened({ ...given, place: vault.place, clock: vault.clock, masterKey: newKey });
        expect((await revealOne(on, token)).ref).toMatchObject({ lasKey: 'k1' });
        // Closed, it cannot be taken from its holder.
        await on.vault.stop();
        holders.mood = 'no';
        const closed = await opened({ ...given, place: vault.place, clock: vault.clock, masterKey: newKey });
        await expect(closed.call.holdKeys({ schoolOin: SCHOOL, at: '', token: '' })).rejects.toMatchObject({
          fault: 'school.closed',
        });
        await expect(hold(closed)).rejects.toMatchObject({ fault: 'school.closed' });
      });

      test('the master key: from a file to a service and back; while that gives no answer all is closed', async () => {
        const folder = mkdtempSync(join(tmpdir(), 'eduk-held-'));
        try {
          const holders = testHolders();
          const [file, tokenFile] = [join(folder, 'key'), join(folder, 'token')];
          const own = { mode: 0o600 };
          writeFileSync(file, randomBytes(32).toString('hex'), own);
          writeFileSync(tokenFile, TOKEN, own);
          const sourced = async () => {
            const source = new MasterSource(file, holders);
            return {
              source,
              masterKey: await readAtStart(source, 200),
              nextKey: source.next,
              holders,
              ...lent,
            };
          };
          const first = await opened(await sourced());
          const held = await fill(first);
          const doors = await first.call.doorKeys({});
          writeFileSync(`${file}.next`, heldKeyText(await makeHeldKey(AT, tokenFile, holders)), own);
          await rotate(first, 'master');
          await finish(first);
          await held.holds(first);
          expect(await first.call.showKeys({})).toMatchObject({ master: 2, masterClosed: false });
          await first.vault.stop();
          renameSync(`${file}.next`, file);

          const on = await opened({ ...(await sourced()), place: first.place, clock: first.clock });
          await held.holds(on);
          expect(await on.call.doorKeys({})).toEqual(doors);
          expect(await on.call.showKeys({})).toMatchObject({ masterAt: AT, masterAwayMs: 0n, masterClosed: false });
          holders.mood = 'away';
          await lapse(on);
          expect(await faultsOf(on, held.first[1]!)).toEqual(['gateway.unavailable']);
          expect(await on.call.showKeys({})).toMatchObject({ masterAt: AT, masterClosed: true });
          // Nobody new comes in, and who is to go goes.
          await expect(identifyOne(on, { eck: 'new' }, { school: 'new' })).rejects.toMatchObject({
            fault: 'gateway.unavailable',
          });
          expect((await on.call.forget({ schoolOin: SCHOOL, token: held.first[0]!, atMs: 0n })).destroyed).toBe(true);
          await expect(readAtStart(new MasterSource(file, holders), 100)).rejects.toThrow(/does not answer/);
          holders.mood = 'no';
          await expect(readAtStart(new MasterSource(file, holders), 60_000)).rejects.toThrow(/says no/);
          holders.mood = 'yes';
          await lapse(on, LEASE_MS / 2);
          await held.holds(on);
          expect(await on.call.showKeys({})).toMatchObject({ masterAwayMs: 0n, masterClosed: false });

          writeFileSync(`${file}.next`, randomBytes(32).toString('hex'), own);
          await rotate(on, 'master');
          await finish(on);
          await held.holds(on);
          await on.vault.stop();
          renameSync(`${file}.next`, file);
          holders.mood = 'away';
          const last = await opened({ ...(await sourced()), place: first.place, clock: first.clock });
          await lapse(last);
          await held.holds(last);
          expect(await last.call.showKeys({})).toMatchObject({ master: 3, masterAt: '', masterClosed: false });
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      });
    });

    test('a key, or a value under one, that was put in another’s place does not open', async () => {
      const vault = await opened();
      const held = await fill(vault);
      await vault.vault.stop();
      const before = (await vault.place.sql('SELECT learner, sealed FROM contact')) as {
        learner: number;
        sealed: Uint8Array;
      }[];
      const on = await opened({ place: vault.place, masterKey: vault.masterKey, clock: vault.clock });
      await rotate(on, 'data');
      await finish(on);
      await on.vault.stop();
      const restore = await vault.place.backup();
      const key = (purpose: string, version: number, oin = SCHOOL) =>
        `(SELECT k.wrapped FROM school_keys k JOIN schools s ON s.id = k.school WHERE k.purpose = '${purpose}' AND k.version = ${version} AND s.oin = '${oin}')`;
      const ours = `school = (SELECT id FROM schools WHERE oin = '${SCHOOL}')`;
      const id = (await vault.place.sql(`SELECT id FROM learners WHERE token = '${held.first[1]}'`))[0]!['id'];
      const hex = Buffer.from(before.find(({ learner }) => learner === id)!.sealed).toString('hex');
      for (const sql of [
        `UPDATE school_keys SET wrapped = ${key('payloads', 1)} WHERE purpose = 'payloads' AND version = 2 AND ${ours}`,
        `UPDATE school_keys SET wrapped = ${key('contact', 2, OTHER)} WHERE purpose = 'contact' AND ${ours}`,
        `UPDATE school_keys SET wrapped_by = 'master:2' WHERE purpose = 'contact' AND ${ours}`,
        `UPDATE school_keys SET version = 3 WHERE purpose = 'contact' AND ${ours}`,
        // What rested there before, whose key is gone.
        `UPDATE contact SET sealed = ${bytesInSql(hex)} WHERE learner = ${id}`,
      ]) {
        await restore();
        await vault.place.sql(sql);
        const opening = await opened({ place: vault.place, masterKey: vault.masterKey, clock: vault.clock });
        const fault = sql.includes('master:2') ? 'gateway.unavailable' : 'gateway.bug';
        await expect(revealOne(opening, held.first[1]!), sql).rejects.toMatchObject({ fault });
        await opening.vault.stop();
      }
    });
  });

  describe('any order of identifying and forgetting', () => {
    const number = fc.integer({ min: 0, max: 5 });
    const step = fc.oneof(
      {
        weight: 8,
        arbitrary: fc.record({
          do: fc.constant('identify' as const),
          school: fc.integer({ min: 0, max: 1 }),
          kind: fc.constantFrom('learner' as const, 'staff' as const),
          sector: fc.constantFrom('', 'po', 'vo'),
          eck: fc.option(number),
          las: fc.option(number),
          create: fc.boolean(),
          call: fc.option(number),
        }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('forget' as const), which: fc.nat(30) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
    );

    interface Modelled {
      school: string;
      keys: string[];
      eck: string;
      las: string;
      name: string;
    }

    test('agrees with a plain model', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
          let on = await opened({ maxCached: 3 });
          const index = new Map<string, Modelled>();
          const first = new Map<string, string>();
          const tokens = new Map<Modelled, string>();
          const forgotten: [string, string][] = [];
          for (const s of steps) {
            if (s.do === 'reopen') {
              on = await on.reopen();
              continue;
            }
            if (s.do === 'forget') {
              const all = [...tokens];
              if (all.length === 0) continue;
              const [who, token] = all[s.which % all.length]!;
              expect(await forget(on, token, 0, who.school)).toEqual({ known: true, destroyed: true });
              for (const key of who.keys) index.delete(key);
              tokens.delete(who);
              forgotten.push([who.school, token]);
              continue;
            }
            const school = s.school === 0 ? SCHOOL : OTHER;
            const eck = s.eck === null ? '' : `e${s.eck}`;
            const las = s.las === null ? '' : `l${s.las}`;
            const name = s.call === null ? '' : `n${s.call}`;
            if (s.create && s.sector !== '' && !first.has(school)) first.set(school, s.sector);
            const sector = s.sector === '' || !first.has(school) || first.get(school) === s.sector ? '*' : s.sector;
            const scope = `${school} ${s.kind} ${s.kind === 'staff' ? '' : sector}`;
            const eckKey = eck && `${scope} ${eck}`;
            const lasKey = las && `${scope} ${las}`;
            const e = eck ? index.get(eckKey) : undefined;
            const l = las ? index.get(lasKey) : undefined;
            const conflict = eck !== '' && l !== undefined && (e ? e !== l : l.eck !== '');
            let who = conflict ? undefined : (e ?? l);
            const fresh = !who && !conflict && s.create && (eck !== '' || las !== '');
            if (fresh) who = { school, keys: [], eck: '', las: '', name: '' };
            if (who && s.create) {
              for (const key of [eckKey, lasKey])
                if (key && !index.has(key)) {
                  index.set(key, who);
                  who.keys.push(key);
                }
              who.eck ||= eck;
              who.las ||= las;
              if (name) who.name = name;
            }
            const answer = await identifyOne(
              on,
              { kind: s.kind, eck, las, ...(name ? { person: { callName: name } } : {}) },
              { school, sector: s.sector, create: s.create },
            );
            expect(answer.code).toBe(conflict ? 'state.conflict' : who ? '' : 'learner.unknown');
            expect(answer.created).toBe(fresh);
            if (!who) continue;
            if (fresh) {
              expect([...tokens.values()]).not.toContain(answer.token);
              expect(forgotten.map(([, token]) => token)).not.toContain(answer.token);
              tokens.set(who, answer.token);
            }
            expect(answer.token).toBe(tokens.get(who));
          }
          for (const [who, token] of tokens) {
            const { ref, person } = await revealOne(on, token, NONE, who.school);
            expect(ref).toEqual({ eckId: who.eck && eckId(who.eck), lasKey: who.las });
            expect(person?.callName).toBe(who.name);
          }
          for (const [school, token] of forgotten) expect((await revealOne(on, token, NONE, school)).known).toBe(false);
          await on.vault.stop();
        }),
        { numRuns: modelRuns },
      );
    }, 180_000);
  });
}

/** Finds many needles in a heap of bytes in one pass over it. */
function windows(heap: Buffer) {
  const WIDTH = 12;
  return {
    countOf(needles: readonly Uint8Array[]): number {
      const wanted = new Map<string, number[]>();
      for (const [i, needle] of needles.entries()) {
        const head = Buffer.from(needle).toString('latin1', 0, WIDTH);
        wanted.set(head, [...(wanted.get(head) ?? []), i]);
      }
      const found = new Set<number>();
      const text = heap.toString('latin1');
      for (let at = 0; at + WIDTH <= text.length; at++)
        for (const i of wanted.get(text.slice(at, at + WIDTH)) ?? [])
          if (heap.subarray(at, at + needles[i]!.length).equals(needles[i]!)) found.add(i);
      return found.size;
    },
  };
}
