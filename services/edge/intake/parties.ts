import { createHash } from 'node:crypto';
import {
  GatewayError,
  isPartyOin,
  isSchoolOin,
  isSiteCode,
  isWebhook,
  type Networks,
  NOT_SENT,
  newId,
  SERVICE_WEBHOOKS,
  UWLR,
  WEBHOOK,
} from '#kernel';
import { type Mandate, MandateState, Party, Role, Service } from '#proto/eduk/core/v1/party';
import type { CredentialDigests, DefaultAttributes } from '#proto/eduk/events/v1/parties';
import {
  AcceptMandateRequest,
  ConfirmMandateRequest,
  GrantMandateRequest,
  RefuseMandateRequest,
  WithdrawMandateRequest,
} from '#proto/eduk/gateway/v1/party';
import {
  AddPartyRequest,
  ChangeMandateRequest,
  GrantMandateRequest as OperatorGrantMandateRequest,
  RemoveEndpointRequest,
} from '#proto/eduk/operator/v1/operator';
import { attributesNamed, defaults, knownAttributes, knownSets, purposeWords } from '#release';
import type { Caller } from '../caller.ts';
import { HOLDINGS } from '../out/sign.ts';
import { digestOf } from '../secrets.ts';
import type { Door, Intake, OutEvent } from '../submission.ts';
import { event } from '../submission.ts';

/** Told where what is named as the school is neither one nor a registered board. */
const noSchool = (at: string): GatewayError =>
  new GatewayError(
    'wire.invalid',
    'A mandate is of a school (00000007000, BRIN, five digits), or of a registered board for all its schools.',
    { where: `${at}school_oin` },
  );

/** Form of a mandate. Whether the school is one, or a board, is for `schoolsMeant`. */
export function checkMandate(
  mandate: Pick<Mandate, 'schoolOin' | 'partyOin' | 'services' | 'attributes' | 'validFrom' | 'validUntil'> &
    Pick<Mandate, 'purposes' | 'siteCodes' | 'agreement' | 'agreementVersion'>,
  /** Path of the mandate in its message, with a dot. */
  at = '',
): void {
  if (!isPartyOin(mandate.schoolOin)) throw noSchool(at);
  if (!isPartyOin(mandate.partyOin))
    throw new GatewayError('wire.invalid', 'party_oin is not an OIN.', { where: `${at}party_oin` });
  if (
    mandate.services.length === 0 ||
    mandate.services.some((service) => service <= 0 || service > Service.SERVICE_ACT)
  )
    throw new GatewayError(
      'wire.invalid',
      'Name at least one service: roster, order, entitlement, access, result, progress, usage, staff, act.',
      { where: `${at}services` },
    );
  if (mandate.services.every((service) => service === Service.SERVICE_ACT))
    throw new GatewayError(
      'wire.invalid',
      'To act for the school is for the other services that the mandate names: name one.',
      { where: `${at}services` },
    );
  if (mandate.purposes.some((purpose) => purpose <= 0 || !(purpose in purposeWords)))
    throw new GatewayError('wire.invalid', 'This purpose is not on the list.', { where: `${at}purposes` });
  checkSites(mandate, at);
  if (mandate.agreementVersion && !mandate.agreement)
    throw new GatewayError('wire.invalid', 'A version is of an agreement: name its reference.', {
      where: `${at}agreement`,
    });
  checkAttributes(mandate.attributes, at);
  if (mandate.validFrom && mandate.validUntil && mandate.validUntil < mandate.validFrom)
    throw new GatewayError('wire.invalid', 'valid_until is before valid_from.', { where: `${at}valid_until` });
}

/** Codes of sites mean something at one school only. */
function checkSites({ schoolOin, siteCodes }: Pick<Mandate, 'schoolOin' | 'siteCodes'>, at: string): void {
  for (const [i, code] of siteCodes.entries())
    if (code === '' || !isSiteCode(code))
      throw new GatewayError('wire.invalid', 'The code of a site is two digits.', { where: `${at}site_codes[${i}]` });
  if (siteCodes.length > 0 && !isSchoolOin(schoolOin))
    throw new GatewayError('wire.invalid', 'Sites are named of one school, not of all schools of a board.', {
      where: `${at}site_codes`,
    });
}

function checkAttributes(attributes: readonly string[], at: string): void {
  for (const [i, attribute] of attributes.entries())
    if (!knownAttributes.has(attribute) && !knownSets.has(attribute))
      throw new GatewayError(
        'wire.invalid',
        `This attribute is not one of: ${[...knownAttributes].join(', ')}; nor a set of them: ${[...knownSets].join(', ')}.`,
        { where: `${at}attributes[${i}]` },
      );
}

