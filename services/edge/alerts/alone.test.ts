/** A door that tells by itself, while delivery, which keeps what was told, gives no answer. */
import { expect, test } from 'vitest';
import { type Fault, GatewayError, type Networks, networksOf } from '#kernel';
import type { Gate } from '../gate.ts';
import type { Channel } from './channels.ts';
import { Alerts } from './index.ts';

const LOOK_MS = 15_000;

function door() {
  const state = {
    now: Date.parse('2026-08-24T06:30:00Z'),
    away: undefined as Fault | undefined,
    missing: [] as string[],
    freeDiskBytes: 9e10,
    takes: true,
  };
  const told: string[] = [];
  const channel: Channel = {
    name: 'webhook',
    tell: async ({ news }) => {
      if (!state.takes) return { channel: 'webhook', code: 'peer.unavailable', status: 0 };
      told.push(...news.map(({ what, alert }) => `${what} ${alert!.code} ${alert!.subject}`.trim()));
      return { channel: 'webhook', code: '', status: 204 };
    },
  };
  const weighed: string[][] = [];
  const services = {
    log: {
      ages: async () => ({ ages: [], freeDiskBytes: BigInt(state.freeDiskBytes) }),
      listParked: async () => ({ parked: [] }),
    },
    delivery: {
      weighAlerts: async ({ alerts }: { alerts: { code: string }[] }) => {
        if (state.away) throw new GatewayError(state.away);
        weighed.push(alerts.map(({ code }) => code));
        return { news: [] };
      },
      listEndpoints: () => Promise.reject(new GatewayError('gateway.unavailable')),
      listReconciliations: () => Promise.reject(new GatewayError('gateway.unavailable')),
    },
  };
  const none = new Proxy({}, { get: () => () => Promise.reject(new GatewayError('gateway.unavailable')) });
  const gate = {
    door: {
      services: new Proxy(services, { get: (has, name) => Reflect.get(has, name) ?? none }),
      clock: { now: () => state.now },
      chain: { mandates: () => [], party: () => undefined, isStopped: () => false },
      dialler: { networks: networksOf([], true) as Networks },
      publicUrl: () => 'https://g.example',
    },
  };
  const alerts = new Alerts(gate as unknown as Gate, {}, async () => state.missing);
  (alerts.channels as Channel[]).push(channel);
  const look = async (times = 1) => {
    for (let i = 0; i < times; i++) {
      await alerts.look().catch((thrown: unknown) => {
        if (!state.away) throw thrown;
      });
      state.now += LOOK_MS;
    }
    return told.splice(0);
  };
  return { state, look, weighed };
}

test('that delivery gives no answer is told after a minute, once, and when it is over', async () => {
  const { state, look, weighed } = door();
  expect(await look()).toEqual([]);
  state.away = 'gateway.unavailable';
  state.missing = ['delivery'];
  expect(await look(4)).toEqual([]);
  expect(await look()).toEqual(['opened part.missing delivery']);
  expect(await look(20)).toEqual([]);
  // What pages besides is told too, after its own time.
  state.missing = ['delivery', 'vault'];
  expect(await look(4)).toEqual([]);
  expect(await look(4)).toEqual(['opened part.missing vault']);
  state.away = undefined;
  state.missing = ['vault'];
  expect(await look()).toEqual(['ended part.missing delivery']);
  // From here on the rows say what is new.
  expect(weighed.at(-1)).toEqual(['part.missing']);
  expect(await look(4)).toEqual([]);
});

test('a moment without an answer is told to nobody', async () => {
  const { state, look } = door();
  for (let i = 0; i < 10; i++) {
    state.away = 'gateway.unavailable';
    expect(await look(3)).toEqual([]);
    state.away = undefined;
    expect(await look()).toEqual([]);
  }
});

test('where the disk is full, that is what is told', async () => {
  const { state, look } = door();
  state.away = 'gateway.disk_full';
  state.freeDiskBytes = 1_000_000;
  expect(await look(8)).toEqual(['opened disk.little']);
  state.away = undefined;
  state.freeDiskBytes = 9e10;
  expect(await look()).toEqual(['ended disk.little']);
});

test('what no channel takes is tried again, and a clock that is set back delays it by no more than its minute', async () => {
  const { state, look } = door();
  state.away = 'gateway.unavailable';
  state.takes = false;
  expect(await look(8)).toEqual([]);
  state.takes = true;
  expect(await look()).toEqual(['opened part.missing delivery']);
  const other = door();
  other.state.away = 'gateway.unavailable';
  await other.look();
  other.state.now -= 86_400_000;
  expect(await other.look(5)).toEqual(['opened part.missing delivery']);
});
