/** The UWLR server: a learning application fetches a roster and returns results. Identity, mandate and release as for every door. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import uwlr, {
  type Autorisatie,
  isVersion,
  lossCounts,
  requestOf,
  resultPlaces,
  resultsDelivery,
  rosterOperations,
  rosterQuestion,
  type SchoolRef,
  type Service as UwlrService,
  writeBevestiging,
  wsdl,
  xsd,
} from '#adapters/uwlr';
import { readXmlApart } from '#adapters/xml';
import { asGatewayError, type Clear, GatewayError, isSchoolYear, newId, routingOf } from '#kernel';
import { AuditKind } from '#proto/eduk/core/v1/audit';
import { Service } from '#proto/eduk/core/v1/party';
import type { Loss } from '#proto/eduk/core/v1/receipt';
import type { ReturnResultsRequest } from '#proto/eduk/gateway/v1/result';
import type { Caller, Peer } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { returnResults } from '../intake/results.ts';
import { type KeyedBy, keysOfMessage, uwlrResultId } from '../intake/uwlr-keys.ts';
import { pass, submit } from '../pipeline.ts';
import { digestOf } from '../secrets.ts';
import { admitted, isItsOwn, partyCaller } from '../stages/authenticate.ts';
import { requireMandate } from '../stages/authorise.ts';
import { event, type Intake, type Submission } from '../submission.ts';
import { bodyOf, send, sendPieces, sendProblem } from './exchange.ts';
import { giveHead } from './log-keys.ts';
import { answerRoster } from './uwlr-roster.ts';

const XML = 'text/xml; charset=utf-8';

export async function serveUwlr(
  request: IncomingMessage,
  response: ServerResponse,
  gate: Gate,
  service: UwlrService,
  url: URL,
  peer: Peer,
): Promise<void> {
  const address = `${gate.door.publicUrl()}${url.pathname}`;
  if (request.method === 'GET') {
    // `?wsdl` is asked in several spellings.
    const query = [...url.searchParams.keys()].map((key) => key.toLowerCase());
    const single = query.includes('singlewsdl');
    if (single || query.includes('wsdl')) {
      const asked = [...url.searchParams].find(([key]) => /^(single)?wsdl$/i.test(key))?.[1];
      const version = isVersion(asked) ? asked : undefined;
      return send(response, 200, XML, wsdl(service, address, { ...(version && { version }), single }));
    }
    const schema = query.includes('xsd') ? xsd(service, url.searchParams.get('xsd') ?? '', address) : undefined;
    if (schema) return send(response, 200, XML, schema);
    return void sendProblem(response, new GatewayError('state.missing', 'The description is at ?wsdl.'));
  }
  if (request.method !== 'POST')
    return void sendProblem(response, new GatewayError('wire.invalid', 'SOAP 1.1 uses POST.', { where: 'method' }));
  let known: { caller: Caller; school: string } | undefined;
  try {
    const asked = requestOf((await readXmlApart(await bodyOf(request, gate.unfinished))).root);
    if (asked.operation !== 'BrengLeerresultaten') {
      const { operation } = asked;
      const question = rosterQuestion(asked.body);
      const { chain } = gate.door;
      known = await chain.afresh(() => callerOf(gate, peer, asked.header, question.school));
      const { caller, school } = known;
      giveHead(response, gate.heads, caller);
      checkYear(question.schoolYear, `${rosterOperations[operation].verzoek}/schooljaar`);
      // A slow reader holds a turn of its own party's.
      await gate.turns.call(caller.oin, async () => {
        const answer = await chain.afresh(() => answerRoster(gate, caller, { operation, school, question }));
        if (!answer.rest) send(response, 200, XML, answer.first);
        else await sendPieces(response, XML, answer.first, answer.rest);
        const { read, outcome } = answer.read();
        gate.reads.note(read, outcome);
      });
    } else {
      const delivery = resultsDelivery(asked.body);
      known = await gate.door.chain.afresh(() => callerOf(gate, peer, asked.header, delivery.school));
      const { caller, school } = known;
      giveHead(response, gate.heads, caller);
      checkYear(delivery.schoolYear, 'leerresultaten_verzoek/school/schooljaar');
      await gate.turns.call(caller.oin, () => takeResults(gate, caller, school, delivery, resultPlaces(asked.body)));
      send(response, 200, XML, writeBevestiging());
    }
  } catch (thrown) {
    const error = asGatewayError(thrown);
    if (!gate.notes.has(error))
      gate.door.audit.note({
        kind: AuditKind.AUDIT_KIND_REFUSED,
        partyOin: known?.caller.oin ?? '',
        schoolOin: known?.school ?? '',
        method: `uwlr/${service}`,
        code: error.fault,
      });
    if (response.headersSent) {
      // Half an answer is no answer: without its end the receiver sees that it is cut off.
      response.destroy();
      if (error.fault === 'gateway.bug') throw error;
      return;
    }
    const retryAfter: Record<string, string> =
      error.retryAfterS === undefined ? {} : { 'retry-after': String(error.retryAfterS) };
    send(response, 500, XML, uwlr.sayFault(error), retryAfter);
    if (error.fault === 'gateway.bug') throw error; // Answered; the server still has to record it.
  }
}

/**
 * Who calls and for which school (UWLR 2.2 §3.1): klantcode and klantnaam name the system, autorisatiesleutel the school.
 * Faults: party.unknown (klant, sleutel), mandate.missing, state.missing (school).
 */
