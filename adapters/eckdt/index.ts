import { defineAdapter } from '#adapters/contract';
import type { GatewayError } from '#kernel';
import { toCore } from './mapping.ts';
import { readCatalogue } from './wire.ts';

export {
  type Note,
  type NoteCode,
  notes,
  type Outcome,
  outcomeOf,
  outcomes,
  type Products,
  type Refusal,
  toCore,
} from './mapping.ts';
export { namespaceStart, type Version, versions } from './schemas/entry.ts';
export { catalogServiceXsd } from './schemas/xsd.ts';
export {
  type Catalogue,
  type CatalogueRecord,
  catalogueOf,
  type Entry,
  MAX_CATALOGUE_BYTES,
  type Problem,
  readCatalogue,
} from './wire.ts';

/** Our fault, its meaning and the places in the file; the standard's own list of messages is not public. */
const sayFault = (error: GatewayError): string =>
  [
    `${error.fault}: ${error.told}`,
    ...error.where.map((it) => (it.line === undefined ? it.path : `${it.path} (line ${it.line})`)),
  ].join('\n');

export default defineAdapter({
  name: 'eckdt',
  standard: { title: 'ECK Distributie & Toegang, CatalogService', version: '2.1.1 to 2.5.2' },
  about: 'Reads a publisher’s catalogue: ECKCS records from an SRU 1.2 answer or from a ReadCatalogResult.',
  transport: 'file',
  settings: {},
  promises: { redelivers: false, keepsOrder: true },
  exchanges: {
    catalogue: {
      about: 'Catalogue records of a publisher, each to a product or to a refusal of its own.',
      read: readCatalogue,
      toCore,
      examples: [
        { file: '01-sru-2.5.2.xml', shows: 'an SRU answer with records of 2.5.2, classified twice' },
        { file: '02-result-2.3.xml', shows: 'a ReadCatalogResult of 2.3, with new and old prices' },
        { file: '03-soap-2.1.1.xml', shows: 'the same in a SOAP envelope, version 2.1.1' },
        { file: '04-bare-entry.xml', shows: 'the smallest record, without a namespace' },
        { file: '05-some-refused.xml', shows: 'records that are refused beside records that are taken' },
      ],
    },
  },
  sayFault,
});
