/**
 * A mandate that stops, over the stores of both engines and with their clocks set on: what was under way is parked with the
 * reason, is dropped after thirty days with a count, and goes in order where the mandate is given back in time.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { type Infrastructure, localInfrastructure } from '#deploy/local';
import { type Client, connect, dispatcher, type Encoder, encoded, uuid7 } from '#kernel';
import { LogServiceDefinition } from '#proto/eduk/bus/v1/bus';
import { Service } from '#proto/eduk/core/v1/party';
import { AttemptOutcome, DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { MandateChanged } from '#proto/eduk/events/v1/parties';
import { type EventName, events } from '#proto/events';
import { delivery } from '#services/delivery';
import { parties } from '#services/parties';
import { makePlace } from '../../services/bus/postgres/places.ts';
import { SqliteStore } from '../../services/bus/sqlite.ts';
import { engineTables } from '../../services/bus/tables.ts';

const NOW = Date.parse('2026-08-17T08:00:00Z');
const DAY = 86_400_000;
const SCHOOL = '0000000700099ZZ00000';
const PARTY = '00000099100000005000';
const { SERVICE_ROSTER } = Service;
const modules = [parties, delivery];
const none = new Uint8Array(0);

/** What the test does with an engine; each answers when all that follows is done. */
interface Running {
  submit(name: EventName, value: object, key: string): Promise<void>;
  setOn(ms: number): Promise<void>;
  mail: Client<typeof DeliveryServiceDefinition>;
  stop(): Promise<void>;
}

