import { Mandate, MandateState, type RegisteredEndpoint, type SchoolMandate } from '#proto/eduk/core/v1/party';
import type { ChangeMandateRequest, PartyName } from '#proto/eduk/operator/v1/operator';
import { day, oin, schoolFlag, siteCode } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { agreed, goingFlags, goingJson, goingSaid, LET_GO, UNCOUNTED, withheldShown } from '../going.ts';
import { counted, list, table } from '../print.ts';
import { misuse, Problem, refusalIn } from '../problem.ts';
import { mandateStates, purposes, services } from '../words.ts';

export const mandateJson = (mandate: Mandate) => ({
  mandateId: mandate.mandateId,
  schoolOin: mandate.schoolOin,
  partyOin: mandate.partyOin,
  services: mandate.services.map(services.word),
  attributes: mandate.attributes,
  state: mandateStates.word(mandate.state),
  validFrom: mandate.validFrom || null,
  validUntil: mandate.validUntil || null,
  runOffUntil: mandate.runOffUntil || null,
  agreement: mandate.agreement || null,
  agreementVersion: mandate.agreementVersion || null,
  purposes: mandate.purposes.map(purposes.word),
  siteCodes: mandate.siteCodes,
  pairwise: mandate.pairwise,
  boardOin: mandate.boardOin || null,
  boardMandateId: mandate.boardMandateId || null,
  narrowed: mandate.narrowed.map(services.word),
  enteredBy: mandate.enteredBy || null,
  requiresAcceptance: mandate.requiresAcceptance,
  confirmedBy: mandate.confirmedBy || null,
  acceptedBy: mandate.acceptedBy || null,
  endedBy: mandate.endedBy || null,
  source: mandate.source || null,
  sourceService: mandate.sourceService || null,
  endpoints: mandate.endpoints.map(endpointJson),
  partyStopped: mandate.partyStopped ?? false,
});

export const endpointJson = ({ routingId, url, kind, validFrom, validUntil }: RegisteredEndpoint) => ({
  routingId,
  url,
  kind: kind || null,
  validFrom: validFrom || null,
  validUntil: validUntil || null,
});

/** An OIN under its name, where the gateway knows one. */
export const named = (oin: string, names: readonly PartyName[]): string => {
  const name = names.find((one) => one.oin === oin)?.name;
  return name ? `${name}\n${oin}` : oin;
};

export function mandateTable(mandates: readonly Mandate[], names: readonly PartyName[] = []): string {
  return table(
    ['mandate', 'school\nparty', 'services', 'state'],
    mandates.map((mandate) => [
      `${mandate.mandateId}\n${from(mandate, names)}`,
      `${named(mandate.schoolOin, names)}\n${named(mandate.partyOin, names)}`,
      serviceWords(mandate),
      stateWords(mandate),
    ]),
  );
}

/** Whose it is, and who entered it where that was an operator. */
function from({ boardOin, boardMandateId, enteredBy, source }: Mandate, names: readonly PartyName[]): string {
  if (source !== '') return `of the school\nfrom ${source.toUpperCase()}`;
  const entered = enteredBy === 'operator' ? '\nentered by an operator' : '';
  if (boardOin === '') return `of the school${entered}`;
  const whole = boardMandateId ? `\npart of ${boardMandateId}` : '';
  return `of the board ${named(boardOin, names)}${whole}${entered}`;
}

/** What holds, and of a board's what the school took out of it. */
function serviceWords({ services: holding, narrowed, state, pairwise, purposes: why, siteCodes }: Mandate): string {
  const held = [
    holding.map(services.word).join(', '),
    ...(pairwise && holding.length > 0 ? ['under pseudonyms'] : []),
    ...(why.length > 0 ? [`for ${why.map(purposes.word).join(', ')}`] : []),
    ...(siteCodes.length > 0 ? [`only site ${siteCodes.join(', ')}`] : []),
  ].join('\n');
  const out = narrowed.filter((service) => !holding.includes(service)).map(services.word);
  if (out.length === 0 || state === MandateState.MANDATE_STATE_ENDED) return held || out.join(', ');
  return [held, `not ${out.join(', ')}: the school decides`].filter(Boolean).join('\n');
}

