/** Files → core: the adapters of file standards, with large documents read in a worker. */

import type { LossCount } from '#adapters/contract';
import { type Catalogue, catalogueOf, MAX_CATALOGUE_BYTES } from '#adapters/eckdt';
import { type Lines, schoolIn, takeApart, toCore, type Warning } from '#adapters/edexml';
import { readXmlApart } from '#adapters/xml';
import { type Clear, routingOf } from '#kernel';
import type { Roster } from '#proto/eduk/core/v1/learner';

/** A roster that came as a file, and what is to be said of the file. */
export interface RosterFile {
  roster: Clear<Roster>;
  /** Soft rules that it does not keep. */
  warnings: Warning[];
  /** What was left in it. */
  losses: LossCount[];
  /** Where its people, groups and sites stand. */
  lines: Lines;
  /** The school by the BRIN in the file, where it has one, also where another was named. */
  brinOin?: string;
}

/** `schoolOin` and `schoolYear` as the sender names them, or empty; `sender`: whose schoolkey it is. Faults: wire.*. */
export async function readRosterFile(
  bytes: Uint8Array,
  named: { schoolOin: string; schoolYear: string; sender: string; nowMs: number },
): Promise<RosterFile> {
  const { schoolOin } = routingOf(named.schoolOin);
  const { wire, ...said } = await takeApart(bytes, { ...named, schoolOin });
  const brinOin = wire.school.brincode === undefined ? {} : { brinOin: schoolIn(wire.school) };
  return { roster: toCore(wire, { sender: named.sender, schoolOin }), ...said, ...brinOin };
}

export const readCatalogueFile = async (bytes: Uint8Array): Promise<Catalogue> =>
  catalogueOf((await readXmlApart(bytes, { maxBytes: MAX_CATALOGUE_BYTES })).root);
