/** How often a read goes to a database that lies elsewhere: not by the number of rows that it answers. */
import { expect, test } from 'vitest';
import { type EngineView, type ServiceModule, testBench } from '#bus';
import { Service } from '#proto/eduk/core/v1/party';
import { DeliveryServiceDefinition } from '#proto/eduk/delivery/v1/delivery';
import { delivery } from './index.ts';

/** The same module over rows that must be loaded first: what is asked and not there fails, and then the whole runs again. */
function loading(module: ServiceModule): { module: ServiceModule; rounds: () => number } {
  const lacking = new Error('not loaded');
  const known = new Set<string>();
  let wanted = new Set<string>();
  let rounds = 0;
  const ask = <T>(what: unknown, answer: () => T): T => {
    const id = JSON.stringify(what);
    if (known.has(id)) return answer();
    wanted.add(id);
    throw lacking;
  };
  const over = (engine: EngineView): EngineView => {
    const asked: Partial<EngineView> = {
      get: (table, ...key) => ask([table.name, key], () => engine.get(table, ...key)),
      list: (table, options) => ask([table.name, options], () => engine.list(table, options)),
    };
    return new Proxy(engine, {
      get: (_, name: keyof EngineView) => asked[name] ?? (engine[name] as () => unknown).bind(engine),
    });
  };
  return {
    rounds: () => rounds,
    module: {
      ...module,
      serve: (engine, ...others) =>
        module.serve(over(engine), ...others).map(({ definition, handlers }) => ({
          definition,
          handlers: Object.fromEntries(
            Object.entries(handlers).map(([name, handler]) => [
              name,
              async (request: unknown) => {
                known.clear();
                for (rounds = 0; ; rounds++)
                  try {
                    return await handler(request as never);
                  } catch (thrown) {
                    if (thrown !== lacking) throw thrown;
                    for (const id of wanted) known.add(id);
                    wanted = new Set();
                  }
              },
            ]),
          ),
        })),
    },
  };
}

test('a page of mail takes as many rounds when it is long as when it is short', async () => {
  const { module, rounds } = loading(delivery);
  const bench = testBench(module);
  const client = bench.client(DeliveryServiceDefinition);
  const SELLER = '00000001000000000002';
  const read = async (limit: number) => {
    const { rows } = await client.readMailbox({
      partyOin: SELLER,
      service: Service.SERVICE_UNSPECIFIED,
      catalogue: true,
      after: 0n,
      limit,
      waitMs: 0n,
    });
    return { rows: rows.length, rounds: rounds() };
  };
  for (let i = 0; i < 300; i++) {
    const productId = `97890000${String(i).padStart(5, '0')}`;
    bench.submit(
      'ProductPublished',
      { product: { productId, title: 'Taal', publisherOin: SELLER } as never },
      productId,
    );
  }
  const short = await read(2);
  const long = await read(300);
  expect([short.rows, long.rows]).toEqual([2, 300]);
  expect(long.rounds).toBe(short.rounds);
  expect(long.rounds).toBeLessThan(6);
});
