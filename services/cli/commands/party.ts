import { isSchoolOin, MANDATES_WEBHOOK, NOT_SENT, SENT_BY, WEBHOOK } from '#kernel';
import { type Endpoint, type Mandate, Party, Role } from '#proto/eduk/core/v1/party';
import type { GoingMail, KeptMail } from '#proto/eduk/delivery/v1/delivery';
import type { PreviewEndpointsResponse, RegisteredProofs } from '#proto/eduk/operator/v1/operator';
import type { SchoolRoster } from '#proto/eduk/rosters/v1/rosters';
import { endpoint, endpointLimit, oin, school, schoolNamed, splitEndpoint, splitLimit } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { agreed, goingFlags, goingJson, goingSaid, goingTable, UNCHANGED } from '../going.ts';
import { chosenFrom, fromFlag, keptJson, keptSaid, keptTable } from '../kept.ts';
import { dutchTime, isoTime, list, table } from '../print.ts';
import { misuse, Problem, refusalIn } from '../problem.ts';
import { secretRows, secretsJson } from '../secrets.ts';
import { roles } from '../words.ts';
import { mandateJson, mandateTable } from './mandate.ts';
import { stoppedJson } from './stop.ts';

const partyJson = ({
  oin,
  name,
  roles: numbers,
  endpoints,
  boardOin,
  sectors,
  attributes,
  requiresAcceptance,
}: Party) => ({
  oin,
  name,
  roles: numbers.map(roles.word),
  endpoints: endpoints.map(({ standard, url, maxInFlight, maxPerSecond }) => ({
    standard,
    url,
    ...(maxInFlight ? { maxInFlight } : {}),
    ...(maxPerSecond ? { maxPerSecond } : {}),
  })),
  boardOin: boardOin || null,
  sectors,
  attributes,
  requiresAcceptance,
});

const isPushed = ({ standard, url }: Endpoint): boolean => SENT_BY.includes(standard) && url !== NOT_SENT;

const wentSaid = (going: readonly GoingMail[]): string => goingSaid(going, 'To the address that stands now');

/** What stands now and would be sent, or elsewhere. */
const previewed = ({ kept, going }: PreviewEndpointsResponse): Result => ({
  json: { kept: [], going: [], ...keptJson(kept), ...goingJson(going) },
  text:
    kept.length + going.length === 0
      ? 'Nothing of before would be sent, or go elsewhere.'
      : [
          ...(kept.length > 0 ? [`Kept, not sent before; --from says what of it is:\n\n${keptTable(kept)}`] : []),
          ...(going.length > 0 ? [`Would go to the address that is named:\n\n${goingTable(going)}`] : []),
        ].join('\n\n'),
  said: UNCHANGED,
});

const rolesOf = (party: Party): string => party.roles.map(roles.word).join(', ');