function stateWords({
  state,
  runOffUntil,
  validFrom,
  validUntil,
  boardOin,
  services: holding,
  narrowed,
  ...mandate
}: Mandate): string {
  const word = mandateStates.word(state);
  const bySchool = boardOin !== '' && holding.some((service) => narrowed.includes(service)) ? ['by the school'] : [];
  const stopped =
    mandate.partyStopped && state !== MandateState.MANDATE_STATE_ENDED
      ? ['gives nothing:', 'its party is stopped']
      : [];
  if (state === MandateState.MANDATE_STATE_RUN_OFF)
    return [word, ...bySchool, ...stopped, `until ${runOffUntil}`].join('\n');
  const days = [...(validFrom ? [`from ${validFrom}`] : []), ...(validUntil ? [`until ${validUntil}`] : [])];
  return [
    word,
    ...(state === MandateState.MANDATE_STATE_ENDED ? bySchool : []),
    ...(state === MandateState.MANDATE_STATE_ENDED && mandate.endedBy !== '' && mandate.endedBy === mandate.partyOin
      ? ['refused by the party']
      : []),
    ...(state === MandateState.MANDATE_STATE_UNCONFIRMED ? waitsFor(mandate) : []),
    ...stopped,
    ...days,
  ].join('\n');
}

/** Whose word is wanting; a mandate that needs no acceptance waits for its school alone, which its state says. */
function waitsFor({
  requiresAcceptance,
  acceptedBy,
  confirmedBy,
}: Pick<Mandate, 'requiresAcceptance' | 'acceptedBy' | 'confirmedBy'>): string[] {
  if (!requiresAcceptance) return [];
  const wanting = [...(confirmedBy === '' ? ['the school'] : []), ...(acceptedBy === '' ? ['the party'] : [])];
  return wanting.length === 0 ? [] : [`waits for ${wanting.join(' and ')}`];
}

const schoolJson = ({ mandate, autorisatiesleutel }: SchoolMandate) => {
  const { schoolOin, mandateId, state, services: holding, narrowed } = mandate ?? Mandate.fromPartial({});
  return {
    schoolOin,
    mandateId,
    state: mandateStates.word(state),
    services: holding.map(services.word),
    narrowed: narrowed.map(services.word),
    autorisatiesleutel: autorisatiesleutel || null,
  };
};

/** What a board's grant is in each of its schools. */
function schoolsTable(schools: readonly SchoolMandate[]): string {
  const keys = schools.some(({ autorisatiesleutel }) => autorisatiesleutel !== '');
  return table(
    ['school\nmandate', 'services', 'state', ...(keys ? ['autorisatiesleutel'] : [])],
    schools.map(({ mandate = Mandate.fromPartial({}), autorisatiesleutel }) => [
      `${mandate.schoolOin}\n${mandate.mandateId}`,
      serviceWords(mandate),
      stateWords(mandate),
      ...(keys ? [autorisatiesleutel || '(as before)'] : []),
    ]),
  );
}

/** What is told where the school has confirmed and the party's word is wanting. */
export const wantsAcceptance = (mandateId: string): string =>
  `Nothing is routed until the party has accepted it: it calls AcceptMandate, or eduk mandate accept ${mandateId}`;

/** The answer to a command about one mandate. */
function told(
  mandateId: string,
  state: MandateState,
  autorisatiesleutel: string,
  schools: readonly SchoolMandate[] = [],
): Result {
  const json = { mandateId, state: mandateStates.word(state), autorisatiesleutel: autorisatiesleutel || null };
  if (schools.length > 0)
    return {
      json: { ...json, schools: schools.map(schoolJson) },
      text: `${list([
        ['mandate', mandateId],
        ['of a board', `in each of ${counted(schools.length, 'school')}`],
        ['state', json.state],
      ])}\n\n${schoolsTable(schools)}`,
    };
  return {
    json,
    text: list([
      ['mandate', mandateId],
      ['state', json.state],
      ['autorisatiesleutel', autorisatiesleutel],
    ]),
  };
}

/** Throws what was refused, and what nobody has decided within the time that the gateway waits: then no state is known. */
function decided(decision: Parameters<typeof refusalIn>[0], flowId: string): void {
  const refusal = refusalIn(decision);
  if (refusal) throw refusal;
  if (!decision?.outcome)
    throw new Problem(
      'peer.unknown_outcome',
      `Accepted, but not decided yet; follow it with eduk flow show ${flowId}`,
      { who: 'us' },
    );
}