function callerOf(
  gate: Gate,
  peer: Peer,
  header: Clear<Autorisatie>,
  asked: SchoolRef,
): { caller: Caller; school: string } {
  const { chain } = gate.door;
  return header.reveal(({ klantcode, klantnaam, autorisatiesleutel }) => {
    const oin = chain.byKlantcode(klantcode);
    if (!oin || chain.credentials(oin)?.klantnaam !== klantnaam)
      throw new GatewayError('party.unknown', 'klantcode and klantnaam name no party here.');
    isItsOwn(peer, admitted(chain, oin));
    const pair = chain.byAutorisatiesleutel(digestOf(autorisatiesleutel));
    if (!pair || pair.party !== oin)
      // The same for one that is nobody's and for another party's: whoever does not have it learns nothing of it, nor of any mandate.
      throw new GatewayError(
        'party.unknown',
        'This autorisatiesleutel was not given to this caller; a party gets one with the first mandate of a school.',
        { where: 'Envelope/Header/autorisatie/autorisatiesleutel' },
      );
    // A school names itself by BRIN; administrations without one by a schoolkey, for which the OIN or a routing id serves.
    const school = asked.schoolOin || routingOf(asked.schoolKey).schoolOin;
    if (school !== pair.school)
      throw new GatewayError(
        chain.knowsSchool(school) ? 'mandate.missing' : 'state.missing',
        'This autorisatiesleutel is of another school.',
      );
    return { caller: partyCaller(chain, oin), school };
  });
}

/** The standard's form of a schooljaar lets any two years pass. */
function checkYear(schooljaar: string, place: string): void {
  if (schooljaar !== '' && !isSchoolYear(schooljaar))
    throw new GatewayError('wire.invalid', 'A schooljaar is two years that follow each other.', {
      where: `Envelope/Body/${place}`,
    });
}

/** Results of one message: their ids are made once it is known whose they are. */
const uwlrResults = (by: KeyedBy): Intake<ReturnResultsRequest> => ({
  ...returnResults,
  method: 'uwlr/BrengLeerresultaten',
  events(request, found, context) {
    return returnResults.events(request, found, context).map((one) => {
      if (one.name !== 'ResultSubmitted') return one;
      const resultId = uwlrResultId(request.result!.resultId, request, found.tokens[0]!, by);
      return event(one.name, { ...one.value, result: { ...one.value.result!, resultId } }, one.key);
    });
  },
});

/** For a pupil whose ECK iD the school has not given yet: the key names the pupil, unless that one has another ECK iD. */
const byKeyToo = (intake: Intake<ReturnResultsRequest>): Intake<ReturnResultsRequest> => ({
  ...intake,
  people: ({ result }) => {
    const { eckId, lasKey } = result!.learner!;
    return [{ identity: { kind: 'learner', eckId, lasKey, person: undefined }, create: false, path: 'result.learner' }];
  },
});

