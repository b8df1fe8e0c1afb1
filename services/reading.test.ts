import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type FileEngine, openEngine } from '#bus';
import { connect, dispatcher, newId, readConfig, serveOnPort, type Transport } from '#kernel';
import { FindFlowsRequest, FlowsServiceDefinition } from '#proto/eduk/flows/v1/flows';
import { delivery } from '#services/delivery';
import { flows } from '#services/flows';
import { readiness } from '#services/readiness';
import { Reading } from './reading.ts';

const SCHOOL = '0000000700099ZZ00000';
const flowsTable = flows.tables.find(({ name }) => name === 'flows_flows')!;
const WAIT = { timeout: 60_000, interval: 20 };

let folder: string;
let engine: FileEngine;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-reading-'));
  engine = openEngine({ file: join(folder, 'state.db'), modules: [flows, delivery, readiness] });
});
afterEach(async () => {
  await engine.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** `state` stands in for the way to the state; by the port that is shared it answers like any. */
function readingOf(state: Transport, shared: (port: MessagePort) => void = share): Reading {
  const config = readConfig({ EDUK_DATA: folder });
  return new Reading({ transport: state, share: shared }, { file: join(folder, 'state.db'), config });
}
function share(port: MessagePort): void {
  engine.share();
  serveOnPort(port, dispatcher(engine.implementations));
  port.postMessage({ shared: true });
}
const clientOf = (reading: Reading) => connect(FlowsServiceDefinition, reading);

/** Answers as the state does, as long as it answers, and counts. */
function stateOf() {
  const of = { calls: [] as string[], answers: true };
  const whole = dispatcher(engine.implementations);
  const transport: Transport = {
    call(service, method, request) {
      of.calls.push(method);
      return of.answers ? whole.call(service, method, request) : new Promise(() => undefined);
    },
  };
  return { of, transport };
}

function put(flowId: string, subject: string): void {
  engine.view.note((unit) =>
    unit.put(flowsTable, {
      ...{ flowId, type: '', method: '', party: '', school: SCHOOL, key: '', subject, asked: 0, answered: 0 },
      ...{ refused: 0, outcome: '', says: '', code: '', told: '', acceptedMs: 1, decidedMs: 0 },
    }),
  );
}
const found = async (reading: Reading, subject: string): Promise<string[]> =>
  (await clientOf(reading).findFlows(FindFlowsRequest.fromPartial({ subject }))).flows.map(({ flowId }) => flowId);

test('who asks is answered although the state is busy, of its last commit', async () => {
  const { of, transport } = stateOf();
  const reading = readingOf(transport);
  const [one, other] = [newId(), newId()].sort();
  put(one!, 'order-1');
  // Until the thread is there, the state answers.
  expect(await found(reading, 'order-1')).toEqual([one]);
  await vi.waitFor(async () => {
    of.calls = [];
    expect(await found(reading, 'order-1')).toEqual([one]);
    expect(of.calls).toEqual([]);
  }, WAIT);
  of.answers = false;
  put(other!, 'order-1');
  expect(await found(reading, 'order-1')).toEqual([other, one]);
  expect(of.calls).toEqual([]);
  // Nothing that was accepted is missing, so nobody has to be waited for: only the engine knows that.
  const asked = { flowId: newId(), partyOin: '', referenceKey: new Uint8Array(0), method: '' };
  expect(await clientOf(reading).getFlow(asked)).toEqual({ flow: undefined });
  expect(of.calls).toEqual([]);
  // What is no question goes to the state.
  of.answers = true;
  await clientOf(reading).noteReads({ notes: [] });
  expect(of.calls).toEqual(['noteReads']);
  await reading.stop();
  expect(await found(reading, 'order-1')).toEqual([other, one]);
  expect(of.calls).toEqual(['noteReads', 'findFlows']);
});

test('where the file cannot be read beside it, the state answers', async () => {
  const { of, transport } = stateOf();
  let told = false;
  // Not shared: the file is the engine's alone.
  const reading = readingOf(transport, (port) => {
    told = true;
    port.postMessage({ shared: true });
  });
  const one = newId();
  put(one, 'order-1');
  expect(await found(reading, 'order-1')).toEqual([one]);
  expect(told).toBe(true);
  await reading.stop();
  expect(await found(reading, 'order-1')).toEqual([one]);
  expect(of.calls).toEqual(['findFlows', 'findFlows']);
});

test('what was asked of a thread that ended is asked of the state as it was', async () => {
  const { of, transport } = stateOf();
  // Of what goes on to the engine there is no answer before the thread ends.
  const reading = readingOf(transport, (port) => {
    engine.share();
    port.postMessage({ shared: true });
  });
  await vi.waitFor(async () => {
    of.calls = [];
    await found(reading, 'order-1');
    expect(of.calls).toEqual([]);
  }, WAIT);
  // So much that its bytes move to the thread instead of being copied.
  const asked = { flowId: newId(), partyOin: '', referenceKey: new Uint8Array(5_000), method: '' };
  const answer = clientOf(reading).getFlow(asked);
  await reading.stop();
  expect(await answer).toEqual({ flow: undefined });
  expect(of.calls).toEqual(['getFlow']);
});
