/** Files → core: the adapters of file standards, with large documents read in a worker. */
import { type Catalogue, catalogueOf, MAX_CATALOGUE_BYTES } from '#adapters/eckdt';
import { readApart, toCore } from '#adapters/edexml';
import { readXmlApart } from '#adapters/xml';
import type { Clear } from '#kernel';
import type { Roster } from '#proto/eduk/core/v1/learner';

export const readRosterFile = async (bytes: Uint8Array): Promise<Clear<Roster>> => toCore(await readApart(bytes));

export const readCatalogueFile = async (bytes: Uint8Array): Promise<Catalogue> =>
  catalogueOf((await readXmlApart(bytes, { maxBytes: MAX_CATALOGUE_BYTES })).root);