export const addParty: Command = {
  name: 'party add',
  about: 'Register a party and print its secrets, which are shown this once.',
  flags: {
    oin: { about: 'Its organisation identification number.', value: 'OIN', required: true, check: oin },
    name: { about: 'What it is called.', value: 'NAME', required: true },
    role: { about: 'What it does in the chain.', value: 'ROLE', required: true, many: true, choices: roles.all },
    endpoint: {
      about: 'Where it answers for a standard.',
      value: 'STANDARD=URL',
      many: true,
      check: endpoint,
      split: /,(?=[A-Za-z][\w.-]*=(?:[a-z]+:|none(?:,|$)))/,
    },
    'endpoint-limit': {
      about: 'Requests that an endpoint named here may have at once, and in a second. Without it as many as it takes.',
      value: 'STANDARD=AT_ONCE/PER_SECOND',
      many: true,
      check: endpointLimit,
    },
    from: fromFlag,
    ...goingFlags,
    board: { about: 'For a school: its board, which is registered.', value: 'OIN', check: oin },
    sector: {
      about: 'For a school: the sectors of its enrolments.',
      value: 'SECTOR',
      many: true,
      choices: ['po', 'vo', 'mbo'],
    },
    attributes: {
      about: 'What it declares that it needs of a learner: it gets nothing else. Without it the service’s default.',
      value: 'NAME',
      many: true,
    },
    'requires-acceptance': { about: 'A mandate for it holds only once it has accepted that one.' },
  },
  notes: [
    'Mail is sent to an endpoint webhook=URL, and news of its own mandates to webhook-mandates=URL, signed with the secret that is printed when its address is new: docs/webhooks.md.',
    'Of one service to an address of its own: webhook-order=URL, webhook-entitlement=URL, webhook-roster=URL, webhook-result=URL; with none for the URL it is not sent, but watched. What was sent elsewhere before goes on there where it was.',
    'A party that is registered already gets these roles and endpoints and keeps its secrets: they are printed as null.',
    'Attributes named again replace those declared before: docs/attributes.md; eduk release preview says what they come to.',
  ],
  async run(call): Promise<Result> {
    const limits = new Map(
      call.all('endpoint-limit').map((value) => [splitLimit(value)!.standard, splitLimit(value)!]),
    );
    const named = new Set(call.all('endpoint').map((value) => splitEndpoint(value)![0]));
    for (const standard of limits.keys())
      if (!named.has(standard)) throw misuse(`A limit needs its endpoint too: --endpoint ${standard}=URL.`);
    const party: Party = {
      oin: call.one('oin')!,
      name: call.one('name')!,
      roles: call.all('role').map(roles.value),
      endpoints: call.all('endpoint').map((value) => {
        const [standard, url] = splitEndpoint(value)!;
        return { ...limits.get(standard), standard, url };
      }),
      boardOin: call.one('board') ?? '',
      sectors: [...call.all('sector')],
      attributes: [...call.all('attributes')],
      requiresAcceptance: call.has('requires-acceptance'),
    };
    const gateway = call.gateway();
    let kept: readonly KeptMail[] = [];
    const preview = () => gateway.ask('previewEndpoints', { party });
    if (call.has('preview')) return previewed(await preview());
    if (party.endpoints.some(isPushed)) {
      const fromMs = await chosenFrom(call, preview);
      if (fromMs !== undefined) {
        party.endpoints = party.endpoints.map((one) => (isPushed(one) ? { ...one, fromMs } : one));
        ({ kept } = await preview());
      }
    } else if (call.has('from')) throw misuse('--from needs an endpoint that mail is sent to: --endpoint webhook=URL.');
    await agreed(call, async () => (await preview()).going);
    const answer = await gateway.ask('addParty', { party });
    const refusal = refusalIn(answer.decision);
    if (refusal) throw refusal;
    const json = {
      oin: party.oin,
      clientId: answer.clientId,
      clientSecret: answer.clientSecret || null,
      apiKey: answer.apiKey || null,
      certificate: null,
      privateKey: null,
      uwlr: { klantcode: answer.klantcode, klantnaam: answer.klantnaam },
      ...(party.endpoints.some(({ standard }) => standard === WEBHOOK)
        ? { webhookSecret: answer.webhookSecret || null }
        : {}),
      ...(party.endpoints.some(({ standard }) => standard === MANDATES_WEBHOOK)
        ? { mandatesWebhookSecret: answer.mandatesWebhookSecret || null }
        : {}),
      ...secretsJson(answer),
      ...keptJson(kept),
      ...goingJson(answer.going),
      ...(party.endpoints.some(({ standard }) => standard === 'holdings')
        ? { holdingsSecret: answer.holdingsSecret || null }
        : {}),
    };
    const said = [
      ...[keptSaid(kept), wentSaid(answer.going)].filter((line) => line !== ''),
      ...(answer.existed
        ? ['This party was registered already; its secrets stay as they are and are not shown again.']
        : []),
      ...party.endpoints
        .filter(({ standard }) => standard !== 'holdings' && !SENT_BY.includes(standard))
        .map(
          ({ standard }) => `Nothing is sent to an endpoint ${standard}: this gateway sends to ${SENT_BY.join(', ')}.`,
        ),
      // The secrets exist only in this answer, so it is printed although the decision is still to come.
      ...(answer.decision?.outcome
        ? []
        : [`Accepted, not decided yet; follow it with eduk flow show ${answer.flowId}`]),
    ];
    return {
      json,
      said: said.join('\n'),
      text: list([
        ['oin', json.oin],
        ['client id', json.clientId],
        ['client secret', json.clientSecret ?? '(as before)'],
        ['api key', json.apiKey ?? '(as before)'],
        ['klantcode', json.uwlr.klantcode],
        ['klantnaam', json.uwlr.klantnaam],
        ...(answer.webhookSecret ? [['webhook secret', answer.webhookSecret] as [string, string]] : []),
        ...(answer.mandatesWebhookSecret
          ? [['webhook-mandates secret', answer.mandatesWebhookSecret] as [string, string]]
          : []),
        ...(answer.holdingsSecret ? [['holdings secret', answer.holdingsSecret] as [string, string]] : []),
        ...secretRows(answer),
      ]),
    };
  },
};

