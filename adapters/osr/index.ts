import { defineAdapter } from '#adapters/contract';
import type { GatewayError } from '#kernel';
import { endpointsToCore, mandateToCore, schoolsToCore } from './mapping.ts';
import { readEndpoints, readMandate, readSchools } from './wire.ts';

export {
  endpointsToCore,
  type KnownSchool,
  type Mandated,
  mandateToCore,
  type SchoolEndpoint,
  schoolsToCore,
} from './mapping.ts';
export {
  type Endpoint,
  type Mandate,
  MOST_BYTES,
  readEndpoints,
  readMandate,
  readSchools,
  type School,
} from './wire.ts';

/** OSR is only asked; nobody is answered in its words. */
const sayFault = ({ fault, told, where }: GatewayError): string =>
  [`${fault}: ${told}`, ...where.map(({ path }) => path)].join('\n');

export default defineAdapter({
  name: 'osr',
  standard: { title: 'OSR, Onderwijs Serviceregister', version: 'API v2' },
  about: 'Reads which suppliers schools mandated, and where these answer, from the national service register.',
  transport: 'http',
  settings: {},
  promises: { redelivers: false, keepsOrder: false },
  exchanges: {
    schools: {
      about: 'Whether OSR knows a school.',
      read: readSchools,
      toCore: schoolsToCore,
      examples: [{ file: '01-schools.json', shows: 'one school' }],
    },
    mandate: {
      about: 'Whether a school mandated a supplier for a service on a day.',
      read: readMandate,
      toCore: mandateToCore,
      examples: [
        { file: '02-mandate.json', shows: 'a mandate as its supplier is shown it, with its days' },
        { file: '03-mandate-ok.json', shows: 'a mandate as others are told of it' },
        { file: '04-mandate-nok.json', shows: 'no mandate' },
      ],
    },
    endpoints: {
      about: 'Where the suppliers of a school answer for a service.',
      read: readEndpoints,
      toCore: endpointsToCore,
      examples: [{ file: '05-endpoints.json', shows: 'two administrations of one school' }],
    },
  },
  sayFault,
});
