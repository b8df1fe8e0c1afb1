import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { Alert, DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { AGAIN_MS, ENDS_MS, TELLING_MS } from './alerts.ts';
import { delivery } from './index.ts';

const PARTY = '00000001000000000002';
const MIN = 60_000;
const HOUR = 60 * MIN;

/** Time that this thread had of a processor, milliseconds: what else the machine does is not counted. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

function gateway() {
  const bench = testBench(delivery);
  const client = bench.client(DeliveryServiceDefinition);
  const alert = (more: Partial<Alert> = {}): Alert =>
    Alert.fromPartial({ code: 'endpoint.failing', partyOin: PARTY, subject: 'webhook', grade: 'warn', ...more });
  const look = async (alerts: Alert[], teller = 'a', unknown: string[] = [], over: Alert[] = []) =>
    (await client.weighAlerts({ alerts, unknown, teller, over })).news.map(({ what }) => what);
  const told = (isTold: boolean, teller = 'a') => client.noteTold({ teller, told: isTold });
  return { bench, client, alert, look, told };
}

describe('an alert', () => {
  test('is told when it has stood for its time, once, again a day later, and when it is over', async () => {
    const { bench, alert, look, told } = gateway();
    const slow = alert({ patienceMs: BigInt(5 * MIN) });
    expect(await look([slow])).toEqual([]);
    bench.advance(5 * MIN);
    expect(await look([slow])).toEqual(['opened']);
    await told(true);
    expect(await look([slow])).toEqual([]);
    bench.advance(AGAIN_MS);
    expect(await look([slow])).toEqual(['stands']);
    await told(true);
    bench.advance(ENDS_MS);
    expect(await look([])).toEqual([]);
    bench.advance(1);
    expect(await look([])).toEqual(['ended']);
    await told(true);
    bench.advance(AGAIN_MS);
    expect(await look([])).toEqual([]);
  });

  test('of a certificate stands where no door has seen its party yet, and is over where one saw that it is well', async () => {
    const { bench, client, alert, look, told } = gateway();
    const ends = alert({ code: 'certificate.ends', subject: '' });
    await look([ends]);
    await told(true);
    // Doors were started anew: the party comes once a day.
    bench.advance(20 * HOUR);
    expect(await look([])).toEqual([]);
    expect((await client.listAlerts({})).alerts).toHaveLength(1);
    expect(await look([ends])).toEqual([]);
    // One door saw its new certificate, another the old one a moment ago.
    expect(await look([], 'a', [], [ends])).toEqual([]);
    bench.advance(ENDS_MS + 1);
    expect(await look([], 'a', [], [ends])).toEqual(['ended']);
    await told(true);
    expect((await client.listAlerts({})).alerts).toEqual([]);
  });

  test('that comes and goes before its time is told to nobody', async () => {
    const { bench, client, alert, look } = gateway();
    await look([alert({ patienceMs: BigInt(5 * MIN) })]);
    bench.advance(ENDS_MS + 1);
    expect(await look([])).toEqual([]);
    expect((await client.listAlerts({})).alerts).toEqual([]);
  });

  test('that is over is not listed, also where nobody takes the news of it', async () => {
    const { bench, client, alert, look, told } = gateway();
    await look([alert()]);
    await told(true);
    bench.advance(ENDS_MS + 1);
    expect(await look([])).toEqual(['ended']);
    await told(false);
    expect((await client.listAlerts({})).alerts).toEqual([]);
  });

  test('that was told is let go of, a day after it was over, where nobody is told any more', async () => {
    const { bench, alert, look, told } = gateway();
    await look([alert()]);
    await told(true);
    bench.advance(ENDS_MS + 1);
    // The settings that named a channel are gone: no door tells.
    expect(await look([], '')).toEqual([]);
    bench.advance(AGAIN_MS);
    expect(await look([], '')).toEqual([]);
    expect(await look([], 'a')).toEqual([]);
  });

  test('is told, and is over, also where the clock is set back', async () => {
    const { bench, client, alert, look, told } = gateway();
    const other = alert({ subject: 'uwlr' });
    bench.advance(300 * AGAIN_MS);
    await look([alert()]);
    await told(true);
    // Taken to be told, when the clock is set right.
    expect(await look([alert(), other])).toEqual(['opened']);
    bench.advance(-300 * AGAIN_MS);
    await look([alert(), other]);
    bench.advance(TELLING_MS);
    expect(await look([alert(), other])).toEqual(['opened']);
    await told(true);
    bench.advance(ENDS_MS + 1);
    expect(await look([other])).toEqual(['ended']);
    await told(true);
    expect((await client.listAlerts({})).alerts).toMatchObject([{ alert: { subject: 'uwlr' } }]);
  });

  test('more than are kept cost a look no time that grows with their square', async () => {
    const { alert, look } = gateway();
    const many = Array.from({ length: 30_000 }, (_, i) => alert({ code: 'hold.pending', subject: `hold-${i}` }));
    const began = cpuMs();
    expect(await look(many)).toHaveLength(2_000);
    await look(many);
    expect(cpuMs() - began).toBeLessThan(10_000);
  });

  test('is told by one door of several, and by another when that one is gone', async () => {
    const { bench, alert, look, told } = gateway();
    expect(await look([alert()], 'a')).toEqual(['opened']);
    expect(await look([alert()], 'b')).toEqual([]);
    bench.advance(TELLING_MS);
    expect(await look([alert()], 'b')).toEqual(['opened']);
    // Too late: it is another's by now.
    await told(true, 'a');
    await told(true, 'b');
    expect(await look([alert()], 'a')).toEqual([]);
  });

  test('that could not be told is tried again, less and less often', async () => {
    const { bench, client, alert, look, told } = gateway();
    const waits: number[] = [];
    for (let round = 0, waited = 0; waits.length < 8 && round < 400; round++) {
      const news = await look([alert()]);
      if (news.length > 0) {
        waits.push(waited);
        waited = 0;
        await told(false);
      }
      bench.advance(15_000);
      waited += 15_000;
    }
    expect(waits).toEqual([0, 30_000, 60_000, 120_000, 240_000, 480_000, 900_000, 900_000]);
    expect((await client.listAlerts({})).alerts).toMatchObject([{ failures: 8, toldMs: 0n }]);
  });

  test('is told again when it gets worse: another grade, or ten times as much', async () => {
    const { alert, look, told } = gateway();
    expect(await look([alert({ count: 3n })])).toEqual(['opened']);
    await told(true);
    expect(await look([alert({ count: 29n })])).toEqual([]);
    expect(await look([alert({ count: 30n })])).toEqual(['worse']);
    await told(true);
    expect(await look([alert({ count: 30n, grade: 'page' })])).toEqual(['worse']);
    await told(true);
    expect(await look([alert({ count: 1n })])).toEqual([]);
  });

  test('of which nothing could be found out is not over', async () => {
    const { bench, alert, look, told } = gateway();
    await look([alert()]);
    await told(true);
    for (let i = 0; i < 40; i++) {
      bench.advance(15_000);
      expect(await look([], 'a', ['endpoint.failing'])).toEqual([]);
    }
  });

  test('is kept for who asks where nobody is told', async () => {
    const { bench, client, alert, look } = gateway();
    await look([alert(), alert({ code: 'log.gap', grade: 'page', partyOin: '', subject: 'flows/orders' })], '');
    const { alerts } = await client.listAlerts({});
    expect(alerts.map((one) => one.alert!.code)).toEqual(['log.gap', 'endpoint.failing']);
    bench.advance(ENDS_MS + 1);
    await look([], '');
    expect((await client.listAlerts({})).alerts).toEqual([]);
  });

  test('whatever doors see and channels do: told once for each time that it stands, and its end after it', async () => {
    const step = fc.record({
      door: fc.constantFrom('a', 'b'),
      sees: fc.boolean(),
      tells: fc.constantFrom('told', 'failed', 'dies'),
      ms: fc.constantFrom(1, 15_000, TELLING_MS, ENDS_MS + 1),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { bench, alert, look, told } = gateway();
        let open = false;
        for (const { door, sees, tells, ms } of steps) {
          const news = await look(sees ? [alert()] : [], door);
          expect(news.length).toBeLessThanOrEqual(1);
          if (news[0] === 'opened') expect(open).toBe(false);
          if (news[0] === 'ended' || news[0] === 'stands') expect(open).toBe(true);
          if (news.length > 0 && tells !== 'dies') {
            await told(tells === 'told', door);
            if (tells === 'told') open = news[0] !== 'ended';
          }
          bench.advance(ms);
        }
        // When it stands for long and channels work, it is known; and when it is gone for long, that is.
        for (let i = 0; i < 200; i++) {
          if ((await look([alert()])).length > 0) await told(true);
          bench.advance(15_000);
        }
        bench.advance(ENDS_MS);
        expect(await look([])).toEqual(['ended']);
      }),
      { numRuns: 60 },
    );
  });
});

describe('traffic', () => {
  const FIRST = Date.parse('2026-09-07T08:02:00Z');
  const method = 'eduk.gateway.v1.OrderService/PlaceOrder';
  const week = 168 * HOUR;

  async function weeks(counts: readonly number[]) {
    const bench = testBench(delivery);
    const client = bench.client(DeliveryServiceDefinition);
    bench.advance(FIRST - bench.now());
    const note = async (count: number) =>
      (
        await client.noteTraffic({
          traffic: count === 0 ? [] : [{ partyOin: PARTY, method, accepted: BigInt(count) }],
        })
      ).silent.map(({ accepted }) => Number(accepted));
    for (const count of counts) {
      await note(count);
      // Looked at again within the same minutes, the hour counts once.
      await note(count);
      bench.advance(week);
    }
    return Object.assign(note, { bench });
  }

  test('that came in this hour of two weeks and does not now is silent', async () => {
    const note = await weeks([40, 32]);
    expect(await note(0)).toEqual([36]);
    // What this hour itself has made of it does not count.
    for (const minutes of [1, 15, 8]) {
      note.bench.advance(minutes * MIN);
      expect(await note(0)).toEqual([36]);
    }
    // Most of the hour before now is another hour.
    note.bench.advance(10 * MIN);
    expect(await note(0)).toEqual([]);
    expect(await (await weeks([40, 32]))(1)).toEqual([]);
  });
  test('of one week, or little of it, is not usual', async () => {
    expect(await (await weeks([400]))(0)).toEqual([]);
    expect(await (await weeks([10, 12, 9, 14]))(0)).toEqual([]);
  });
  test('that stays away is missed for some weeks, and then forgotten', async () => {
    const note = await weeks([100, 100, 100, 0, 0, 0]);
    expect(await note(0)).toEqual([]);
  });
});
