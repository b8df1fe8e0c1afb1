import { GatewayError, isBrin, schoolOin } from '#kernel';
import type { Gate } from '../gate.ts';
import { SCHOOL_UNKNOWN } from '../stages/authorise.ts';

/** The OIN of a school that was named by its BRIN; anything else as it is. */
export const schoolNamed = (text: string): string => {
  const brin = text.toUpperCase();
  return isBrin(brin) ? schoolOin(brin) : text;
};

/**
 * Nothing of who is unknown is not nothing that waits, or differs: what finds nothing asks this. Faults: state.missing for a party that
 * nobody registered, and a school that nobody did and no mandate names; `orBoard` = any party may stand in the place of a school.
 */
export const requireKnown = (
  { door }: Pick<Gate, 'door'>,
  { partyOin, schoolOin }: { partyOin: string; schoolOin: string },
  { orBoard = false } = {},
): Promise<void> =>
  door.chain.afresh(() => {
    if (partyOin !== '' && !door.chain.party(partyOin))
      throw new GatewayError(
        'state.missing',
        'No party has this OIN: eduk party list shows those that are registered.',
        { where: 'party_oin' },
      );
    const isKnown = door.chain.knowsSchool(schoolOin) || (orBoard && door.chain.party(schoolOin) !== undefined);
    if (schoolOin !== '' && !isKnown) throw new GatewayError('state.missing', SCHOOL_UNKNOWN, { where: 'school_oin' });
  });

/** Of a list in which what is of all is of everybody: who is not named in it has to be known. Faults: as `requireKnown`. */
export const requireNamed = (
  gate: Pick<Gate, 'door'>,
  { partyOin, schoolOin }: { partyOin: string; schoolOin: string },
  named: ReadonlySet<string>,
): Promise<void> =>
  requireKnown(gate, {
    partyOin: named.has(partyOin) ? '' : partyOin,
    schoolOin: named.has(schoolOin) ? '' : schoolOin,
  });