export const removeEndpoint: Command = {
  name: 'party endpoint remove',
  about: 'Take an endpoint from a party; nothing is sent there any more, and what waits stays in its mailbox.',
  flags: {
    oin: { about: 'The party.', value: 'OIN', required: true, check: oin },
    standard: {
      about: 'Of which standard: webhook, webhook-order, uwlr …',
      value: 'STANDARD',
      required: true,
      offers: [...SENT_BY, 'holdings'],
    },
    from: fromFlag,
    ...goingFlags,
  },
  notes: [
    'With eduk party add --endpoint it gets one again, and what waited is sent.',
    'A mailbox that had a webhook of its own goes on by the party’s webhook, if it has one.',
  ],
  async run(call): Promise<Result> {
    const gateway = call.gateway();
    const [named, standard] = [call.one('oin')!, call.one('standard')!];
    const preview = () =>
      gateway.ask('previewEndpoints', { party: Party.fromPartial({ oin: named }), without: standard });
    if (call.has('preview')) return previewed(await preview());
    const fromMs = await chosenFrom(call, preview);
    await agreed(call, async () => (await preview()).going);
    const asked = { oin: named, standard, ...(fromMs === undefined ? {} : { fromMs }) };
    const { party, flowId, decision, going } = await gateway.ask('removeEndpoint', asked);
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    const left = party?.endpoints ?? [];
    return {
      json: {
        oin: call.one('oin')!,
        endpoints: left.map(({ standard, url }) => ({ standard, url })),
        ...goingJson(going),
      },
      text: left.length === 0 ? 'It has no endpoint any more.' : list(left.map(({ standard, url }) => [standard, url])),
      ...(decision?.outcome
        ? going.length > 0
          ? { said: wentSaid(going) }
          : {}
        : { said: `Accepted, not decided yet; follow it with eduk flow show ${flowId}` }),
    };
  },
};

export const listParties: Command = {
  name: 'party list',
  about: 'List the parties in the chain.',
  flags: { role: { about: 'Only parties with this role.', value: 'ROLE', choices: roles.all } },
  async run(call): Promise<Result> {
    const role = call.one('role');
    const { parties, stopped } = await call
      .gateway()
      .ask('listParties', role === undefined ? {} : { role: roles.value(role) });
    const stops = new Map(stopped.map((one) => [one.oin, one]));
    const since = (oin: string): string => {
      const stop = stops.get(oin);
      return stop ? `stopped since ${dutchTime(stop.sinceMs)} (${stop.reason})` : '';
    };
    return {
      json: parties.map((party) => {
        const stop = stops.get(party.oin);
        return { ...partyJson(party), stopped: stop ? stoppedJson(stop) : null };
      }),
      text:
        parties.length === 0
          ? 'No parties.'
          : table(
              ['oin', 'name', 'roles', ...(stops.size > 0 ? ['state'] : [])],
              parties.map((party) => [
                party.oin,
                party.name,
                rolesOf(party),
                ...(stops.size > 0 ? [since(party.oin)] : []),
              ]),
            ),
    };
  },
};

/** The rosters that a school sent, by site and administration: what is known of its sites. */
const sitesJson = (years: readonly SchoolRoster[]) =>
  years.flatMap(({ schoolYear, sites }) =>
    sites.map((site) => ({
      schoolYear,
      siteCode: site.siteCode || null,
      administration: site.administration || null,
      learners: site.learners,
      lastSeen: isoTime(site.seenMs),
      madeAt: isoTime(site.madeMs),
      byOin: site.byOin || null,
      replacedAt: isoTime(site.endedMs),
    })),
  );

const sitesTable = (years: readonly SchoolRoster[]): string =>
  table(
    ['school year', 'site', 'administration', 'learners', 'last seen', ''],
    years.flatMap(({ schoolYear, sites }) =>
      sites.map((site) => [
        schoolYear,
        site.siteCode || 'whole school',
        site.administration,
        site.learners,
        dutchTime(site.seenMs),
        site.endedMs > 0n ? `replaced ${dutchTime(site.endedMs)}` : '',
      ]),
    ),
  );

