/** Flows made anew of the log are those that stand, on both engines: all that a made-up world does, while messages come in and replicas take turns. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DistributedEngine, type NewEntry, openBeside, openEngine, testBench } from '#bus';
import { type Infrastructure, localInfrastructure } from '#deploy/local';
import { asGatewayError, type Client, connect, dispatcher, type Implementation, newId } from '#kernel';
import { LogServiceDefinition } from '#proto/eduk/bus/v1/bus';
import { type FlowRebuild, FlowsServiceDefinition } from '#proto/eduk/flows/v1/flows';
import { makePlace } from '../../services/bus/postgres/places.ts';
import { randomFrom } from '../parties/random.ts';
import { entriesOf } from '../sim/entries.ts';
import { inventMessages } from '../sim/messages.ts';
import { services } from '../sim/watched.ts';
import { inventWorld } from '../sim/world.ts';

const NOW = Date.parse('2026-08-17T08:00:00Z');
const clock = { now: () => NOW };

let folder: string;
let servers: Infrastructure;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-rebuild-'));
  servers = await localInfrastructure({ folder });
});
afterAll(async () => {
  await servers?.stop();
  rmSync(folder, { recursive: true, force: true });
});

type Flows = Client<typeof FlowsServiceDefinition>;

/** As a door drives it, which begins anew where another answers from now on; `between` goes on beside it. */
async function rebuilt(flows: Flows, mend: boolean, between = async () => {}): Promise<FlowRebuild> {
  const runId = newId();
  for (let begun = false; ; )
    try {
      const { rebuild, mends } = await onceThere(() => flows.stepRebuild({ runId, mend, begun, stop: false }));
      if (mends.length > 0) await onceThere(() => flows.mendFlows({ mends }));
      if (rebuild!.state === 'done') return rebuild!;
      begun = true;
      await between();
    } catch (thrown) {
      if (!begun || asGatewayError(thrown).fault !== 'state.missing') throw thrown;
      begun = false;
    }
}

/** Replicas agree who writes the rows within seconds. */
async function onceThere<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++)
    try {
      return await call();
    } catch (thrown) {
      if (asGatewayError(thrown).fault !== 'gateway.unavailable' || tries > 1000) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

function world(seed: number): NewEntry[] {
  const random = randomFrom(seed);
  const made = inventWorld(random);
  return entriesOf(inventMessages(made, random, true), NOW);
}

const acceptTo = (implementations: readonly Implementation[]) => {
  const log = connect(LogServiceDefinition, dispatcher(implementations));
  return async (entries: readonly NewEntry[]): Promise<void> => {
    if (entries.length === 0) return;
    const asked = entries.map((entry) => ({ ...entry, events: [...entry.events], bulk: false }));
    await log.accept({ entries: asked as never });
  };
};

const right = { missing: 0n, surplus: 0n, differs: 0n, left: 0n, unreadable: 0n, differences: [], older: 0n };
const PLANTED = { missing: 1n, surplus: 1n, differs: 1n, mended: 3n, left: 0n };
/** One row goes, one is changed, and one comes that nobody sent: in a stopped gateway, as a hand or a half restore leaves them. */
const plant = (table: string) => {
  const surplus = newId();
  return [
    `DELETE FROM ${table} WHERE "flowId" = (SELECT min("flowId") FROM ${table})`,
    `UPDATE ${table} SET answered = answered + 5 WHERE "flowId" = (SELECT min("flowId") FROM ${table})`,
    `INSERT INTO ${table} ("flowId", type, method, party, school, key, subject, asked, answered, refused, outcome, says, code, told, "acceptedMs", "decidedMs")
     VALUES ('${surplus}', 'OrderSubmitted', 'a/b', '1', '2', '3', 'o', 1, 0, 0, '', '', '', '', ${NOW}, 0)`,
  ];
};

test.each([11, 23, 37, 51, 68])('of world %i, in memory', async (seed) => {
  const bench = testBench(services, { now: NOW });
  for (const entry of world(seed)) {
    bench.accept([entry]);
    bench.run();
  }
  const told = await rebuilt(bench.client(FlowsServiceDefinition), false);
  expect(told).toMatchObject(right);
  expect(Number(told.flows)).toBeGreaterThan(40);
});

test('on one machine, beside the state: found, mended, and nothing of what comes meanwhile is lost', async () => {
  const entries = world(11);
  const half = Math.floor(entries.length / 2);
  const file = join(folder, 'state.db');
  const first = openEngine({ file, modules: services, clock });
  await acceptTo(first.implementations)(entries.slice(0, half));
  await first.runToIdle();
  await first.stop();
  const db = new DatabaseSync(file);
  for (const statement of plant('flows_flows')) db.exec(statement);
  db.close();

  const engine = openEngine({ file, modules: services, clock });
  engine.start();
  engine.share();
  const beside = openBeside({ file, modules: services, engine: dispatcher(engine.implementations), clock });
  try {
    const flows = connect(FlowsServiceDefinition, beside);
    const more = entries.slice(half);
    const accept = acceptTo(engine.implementations);
    expect(await rebuilt(flows, false, () => accept(more.splice(0, 5)))).toMatchObject({ ...PLANTED, mended: 0n });
    expect(await rebuilt(flows, true, () => accept(more.splice(0, 5)))).toMatchObject(PLANTED);
    await accept(more);
    await engine.runToIdle();
    expect(await rebuilt(flows, false)).toMatchObject(right);
    expect(await rebuilt(connect(FlowsServiceDefinition, dispatcher(engine.implementations)), false)).toMatchObject(
      right,
    );
  } finally {
    beside.close();
    await engine.stop();
  }
});

test('on PostgreSQL and Kafka, asked of whichever replica: found, mended, and nothing of what comes meanwhile is lost', async () => {
  const entries = world(11);
  const half = Math.floor(entries.length / 2);
  const place = await makePlace(servers, 'platformatic');
  const replicas: DistributedEngine[] = [];
  const addresses = new Map<string, DistributedEngine>();
  const join = async (): Promise<DistributedEngine> => {
    const address = `replica-${addresses.size}`;
    const reach = (at: string) => dispatcher(addresses.get(at)!.implementations);
    const replica = await place.open({ modules: services, clock, address, reach } as never);
    addresses.set(address, replica);
    replica.start();
    replicas.push(replica);
    return replica;
  };
  try {
    const first = await join();
    await acceptTo(first.implementations)(entries.slice(0, half));
    await first.runToIdle();
    await replicas.pop()!.stop();
    for (const statement of plant('flows.flows_flows')) await place.query(statement);

    const owner = await join();
    await owner.runToIdle();
    const other = await join();
    const flows = connect(FlowsServiceDefinition, dispatcher(other.implementations));
    const more = entries.slice(half);
    const accept = acceptTo(other.implementations);
    expect(await rebuilt(flows, false, () => accept(more.splice(0, 5)))).toMatchObject({ ...PLANTED, mended: 0n });
    expect(await rebuilt(flows, true, () => accept(more.splice(0, 5)))).toMatchObject({ left: 0n });
    await accept(more);
    // One leaves: the other goes on with all of it.
    await replicas.shift()!.stop();
    await other.runToIdle();
    expect(await rebuilt(flows, false)).toMatchObject(right);
  } finally {
    for (const replica of replicas) await replica.stop();
    await place.remove();
  }
}, 120_000);
