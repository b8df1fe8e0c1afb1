/** Answers eduk.catalogue.v1 from rows, and from an index of words that follows them. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { EngineView } from '#bus';
import { type Implementation, implement, PARTITIONS } from '#kernel';
import { CatalogueServiceDefinition } from '#proto/eduk/catalogue/v1/catalogue';
import { Product } from '#proto/eduk/core/v1/product';
import { productsTable } from './tables.ts';
import { termsAsked, termsOf, WordIndex } from './words.ts';

/** Rows read into the index in one turn of the event loop: about 5 ms. */
const SLICE = 500;
const DEFAULT_LIMIT = 100;
const MOST = 1_000;

export function serve(engine: EngineView): readonly Implementation[] {
  const current = followProducts(engine);
  return [
    implement(CatalogueServiceDefinition, {
      getProducts: ({ productIds }) => ({ products: productIds.flatMap((id) => readProduct(engine, id) ?? []) }),
      /** Withdrawn products are found, too: schools look for what they have. */
      async searchProducts(filter) {
        const index = await current();
        const limit = Math.min(filter.limit || DEFAULT_LIMIT, MOST);
        const ids = index.find(termsAsked(filter), filter.after, limit + 1);
        const products = ids.slice(0, limit).flatMap((id) => readProduct(engine, id) ?? []);
        return { products, next: ids.length > limit ? ids[limit - 1]! : '' };
      },
    }),
  ];
}

function readProduct(engine: EngineView, id: string): Product | undefined {
  const row = engine.get(productsTable, id);
  return row && Product.decode(row.product);
}

/**
 * Answers the index as of the last commit. Rows are read in slices, so that a catalogue of a country does not stop the
 * thread at start; the first search pays for what is not read yet.
 */
function followProducts(engine: EngineView): () => Promise<WordIndex> {
  const index = new WordIndex();
  const seen: number[] = Array.from({ length: PARTITIONS }, () => 0);
  let stale = true;
  let reading: Promise<void> | undefined;
  engine.onCommit((touched, elsewhere) => {
    if (elsewhere || touched.has(productsTable.name)) stale = true;
  });
  const catchUp = async () => {
    while (stale) {
      stale = false;
      for (let lane = 0; lane < PARTITIONS; lane++) {
        for (;;) {
          const rows = engine.list(productsTable, {
            index: 'by_change',
            equals: [lane],
            after: [seen[lane]!],
            limit: SLICE,
          });
          for (const row of rows) index.set(row.productId, termsOf(Product.decode(row.product)));
          seen[lane] = rows.at(-1)?.change ?? seen[lane]!;
          if (rows.length < SLICE) break;
          await nextTurn();
        }
      }
    }
  };
  return async () => {
    while (stale || reading) {
      reading ??= catchUp()
        .catch((thrown: unknown) => {
          stale = true;
          throw thrown;
        })
        .finally(() => {
          reading = undefined;
        });
      await reading;
    }
    return index;
  };
}
