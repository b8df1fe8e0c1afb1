/** The tree over the leaves, kept in tiles of 256: hashes of perfect subtrees are stored for every eighth level and made for the others. */
import type { Reader } from '#bus';
import { GatewayError, nodeHash, recordLeaf, type Subtree } from '#kernel';
import { leavesTable, nodesTable } from './tables.ts';

/** Levels between two that are stored. */
export const TILE_LEVELS = 8;
/** Leaves, or stored nodes, under one stored node. */
export const TILE = 2 ** TILE_LEVELS;

/** Hashes of perfect subtrees, read a tile at a time. Throws `state.missing` for what is no longer kept. */
export function subtreesOf(reader: Pick<Reader, 'list'>): Subtree {
  const tiles = new Map<string, ReadonlyMap<number, Uint8Array>>();
  const tileOf = (level: number, tile: number): ReadonlyMap<number, Uint8Array> => {
    const key = `${level}/${tile}`;
    let found = tiles.get(key);
    if (found === undefined) {
      const first = tile * TILE;
      const page = { after: [first - 1], limit: TILE };
      found = new Map(
        level === 0
          ? reader
              .list(leavesTable, { equals: [], ...page })
              .filter(({ n }) => n < first + TILE)
              .map(({ n, salt, record }) => [n, recordLeaf(salt, record)])
          : reader
              .list(nodesTable, { equals: [level], ...page })
              .filter(({ n }) => n < first + TILE)
              .map(({ n, hash }) => [n, hash]),
      );
      tiles.set(key, found);
    }
    return found;
  };
  const subtree: Subtree = (level, index) => {
    if (level % TILE_LEVELS !== 0) return nodeHash(subtree(level - 1, index * 2), subtree(level - 1, index * 2 + 1));
    const hash = tileOf(level, Math.floor(index / TILE)).get(index);
    if (hash === undefined)
      throw new GatewayError('state.missing', 'The log no longer keeps leaves that old, or never had them.', {
        where: 'index',
      });
    return hash;
  };
  return subtree;
}