export const grantMandate: Command = {
  name: 'mandate grant',
  about: 'Enter a school’s agreement that a party may have something; nothing is routed until it is confirmed.',
  flags: {
    school: {
      ...schoolFlag('The school, registered or not yet; or a board by its OIN, for all its schools.'),
      required: true,
    },
    party: { about: 'The party that may have it.', value: 'OIN', required: true, check: oin },
    service: { about: 'What it is for.', value: 'SERVICE', required: true, many: true, choices: services.all },
    attributes: { about: 'What the party may receive; without it the service’s default.', value: 'NAME', many: true },
    'valid-from': { about: 'First Dutch day.', value: 'DAY', check: day },
    'valid-until': { about: 'Last Dutch day.', value: 'DAY', check: day },
    agreement: { about: 'Reference of the processing agreement.', value: 'REFERENCE' },
    'agreement-version': { about: 'Its version.', value: 'VERSION' },
    purpose: { about: 'For what the party may process it.', value: 'PURPOSE', many: true, choices: purposes.all },
    site: {
      about: 'Only learners whom a roster of this site names: two digits, repeatable. Without it the whole school.',
      value: 'CODE',
      many: true,
      check: siteCode,
    },
    'requires-acceptance': { about: 'It holds only once the party has accepted it too.' },
    pairwise: {
      about: 'The party gets pseudonyms of its own instead of ECK iDs, keys and account names, for all services.',
    },
    confirm: { about: 'Confirm it at once, standing in for the school.' },
  },
  notes: [
    'Of a board each school has a mandate of its own: what a school narrows or withdraws is the school’s to give again, and a later grant of the board leaves it out.',
    'A school that comes to the board later is not in it; grant anew, and schools that have it keep what they have.',
    'The autorisatiesleutel belongs to school and party. It is printed at their first grant only; eduk mandate key --renew makes a new one.',
  ],
  async run(call): Promise<Result> {
    const mandate = Mandate.fromPartial({
      schoolOin: call.one('school')!,
      partyOin: call.one('party')!,
      services: call.all('service').map(services.value),
      attributes: [...call.all('attributes')],
      validFrom: call.one('valid-from') ?? '',
      validUntil: call.one('valid-until') ?? '',
      agreement: call.one('agreement') ?? '',
      agreementVersion: call.one('agreement-version') ?? '',
      purposes: call.all('purpose').map(purposes.value),
      siteCodes: [...call.all('site')],
      requiresAcceptance: call.has('requires-acceptance'),
      pairwise: call.has('pairwise'),
    });
    const { mandateId, state, autorisatiesleutel, flowId, decision, schools } = await call
      .gateway()
      .ask('grantMandate', { mandate, confirm: call.has('confirm') });
    decided(decision, flowId);
    const said: string[] = [];
    if (state === MandateState.MANDATE_STATE_UNCONFIRMED)
      said.push(
        call.has('confirm')
          ? wantsAcceptance(mandateId)
          : `Nothing is routed until it is confirmed: eduk mandate confirm ${mandateId}`,
      );
    // The key is shown once: nothing that fails from here on may keep it back.
    const known = await call
      .gateway()
      .ask('listParties', { oin: mandate.partyOin })
      .catch(() => undefined);
    if (known?.parties.length === 0)
      said.push(
        `Nobody is registered as ${mandate.partyOin} yet; if that is no mistake in the OIN: eduk party add --oin ${mandate.partyOin} …`,
      );
    said.push(...(await withheld(call, mandate, schools[0]?.mandate?.schoolOin ?? mandate.schoolOin)));
    return {
      ...told(mandateId, state, autorisatiesleutel, schools),
      ...(said.length > 0 ? { said: said.join('\n') } : {}),
    };
  },
};

/** Which of the attributes that a mandate names the party gets for none of its services, and how to see why. */
async function withheld(call: Call, { partyOin, attributes }: Mandate, schoolOin: string): Promise<string[]> {
  if (attributes.length === 0) return [];
  const preview = await call
    .gateway()
    .ask('previewRelease', { partyOin, schoolOin })
    .catch(() => undefined);
  if (!preview || preview.services.length === 0) return [];
  const against = ['not_declared', 'role'];
  const never = attributes.filter((name) =>
    preview.services.every((service) =>
      service.attributes.some((one) => one.name === name && one.reasons.some((reason) => against.includes(reason))),
    ),
  );
  if (never.length === 0) return [];
  return [
    `Not released, whatever the mandate names: ${never.join(', ')}. To see why: eduk release preview --party ${partyOin} --school ${schoolOin}`,
  ];
}

async function change(
  call: Call,
  asked: Omit<ChangeMandateRequest, 'mandateId'>,
  mandateId = call.args('MANDATE')[0]!,
): Promise<Result> {
  if (asked.change === 'confirm' || asked.change === 'accept') {
    const preview = () => call.gateway().ask('previewWithheld', { mandateId, change: asked.change });
    if (call.has('preview')) return withheldShown(await preview());
    await agreed(call, async () => (await preview()).going);
  }
  const { state, autorisatiesleutel, flowId, decision, schools, going, uncounted } = await call
    .gateway()
    .ask('changeMandate', { mandateId, ...asked });
  decided(decision, flowId);
  const parts = schools.map((mandate) => ({ mandate, autorisatiesleutel: '' }));
  const wanting: Record<string, string> = {
    confirm: wantsAcceptance(mandateId),
    accept: `Nothing is routed until the school has confirmed it: eduk mandate confirm ${mandateId}`,
  };
  const wants = state === MandateState.MANDATE_STATE_UNCONFIRMED ? wanting[asked.change] : undefined;
  const said = wants ?? (uncounted ? UNCOUNTED : goingSaid(going, LET_GO));
  const answer = told(mandateId, state, autorisatiesleutel, parts);
  return { ...answer, json: { ...(answer.json as object), ...goingJson(going, uncounted) }, ...(said ? { said } : {}) };
}