export interface SchoolsMeant {
  /** OIN of the board that gives it for all its schools; empty = for one school. */
  board: string;
  schools: string[];
}

/**
 * The schools that a mandate is given for: the one named, or all of the board named.
 * Faults: wire.invalid (neither), state.missing (a board without schools).
 */
function schoolsMeant(door: Door, named: string, at = ''): SchoolsMeant {
  if (!door.chain.isBoard(named)) {
    if (!isSchoolOin(named)) throw noSchool(at);
    return { board: '', schools: [named] };
  }
  const schools = door.chain.schoolsOfBoard(named);
  if (schools.length === 0)
    throw new GatewayError(
      'state.missing',
      'No school of this board is registered: eduk party add --role school --board OIN names one.',
      { where: `${at}school_oin` },
    );
  return { board: named, schools };
}

/**
 * The autorisatiesleutel that a grant made, which belongs to its (school, party). One grant of a board makes one for each
 * of its schools.
 */
export const sleutelOf = (door: Pick<Door, 'derive'>, flowId: string, schoolOfBoard = ''): string =>
  door.derive('autorisatiesleutel', schoolOfBoard ? `${flowId}|${schoolOfBoard}` : flowId);

/** The key that a flow made for a pair, while it is the pair's; else empty. */
export function sleutelTold(door: Door, flowId: string, { schoolOin, partyOin }: Mandate, ofBoard: boolean): string {
  const sleutel = sleutelOf(door, flowId, ofBoard ? schoolOin : '');
  const pair = door.chain.byAutorisatiesleutel(digestOf(sleutel));
  return pair?.school === schoolOin && pair.party === partyOin ? sleutel : '';
}

export const defaultsOf = (services: readonly Service[]): DefaultAttributes[] =>
  [...new Set(services)].map((service) => ({ service, attributes: [...(defaults[service] ?? [])] }));

type Given = Pick<
  Mandate,
  | 'partyOin'
  | 'services'
  | 'attributes'
  | 'validFrom'
  | 'validUntil'
  | 'agreement'
  | 'agreementVersion'
  | 'pairwise'
  | 'purposes'
  | 'siteCodes'
  | 'requiresAcceptance'
>;

/** One mandate a school: of the board's schools each its own part, named after the whole and the school. */
export function grants(
  given: Given,
  { board, schools }: SchoolsMeant,
  from: { mandateId: string; confirm: boolean; byOin: string; flowId: string; door: Door; boardOin?: string },
): OutEvent[] {
  const { mandateId, confirm, byOin, flowId, door } = from;
  const { partyOin, services, attributes, validFrom, validUntil, agreement, agreementVersion, pairwise } = given;
  const { purposes, siteCodes, requiresAcceptance } = given;
  return schools.map((schoolOin) =>
    event(
      'MandateSubmitted',
      {
        mandate: {
          mandateId: board ? partIdOf(mandateId, schoolOin) : mandateId,
          schoolOin,
          partyOin,
          services,
          attributes: attributesNamed(attributes),
          state: MandateState.MANDATE_STATE_UNSPECIFIED,
          validFrom,
          validUntil,
          runOffUntil: '',
          agreement,
          agreementVersion,
          purposes,
          siteCodes,
          requiresAcceptance,
          confirmedBy: '',
          acceptedBy: '',
          endedBy: '',
          boardOin: board || (from.boardOin ?? ''),
          boardMandateId: board ? mandateId : '',
          narrowed: [],
          enteredBy: byOin,
          pairwise,
          // Of a register only what was read from it: see intake/register.ts.
          source: '',
          sourceService: '',
          endpoints: [],
        },
        keyDigest: door.chain.hasKey(schoolOin, partyOin)
          ? new Uint8Array(0)
          : digestOf(sleutelOf(door, flowId, board ? schoolOin : '')),
        confirm,
        byOin,
        defaults: defaultsOf(services),
      },
      schoolOin,
    ),
  );
}

