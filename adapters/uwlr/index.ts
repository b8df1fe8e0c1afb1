/** UWLR 2.2 (= 2.2.1) and 2.3: the two web services of the school's administration, as the gateway serves them, and as it asks them of others. */
import { defineAdapter, type Example } from '#adapters/contract';
import { GatewayError, schoolOin } from '#kernel';
import { writeAnswer } from './answer.ts';
import { type Gegevens, readAnswer } from './client-answer.ts';
import { type PulledRoster, pulledRoster } from './client-roster.ts';
import { sayFault } from './faults.ts';
import { lossTables } from './losses.ts';
import { type RosterAnswer, type RosterQuestion, rosterAnswer, rosterQuestion } from './mapping.ts';
import { type ResultsDelivery, resultsDelivery } from './results.ts';
import {
  type LeerlinggegevensAntwoord,
  type Operation,
  type RosterOperation,
  readRequest,
  type Verzoek,
  writeBevestiging,
} from './wire.ts';

export { RosterWriter, writeAnswer, writeEmpty, writeLeerlinggegevens } from './answer.ts';
export {
  type AskedSchool,
  type Asking,
  type Dialect,
  headersOf,
  operations,
  type Question,
  type WantedGroup,
  writeQuestion,
} from './client.ts';
export { type Antwoord, answerOf, type Gegevens, readAnswer, readConfirmation } from './client-answer.ts';
export { PeerFault, peerFaultOf, peerFaults, type Reach } from './client-faults.ts';
export { momentOf, type PulledRoster, pulledRoster, refuseOthers } from './client-roster.ts';
export { type Faultcode, faultcode } from './faults.ts';
export { lossCounts, sentLossCounts } from './losses.ts';
export * from './mapping.ts';
export * from './results.ts';
export { type AnswerForm, type FieldSet, fieldSetOf, isVersion, type Version } from './versions.ts';
export {
  type Autorisatie,
  type LeerresultatenVerzoek,
  leerresultatenBody,
  type Operation,
  type RosterOperation,
  readRequest,
  requestOf,
  rosterOperations,
  type Toets,
  type Verzoek,
  writeBevestiging,
  writeLeerresultaten,
} from './wire.ts';
export { type Service, wsdl, xsd } from './wsdl.ts';

type Of<O extends Operation> = Extract<Verzoek, { operation: O }>;

function readOnly(bytes: Uint8Array, operation: Operation): Verzoek {
  const request = readRequest(bytes);
  if (request.operation !== operation)
    throw new GatewayError('wire.invalid', 'This request belongs to another operation.', { where: 'Envelope/Body' });
  return request;
}

/** One of the operations that give a roster: reads the question, writes the answer (UWLR §3.2, §3.3). */
const roster = (operation: RosterOperation, about: string, examples: readonly Example[]) => ({
  about,
  read: (bytes: Uint8Array) => readOnly(bytes, operation) as Of<RosterOperation>,
  write: (wire: LeerlinggegevensAntwoord): string => writeAnswer(operation, wire),
  toCore: (wire: Of<RosterOperation>): RosterQuestion => rosterQuestion(wire.body),
  fromCore: (core: RosterAnswer): LeerlinggegevensAntwoord => rosterAnswer(core),
  examples,
});

const leerlinggegevens = roster(
  'HaalLeerlinggegevens',
  'A learning application asks for the pupils, groups and teachers of a school and gets what it may have of them.',
  [
    { file: '01-question.xml', shows: 'A question as the published description words it' },
    {
      file: '02-question-of-a-liberal-client.xml',
      shows: 'A question with empty fields, another order and a header without namespaces',
    },
    { file: '03-question-by-schoolkey.xml', shows: 'A question for what changed at a school without BRIN' },
  ],
);

const structuur = roster(
  'HaalStructuur',
  'The staged way, first: a learning application asks which groups there are.',
  [{ file: '04-structure.xml', shows: 'A question for the groups of a site, in 2.3' }],
);

const leerlingen = roster('HaalLeerlingen', 'The staged way, then: it asks for the pupils of some groups.', [
  { file: '05-learners-of-groups.xml', shows: 'A question for the pupils of two groups and of no composite group' },
]);

const leerkrachten = roster('HaalLeerkrachten', 'The staged way, then: it asks for the teachers of some groups.', [
  { file: '06-staff-of-groups.xml', shows: 'A question for the teachers of a group and for those without one' },
]);

/** HaalLeerlinggegevens of an administration that the gateway asks: reads the answer (UWLR 2.2 §3.3). */
const administratie = {
  about: 'An administration answers the gateway, which asked it for a roster.',
  read: (bytes: Uint8Array): Gegevens => {
    const answer = readAnswer(bytes, 'HaalLeerlinggegevens');
    if (answer.kind !== 'gegevens') throw new GatewayError('wire.invalid', 'There is no roster in this answer.');
    return answer;
  },
  toCore: (wire: Gegevens): PulledRoster => {
    const { schooljaar, brincode, dependancecode, schoolkey } = wire.school;
    const question = { school: { brincode, dependancecode, schoolkey }, schooljaar, isRunning: false, since: '' };
    return pulledRoster([wire], question, { schoolOin: schoolOin(brincode), administration: '' });
  },
  examples: [
    {
      file: '30-answer-of-an-administration.xml',
      shows: 'A roster with more than may be taken in, prefixes, and other order',
    },
  ],
};

/** BrengLeerresultaten: reads the results, writes the confirmation (UWLR 2.2 §3.6). */
const leerresultaten = {
  about: 'A learning application delivers results of tests; the answer confirms the message as a whole.',
  read: (bytes: Uint8Array) => readOnly(bytes, 'BrengLeerresultaten') as Of<'BrengLeerresultaten'>,
  write: () => writeBevestiging(),
  toCore: (wire: Of<'BrengLeerresultaten'>): ResultsDelivery => resultsDelivery(wire.body),
  examples: [
    { file: '10-results.xml', shows: 'Results of a whole test, a part of it, and a test of a monitoring system' },
    { file: '11-results-of-a-liberal-client.xml', shows: 'Results with words and decimals as score and half a scale' },
    {
      file: '12-results-in-full.xml',
      shows: "A monitored test with its references, a kind of the sender's own, and words with the lists they are from",
    },
  ],
};

export default defineAdapter({
  name: 'uwlr',
  standard: { title: 'UWLR', version: '2.2, 2.3' },
  about: 'Answers learning applications that ask for leerlinggegevens of a school, and takes in their leerresultaten.',
  transport: 'soap',
  settings: {},
  promises: { redelivers: true, keepsOrder: false },
  exchanges: { leerlinggegevens, structuur, leerlingen, leerkrachten, leerresultaten, administratie },
  losses: lossTables,
  sayFault,
});
