/**
 * A school whose vendor holds the key to its data, at a peer that speaks as a Transit engine does: while that gives no answer
 * nothing of the school is taken in or shown, others notice nothing, and all of it goes on in order afterwards.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { keeping } from '../../services/main.ts';
import {
  eckId,
  type Fault,
  newSchool,
  readUntil,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';
import { Receiver } from './receiver.ts';
import { type TransitPeer, transitPeer } from './transit.ts';

let at: TestGateway;
let peer: TransitPeer;
let las: TestParty;
let platform: TestParty;
let hook: TestParty;
let receiver: Receiver;
const [held, free] = [newSchool(), newSchool()];
const schoolYear = schoolYearOf(Date.now());

beforeAll(async () => {
  peer = await transitPeer();
  receiver = await Receiver.open();
  at = await startTestGateway({ EDUK_KEY_LEASE_S: '1' });
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  platform = await at.party('Het Platform', [Role.ROLE_PLATFORM]);
  hook = await at.party('De Haak', [Role.ROLE_PLATFORM]);
  for (const school of [held, free])
    for (const party of [las, platform, hook]) await at.mandate(school, party.oin, [Service.SERVICE_ROSTER]);
  for (const school of [held, free]) await push(school, 1);
});
afterAll(async () => {
  await at?.stop();
  await receiver?.close();
  await peer?.close();
});

let pushes = 0;
/** The roster of a school with so many pupils. */
async function push(schoolOin: string, learners: number): Promise<readonly string[]> {
  const reference = `r${++pushes}`;
  const acks = await sendAll(las.rosters.pushRoster(), [
    {
      reference,
      rosterId: reference,
      last: true,
      roster: {
        schoolOin,
        schoolYear,
        learners: Array.from({ length: learners }, (_, i) => ({ ref: { eckId: eckId(i) } })),
      },
    },
  ]);
  return acks.flatMap(({ refusals }) => refusals.map(({ code }) => code));
}
const codeOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => '',
    (thrown: Fault) => thrown.code,
  );
const joined = (messages: { schoolOin: string; learner?: unknown }[], school: string) =>
  messages.filter(({ schoolOin }) => schoolOin === school).length;
const isOpen = async () => (await at.operator.showKeys({})).keys!.held.map(({ open }) => open);

test('is held, closes with its holder, harms no other school, and goes on in order', async () => {
  const [seen] = (await readUntil(platform.rosters.watchRosters({}), (all) => all.length === 2)).slice(-1);
  const { keys } = await at.operator.holdKeys({ schoolOin: held, at: peer.key, token: peer.token });
  expect(keys).toMatchObject({ rotating: true, held: [{ schoolOin: held, at: peer.key, open: true }] });
  await expect.poll(async () => (await at.operator.showKeys({})).keys!.rotating).toBe(false);
  expect(await push(held, 3)).toEqual([]);
  expect(await push(free, 2)).toEqual([]);

  peer.mood = 'no';
  await expect.poll(isOpen).toEqual([false]);
  // What was accepted waits for each receiver, by whichever way it is told.
  const added = await at.operator.addParty({
    party: {
      oin: hook.oin,
      name: 'De Haak',
      roles: [Role.ROLE_PLATFORM],
      endpoints: [{ standard: 'webhook', url: receiver.url, fromMs: 0n }],
    },
  });
  receiver.secret = added.webhookSecret;
  const others = await readUntil(platform.rosters.watchRosters({ cursor: seen!.cursor }), (all) => all.length === 1);
  expect([joined(others, free), joined(others, held)]).toEqual([1, 0]);
  await expect.poll(() => receiver.first.filter(({ school }) => school === free).length).toBe(2);
  expect(receiver.first.filter(({ school }) => school === held)).toEqual([]);
  // What comes is refused, to be repeated; another school's is not, in one stream either.
  expect(await push(held, 4)).toEqual(['school.closed']);
  expect(await push(free, 3)).toEqual([]);
  expect(await codeOf(platform.rosters.getRoster({ schoolOin: held, schoolYear }))).toBe('school.closed');
  expect(await codeOf(platform.rosters.getRoster({ schoolOin: free, schoolYear }))).toBe('');
  for (const asked of [{ productId: 'p1' }, { learner: { eckId: eckId(0) } }]) {
    const { blockers } = await at.operator.whyBlocked({ schoolOin: held, ...asked });
    expect(blockers[0]).toMatchObject({ code: 'school.closed', partyOin: held, who: 'school' });
    expect(blockers[0]!.told).toMatch(/held at 127\.0\.0\.1:\d+, which says no/);
    expect(blockers[0]!.remedy).toContain('eduk key list');
  }
  // Nobody can say whom a number is of, nor then what is about them.
  const aboutOne = { schoolOin: held, learner: { eckId: eckId(0) } };
  expect(await codeOf(at.operator.listFlows(aboutOne))).toBe('school.closed');

  peer.mood = 'yes';
  const rest = await readUntil(
    platform.rosters.watchRosters({ cursor: others.at(-1)!.cursor }),
    (all) => joined(all, held) === 2,
    60_000,
  );
  expect(joined(rest, free)).toBe(1);
  await expect.poll(() => receiver.first.filter(({ school }) => school === held).length).toBe(3);
  expect(receiver.problems).toEqual([]);
  expect(await push(held, 4)).toEqual([]);
  const { blockers } = await at.operator.whyBlocked({ schoolOin: held, productId: 'p1' });
  expect(blockers.map(({ code }) => code)).not.toContain('school.closed');
  // The school takes its key back, by leave of who holds it.
  expect((await at.operator.holdKeys({ schoolOin: held })).keys!.held).toEqual([]);
});

describe('a master key at a service', () => {
  test('is made, opens a vault at its start, and only there', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'eduk-held-master-'));
    try {
      const [tokenFile, to] = [join(folder, 'token'), join(folder, 'key')];
      writeFileSync(tokenFile, `${peer.token}\n`, { mode: 0o600 });
      const { makeKeyFile } = await keeping();
      await makeKeyFile({ address: peer.key, tokenFile, to }, { EDUK_ALLOW_NETWORKS: undefined });
      expect(statSync(to).mode & 0o777).toBe(0o600);
      expect(readFileSync(to, 'utf8')).toContain('wrapped: vault:v1:');
      await expect(
        makeKeyFile({ address: peer.key, tokenFile, to }, { EDUK_ALLOW_NETWORKS: undefined }),
      ).rejects.toThrow(/is there already/);
      const its = await startTestGateway({ EDUK_MASTER_KEY_FILE: to });
      const { keys } = await its.operator.showKeys({});
      expect(keys).toMatchObject({ master: 1, masterAt: peer.key, masterClosed: false });
      peer.mood = 'no';
      await expect(its.restart()).rejects.toThrow(/is held at .* says no/);
      peer.mood = 'yes';
      rmSync(its.folder, { recursive: true, force: true });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
