/** EDEXML 1.03, 2.0 and 2.1: the file in which a school's administration puts its pupils, groups and teachers. */
import { defineAdapter } from '#adapters/contract';
import type { GatewayError } from '#kernel';
import { lossTables } from './losses.ts';
import { toCore } from './mapping.ts';
import { type EDEX, read } from './wire.ts';

export { isVersion, lossTables, type Version, versions } from './losses.ts';
export { schoolIn, toCore } from './mapping.ts';
export { refusePgn } from './pgn.ts';
export { type Given, type Lines, type SoftRule, softRules, type Warning } from './rules.ts';
export { stripPgn } from './strip.ts';
export {
  accept,
  type EDEX,
  type Groep,
  type Leerkracht,
  type Leerling,
  read,
  readApart,
  type School,
  schema,
  schemas,
  type Taken,
  take,
  takeApart,
  type Vestiging,
} from './wire.ts';
export { countLosses, fromCore, type Loss, type Written, write, writeValid } from './write.ts';

/** The standard knows no answer to a file, so this is problem+json (RFC 9457) with our code; the door serves it as such. */
function sayFault(error: GatewayError): string {
  const { fault, told, where, row } = error;
  return JSON.stringify({
    type: `urn:eduk:fault:${fault}`,
    title: row.en,
    status: row.http,
    detail: told,
    code: fault,
    who: row.who,
    retry: row.retry,
    where,
  });
}

export default defineAdapter({
  name: 'edexml',
  standard: { title: 'EDEXML', version: '2.1' },
  about: 'Takes in a file with all pupils, groups and teachers of a school and school year.',
  transport: 'file',
  settings: {},
  promises: { redelivers: false, keepsOrder: false },
  exchanges: {
    EDEX: {
      about: 'The whole file, as one roster.',
      read: (bytes: Uint8Array) => read(bytes),
      toCore: (wire: EDEX) => toCore(wire),
      examples: [
        { file: '01-primary.xml', shows: 'A primary school with two sites, a combination group and composite groups' },
        { file: '02-as-in-1.03.xml', shows: 'A file of version 1.03, in which a pupil has a group and no year group' },
        { file: '03-secondary-windows-1252.xml', shows: 'A secondary school whose administration writes windows-1252' },
      ],
    },
  },
  losses: lossTables,
  sayFault,
});
