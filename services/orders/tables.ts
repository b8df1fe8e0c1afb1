/** Rows of the service. */
import { asideTable, mergedTable, table } from '#bus';

export interface OrderTableRow {
  buyerOin: string;
  orderId: string;
  schoolOin: string;
  /** School year after which learners' tokens are removed, such as 2026-2027; empty = it names no learner. */
  forgetAfter: string;
  /** Year at whose end the order itself leaves, such as 2033. */
  leaves: string;
  /** An eduk.orders.v1.OrderRow. One order is read and written whole: most have a few lines. */
  order: Uint8Array;
}

export const ordersTable = table<OrderTableRow>({
  name: 'orders_orders',
  key: ['buyerOin', 'orderId'],
  columns: { buyerOin: 'text', orderId: 'text', schoolOin: 'text', forgetAfter: 'text', leaves: 'text', order: 'blob' },
  indexes: {
    by_order: ['orderId', 'schoolOin'],
    by_school: ['schoolOin'],
    by_forget: ['schoolOin', 'forgetAfter'],
    by_leave: ['schoolOin', 'leaves'],
  },
  retention: 'RETENTION_ORDER',
});

/** Where an order is found besides its buyer and school: once for each seller, product and learner of its lines. */
export interface EntryTableRow {
  kind: 'seller' | 'product' | 'learner';
  value: string;
  buyerOin: string;
  orderId: string;
}

export const entriesTable = table<EntryTableRow>({
  name: 'orders_entries',
  key: ['kind', 'value', 'buyerOin', 'orderId'],
  columns: { kind: 'text', value: 'text', buyerOin: 'text', orderId: 'text' },
  retention: 'RETENTION_ORDER',
});

/** What orders need to know of products, copied from the catalogue's stream. */
export interface ProductTableRow {
  productId: string;
  publisherOin: string;
  /** 1 = withdrawn. */
  withdrawn: number;
}

export const productsTable = table<ProductTableRow>({
  name: 'orders_products',
  key: ['productId'],
  columns: { productId: 'text', publisherOin: 'text', withdrawn: 'int' },
  retention: 'RETENTION_PUBLIC',
});

/** Tokens that no order may name any more: an order that was under way when a learner was forgotten. */
export interface ForgottenTableRow {
  learner: string;
  schoolOin: string;
}

export const forgottenTable = table<ForgottenTableRow>({
  name: 'orders_forgotten',
  key: ['learner'],
  columns: { learner: 'text', schoolOin: 'text' },
  retention: 'RETENTION_ROSTER',
});

/** Lines that named a learner who waits to be forgotten, by buyer and order. */
export const linesAside = asideTable('orders_aside', 'RETENTION_ORDER');

/** Lines for a learner may name another token of theirs. */
export const mergedLearners = mergedTable('orders_merged');

export const tables = [ordersTable, entriesTable, productsTable, forgottenTable, linesAside, mergedLearners];
