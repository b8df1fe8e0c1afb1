/** Where an administration answers for one school: its settings, with the address that OSR has where they say so. */
import { dutchDay } from '#kernel';
import { BY_OSR, registeredAddress } from '../register/route.ts';
import type { Door } from '../submission.ts';
import type { AdministrationSettings, Protocol, SchoolAt } from './settings.ts';

/** Faults: gateway.unavailable (OSR has no address of it). */
export function addressed(
  { chain, clock }: Pick<Door, 'chain' | 'clock'>,
  settings: AdministrationSettings,
  { schoolOin, administration }: SchoolAt,
  protocol: Protocol,
): AdministrationSettings {
  const field = protocol === 'getrapt' ? 'getrapt' : 'leerlinggegevens';
  const address = settings[field];
  if (!address.startsWith(BY_OSR)) return settings;
  const url = registeredAddress(chain.between(schoolOin, settings.partyOin), {
    ...{ namespace: address.slice(BY_OSR.length), school: schoolOin, administration },
    today: dutchDay(clock.now()),
  });
  return { ...settings, [field]: url };
}

/** Who has no address for it only gets results. */
export const isAsked = ({ leerlinggegevens, getrapt }: AdministrationSettings): boolean =>
  leerlinggegevens !== '' || getrapt !== '';
