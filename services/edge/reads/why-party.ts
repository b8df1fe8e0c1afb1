/**
 * Why messages of a party do not arrive, and those for it: what its endpoints do, what waits and for whom, what it sent that is held or was
 * refused, and whose yes is missing. Of orders, products and learners: why.ts.
 */
import { type Fault, faults, GatewayError, isFault } from '#kernel';
import { MandateState, type Service } from '#proto/eduk/core/v1/party';
import type { WhyBlockedRequest, WhyBlockedResponse } from '#proto/eduk/gateway/v1/flow';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { hasRef } from '../intake/people.ts';
import { requireKnown, schoolNamed } from './known.ts';
import {
  answered,
  changesHeld,
  counted,
  type Found,
  inOrder,
  OLD_REFUSAL_MS,
  rosterHeld,
  sentence,
  serviceName,
  whyBlocked,
} from './why.ts';

/** Refusals that are looked through, of all parties. */
const MOST_NOTES = 1_000;
const NOTHING = 'Nothing of this party waits, and nothing waits for it.';

export function why(asked: WhyBlockedRequest, caller: Caller, gate: Gate): Promise<WhyBlockedResponse> {
  const request = { ...asked, schoolOin: schoolNamed(asked.schoolOin) };
  return request.partyOin === '' ? whyBlocked(request, caller, gate) : whyParty(request, caller, gate);
}