/** A change of one mandate, or of each part of a board's grant that has not ended. */
export function changes(
  of: readonly Mandate[],
  asked: { change: string; runOffUntil: string; byOin: string; boardOin: string; keyDigest?: Uint8Array },
): OutEvent[] {
  const standing = of.filter(({ state }) => state !== MandateState.MANDATE_STATE_ENDED);
  const { change, runOffUntil, byOin, boardOin, keyDigest = new Uint8Array(0) } = asked;
  // Where all have ended, they are asked all the same, so that the answer is that they have.
  return (standing.length > 0 ? standing : of).map(({ schoolOin, mandateId, services, narrowed }) =>
    event(
      'MandateChangeSubmitted',
      {
        schoolOin,
        mandateId,
        change,
        runOffUntil,
        keyDigest,
        byOin,
        boardOin,
        // With either word it may come to hold, and is then compared with what stands.
        defaults: change === 'confirm' || change === 'accept' ? defaultsOf([...services, ...narrowed]) : [],
        registered: undefined,
      },
      schoolOin,
    ),
  );
}

/** Whether a mandate is of the caller's own school, or its board gave it: a school that went to another board keeps those. */
export const gives = (door: Pick<Door, 'chain'>, caller: Caller, mandate: Mandate): boolean =>
  mandate.schoolOin === caller.oin ||
  (caller.roles.has(Role.ROLE_BOARD) &&
    (mandate.boardOin === caller.oin || door.chain.party(mandate.schoolOin)?.boardOin === caller.oin));

/** Those of these for whose school the caller speaks now: a board ends what it gave a school that left it, and agrees to nothing for it. */
export function spokenFor(chain: Door['chain'], caller: Caller, mandates: readonly Mandate[]): Mandate[] {
  const own = mandates.filter(
    ({ schoolOin }) => schoolOin === caller.oin || chain.party(schoolOin)?.boardOin === caller.oin,
  );
  if (own.length === 0) throw new GatewayError('state.missing', undefined, { where: 'mandate_id' });
  return own;
}

export const grantMandate: Intake<GrantMandateRequest> = {
  method: 'PartyService/GrantMandate',
  type: 'eduk.gateway.v1.GrantMandateRequest',
  codec: GrantMandateRequest,
  roles: [Role.ROLE_SCHOOL, Role.ROLE_BOARD],
  remember: 400,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  locate: async (request, door, caller) => {
    if (
      caller.kind === 'party' &&
      caller.oin !== request.schoolOin &&
      !(caller.roles.has(Role.ROLE_BOARD) && door.chain.party(request.schoolOin)?.boardOin === caller.oin)
    )
      throw new GatewayError('state.missing', 'This is not a school of yours.', { where: 'school_oin' });
    return schoolsMeant(door, request.schoolOin);
  },
  check: (request) => checkMandate(request),
  events: (request, _found, { caller, flowId, door, located }) =>
    grants(request, located as SchoolsMeant, {
      mandateId: mandateIdOf(caller.oin, request.reference),
      confirm: true,
      byOin: caller.oin,
      boardOin: caller.oin === request.schoolOin ? '' : caller.oin,
      flowId,
      door,
    }),
};

/**
 * A mandate is named after who gave it and under which reference: a repeat names the same one, and a granter can say the
 * name before it has the answer. Of both: 24 hexadecimal digits of SHA-256.
 */
export const mandateIdOf = (granter: string, reference: string): string =>
  `m-${createHash('sha256').update(`${granter}|${reference}`).digest('hex').slice(0, 24)}`;

/** A part of a board's grant: of grant and school, so that both can say it. */
const partIdOf = (mandateId: string, school: string): string => mandateIdOf(mandateId, school);

export const withdrawMandate: Intake<WithdrawMandateRequest> = {
  method: 'PartyService/WithdrawMandate',
  type: 'eduk.gateway.v1.WithdrawMandateRequest',
  codec: WithdrawMandateRequest,
  roles: [Role.ROLE_SCHOOL, Role.ROLE_BOARD],
  remember: 400,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  locate: async (request, door, caller) => named(request, door, caller),
  events: (request, _found, { caller, located }) =>
    changes(located as Mandate[], {
      change: request.runOffUntil ? 'run_off' : 'stop',
      runOffUntil: request.runOffUntil,
      byOin: caller.oin,
      // Of a school that is its own board, the board's grant is ended by the board.
      boardOin: caller.roles.has(Role.ROLE_BOARD) ? caller.oin : '',
    }),
};

/** The mandate that a school or board names, or the parts of the board's grant. Faults: state.missing. */
function named(request: { schoolOin: string; mandateId: string }, door: Door, caller: Caller): Mandate[] {
  const { chain } = door;
  const parts = caller.oin === request.schoolOin && chain.isBoard(caller.oin) ? chain.partsOf(request.mandateId) : [];
  if (parts.length > 0 && parts.every(({ boardOin }) => boardOin === caller.oin)) return parts;
  const mandate = chain.mandate(request.mandateId);
  if (!mandate || !gives(door, caller, mandate) || mandate.schoolOin !== request.schoolOin)
    throw new GatewayError('state.missing', undefined, { where: 'mandate_id' });
  return [mandate];
}

