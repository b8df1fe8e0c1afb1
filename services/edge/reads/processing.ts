/** What is processed of a school, why, for whom and how long: from what is agreed, configured and used now. Nobody is looked up. */
import { brinOf, GatewayError, isSchoolOin } from '#kernel';
import { type Mandate, Party, Role, type Service } from '#proto/eduk/core/v1/party';
import type {
  ProcessedParty,
  ProcessedService,
  ShowProcessingResponse,
  StoppedParty,
} from '#proto/eduk/operator/v1/operator';
import {
  type AttributeName,
  attributes,
  everything,
  givenOf,
  judgeAttributes,
  linkableBy,
  tellLinks,
  tellPurposes,
} from '#release';
import { leavesOn, terms } from '../../bus/retention.ts';
import type { Caller } from '../caller.ts';
import type { Chain } from '../chain.ts';
import type { Gate } from '../gate.ts';
import { readDeclared } from '../processing.ts';
import { receiverOf } from '../purpose.ts';
import { type Uses, useOf, usesOf } from './reviews.ts';

/** Since when and why a party is stopped; undefined = it is not. */
export function stoppedOf(chain: Chain, oin: string): StoppedParty | undefined {
  const standing = chain.standing(oin);
  return standing && standing.stoppedMs > 0n
    ? { oin, sinceMs: standing.stoppedMs, reason: standing.reason }
    : undefined;
}

/** An attribute by which pseudonyms can be linked, as it is called; what is none stays what it is. */
const inDutch = (link: string): string =>
  everything.has(link as AttributeName) ? attributes[link as AttributeName].nl.replace(/\.$/, '').toLowerCase() : link;

/** How long identities rest in the vault: as long as nobody forgets their learner. */
const VAULT = { retention: 'VAULT', leavesOn: '' };

export async function showProcessing(
  { door, processing }: Pick<Gate, 'door' | 'processing'>,
  schoolOin: string,
): Promise<ShowProcessingResponse> {
  const { chain, services, clock } = door;
  if (!isSchoolOin(schoolOin)) throw new GatewayError('wire.invalid', 'This is no school.', { where: 'school_oin' });
  if (!chain.knowsSchool(schoolOin))
    throw new GatewayError('state.missing', 'No school is known under this OIN.', { where: 'school_oin' });
  const declared = readDeclared(processing?.file);
  const atMs = clock.now();
  const [uses, { rosters }, { perHour }] = await Promise.all([
    usesOf(door, schoolOin),
    services.rosters.listSchools({ schoolOin }),
    services.vault.showReveals({}),
  ]);
  const school =
    chain.party(schoolOin) ??
    Party.fromPartial({ oin: schoolOin, name: `School ${brinOf(schoolOin) ?? schoolOin}`, roles: [Role.ROLE_SCHOOL] });
  const mandates = chain.mandates().filter((mandate) => mandate.schoolOin === schoolOin);
  const parties = [...new Set(mandates.map(({ partyOin }) => partyOin))].sort();
  return {
    atMs: BigInt(atMs),
    school,
    board: school.boardOin === '' ? undefined : chain.party(school.boardOin),
    operator: declared.operator,
    processorFor: processing?.processorFor ?? '',
    subprocessors: declared.subprocessors ?? [],
    subprocessorsKnown: declared.subprocessors !== undefined,
    parties: parties.map((oin) =>
      partyOf(
        chain,
        uses,
        oin,
        mandates.filter(({ partyOin }) => partyOin === oin),
      ),
    ),
    retention: [
      chain.isOnDemand(schoolOin) ? { ...VAULT, retention: 'VAULT_NO_NAMES' } : VAULT,
      // The engine's own rows leave with the work that they describe.
      ...Object.keys(terms)
        .filter((retention) => retention !== 'RETENTION_ENGINE')
        .map((retention) => ({ retention, leavesOn: leavesOn(retention, atMs) ?? '' })),
    ],
    engine: processing?.engine ?? '',
    revealsPerHour: perHour,
    countedSince: uses.countedSince,
    schoolYears: [...new Set(rosters.map(({ schoolYear }) => schoolYear))].sort().reverse(),
    publicUrl: door.publicUrl(),
    ...(chain.isOnDemand(schoolOin) ? { identity: 'on-demand' } : {}),
    attributes: [...everything].map((name) => ({
      name,
      about: attributes[name].nl,
      restsIn: attributes[name].from,
    })),
  };
}

function partyOf(chain: Chain, uses: Uses, oin: string, of: readonly Mandate[]): ProcessedParty {
  const party = chain.party(oin);
  const caller: Caller = { kind: 'party', oin, roles: new Set(party?.roles ?? []) };
  const receiver = receiverOf({ chain }, caller);
  const { schoolOin } = of[0]!;
  const pairwise = chain.isPairwise(schoolOin, oin);
  const earlier = of.some((mandate) => !mandate.pairwise);
  const named = new Set(of.flatMap(({ services, narrowed }) => [...services, ...narrowed]));
  const services = [...named]
    .sort((a, b) => a - b)
    .map((service: Service): ProcessedService => {
      const agreement = chain.judge(schoolOin, oin, service);
      const verdicts = judgeAttributes(receiver, agreement, service);
      const links = pairwise ? linkableBy(verdicts, service, earlier) : [];
      const use = useOf(uses, schoolOin, oin, service);
      return {
        service,
        code: agreement.fault ?? '',
        mandateIds: agreement.mandates.map(({ mandateId }) => mandateId),
        purposesTold: tellPurposes(
          agreement.mandates.flatMap(({ purposes }) => purposes),
          'nl',
        ),
        attributes: [...givenOf(verdicts)],
        pairwise: pairwise && agreement.fault === undefined,
        linkableTold: agreement.fault === undefined ? tellLinks(links.map(inDutch), pairwise, 'nl') : '',
        firstUsedOn: use?.first ?? '',
        lastUsedOn: use?.last ?? '',
      };
    });
  return {
    oin,
    name: party?.name ?? '',
    roles: party?.roles ?? [],
    mandates: [...of].map((mandate) => chain.shown(mandate)).sort((a, b) => (a.mandateId < b.mandateId ? -1 : 1)),
    services,
    endpoints: (party?.endpoints ?? []).map(({ standard }) => standard),
    stopped: stoppedOf(chain, oin),
  };
}