const which = [
  { name: 'MANDATE', about: 'Its id, as eduk mandate list shows it; of a board’s grant, the one that its parts name.' },
] as const;

export const confirmMandate: Command = {
  name: 'mandate confirm',
  about: 'Confirm a mandate for the school; what waits for it is then sent in order.',
  arguments: which,
  flags: goingFlags,
  run: (call) => change(call, { change: 'confirm', runOffUntil: '' }),
};

export const acceptMandate: Command = {
  name: 'mandate accept',
  about: 'Accept a mandate, standing in for its party; it holds once the school has confirmed it too.',
  arguments: which,
  notes: ['On loopback only: elsewhere the party accepts it itself, by AcceptMandate.'],
  flags: goingFlags,
  run: (call) => change(call, { change: 'accept', runOffUntil: '' }),
};

export const refuseMandate: Command = {
  name: 'mandate refuse',
  about: 'Refuse a mandate, standing in for its party; it ends at once.',
  arguments: which,
  notes: ['On loopback only: elsewhere the party refuses it itself, by RefuseMandate.'],
  run: (call) => change(call, { change: 'refuse', runOffUntil: '' }),
};

export const withdrawMandate: Command = {
  name: 'mandate withdraw',
  about: 'Stop a mandate now, or let it run off.',
  arguments: which,
  flags: {
    'run-off-until': {
      about: 'No new orders or grants; what runs may go on through this day. Without it everything stops at once.',
      value: 'DAY',
      check: day,
    },
  },
  run(call) {
    const until = call.one('run-off-until');
    return change(
      call,
      until === undefined ? { change: 'stop', runOffUntil: '' } : { change: 'run_off', runOffUntil: until },
    );
  },
};

const filters = {
  school: schoolFlag('Of this school, or of the schools of this board.'),
  party: { about: 'Of this party.', value: 'OIN', check: oin },
} as const;

export const listMandates: Command = {
  name: 'mandate list',
  about: 'List mandates with their state.',
  flags: filters,
  async run(call): Promise<Result> {
    const { mandates, names } = await call
      .gateway()
      .ask('listMandates', { schoolOin: call.one('school') ?? '', partyOin: call.one('party') ?? '' });
    const nameOf = (oin: string) => names.find((one) => one.oin === oin)?.name ?? null;
    return {
      json: mandates.map((mandate) => ({
        ...mandateJson(mandate),
        schoolName: nameOf(mandate.schoolOin),
        partyName: nameOf(mandate.partyOin),
        boardName: nameOf(mandate.boardOin),
      })),
      text: mandates.length === 0 ? 'No mandates.' : mandateTable(mandates, names),
    };
  },
};

export const mandateKey: Command = {
  name: 'mandate key',
  about: 'Make a new autorisatiesleutel for the school and party of a mandate; the old one stops working.',
  arguments: [{ ...which[0], optional: true }],
  flags: { ...filters, renew: { about: 'Needed: the key that there is cannot be shown.' } },
  notes: ['Name the mandate, or the school and the party.'],
  async run(call): Promise<Result> {
    if (!call.has('renew'))
      throw misuse('The key that there is cannot be shown; eduk mandate key --renew makes a new one.');
    const asked = { change: 'key', runOffUntil: '' };
    const [mandateId] = call.args('MANDATE');
    if (mandateId !== undefined) return change(call, asked, mandateId);
    const [schoolOin, partyOin] = [call.one('school'), call.one('party')];
    if (schoolOin === undefined || partyOin === undefined)
      throw misuse('Name the mandate, or --school BRIN|OIN and --party OIN.');
    const { mandates } = await call.gateway().ask('listMandates', { schoolOin, partyOin });
    // Any mandate of the pair leads to its key; one that still holds is the likelier to be taken.
    const mandate = mandates.find(({ state }) => state !== MandateState.MANDATE_STATE_ENDED) ?? mandates[0];
    if (!mandate) throw new Problem('state.missing', 'This school gave this party no mandate.');
    return change(call, asked, mandate.mandateId);
  },
};
