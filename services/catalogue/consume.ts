/** Record → decision → row and event. */
import { type Consumer, decoded, emit } from '#bus';
import { Product } from '#proto/eduk/core/v1/product';
import { decideProduct, type ProductEvent } from './product.ts';
import { lanesTable, productsTable } from './tables.ts';

export const consumer: Consumer = {
  name: 'catalogue',
  streams: ['catalogue'],
  types: ['ProductSubmitted'],
  handle(record, unit) {
    const submitted = decoded(record, 'ProductSubmitted');
    const row = unit.get(productsTable, submitted.product?.productId ?? '');
    const event = decideProduct(row && Product.decode(row.product), submitted);
    if (event.type === 'ProductPublished' && event.value.product && !event.value.unchanged) {
      const { product } = event.value;
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
    emit<ProductEvent['type']>(unit, event.type, event.value, record.key);
  },
};
