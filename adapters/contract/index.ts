/**
 * What an adapter is: data and pure functions that turn one standard's messages into core messages and back. Transport,
 * identity, retries, metrics and logging belong to the door that mounts it; an adapter that opens a socket has gone wrong.
 */
import type { Clear, GatewayError } from '#kernel';
import type { LossTable } from './losses.ts';

export { type LossCount, type LossReason, type LossRow, type LossTable, LossTally, lossReasons } from './losses.ts';

export interface Example {
  /** File under `examples/`; beside it stands the same name ending in `.core.json`: what it means. */
  file: string;
  /** What it shows, for a reader and as a test's name. */
  shows: string;
}

/** One kind of message of a standard. `Wire` has the standard's own names; `Core` those of `eduk.core.v1`. */
export interface Exchange<Wire = unknown, Core = unknown> {
  about: string;
  /** Bytes as received → wire. Validates form only; throws `wire.*` faults with paths and lines, never values. */
  read?: (bytes: Uint8Array) => Wire;
  /** Wire → the document as sent. Strict: passes our schema. */
  write?: (wire: Wire) => string;
  /** What it means. Identity leaves here only inside `Clear`. */
  toCore?: (wire: Wire) => Core;
  fromCore?: (core: Core) => Wire;
  examples: readonly Example[];
}

export interface AdapterSetting {
  about: string;
  type: 'url' | 'text' | 'integer';
  default?: string;
  secret?: boolean;
}

export interface Adapter {
  name: string;
  standard: { title: string; version: string };
  about: string;
  transport: 'soap' | 'http' | 'file';
  settings: Record<string, AdapterSetting>;
  /** Which parts of the contract suite apply. */
  promises: { redelivers: boolean; keepsOrder: boolean };
  exchanges: Record<string, Exchange<any, any>>;
  /** What its mappings lose, each direction and version; docs/losses.md prints them. */
  losses?: readonly LossTable[];
  /** A fault in the standard's own words: the whole document to answer with. */
  sayFault: (error: GatewayError) => string;
}

export const defineAdapter = <A extends Adapter>(adapter: A): A => adapter;

/** Opens a `Clear` for a comparison in a test; nothing else may use it. */
export const unveiled = <T>(value: Clear<T>): T => value.reveal((it) => it);