const proofsJson = ({ clientId, hasSecret, beforeUntilMs, jwksUrl, keys }: RegisteredProofs) => ({
  clientId: clientId || null,
  secret: hasSecret,
  oldSecretUntil: isoTime(beforeUntilMs),
  jwksUrl: jwksUrl || null,
  keys: keys.map(({ kid, alg, kty, untilMs }) => ({
    kid: kid || null,
    alg: alg || null,
    kty,
    until: isoTime(untilMs),
  })),
});

/** By what it can prove itself; never the thing itself. */
const proofRows = ({ clientId, hasSecret, beforeUntilMs, jwksUrl, keys }: RegisteredProofs): [string, string][] => [
  ['client id', clientId],
  [
    'client secret',
    hasSecret ? `given${beforeUntilMs > 0n ? `; the one before holds until ${dutchTime(beforeUntilMs)}` : ''}` : '',
  ],
  [
    'signs with',
    [
      ...(jwksUrl === '' ? [] : [`keys at ${jwksUrl}`]),
      ...keys.map(({ kid, alg, kty, untilMs }) =>
        [kid || 'a key without name', alg || kty, untilMs > 0n ? `until ${dutchTime(untilMs)}` : '']
          .filter(Boolean)
          .join(', '),
      ),
    ].join('\n'),
  ],
];

export const showParty: Command = {
  name: 'party show',
  about: 'Show a party with its endpoints, keys and the mandates it has or gave; of a school also its sites.',
  arguments: [{ name: 'OIN', about: 'The party; a school also by its BRIN.' }],
  async run(call): Promise<Result> {
    const named = partyNamed(call);
    const gateway = call.gateway();
    const [{ parties, proofs, stopped, signIns }, { parties: schools }, has, gave, { years }] = await Promise.all([
      gateway.ask('listParties', { oin: named }),
      gateway.ask('listParties', { role: Role.ROLE_SCHOOL }),
      gateway.ask('listMandates', { partyOin: named }),
      gateway.ask('listMandates', { schoolOin: named }),
      isSchoolOin(named) ? gateway.ask('listSites', { schoolOin: named }) : { years: [] },
    ]);
    const party = parties[0];
    if (!party) throw new Problem('state.missing', 'No party has this OIN.');
    const ofBoard = schools.filter(({ boardOin }) => boardOin === named);
    const names = [...has.names, ...gave.names];
    const mandates: Mandate[] = [...has.mandates, ...gave.mandates.filter(({ partyOin }) => partyOin !== named)];
    const facts = list([
      ['oin', party.oin],
      ['name', party.name],
      ['roles', rolesOf(party)],
      ['board', party.boardOin],
      ['schools', ofBoard.map(({ name, oin }) => `${name}, ${oin}`).join('\n')],
      ['sectors', party.sectors.join(', ')],
      ['declares', party.attributes.join(', ')],
      ['stopped', stopped[0] ? `since ${dutchTime(stopped[0].sinceMs)} (${stopped[0].reason})` : ''],
      ['sign in by', (signIns[0]?.numbers ?? []).join(', ')],
      ...party.endpoints.map((one): [string, string] => [
        one.standard,
        [one.url === NOT_SENT ? 'not sent: it is watched' : one.url, ...limitWords(one)].join(', '),
      ]),
      ...(proofs ? proofRows(proofs) : []),
    ]);
    return {
      json: {
        ...partyJson(party),
        stopped: stopped[0] ? stoppedJson(stopped[0]) : null,
        schools: ofBoard.map(({ oin, name }) => ({ oin, name })),
        proofs: proofs ? proofsJson(proofs) : null,
        signIn: signIns[0]?.numbers ?? [],
        sites: sitesJson(years),
        mandates: mandates.map(mandateJson),
      },
      text: [
        facts,
        ...(years.some(({ sites }) => sites.length > 0) ? [sitesTable(years)] : []),
        mandates.length === 0 ? 'No mandates.' : mandateTable(mandates, names),
      ].join('\n\n'),
    };
  },
};

const limitWords = ({ maxInFlight, maxPerSecond }: Endpoint): string[] => [
  ...(maxInFlight ? [`${maxInFlight} at once`] : []),
  ...(maxPerSecond ? [`${maxPerSecond} a second`] : []),
];

function partyNamed(call: Call): string {
  const named = call.args('OIN')[0]!;
  const wrong = school(named);
  if (wrong) throw new Problem('wire.invalid', `OIN ${wrong}.`, { exit: 2 });
  return schoolNamed(named);
}
