import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { GatewayError } from '#kernel';
import { FlowRebuild, type StepRebuildRequest } from '#proto/eduk/flows/v1/flows';
import { rebuildFlows } from './rebuild.ts';

interface Step {
  state?: string;
  mends?: number;
  fails?: GatewayError;
}

/** A door whose flows answer so, one after the other. */
function setUp(steps: Step[]) {
  const asked: StepRebuildRequest[] = [];
  let mended = 0;
  const told: FlowRebuild[] = [];
  const call = Object.assign(new EventEmitter(), {
    cancelled: false,
    write: ({ rebuild }: { rebuild: FlowRebuild }) => told.push(rebuild) > 0,
  });
  const stepRebuild = async (request: StepRebuildRequest) => {
    asked.push(request);
    const { state = 'reading', mends = 0, fails } = request.stop ? { state: 'done' } : (steps.shift() ?? {});
    if (fails) throw fails;
    return { rebuild: FlowRebuild.fromPartial({ state }), mends: Array(mends).fill({ flowId: 'f' }) };
  };
  const mendFlows = async ({ mends }: { mends: unknown[] }) => {
    mended += mends.length;
    return { mended: mends.length };
  };
  const over = new AbortController();
  const door = { asked: { flows: { stepRebuild } }, services: { flows: { mendFlows } } };
  const run = () => rebuildFlows(call as never, { mend: true }, { door } as never, over.signal);
  return { asked, told, call, over, run, mended: () => mended };
}
const lost = () => new GatewayError('state.missing', 'Not here.');

test('goes on until it is done, mends what each step names, and tells the end', async () => {
  const { run, told, asked, mended } = setUp([{}, { mends: 2 }, { mends: 1 }, { state: 'done' }]);
  await run();
  expect(mended()).toBe(3);
  expect(told.at(-1)!.state).toBe('done');
  expect(asked.map(({ begun }) => begun)).toEqual([false, true, true, true]);
  expect(new Set(asked.map(({ runId }) => runId)).size).toBe(1);
});

test('begins anew where another answers from now on, and not for ever', async () => {
  const { run, asked } = setUp([{}, { fails: lost() }, {}, { state: 'done' }]);
  await run();
  expect(asked.map(({ begun }) => begun)).toEqual([false, true, false, true]);
  const never = setUp(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? {} : { fails: lost() })));
  await expect(never.run()).rejects.toMatchObject({ fault: 'state.missing' });
});

test('one that is under way elsewhere is told, and not ended', async () => {
  const { run, asked } = setUp([{ fails: new GatewayError('state.conflict', 'Another.') }]);
  await expect(run()).rejects.toMatchObject({ fault: 'state.conflict' });
  expect(asked.map(({ stop }) => stop)).toEqual([false]);
});

test('who goes away, or a gateway that stops, ends it, so that another may begin at once', async () => {
  const gone = setUp([]);
  const running = gone.run();
  gone.call.cancelled = true;
  gone.call.emit('cancelled');
  await running;
  expect(gone.asked.at(-1)).toMatchObject({ stop: true, begun: true });
  const stopped = setUp([]);
  const other = stopped.run();
  stopped.over.abort(new GatewayError('gateway.stopping'));
  await expect(other).rejects.toMatchObject({ fault: 'gateway.stopping' });
  expect(stopped.asked.at(-1)).toMatchObject({ stop: true });
});
