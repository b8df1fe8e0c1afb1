import type { Mandate } from '#proto/eduk/core/v1/party';
import type { Chain } from '../chain.ts';

/** Whether a mandate is of the school named; of a board: of one of its schools, or given by it. */
export const isOfSchool = (chain: Chain, mandate: Mandate, named: string): boolean =>
  mandate.schoolOin === named || mandate.boardOin === named || chain.party(mandate.schoolOin)?.boardOin === named;
