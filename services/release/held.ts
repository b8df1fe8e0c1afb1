import { Clear, type Client } from '#kernel';
import type { HeldPerson, HeldText, Pseudonymous, VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';

/** All that the vault holds of a school, for that school itself: no mandate limits it, and nobody else is given it. */

type Vault = Pick<Client<typeof VaultServiceDefinition>, 'showPeople' | 'showTexts'>;

/** People or texts that are asked for at once. */
const PAGE = 500;

/** Whoever is held, with every number, and the pseudonyms by which these receivers know them. The school is the receiver. */
export async function everyoneHeld(
  vault: Vault,
  schoolOin: string,
  purpose: string,
  pseudonymsOf: Pseudonymous[],
): Promise<Clear<HeldPerson[]>> {
  const all: HeldPerson[] = [];
  for (let after = 0n; ; ) {
    const asked = { schoolOin, after, limit: PAGE, partyOin: schoolOin, purpose, pseudonymsOf };
    const { people, next } = await vault.showPeople(asked);
    all.push(...people);
    if (next === 0n) return new Clear(all);
    after = next;
  }
}

/** All texts that are held, with the pseudonyms by which these receivers know them where they are keys. */
export async function everyTextHeld(
  vault: Vault,
  schoolOin: string,
  purpose: string,
  pseudonymsOf: Pseudonymous[],
): Promise<Clear<HeldText[]>> {
  const all: HeldText[] = [];
  for (let after = ''; ; ) {
    const asked = { schoolOin, after, limit: PAGE, partyOin: schoolOin, purpose, pseudonymsOf };
    const { texts, next } = await vault.showTexts(asked);
    all.push(...texts);
    if (next === '') return new Clear(all);
    after = next;
  }
}