let folder: string;
let servers: Infrastructure | undefined;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-stop-'));
  servers = await localInfrastructure({ folder });
});
afterAll(async () => {
  await servers?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function onSqlite(): Promise<Running> {
  const tables = [...engineTables, ...modules.flatMap((module) => module.tables)];
  const store = new SqliteStore(join(mkdtempSync(join(folder, 'sqlite-')), 'state.db'), tables);
  const bench = testBench(modules, { now: NOW, store });
  return {
    submit: async (name, value, key) => void bench.submit(name, value as never, key, { school: SCHOOL }),
    setOn: async (ms) => bench.advance(ms),
    mail: bench.client(DeliveryServiceDefinition),
    stop: async () => store.close(),
  };
}

async function onPostgres(): Promise<Running> {
  const place = await makePlace(servers!, 'platformatic');
  let now = NOW;
  const replica = await place.open({ modules, clock: { now: () => now } });
  replica.start();
  const transport = dispatcher(replica.implementations);
  return {
    async submit(name, value, key) {
      const { stream, codec } = events[name];
      const made = (codec as unknown as { fromPartial(of: object): unknown }).fromPartial(value);
      await connect(LogServiceDefinition, transport).accept({
        entries: [
          {
            flowId: uuid7(),
            partyOin: 'p',
            method: 'Test/Submit',
            referenceKey: none,
            digest: none,
            digestVersion: 1,
            rememberDays: 35,
            events: [{ stream, type: name, key, data: encoded(codec as Encoder<unknown>, made) }],
            answer: none,
            schoolOin: SCHOOL,
            traceparent: '',
            bulk: false,
          },
        ],
      });
      await replica.runToIdle();
    },
    async setOn(ms) {
      // As days go: what a timer does may be due again a day later.
      for (const end = now + ms; now < end; ) {
        now = Math.min(now + 5 * DAY, end);
        await replica.runToIdle();
      }
    },
    mail: connect(DeliveryServiceDefinition, transport),
    async stop() {
      await replica.stop();
      await place.remove();
    },
  };
}

const mandate = (mandateId: string) => ({
  mandate: { mandateId, schoolOin: SCHOOL, partyOin: PARTY, services: [SERVICE_ROSTER] },
  confirm: true,
  byOin: SCHOOL,
});
const joined = (on: Running, learner: string) =>
  on.submit('LearnerJoined', { schoolOin: SCHOOL, learner: { learner } }, learner);
const read = (on: Running, service: Service = SERVICE_ROSTER, party = PARTY) =>
  on.mail.readMailbox({ partyOin: party, service, catalogue: false, after: 0n, limit: 0, waitMs: 0n });

describe.each([
  ['SQLite', onSqlite],
  ['PostgreSQL and Kafka', onPostgres],
])('on %s', (_, open) => {
  test('mail of a stopped mandate is parked, given back in order, and dropped with a count', async () => {
    const on = await open();
    try {
      await on.submit('MandateSubmitted', mandate('m-1'), SCHOOL);
      for (const learner of ['learner-1', 'learner-2', 'learner-1']) await joined(on, learner);
      await on.submit(
        'MandateChangeSubmitted',
        { schoolOin: SCHOOL, mandateId: 'm-1', change: 'stop', byOin: SCHOOL },
        SCHOOL,
      );
      const waiting = async () => {
        await expect.poll(async () => (await read(on)).rows.length).toBe(3);
        return (await read(on)).rows.map(({ number }) => number);
      };
      const park = async () =>
        on.mail.parkRows({ partyOin: PARTY, service: SERVICE_ROSTER, numbers: await waiting(), code: 'mandate.ended' });
      const told = () => on.mail.listParkedRows({ schoolOin: SCHOOL, partyOin: PARTY });
      // What a door does that reads them.
      expect(await park()).toEqual({ again: false });
      expect((await read(on)).rows).toEqual([]);
      expect(await told()).toMatchObject({ parked: [{ code: 'mandate.ended', rows: 3n }], dropped: [] });
      // What comes from now on is for somebody with a mandate.
      await joined(on, 'learner-3');

      await on.setOn(29 * DAY);
      await on.submit('MandateSubmitted', mandate('m-2'), SCHOOL);
      await waiting();
      const back = (await read(on)).rows;
      expect(back.map(({ key, keyNumber }) => [key, keyNumber])).toEqual([
        ['learner-1', 1n],
        ['learner-1', 3n],
        ['learner-2', 2n],
      ]);

      await on.submit(
        'MandateChangeSubmitted',
        { schoolOin: SCHOOL, mandateId: 'm-2', change: 'stop', byOin: SCHOOL },
        SCHOOL,
      );
      await park();
      await on.setOn(32 * DAY);
      await expect
        .poll(told)
        .toMatchObject({ parked: [], dropped: [{ partyOin: PARTY, code: 'mandate.ended', rows: 3n }] });
      await on.submit('MandateSubmitted', mandate('m-3'), SCHOOL);
      expect((await read(on)).rows).toEqual([]);

      // Both sides were told of each change that mail still tells of, and of none twice.
      for (const side of [SCHOOL, PARTY]) {
        const { head, rows } = await read(on, Service.SERVICE_UNSPECIFIED, side);
        expect(head).toBe(5n);
        expect(rows.length).toBeGreaterThan(0);
      }
    } finally {
      await on.stop();
    }
  });

  test('news of a mandate goes to the address that each side named for it, and data of services does not', async () => {
    const on = await open();
    try {
      const standard = 'webhook-mandates';
      for (const oin of [SCHOOL, PARTY])
        await on.submit(
          'PartySubmitted',
          { party: { oin, name: oin, roles: [6], endpoints: [{ standard, url: `https://${oin}.example/news` }] } },
          oin,
        );
      await on.submit('MandateSubmitted', mandate('n-1'), SCHOOL);
      await joined(on, 'learner-1');
      const stop = { schoolOin: SCHOOL, mandateId: 'n-1', change: 'stop', byOin: SCHOOL };
      await on.submit('MandateChangeSubmitted', stop, SCHOOL);
      const claim = (outcomes: object[] = []) =>
        on.mail.claimAttempts({
          ...{ owner: 'sender', attempts: 10, waitMs: 0n, alone: false },
          outcomes: outcomes.map((one) => AttemptOutcome.fromPartial(one)),
        });
      const changes = new Map<string, string[]>();
      for (let outcomes: object[] = [], left = 20; left > 0 && [...changes.values()].flat().length < 4; left--) {
        const { attempts } = await claim(outcomes);
        outcomes = attempts.map(({ attemptId, partyOin, number }) => ({
          ...{ attemptId, partyOin, standard, number, result: 'answered', status: 204 },
        }));
        for (const attempt of attempts) {
          expect(attempt).toMatchObject({ standard, service: Service.SERVICE_UNSPECIFIED, schoolOin: SCHOOL });
          expect(attempt.url).toBe(`https://${attempt.partyOin}.example/news`);
          const told = attempt.rows.map(({ type, data }) =>
            type === 'MandateChanged' ? MandateChanged.decode(data).change : type,
          );
          changes.set(attempt.partyOin, [...(changes.get(attempt.partyOin) ?? []), ...told]);
        }
        if (attempts.length === 0) await new Promise((resolve) => setTimeout(resolve, 50));
      }
      expect(changes.get(SCHOOL)).toEqual(['entered', 'ended']);
      expect(changes.get(PARTY)).toEqual(['entered', 'ended']);
    } finally {
      await on.stop();
    }
  });
});
