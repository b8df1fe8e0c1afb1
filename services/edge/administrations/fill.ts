/** The vault as doors see it: of schools that keep no names here, with what their administrations say. */
import type { Client } from '#kernel';
import { Person } from '#proto/eduk/core/v1/learner';
import type { Revealed, VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { type AttributeName, tablesOf } from '#release';
import type { Chain } from '../chain.ts';
import type { AskedNames } from './names.ts';

type Vault = Client<typeof VaultServiceDefinition>;

/**
 * Keeps nothing of such a school's people in the vault, and puts what its administration says in the place of what the vault holds.
 * Faults of what shows names: peer.unavailable besides the vault's own; then nothing was shown.
 */
export function withAskedNames(vault: Vault, chain: Pick<Chain, 'isOnDemand'>, names: Pick<AskedNames, 'of'>): Vault {
  return {
    ...vault,
    identify: (request) =>
      vault.identify(chain.isOnDemand(request.schoolOin) ? { ...request, fleeting: true } : request),
    async reveal(request) {
      const { schoolOin, wanted, names: isNamed, contact, pairwise, numbers } = request;
      if (!chain.isOnDemand(schoolOin) || !(isNamed || contact) || wanted.length === 0) return vault.reveal(request);
      // Asked first: what cannot be told is not counted as told.
      const people = await names.of(schoolOin, wanted);
      // The account is known by the pseudonym that stands for numbers too.
      const { revealed } = await vault.reveal({ ...request, numbers: numbers || (pairwise && contact) });
      return people.reveal((known) => ({
        revealed: revealed.map((one, i) => {
          if (!one.known) return one;
          const person = shown(known.get(wanted[i]!.token), isNamed, contact);
          const accountName = person.accountName && pairwise ? (one.ref?.lasKey ?? '') : person.accountName;
          return { ...one, ref: numbers ? one.ref : undefined, person: { ...person, accountName } };
        }),
      }));
    },
    async takeReveal(request) {
      // It is told once, so that what cannot be had is found out before.
      const { asked } = await vault.listAskedReveals({ schoolOin: '' });
      const of = asked.find(({ requestId, state }) => requestId === request.requestId && state === 'approved');
      const wants = tablesOf(new Set((of?.attributes ?? []) as AttributeName[]));
      if (!of || !chain.isOnDemand(of.schoolOin) || !(wants.names || wants.contact)) return vault.takeReveal(request);
      const people = await names.of(
        of.schoolOin,
        of.tokens.map((token) => ({ token, nameMark: new Uint8Array(0) })),
      );
      const answer = await vault.takeReveal(request);
      return people.reveal((known) => ({
        ...answer,
        revealed: answer.revealed.map(
          (one, i): Revealed =>
            one.known
              ? { ...one, person: shown(known.get(answer.asked!.tokens[i]!), wants.names, wants.contact) }
              : one,
        ),
      }));
    },
  };
}

/** As the vault would have it: of each table all that it holds, or nothing. */
function shown(person: Person | undefined, names: boolean, contact: boolean): Person {
  const { email = '', accountName = '', ...rest } = person ?? {};
  return Person.fromPartial({ ...(names ? rest : {}), ...(contact ? { email, accountName } : {}) });
}