/** Faults: wire.invalid, state.missing (no such party, or another than the caller). */
async function whyParty(request: WhyBlockedRequest, caller: Caller, gate: Gate): Promise<WhyBlockedResponse> {
  const { chain, services, clock } = gate.door;
  const { partyOin } = request;
  if (request.orderId !== '' || request.productId !== '' || hasRef(request.learner))
    throw new GatewayError('wire.invalid', 'Ask by order, by product, by learner or by party.', { where: 'party_oin' });
  const school = caller.school ?? request.schoolOin;
  const isOthers = caller.kind !== 'operator' && caller.oin !== partyOin;
  if (caller.kind === 'operator') await requireKnown(gate, { partyOin, schoolOin: school });
  if (isOthers || (request.schoolOin !== '' && school !== request.schoolOin) || chain.party(partyOin) === undefined)
    throw new GatewayError('state.missing', undefined, { where: 'party_oin' });
  const ours = (oin: string): boolean => school === '' || oin === school;
  const name = chain.party(partyOin)?.name || 'This party';
  const of = { schoolOin: school, decided: false };
  const [{ parked }, { endpoints }, { holds }, changes, { notes }] = await Promise.all([
    services.delivery.listParkedRows({ schoolOin: school, partyOin }),
    services.delivery.listEndpoints({ idle: false, partyOin }),
    services.rosters.listHolds(of),
    services.entitlements.listChangeHolds(of),
    services.flows.listRefusals({ schoolOin: school, orderId: '', productId: '', limit: MOST_NOTES }),
  ]);
  const found: Found[] = [];
  if (chain.isStopped(partyOin))
    found.push({
      code: 'mandate.suspended',
      who: 'us',
      lastStep: 'release',
      sinceMs: chain.standing(partyOin)?.stoppedMs ?? 0n,
      told: `${name} is stopped everywhere: what it sends is refused, and what is for it waits.`,
    });
  for (const { standard, state, status, oldestMs, restUntilMs } of endpoints)
    if (state !== 'up')
      found.push({
        code: state === 'gone' ? 'peer.refused' : 'peer.unavailable',
        partyOin,
        lastStep: `${standard} of delivery`,
        sinceMs: oldestMs,
        told: `The ${standard} of ${name} ${answered(status)}; ${state === 'gone' ? 'nothing is sent there any more' : `it is tried again after ${new Date(Number(restUntilMs)).toISOString()}`}.`,
      });

  // What waits for it, by why.
  for (const rows of Map.groupBy(parked, ({ standard, code, schoolOin, service }) =>
    // At an endpoint it is the party's, whatever the school.
    standard === '' ? `${code}|${schoolOin}|${service}` : `${standard}|${code}`,
  ).values()) {
    const { standard, code, schoolOin, service, status } = rows[0]!;
    const fault: Fault = isFault(code) ? code : 'peer.unavailable';
    const messages = rows.reduce((sum, row) => sum + Number(row.rows), 0);
    const base = {
      code: fault,
      sinceMs: rows.reduce((least, { sinceMs }) => (sinceMs < least ? sinceMs : least), rows[0]!.sinceMs),
    };
    const wait = counted(messages, 'message waits', 'messages wait');
    if (standard !== '')
      found.push({
        ...base,
        partyOin,
        lastStep: `${standard} of delivery`,
        told: `${wait} for ${name}: its ${standard} ${answered(status)}${rows.some(({ stopped }) => stopped) ? ', and repeats were stopped' : ''}.`,
      });
    else
      found.push({
        ...base,
        ...actor(fault, schoolOin, partyOin),
        lastStep: 'release',
        told: `${wait} for ${name}: ${serviceName(service)} of ${chain.party(schoolOin)?.name || schoolOin}. ${faults[fault].en}`,
      });
  }

  // Whose yes is missing, also where nothing came by yet.
  for (const mandate of chain.mandates())
    if (mandate.partyOin === partyOin && ours(mandate.schoolOin) && mandate.state !== MandateState.MANDATE_STATE_ENDED)
      for (const service of mandate.services) pending(mandate.schoolOin, service);

  function pending(schoolOin: string, service: Service): void {
    const { fault } = chain.judge(schoolOin, partyOin, service);
    if (fault !== 'mandate.unconfirmed' && fault !== 'mandate.unaccepted') return;
    if (parked.some((row) => row.standard === '' && row.schoolOin === schoolOin && row.service === service)) return;
    found.push({
      code: fault,
      ...actor(fault, schoolOin, partyOin),
      lastStep: 'release',
      told: `${name} may not have ${serviceName(service)} of ${chain.party(schoolOin)?.name || schoolOin} yet: ${faults[fault].en}`,
    });
  }

  // What it sent.
  for (const hold of holds) if (hold.byOin === partyOin && hold.forgets === 0) found.push(rosterHeld(hold, chain));
  for (const hold of changes.holds) if (hold.byOin === partyOin) found.push(changesHeld(hold, chain));
  const since = BigInt(clock.now() - OLD_REFUSAL_MS);
  for (const some of Map.groupBy(
    notes.filter((note) => note.partyOin === partyOin && note.atMs >= since && isFault(note.code)),
    ({ method, code, schoolOin }) => `${method}|${code}|${schoolOin}`,
  ).values()) {
    const { method, code, schoolOin, orderId, productId, entitlementId } = some[0]!;
    const times = some.reduce((sum, note) => sum + note.times, 0);
    const about = some.length === 1 ? { orderId, productId, entitlementId } : {};
    found.push({
      code: code as Fault,
      ...about,
      ...actor(code as Fault, schoolOin, partyOin),
      lastStep: 'door',
      sinceMs: some[0]!.atMs,
      told: `${method} of ${name} was refused ${counted(times, 'time', 'times')} in a day: ${faults[code as Fault].en}`,
    });
  }
  const { blockers, earlier } = inOrder(found, gate, '');
  const told = blockers.length === 0 ? NOTHING : sentence(blockers, earlier, 1);
  return { blockers, earlier, told, has: [], partial: notes.length === MOST_NOTES };
}

/** Who must act about a mandate: what the school has confirmed waits for its party. */
function actor(fault: Fault, schoolOin: string, partyOin: string): Partial<Found> {
  if (fault === 'mandate.suspended') return { who: 'us' };
  if (fault.startsWith('mandate.') && fault !== 'mandate.unaccepted') return { who: 'school', partyOin: schoolOin };
  return { partyOin: faults[fault].who === 'school' ? schoolOin : partyOin };
}
