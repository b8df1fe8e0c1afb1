/** Everything that is looked at, by place, and what was found there that may not be there. */
import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Canary } from './identities.ts';
import type { Finding, Searched } from './report.ts';
import { type Hit, Search } from './search.ts';

/**
 * Who may be told something: nobody; somebody who is entitled to identity where it belongs; or a role of the gateway, which
 * gets the words of a question that it answers.
 */
export type May = 'nobody' | 'entitled' | 'role';

const isAllowed = ({ belongs, asked = false }: Canary, may: May): boolean =>
  may === 'entitled' ? belongs : may === 'role' && asked;

export class Looking {
  readonly search = new Search();
  /** What was told to somebody entitled. */
  readonly told = new Set<Canary>();
  /** Places where the id was seen that must be there: they were looked at, and hold what happened. */
  readonly real = new Set<string>();
  readonly #searched = new Map<string, Searched>();
  readonly #findings = new Map<string, Finding>();

  /** `id` is one that rests wherever anything does. */
  constructor(id: string) {
    this.search.add({ kind: 'id', value: id, parts: [{ text: id }], at: '', belongs: true });
  }

  get searched(): Searched[] {
    return [...this.#searched.values()];
  }

  get findings(): Finding[] {
    return [...this.#findings.values()];
  }

  /** Looks at bytes; answers how much was found, allowed or not. `more` says of what place a finding is more exactly. */
  at(place: string, bytes: Uint8Array | string, may: May = 'nobody', more = ''): number {
    const size = typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length;
    return this.#note(place, size, this.search.in(bytes), may, more);
  }

  /** Looks at every file of a folder, and at the names of all; a link is a name. */
  folder(place: string, folder: string, but: (path: string) => boolean = () => false): void {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (but(path)) continue;
      this.at(`names of ${place}`, name);
      try {
        const seen = lstatSync(path);
        if (seen.isDirectory()) this.folder(place, path, but);
        // Laid out before it is filled, as Kafka does: there is nothing on the disk.
        else if (seen.isFile() && seen.size > 0 && seen.blocks === 0) this.#note(place, 0, [], 'nobody', name);
        else if (seen.isFile()) this.#note(place, seen.size, this.search.inFile(path), 'nobody', name);
        else if (seen.isSymbolicLink()) this.at(`names of ${place}`, readlinkSync(path));
      } catch (thrown) {
        // What a running program takes away between two looks is not at rest.
        if ((thrown as { code?: string }).code !== 'ENOENT') throw thrown;
      }
    }
  }

  #note(place: string, bytes: number, hits: readonly Hit[], may: May, more: string): number {
    const before = this.#searched.get(place) ?? { place, pieces: 0, bytes: 0, found: 0 };
    const wrong = hits.filter(({ canary }) => canary.kind !== 'id' && !isAllowed(canary, may));
    if (hits.some(({ canary }) => canary.kind === 'id')) this.real.add(place);
    for (const { canary } of hits) if (may === 'entitled' && canary.belongs) this.told.add(canary);
    this.#searched.set(place, {
      place,
      pieces: before.pieces + 1,
      bytes: before.bytes + bytes,
      found: before.found + wrong.length,
    });
    for (const { canary, form, inside } of wrong) {
      const written = [...inside, form].join(', ');
      const where = more === '' ? place : `${place}: ${more}`;
      const name = `${where}|${canary.kind}|${canary.at}|${written}`;
      const known = this.#findings.get(name);
      if (known) known.times += 1;
      else this.#findings.set(name, { place: where, kind: canary.kind, put: canary.at, form: written, times: 1 });
    }
    return hits.length;
  }
}
