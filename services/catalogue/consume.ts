/** Record → decision → row and event. */
import { type Consumer, decoded, emit } from '#bus';
import { Product } from '#proto/eduk/core/v1/product';
import { decideProduct } from './product.ts';
import { lanesTable, productsTable } from './tables.ts';

export const consumer: Consumer = {
  name: 'catalogue',
  streams: ['catalogue'],
  types: ['ProductSubmitted'],
  handle(record, unit) {
    const submitted = decoded(record, 'ProductSubmitted');
    const row = unit.get(productsTable, submitted.product?.productId ?? '');
    const event = decideProduct(row && Product.decode(row.product), submitted);
    if (event.type === 'ProductRefused') return emit(unit, event.type, event.value, record.key);
    const { product, unchanged } = event.value;
    if (product && !unchanged) {
      const lane = record.partition;
      const change = (unit.get(lanesTable, lane)?.changes ?? 0) + 1;
      unit.put(lanesTable, { lane, changes: change });
      unit.put(productsTable, {
        productId: product.productId,
        lane,
        change,
        product: Product.encode(product).finish(),
      });
    }
    emit(unit, event.type, event.value, record.key);
  },
};
