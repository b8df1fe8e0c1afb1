/**
 * What the vault does in a second, on this machine, now: `node services/pseudonyms/measure.ts [learners] [postgres://…]`.
 * With an address it is the vault in that database, in a schema that is made and dropped; without one, a file. In one
 * thread, without a port; batches of 500 as a roster sends them. Beside it the bare HMAC, so that machines can be compared.
 */
import { createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type Client, systemClock, uuid7 } from '#kernel';
import { Person } from '#proto/eduk/core/v1/learner';
import type { Identity, VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { Pseudonyms } from './pairwise.ts';
import { openPostgresVault } from './postgres/vault.ts';
import { base32 } from './seal.ts';
import { openVault } from './vault.ts';

const LEARNERS = Number(process.argv[2] ?? 20_000);
const URL = process.argv[3];
const BATCH = 500;
const SCHOOL = '0000000700099XX00000';
const folder = mkdtempSync(join(tmpdir(), 'eduk-vault-measure-'));
const masterKey = randomBytes(32);
const schema = `measure_${randomBytes(4).toString('hex')}`;
const admin = URL === undefined ? undefined : new pg.Client({ connectionString: URL });
await admin?.connect();
const start = async (maxCached: number) => {
  const common = { masterKey, clock: systemClock, maxCached };
  const vault =
    URL === undefined
      ? openVault({ ...common, file: join(folder, 'vault.db') })
      : // One lane: the figures are of one caller, as they are for a file.
        await openPostgresVault({ ...common, url: URL, schema, lanes: 1 });
  return { vault, call: vault.implementations[0]!.handlers as unknown as Client<typeof VaultServiceDefinition> };
};

const learner = (i: number, numbersOnly: boolean): Identity => ({
  kind: 'learner',
  eckId: `https://ketenid.nl/pilot/${i.toString(16).padStart(128, '0')}`,
  lasKey: numbersOnly ? '' : `${i}`,
  person: numbersOnly
    ? undefined
    : Person.fromPartial({
        familyName: `Proef${i}`,
        callName: 'Sam',
        givenNames: 'Samuel',
        birthDate: '2012-03-04',
        gender: '1',
      }),
  partyOin: '',
});
const flowIds = Array.from({ length: BATCH }, () => Buffer.from(uuid7()));

/** Seconds of CPU that the database's processes for us have taken, where they run on this machine. */
async function serverSeconds(): Promise<number> {
  const sessions = await admin?.query("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'eduk vault%'");
  let ticks = 0;
  for (const { pid } of sessions?.rows ?? []) {
    const stat = `/proc/${pid}/stat`;
    if (!existsSync(stat)) continue;
    const fields = readFileSync(stat, 'utf8').split(') ')[1]!.split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / 100;
}

async function measure(what: string, work: (from: number) => unknown, rounds = 1): Promise<void> {
  const served = await serverSeconds();
  const cpu = process.cpuUsage();
  const begun = performance.now();
  for (let round = 0; round < rounds; round++) for (let from = 0; from < LEARNERS; from += BATCH) await work(from);
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const n = LEARNERS * rounds;
  const perSecond = (s: number) => `${Math.round(n / s)}/s`.padStart(12);
  const ours = (user + system) / 1e6;
  const theirs = (await serverSeconds()) - served;
  const each = (s: number) => `${((s * 1e6) / n).toFixed(1)} µs`.padStart(11);
  const database = admin ? `, of the database ${each(theirs)}` : '';
  process.stdout.write(`${what.padEnd(52)}${perSecond(seconds)}   CPU each ${each(ours)}${database}\n`);
}

const hmacKey = createSecretKey(randomBytes(32));
await measure('bare HMAC-SHA-256 of an ECK iD', (from) => {
  for (let i = from; i < from + BATCH; i++) createHmac('sha256', hmacKey).update(learner(i, true).eckId).digest();
});

const pseudonyms = new Pseudonyms(hmacKey, 1, SCHOOL, '00000001234567890000', 'learner');
const bareTokens = Array.from({ length: BATCH }, () => `lt_${base32(randomBytes(16))}`);
await measure('bare pseudonym of a token', () => bareTokens.map((token) => pseudonyms.of(token)), 10);
const bare = bareTokens.map((token) => pseudonyms.of(token).slice(-26));
await measure('bare token of a pseudonym', () => bare.map((one) => pseudonyms.tokenOf(one)), 10);

let { vault, call } = await start(1e9);
const identify = (offset: number, numbersOnly: boolean, salts: boolean) => (from: number) =>
  call.identify({
    schoolOin: SCHOOL,
    sector: 'vo',
    create: true,
    saltFor: salts ? flowIds : [],
    identities: Array.from({ length: BATCH }, (_, i) => learner(offset + from + i, numbersOnly)),
  });
await measure('new, ECK iD only', identify(1e9, true, false));
await measure('new, ECK iD, key, names, birth date, salt', identify(0, false, true));
await measure('known, cached, ECK iD', identify(0, true, false), 5);
await measure('known, cached, ECK iD, with salt', identify(0, true, true), 3);
await measure('known, cached, ECK iD, key, same names', identify(0, false, false), 3);
const known: string[] = [];
for (let from = 0; from < LEARNERS; from += BATCH)
  known.push(...(await identify(0, true, false)(from)).identified.map(({ token }) => token));
await measure(
  'pseudonyms, cached',
  (from) =>
    call.reveal({
      schoolOin: SCHOOL,
      wanted: known.slice(from, from + BATCH).map((token) => ({ token, nameMark: new Uint8Array() })),
      numbers: true,
      names: false,
      contact: false,
      partyOin: '00000001234567890000',
      purpose: 'roster',
      pairwise: true,
    }),
  3,
);
await vault.stop();

({ vault, call } = await start(BATCH));
await measure('known, stored, ECK iD', identify(0, true, false));
await measure('known, stored, ECK iD, key, same names', identify(0, false, false));
const tokens: string[] = [];
for (let from = 0; from < LEARNERS; from += BATCH)
  tokens.push(...(await identify(0, true, false)(from)).identified.map(({ token }) => token));
const mark = new Uint8Array();
await measure('reveal numbers and names, stored', (from) =>
  call.reveal({
    schoolOin: SCHOOL,
    wanted: tokens.slice(from, from + BATCH).map((token) => ({ token, nameMark: mark })),
    numbers: true,
    names: true,
    contact: false,
    partyOin: '00000001234567890000',
    purpose: 'roster',
    pairwise: false,
  }),
);
const reveal = (pairwise: boolean) => async (from: number) =>
  call.reveal({
    schoolOin: SCHOOL,
    wanted: tokens.slice(from, from + BATCH).map((token) => ({ token, nameMark: mark })),
    numbers: true,
    names: false,
    contact: false,
    partyOin: '00000001234567890000',
    purpose: 'roster',
    pairwise,
  });
await measure('reveal numbers, stored', reveal(false));
await measure('reveal pseudonyms instead, stored', reveal(true));
await measure('seal a payload of 200 bytes, stored', (from) =>
  call.sealPayloads({
    schoolOin: SCHOOL,
    payloads: tokens.slice(from, from + BATCH).map((token) => ({ token, data: Buffer.alloc(200), context: 'result' })),
  }),
);
await vault.stop();
await admin?.query(`DROP SCHEMA ${schema}, ${schema}_ledger CASCADE`);
await admin?.end();
rmSync(folder, { recursive: true });