export const confirmMandate: Intake<ConfirmMandateRequest> = {
  method: 'PartyService/ConfirmMandate',
  type: 'eduk.gateway.v1.ConfirmMandateRequest',
  codec: ConfirmMandateRequest,
  roles: [Role.ROLE_SCHOOL, Role.ROLE_BOARD],
  remember: 400,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  locate: async (request, door, caller) => spokenFor(door.chain, caller, named(request, door, caller)),
  events: (_request, _found, { caller, located }) =>
    changes(located as Mandate[], {
      change: 'confirm',
      runOffUntil: '',
      byOin: caller.oin,
      boardOin: caller.roles.has(Role.ROLE_BOARD) ? caller.oin : '',
    }),
};

/** What a party says of mandates for it, by their ids: of one, or of each part of a board's grant. */
const fromParty = (
  change: 'accept' | 'refuse',
  of: Pick<Intake, 'method' | 'type' | 'codec'>,
): Intake<AcceptMandateRequest | RefuseMandateRequest> => ({
  ...of,
  roles: [],
  remember: 400,
  reference: (request) => request.reference,
  // The parts of a board's grant are of several schools.
  school: (_request, located) => ((located as Mandate[]).length === 1 ? (located as Mandate[])[0]!.schoolOin : ''),
  locate: async ({ mandateId }, { chain }, caller) => {
    const one = chain.mandate(mandateId);
    const found = (one ? [one] : chain.partsOf(mandateId)).filter(({ partyOin }) => partyOin === caller.oin);
    if (found.length === 0) throw new GatewayError('state.missing', undefined, { where: 'mandate_id' });
    return found;
  },
  events: (_request, _found, { caller, located }) =>
    changes(located as Mandate[], { change, runOffUntil: '', byOin: caller.oin, boardOin: '' }),
});

export const acceptMandate = fromParty('accept', {
  method: 'PartyService/AcceptMandate',
  type: 'eduk.gateway.v1.AcceptMandateRequest',
  codec: AcceptMandateRequest,
});

export const refuseMandate = fromParty('refuse', {
  method: 'PartyService/RefuseMandate',
  type: 'eduk.gateway.v1.RefuseMandateRequest',
  codec: RefuseMandateRequest,
});

/** The operator's own messages have a reference made here: each call is its own. */
export function addParty(
  party: Party,
  credentials: CredentialDigests | undefined,
  networks: Networks,
): Intake<AddPartyRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/AddParty',
    type: 'eduk.operator.v1.AddPartyRequest',
    codec: AddPartyRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => (party.roles.includes(Role.ROLE_SCHOOL) ? party.oin : ''),
    locate: async (_request, { chain }) => {
      const { boardOin } = party;
      // A board that is registered by the same call is the school itself.
      if (boardOin === '' || (boardOin === party.oin && party.roles.includes(Role.ROLE_BOARD))) return;
      if (chain.isBoard(boardOin)) return;
      await chain.refresh();
      if (!chain.isBoard(boardOin))
        throw new GatewayError(
          'state.missing',
          'No board is registered under this OIN: register it first, with the role board.',
          { where: 'party.board_oin' },
        );
    },
    check: () => {
      if (!isPartyOin(party.oin))
        throw new GatewayError(
          'wire.invalid',
          'An OIN has twenty digits, or is the OIN of a school: 00000007000, the BRIN and five digits.',
          { where: 'party.oin' },
        );
      if (!party.name.trim()) throw new GatewayError('wire.invalid', 'A party needs a name.', { where: 'party.name' });
      if (party.roles.length === 0)
        throw new GatewayError('wire.invalid', 'A party needs a role.', { where: 'party.roles' });
      checkAttributes(party.attributes, 'party.');
      for (const [i, { standard, url }] of party.endpoints.entries()) {
        if (standard.startsWith(`${WEBHOOK}-`) && !isWebhook(standard))
          throw new GatewayError(
            'wire.invalid',
            'There is no such webhook: docs/webhooks.md names those that there are.',
            {
              where: `party.endpoints[${i}].standard`,
            },
          );
        if (url === NOT_SENT && SERVICE_WEBHOOKS.includes(standard)) continue;
        const problem =
          isWebhook(standard) || standard === UWLR || standard === HOLDINGS ? networks.problemWith(url) : undefined;
        if (problem)
          throw new GatewayError('wire.invalid', `The address of a webhook, for results, or of holdings, ${problem}.`, {
            where: `party.endpoints[${i}].url`,
          });
      }
    },
    events: () => {
      const named = { ...party, attributes: attributesNamed(party.attributes) };
      return [event('PartySubmitted', { party: named, credentials, withoutEndpoints: [] }, party.oin)];
    },
  };
}

