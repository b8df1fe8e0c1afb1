/** The copy of parties and mandates: who receives, and whether parked mail may go. */
import type { Reader } from '#bus';
import { dutchDay } from '#kernel';
import { type Mandate, MandateState, type Party, type Service } from '#proto/eduk/core/v1/party';
import type { Writer } from './mailbox.ts';
import type { Holders } from './routes.ts';
import { closedSchools, holders, type MandateCopyRow, mandateCopies, partyCopies, stoppedParties } from './tables.ts';

type Get = Pick<Reader, 'get' | 'list'>;

export const boardOf = (reader: Get, school: string): string => reader.get(partyCopies, school)?.boardOin ?? '';

export function holdersIn(reader: Get): Holders {
  return {
    of(school: string, service: Service) {
      const own = reader.get(holders, school, service)?.parties ?? [];
      const board = boardOf(reader, school);
      return board === '' ? own : [...own, ...(reader.get(holders, board, service)?.parties ?? [])];
    },
    rolesOf: (party: string) => reader.get(partyCopies, party)?.roles,
    boardOf: (school: string) => boardOf(reader, school),
  };
}

export function copyParty(unit: Writer, { oin, roles, boardOin }: Party): void {
  unit.put(partyCopies, { oin, roles, boardOin });
}

export const copyOf = (mandate: Mandate): MandateCopyRow => {
  const { schoolOin: school, partyOin: party, mandateId, services, state } = mandate;
  const { validFrom, validUntil, runOffUntil } = mandate;
  return { school, party, mandateId, services, state, validFrom, validUntil, runOffUntil };
};

/** Takes a mandate over, and writes anew who holds one for each service it names or named. */
export function copyMandate(unit: Writer, mandate: Mandate): void {
  const row = copyOf(mandate);
  const { school, party, mandateId, services } = row;
  const before = unit.get(mandateCopies, school, party, mandateId);
  unit.put(mandateCopies, row);
  const others = unit.list(mandateCopies, { equals: [school, party] }).filter((other) => other.mandateId !== mandateId);
  for (const service of new Set([...services, ...(before?.services ?? [])])) {
    const holds = [...others, row].some(
      (one) => one.state !== MandateState.MANDATE_STATE_ENDED && one.services.includes(service),
    );
    const parties = unit.get(holders, school, service)?.parties ?? [];
    if (holds === parties.includes(party)) continue;
    unit.put(holders, {
      school,
      service,
      parties: holds ? [...parties, party] : parties.filter((one) => one !== party),
    });
  }
}

/** What is asked as if it were so: a party that is stopped no more, and mandates as they would be. */
export interface AsIf {
  resumed: boolean;
  mandates: readonly MandateCopyRow[];
}

/** Whether a mandate, of the school or of its board, lets the party have the service now; as the doors judge it. */
export function mayHave(
  reader: Get,
  school: string,
  party: string,
  service: Service,
  now: number,
  asIf?: AsIf,
): boolean {
  if (!asIf?.resumed && reader.get(stoppedParties, party)) return false;
  const closed = reader.get(closedSchools, school);
  if (closed && (closed.untilMs === 0 || now < closed.untilMs)) return false;
  const today = dutchDay(now);
  const board = boardOf(reader, school);
  const would = new Map((asIf?.mandates ?? []).map((one) => [one.mandateId, one]));
  return [school, ...(board === '' ? [] : [board])].some((grantor) =>
    [
      ...reader.list(mandateCopies, { equals: [grantor, party] }).filter(({ mandateId }) => !would.has(mandateId)),
      ...[...would.values()].filter((one) => one.school === grantor && one.party === party),
    ].some((mandate) => mandate.services.includes(service) && stands(mandate, today)),
  );
}

/** Whether a mandate holds on a Dutch day. */
export function stands(
  {
    state,
    validFrom,
    validUntil,
    runOffUntil,
  }: Pick<MandateCopyRow, 'state' | 'validFrom' | 'validUntil' | 'runOffUntil'>,
  today: string,
): boolean {
  if (validFrom !== '' && today < validFrom) return false;
  if (validUntil !== '' && today > validUntil) return false;
  if (state === MandateState.MANDATE_STATE_ACTIVE) return true;
  return state === MandateState.MANDATE_STATE_RUN_OFF && today <= runOffUntil;
}

/** Schools for which a mandate of this grantor counts: itself, and those of which it is the board. */
export const schoolsUnder = (reader: Get, grantor: string): string[] => [
  grantor,
  ...reader.list(partyCopies, { index: 'by_board', equals: [grantor] }).map(({ oin }) => oin),
];
