/** Rows of the service. */
import { table } from '#bus';

export interface ProductTableRow {
  productId: string;
  /** Lane of the product, and the change in that lane that wrote the row last: readers find what is newer. */
  lane: number;
  change: number;
  /** An eduk.core.v1.Product. */
  product: Uint8Array;
}

export const productsTable = table<ProductTableRow>({
  name: 'catalogue_products',
  key: ['productId'],
  columns: { productId: 'text', lane: 'int', change: 'int', product: 'blob' },
  indexes: { by_change: ['lane', 'change'] },
  retention: 'RETENTION_PUBLIC',
});

/** Changes counted in a lane. One count a lane, because lanes are decided side by side. */
export interface LaneTableRow {
  lane: number;
  changes: number;
}

export const lanesTable = table<LaneTableRow>({
  name: 'catalogue_lanes',
  key: ['lane'],
  columns: { lane: 'int', changes: 'int' },
  retention: 'RETENTION_PUBLIC',
});

export const tables = [productsTable, lanesTable];
