/** UWLR 2.2 (= 2.2.1): the two web services of the school's administration, as the gateway serves them. */
import { defineAdapter } from '#adapters/contract';
import { GatewayError } from '#kernel';
import { sayFault } from './faults.ts';
import {
  type ResultsDelivery,
  type RosterAnswer,
  type RosterQuestion,
  resultsDelivery,
  rosterAnswer,
  rosterQuestion,
} from './mapping.ts';
import {
  type LeerlinggegevensAntwoord,
  type Operation,
  readRequest,
  type Verzoek,
  writeBevestiging,
  writeLeerlinggegevens,
} from './wire.ts';

export { type Faultcode, faultcode } from './faults.ts';
export * from './mapping.ts';
export {
  type Autorisatie,
  type Operation,
  readRequest,
  requestOf,
  type Verzoek,
  writeBevestiging,
  writeLeerlinggegevens,
} from './wire.ts';
export { type Service, wsdl, xsd } from './wsdl.ts';

type Of<O extends Operation> = Extract<Verzoek, { operation: O }>;

function readOnly<O extends Operation>(bytes: Uint8Array, operation: O): Of<O> {
  const request = readRequest(bytes);
  if (request.operation !== operation)
    throw new GatewayError('wire.invalid', 'This request belongs to the other service.', { where: 'Envelope/Body' });
  return request as Of<O>;
}

/** HaalLeerlinggegevens: reads the question, writes the answer (UWLR 2.2 §3.2, §3.3). */
const leerlinggegevens = {
  about: 'A learning application asks for the pupils, groups and teachers of a school and gets the Smalle set.',
  read: (bytes: Uint8Array) => readOnly(bytes, 'HaalLeerlinggegevens'),
  write: writeLeerlinggegevens,
  toCore: (wire: Of<'HaalLeerlinggegevens'>): RosterQuestion => rosterQuestion(wire.body),
  fromCore: (core: RosterAnswer): LeerlinggegevensAntwoord => rosterAnswer(core),
  examples: [
    { file: '01-question.xml', shows: 'A question as the published description words it' },
    {
      file: '02-question-of-a-liberal-client.xml',
      shows: 'A question with empty fields, another order and a header without namespaces',
    },
    { file: '03-question-by-schoolkey.xml', shows: 'A question for what changed at a school without BRIN' },
  ],
};

/** BrengLeerresultaten: reads the results, writes the confirmation (UWLR 2.2 §3.6). */
const leerresultaten = {
  about: 'A learning application delivers results of tests; the answer confirms the message as a whole.',
  read: (bytes: Uint8Array) => readOnly(bytes, 'BrengLeerresultaten'),
  write: () => writeBevestiging(),
  toCore: (wire: Of<'BrengLeerresultaten'>): ResultsDelivery => resultsDelivery(wire.body),
  examples: [
    { file: '10-results.xml', shows: 'Results of a whole test, a part of it, and a test of a monitoring system' },
    { file: '11-results-of-a-liberal-client.xml', shows: 'Results with words and decimals as score and half a scale' },
  ],
};

export default defineAdapter({
  name: 'uwlr',
  standard: { title: 'UWLR', version: '2.2' },
  about: 'Answers learning applications that ask for leerlinggegevens of a school, and takes in their leerresultaten.',
  transport: 'soap',
  settings: {},
  promises: { redelivers: true, keepsOrder: false },
  exchanges: { leerlinggegevens, leerresultaten },
  sayFault,
});
