import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { brinOf, dutchDay, schoolYearOf } from '#kernel';
import { ResultKind } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { type LasPeer, openLas } from '../parties/las.ts';
import { randomFrom } from '../parties/random.ts';
import { clientsOf, eckId, newOin, newSchool, sendAll } from './gateway.ts';
import { KilledGateway } from './killed.ts';

const SEED = Number(process.env['EDUK_CRASH_SEED'] ?? Date.now() % 1e6);
const ROUNDS = Number(process.env['EDUK_CRASH_ROUNDS'] ?? 5);
const PER_ROUND = 80;
const LEARNERS = 12;

const { next } = randomFrom(SEED);

const gateway = new KilledGateway('results-crash', (parent) => ({
  EDUK_ADMINISTRATIONS: join(parent, 'administrations'),
}));
const files = join(gateway.parent, 'administrations');
let las: LasPeer | undefined;

afterAll(async () => {
  await las?.close();
  await gateway.close();
});

const operator = () => gateway.operator;

/** Sends results until all are acknowledged, or the gateway goes; answers how many were. */
function send(apiKey: string, schoolOin: string, from: number, to: number): Promise<number> {
  return new Promise((resolve) => {
    let acknowledged = from;
    const call = clientsOf(gateway.channel, `Bearer ${apiKey}`).results.returnResults();
    call.on('data', (answer: { through: bigint; refusals: unknown[] }) => {
      expect(answer.refusals).toEqual([]);
      acknowledged = from + Number(answer.through) + 1;
    });
    call.on('error', () => resolve(acknowledged));
    call.on('end', () => resolve(acknowledged));
    for (let i = from; i < to; i++)
      call.write({
        reference: `r${i}`,
        schoolOin,
        result: {
          resultId: `r${i}`,
          learner: { eckId: eckId(i % LEARNERS) },
          productId: 'P',
          kind: ResultKind.RESULT_KIND_FINAL,
          payload: { activityId: 'T', takenAt: dutchDay(Date.now()), score: i },
        },
      });
    call.end();
  });
}

test('killed while it brings results, it loses none, and a repeat is under the same key', async () => {
  console.log(`seed ${SEED}`);
  las = await openLas();
  const [supplier, administration, school] = [newOin(), newOin(), newSchool()];
  const brin = brinOf(school)!;
  mkdirSync(files);
  writeFileSync(join(files, 'sleutel'), 'sleutel', { mode: 0o600 });
  writeFileSync(
    join(files, 'las.json'),
    JSON.stringify({
      party: administration,
      ...las.klant,
      timeoutSeconds: 2,
      schools: [{ school: brin, sleutel: 'sleutel' }],
    }),
  );
  las.schools.set(brin, { sleutel: 'sleutel', year: '', made: '', groups: [], pupils: [], staff: [] });
  await gateway.start();
  const add = (oin: string, role: Role, endpoints: { standard: string; url: string }[] = []) =>
    operator().addParty({ party: { oin, name: 'X', roles: [role], endpoints } });
  const { apiKey } = await add(supplier, Role.ROLE_PLATFORM);
  const { apiKey: ownKey } = await add(administration, Role.ROLE_ADMINISTRATION, [
    { standard: 'uwlr', url: `${las.url}/leerresultaten` },
  ]);
  for (const [partyOin, services] of [
    [supplier, [Service.SERVICE_RESULT]],
    [administration, [Service.SERVICE_RESULT, Service.SERVICE_ROSTER]],
  ] as const)
    await operator().grantMandate({ mandate: { schoolOin: school, partyOin, services: [...services] }, confirm: true });
  const learners = Array.from({ length: LEARNERS }, (_, i) => ({
    ref: { eckId: eckId(i), lasKey: `L${i}` },
    yearGroup: '7',
  }));
  const roster = { schoolOin: school, schoolYear: schoolYearOf(Date.now()), groups: [], learners };
  await sendAll(clientsOf(gateway.channel, `Bearer ${ownKey}`).rosters.pushRoster(), [
    { reference: 'roster', rosterId: 'roster', part: 0, last: true, roster },
  ]);

  /** What the administration took, in the order of coming: key and score, and how often each came. */
  const first = new Map<string, string>();
  const times = new Map<string, number>();
  const byLearner = new Map<string, number[]>();
  las.fails = (_operation, _brin, text) => {
    const draw = next();
    if (draw < 0.06) return 'busy';
    if (draw < 0.1) return 'error';
    for (const [, who, within] of text.matchAll(/<toetsafname><leerlingid>([^<]*)<\/leerlingid>(.*?)<\/toetsafname>/gs))
      for (const [, key, score] of within!.matchAll(/<resultaat key="([^"]*)">.*?<score>(\d+)<\/score>/gs)) {
        times.set(key!, (times.get(key!) ?? 0) + 1);
        expect(first.get(key!) ?? score).toBe(score);
        if (first.has(key!)) continue;
        first.set(key!, score!);
        byLearner.set(who!, [...(byLearner.get(who!) ?? []), Number(score)]);
      }
    // It took them, and nobody hears of it.
    return draw < 0.25 ? 'taken and silent' : undefined;
  };
  let acknowledged = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const sending = send(apiKey, school, acknowledged, round * PER_ROUND);
    const enough = first.size + 5 + next() * PER_ROUND * 0.5;
    const most = Date.now() + 60_000;
    while (first.size < enough && Date.now() < most) await sleep(5);
    await sleep(next() * 40);
    await gateway.kill();
    acknowledged = await sending;
    await gateway.start();
  }
  while (acknowledged < ROUNDS * PER_ROUND) acknowledged = await send(apiKey, school, acknowledged, ROUNDS * PER_ROUND);
  const keep = las.fails;
  las.fails = (operation, of, text) => {
    for (let fault = keep(operation, of, text); ; fault = keep(operation, of, text))
      if (fault === undefined || fault === 'taken and silent') return undefined;
  };
  for (const end = Date.now() + 90_000; first.size < ROUNDS * PER_ROUND && Date.now() < end; await sleep(200))
    await operator().resolveDeliveries({ action: 'retry' });
  await sleep(500);
  expect([...first.keys()].sort()).toEqual(
    Array.from({ length: ROUNDS * PER_ROUND }, (_, i) => `${supplier}.r${i}`).sort(),
  );
  for (const scores of byLearner.values()) expect(scores).toEqual([...scores].sort((a, b) => a - b));
  const repeats = [...times.values()].reduce((sum, n) => sum + n - 1, 0);
  expect(repeats).toBeGreaterThan(0);
  console.log(`${ROUNDS} kills, ${las.messages.length} messages, ${repeats} repeats under the same keys`);
  const { rows } = await operator().listParked({});
  expect(rows).toEqual([]);
}, 300_000);