/** A party no longer answers by one standard; else it is as before. */
export function removeEndpoint(oin: string): Intake<RemoveEndpointRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/RemoveEndpoint',
    type: 'eduk.operator.v1.RemoveEndpointRequest',
    codec: RemoveEndpointRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => '',
    locate: async ({ standard }, { chain }) => {
      const has = () => chain.party(oin)?.endpoints.some((endpoint) => endpoint.standard === standard) === true;
      if (has()) return;
      await chain.refresh();
      if (!chain.party(oin)) throw new GatewayError('state.missing', 'No party has this OIN.', { where: 'oin' });
      if (!has())
        throw new GatewayError('state.missing', 'The party has no endpoint of this standard.', { where: 'standard' });
    },
    events: ({ standard, fromMs }, _found, { door }) => [
      event(
        'PartySubmitted',
        {
          party: Party.fromPartial({
            oin,
            // Whichever of them takes over what was not sent begins there.
            endpoints:
              fromMs === undefined
                ? []
                : door.chain
                    .party(oin)!
                    .endpoints.filter((one) => one.standard !== standard)
                    .map((one) => ({ ...one, fromMs })),
          }),
          credentials: undefined,
          withoutEndpoints: [standard],
        },
        oin,
      ),
    ],
  };
}

/**
 * With the OIN of a board as its school, a mandate is given for all its schools. `reference`: of who may ask the same twice;
 * a mandate is named after it.
 */
export function operatorGrant(
  mandate: Mandate,
  confirm: boolean,
  reference = newId(),
): Intake<OperatorGrantMandateRequest> {
  return {
    method: 'OperatorService/GrantMandate',
    type: 'eduk.operator.v1.GrantMandateRequest',
    codec: OperatorGrantMandateRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => mandate.schoolOin,
    locate: async (_request, door) => {
      // It would be shown as active, and give nothing.
      if (door.chain.isClosed(mandate.schoolOin))
        throw new GatewayError('mandate.ended', 'This school is forgotten: nothing of it is taken in or given.', {
          where: 'mandate.school_oin',
        });
      return schoolsMeant(door, mandate.schoolOin, 'mandate.');
    },
    check: () => checkMandate(mandate, 'mandate.'),
    events: (_request, _found, { flowId, door, located }) =>
      grants(mandate, located as SchoolsMeant, {
        mandateId: mandateIdOf('operator', reference),
        confirm,
        byOin: 'operator',
        flowId,
        door,
      }),
  };
}

/** `of`: one mandate, or the parts of a board's grant: then it is the board's word. */
export function operatorChange(of: readonly Mandate[], board: string): Intake<ChangeMandateRequest> {
  const reference = newId();
  return {
    method: 'OperatorService/ChangeMandate',
    type: 'eduk.operator.v1.ChangeMandateRequest',
    codec: ChangeMandateRequest,
    roles: [Role.ROLE_OPERATOR],
    remember: 35,
    reference: () => reference,
    school: () => board || of[0]!.schoolOin,
    check: (request) => {
      if (!['confirm', 'accept', 'refuse', 'run_off', 'stop', 'key'].includes(request.change))
        throw new GatewayError('wire.invalid', 'A change is confirm, accept, refuse, run_off, stop or key.', {
          where: 'change',
        });
      if (request.change === 'run_off' && !request.runOffUntil)
        throw new GatewayError('wire.invalid', 'A run-off needs its last day.', { where: 'run_off_until' });
      if (request.change === 'key' && board)
        throw new GatewayError('wire.invalid', 'A key belongs to one school and party: name the mandate of a school.', {
          where: 'mandate_id',
        });
    },
    events: ({ change, runOffUntil }, _found, { flowId, door }) =>
      changes(of, {
        change,
        runOffUntil,
        byOin: 'operator',
        boardOin: board,
        ...(change === 'key' ? { keyDigest: digestOf(sleutelOf(door, flowId)) } : {}),
      }),
  };
}