/** What a message lost goes with the first of its results that is taken, since each result is a flow of its own. */
function carrying(losses: readonly Loss[]): (intake: Intake<ReturnResultsRequest>) => Intake<ReturnResultsRequest> {
  if (losses.length === 0) return (intake) => intake;
  let first: string | undefined;
  return (intake) => ({
    ...intake,
    events(request, found, context) {
      first ??= request.reference;
      const events = intake.events(request, found, context);
      if (request.reference !== first) return events;
      return events.map((one) =>
        one.name === 'ResultSubmitted' ? event(one.name, { ...one.value, losses: [...losses] }, one.key) : one,
      );
    },
  });
}

/** A pupil whom the school has not named, or two by their two numbers: the one thing that is no fault of the message. */
const isOfPupil = ({ refused }: Submission): boolean =>
  refused?.fault === 'learner.unknown' ||
  (refused?.fault === 'state.conflict' && refused.where[0]?.path === 'result.learner');

/**
 * The standard confirms a message whole, so it is taken whole or not at all, but for results of pupils whom the school has not
 * named: the others are taken, and the fault says so. A message has no reference of its own, so it gets fresh ones; a repeat has
 * no second effect, because each result keeps its id.
 */
async function takeResults(
  gate: Gate,
  caller: Caller,
  school: string,
  { results, losses }: ReturnType<typeof resultsDelivery>,
  standing: ReturnType<typeof resultPlaces>,
): Promise<void> {
  await gate.door.chain.afresh(() => requireMandate(gate.door, caller, school, Service.SERVICE_RESULT));
  const message = newId();
  const by: KeyedBy = {
    habit: gate.settings.of(caller.oin)?.resultKeys ?? 'message',
    digestKey: gate.door.digestKey,
    partyOin: caller.oin,
  };
  const intake = carrying(lossCounts(losses))(uwlrResults(by));
  const intakeByKey = byKeyToo(intake);
  const batch = results.reveal((list) => {
    const keys = keysOfMessage(list, by);
    return list.map((result, i) =>
      submit(
        intake,
        { reference: `${message}.${i}`, schoolOin: school, result: { ...result, resultId: keys[i]! } },
        caller,
        { bulk: true },
      ),
    );
  });
  await pass(batch, gate.door, 'admit', 'check');
  const again = batch.flatMap((submission, i) => {
    if (submission.refused?.fault !== 'learner.unknown') return [];
    return submission.message.reveal((request: ReturnResultsRequest) => {
      const { eckId, lasKey } = request.result!.learner!;
      if (eckId === '' || lasKey === '' || lasKey.startsWith('#')) return [];
      return [{ i, submission: submit(intakeByKey, request, caller, { bulk: true }) }];
    });
  });
  if (again.length > 0) {
    await pass(
      again.map(({ submission }) => submission),
      gate.door,
      'admit',
      'check',
    );
    for (const { i, submission } of again) batch[i] = submission;
  }
  const refused = batch.flatMap((submission, i) => (submission.refused ? [{ submission, i }] : []));
  for (const { submission } of refused) gate.notes.note(submission, submission.refused!);
  // A pupil stands above its results, and is named once.
  const places = (of: typeof refused) => {
    const paths = of.map(({ submission, i }) => {
      const { pupil, result } = standing[i]!;
      const field = submission.refused!.where[0]?.path ?? '';
      if (field.startsWith('result.learner.eck_id')) return pupil.replace(/leerlingid$/, 'eckid');
      return field.startsWith('result.learner') ? pupil : `${result}${field && ` ${field}`}`;
    });
    return [...new Set(paths)].slice(0, 100).map((path) => ({ path: `Envelope/Body/${path}` }));
  };
  const ofMessage = refused.filter(({ submission }) => !isOfPupil(submission));
  if (ofMessage.length > 0) {
    const { fault, told } = ofMessage[0]!.submission.refused!;
    throw gate.notes.noted(new GatewayError(fault, told, { where: places(ofMessage) }));
  }
  const named = batch.filter(({ refused }) => !refused);
  await pass(named, gate.door, 'accept');
  const failed = named.find(({ refused }) => refused);
  if (failed) throw failed.refused!;
  if (refused.length > 0)
    throw gate.notes.noted(
      new GatewayError(
        'learner.unknown',
        `${named.length} of ${batch.length} results are taken; the others are of pupils whom this school has not named. Once a roster names them a repeat is taken, whole or of these alone.`,
        { where: places(refused) },
      ),
    );
}
