/** An invented chain: who is in it, whom they teach, what they sell. Tokens stand for pupils, as behind the doors. */
import { schoolOin } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { Random } from '../parties/random.ts';

export interface SimParty {
  oin: string;
  roles: Role[];
  /** Services that its mandates name. */
  services: Service[];
}

export interface SimSchool {
  oin: string;
  learners: string[];
  groups: string[];
  staff: string[];
}

export interface SimProduct {
  id: string;
  publisher: string;
  platform: string;
  /** Nobody ever offers it: what is ordered of it must be refused in the end. */
  never: boolean;
  licensed: boolean;
}

export interface World {
  board: string;
  schools: SimSchool[];
  parties: SimParty[];
  administrations: string[];
  distributors: string[];
  publishers: string[];
  platforms: string[];
  products: SimProduct[];
}

const { SERVICE_ROSTER, SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ACCESS, SERVICE_RESULT, SERVICE_USAGE } = Service;

const oin = (n: number): string => `0000000300000${String(n).padStart(7, '0')}`;
const names = (what: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${what}-${i + 1}`);

/** The same random numbers invent the same chain. */
export function inventWorld(random: Random): World {
  const board = oin(1);
  const administrations = [oin(11), oin(12)].slice(0, random.between(1, 2));
  const distributors = [oin(21)];
  const publishers = [oin(31), oin(32)];
  const platforms = [oin(41), oin(42)].slice(0, random.between(1, 2));
  const schools = Array.from({ length: random.between(2, 3) }, (_, i) => ({
    oin: schoolOin(`9${i + 1}ZX`),
    learners: names(`learner-${i + 1}`, random.chance(0.2) ? 24 : random.between(4, 9)),
    groups: names(`group-${i + 1}`, random.between(2, 3)),
    staff: names(`staff-${i + 1}`, random.between(1, 2)),
  }));
  const products = Array.from({ length: random.between(4, 7) }, (_, i): SimProduct => {
    const publisher = random.pick(publishers);
    return {
      id: `product-${i + 1}`,
      publisher,
      platform: random.chance(0.6) ? random.pick(platforms) : publisher,
      never: i === 0 && random.chance(0.5),
      licensed: random.chance(0.85),
    };
  });
  const party = (all: readonly string[], role: Role, services: Service[]): SimParty[] =>
    all.map((one) => ({ oin: one, roles: [role], services }));
  return {
    board,
    schools,
    administrations,
    distributors,
    publishers,
    platforms,
    products,
    parties: [
      { oin: board, roles: [Role.ROLE_BOARD], services: [] },
      ...schools.map(({ oin: school }) => ({ oin: school, roles: [Role.ROLE_SCHOOL], services: [] })),
      ...party(administrations, Role.ROLE_ADMINISTRATION, [SERVICE_ROSTER, SERVICE_ORDER, SERVICE_RESULT]),
      ...party(distributors, Role.ROLE_DISTRIBUTOR, [SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ROSTER]),
      ...party(publishers, Role.ROLE_PUBLISHER, [SERVICE_ORDER, SERVICE_ENTITLEMENT, SERVICE_ROSTER]),
      ...party(platforms, Role.ROLE_PLATFORM, [
        SERVICE_ROSTER,
        SERVICE_ENTITLEMENT,
        SERVICE_ACCESS,
        SERVICE_RESULT,
        SERVICE_USAGE,
      ]),
    ],
  };
}
