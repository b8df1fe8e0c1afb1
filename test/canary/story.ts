/**
 * What happens in earnest, with invented identities where identity belongs: the bodies of docs/grpc, in their order, a
 * file, a question over UWLR, and webhooks. Whoever is entitled must get them, or the search afterwards proves nothing.
 */
import { join } from 'node:path';
import { credentials, Client as GrpcClient } from '@grpc/grpc-js';
import { Role, type Service } from '#proto/eduk/core/v1/party';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { attributes } from '#release';
import { parties, school } from '../../docs/grpc/seed.ts';
import { edexml, uwlrQuestion } from '../chain/files.ts';
import { type WireClient, wire } from '../chain/gateway.ts';
import { Receiver } from '../chain/receiver.ts';
import { openAdministration } from './administration.ts';
import { type Canary, inAscii, type Kind } from './identities.ts';
import { asks, type Body, tells, workingBodies } from './operations.ts';
import { eachField, encodedAs, kindOf, type Message, type Sowing, until } from './sowing.ts';

/** Where documents of adapters are put, so that they do not end what the bodies of docs/grpc began. */
export const otherSchool = '0000000700099ZY00000';
/** What there is to release, for those that may have it; what a mandate without a list gives is less. */
const everyAttribute: string[] = Object.keys(attributes);
const ALL = [1, 2, 3, 4, 5, 6, 7, 8] as Service[];

/** What a party shows over UWLR. */
export interface Klant {
  sleutel: string;
  klantcode: string;
  klantnaam: string;
}

export interface Cast {
  operator: WireClient<typeof OperatorServiceDefinition>;
  klant: Klant;
  /** Webhooks: of a party that may know all, of one that may know next to nothing, of one that may know nothing. */
  hooks: Record<'platform' | 'modest' | 'stranger', Receiver>;
  /** What peers answered with. */
  told: Canary[];
  close(): Promise<void>;
}

/**
 * A receiver that says back what it was told, and something of its own, in every place that an answer has; each third
 * time it takes what it is sent.
 */
function rude(receiver: Receiver, words: () => Canary): void {
  let times = 0;
  receiver.behaviour = ({ body }, response, socket) => {
    times += 1;
    if (times % 3 === 0) return undefined;
    const own = words().value;
    const line = inAscii(String(body)).slice(0, 6_000);
    const plain = inAscii(own);
    if (times % 7 === 4) {
      socket.end(`HTTP/1.1 ${plain}\r\n${plain}: ${line}\r\n\r\n${own}`);
      return 'handled';
    }
    response.writeHead([500, 422, 302, 429][times % 4]!, `${plain} ${line.slice(0, 200)}`, {
      'x-echo': `${plain} ${line}`,
      'set-cookie': `${plain}=${plain}`,
      location: `/${encodeURIComponent(own)}`,
      'retry-after': times % 2 ? plain : '0',
      'content-type': plain,
      trailer: 'x-end',
    });
    response.addTrailers({ 'x-end': plain });
    response.end(`${own} ${body}`);
    return 'handled';
  };
}

export async function gather(sowing: Sowing): Promise<Cast> {
  const channel = new GrpcClient(sowing.subject.grpc, credentials.createInsecure());
  const operator = wire(OperatorServiceDefinition, channel, `Bearer ${sowing.subject.operatorKey}`);
  sowing.keep(sowing.subject.operatorKey, 'the operator');
  const hooks = { platform: await Receiver.open(), modest: await Receiver.open(), stranger: await Receiver.open() };
  const told: Canary[] = [];
  rude(hooks.platform, () => {
    const one = sowing.plant('words of a peer', 'webhook', 'an answer of the receiver');
    told.push(one);
    return one;
  });
  const klant: Klant = { sleutel: '', klantcode: '', klantnaam: '' };
  const all = [
    ...parties.map((party) => ({
      ...party,
      services: party.services.length > 0 ? ALL : [],
      attributes: everyAttribute,
    })),
    {
      caller: 'modest',
      oin: '00000099100000006000',
      name: 'Weinig',
      roles: [Role.ROLE_DISTRIBUTOR],
      services: ALL,
      attributes: ['year_group'],
    },
    {
      caller: 'stranger',
      oin: '00000099100000007000',
      name: 'Niets',
      roles: [Role.ROLE_PLATFORM],
      services: [],
      attributes: [] as string[],
    },
  ];
  const administration = await openAdministration(
    sowing,
    join(sowing.subject.folders[0]!.path, 'administrations'),
    otherSchool,
    [school],
  );
  sowing.administration = administration;
  for (const { caller, oin, name, roles, services, attributes: may } of all) {
    const hook = hooks[caller as keyof typeof hooks] as Receiver | undefined;
    const endpoints = hook ? ['webhook', 'webhook-mandates'].map((standard) => ({ standard, url: hook.url })) : [];
    if (caller === 'administration') endpoints.push({ standard: 'uwlr', url: administration.results });
    const party = { oin, name, roles, endpoints, attributes: may };
    const added = await operator.addParty({ party });
    sowing.keys.set(caller, added.apiKey);
    for (const secret of [added.apiKey, added.clientSecret]) sowing.keep(secret, caller);
    if (hook) {
      hook.secret = added.webhookSecret;
      sowing.keep(added.webhookSecret.slice('whsec_'.length), caller);
    }
    for (const schoolOin of services.length > 0 ? [school, otherSchool] : []) {
      const { autorisatiesleutel } = await operator.grantMandate({
        mandate: { schoolOin, partyOin: oin, services, attributes: may },
        confirm: true,
      });
      sowing.keep(autorisatiesleutel, caller);
      if (caller === 'platform' && schoolOin === otherSchool)
        Object.assign(klant, { sleutel: autorisatiesleutel, klantcode: added.klantcode, klantnaam: added.klantnaam });
    }
  }
  return {
    operator,
    klant,
    hooks,
    told,
    async close() {
      for (const hook of Object.values(hooks)) await hook.close();
      await administration.close();
      channel.close();
      sowing.caller.close();
    },
  };
}

/** A machine with other work is slow; what does not come in this time does not come. */
const PATIENCE_MS = 60_000;
/** Ends mandates and learners: kept for the end. */
const LAST = new Set(['PartyService.WithdrawMandate', 'PartyService.RefuseMandate', 'IdentityService.ForgetLearner']);
/** The same identity wherever the bodies have the same value. */
class Roles {
  readonly #known = new Map<string, Canary>();
  readonly #sowing: Sowing;
  constructor(sowing: Sowing) {
    this.#sowing = sowing;
  }

  of(kind: Kind, was: string, name: string, path: string): Canary {
    const key = `${kind}|${was}`;
    const known = was === '' ? undefined : this.#known.get(key);
    if (known) return known;
    const made = this.#sowing.plant(kind, name, path, true);
    if (was !== '') this.#known.set(key, made);
    return made;
  }

  /** Puts identities into a message of docs/grpc; persons and grants get all that they can have. */
  into({ name, type }: Body['operation'], message: Message): void {
    const isRoster = name === 'RosterService.PushRoster';
    if (isRoster) {
      const roster = message['roster'] as { sites: Message[]; learners: Message[]; groups: Message[] };
      roster.sites = [{ key: 's1', name: 's1', description: 's1 description' }];
      for (const learner of roster.learners) learner['siteKey'] = 's1';
      for (const group of roster.groups) group['description'] = 'of 7a';
    }
    if (name === 'EntitlementService.GrantEntitlements') message['activationCode'] = `code of ${message['reference']}`;
    eachField(type, message, (holder, field, path) => {
      const kind = kindOf(field);
      if (kind === undefined) return;
      const isOfPerson = /(^|\.)person\./.test(path);
      const change = (was: string): string => (was === '' && !isOfPerson ? '' : this.of(kind, was, name, path).value);
      holder[field.name] = field.repeated
        ? (holder[field.name] as string[]).map(change)
        : change(String(holder[field.name] ?? ''));
    });
    const { payload } = (message['result'] ?? {}) as { payload?: Message };
    if (payload) {
      payload['score'] = Number(this.of('score', '', name, 'result.payload.score').value);
      payload['scoreMax'] = 1000;
    }
  }
}

export interface Story {
  /** Flow of the order for pupils. */
  orderFlow: string;
  /** The bodies, with identities in their places: messages to be changed from here on. */
  bodies: { body: Body; messages: Message[] }[];
  /** Kept for the end. */
  end(): Promise<void>;
}

const TOO_SOON = /^(state\.missing|product\.unknown|learner\.unknown)$/;

export async function tell(sowing: Sowing, cast: Cast): Promise<Story> {
  const roles = new Roles(sowing);
  let [ticket, orderFlow] = ['', ''];
  const bodies = workingBodies().map((body) => {
    const messages = body.messages();
    for (const message of messages) roles.into(body.operation, message);
    return { body, messages };
  });
  const send = async ({ body, messages }: (typeof bodies)[number], fine = /^$/): Promise<void> => {
    const { operation: op, caller } = body;
    if (op.name === 'AccessService.RedeemLaunch') messages[0]!['ticket'] = ticket;
    let code = '';
    await until(async () => {
      const answer = await sowing.call(
        op,
        caller,
        messages.map((one) => encodedAs(op, one)),
        {
          may: tells(op) ? 'entitled' : 'nobody',
          listenMs: 800,
        },
      );
      code = answer.code;
      for (const one of answer.messages) {
        const said = op.method.responseType.decode(one) as {
          ticket?: string;
          flowId?: string;
          decision?: { code: string };
          refusals?: { code: string }[];
        };
        if (op.name === 'AccessService.CreateLaunch' && said.ticket) {
          ticket = said.ticket;
          sowing.keep(ticket.split('.')[1]!, caller, true);
        }
        if (op.name === 'OrderService.PlaceOrder') orderFlow ||= said.flowId ?? '';
        code ||= said.decision?.code || said.refusals?.[0]?.code || '';
      }
      return !TOO_SOON.test(code);
    }, PATIENCE_MS);
    if (code !== '' && !fine.test(code))
      sowing.problems.push(`${op.name} should have been taken, and was answered ${code}`);
  };
  for (const one of bodies) if (!LAST.has(one.body.operation.name)) await send(one);

  // UWLR has a place for whole points only, and the canary of a score has decimals: without this one nothing might go out over it.
  const returned = bodies.find(({ body }) => body.operation.name === 'ResultService.ReturnResults')!;
  const whole = structuredClone(returned.messages[0]!);
  const result = whole['result'] as Message & { payload: Message };
  whole['reference'] = 'canary-whole';
  Object.assign(result, { resultId: 'canary-whole', payload: { ...result.payload, score: 8 } });
  await send({ body: returned.body, messages: [whole] });

  // The same over the other doors, for another school.
  const pupil = {
    key: sowing.plant('key of the administration', 'edexml', 'leerling key', true).value,
    eckId: sowing.plant('ECK iD', 'edexml', 'leerling eckid', true).value,
    name: sowing.plant('family name', 'edexml', 'achternaam', true).value,
    group: sowing.plant('text of a school', 'edexml', 'groep key', true).value.replaceAll(' ', '-'),
  };
  const groupName = sowing.plant('text of a school', 'edexml', 'groep naam', true).value;
  const file = edexml({ school: otherSchool, groupName, groups: [pupil.group], pupils: [pupil] });
  const posted = await sowing.fetch('POST /edexml', '/edexml', {
    method: 'POST',
    headers: { authorization: `Bearer ${sowing.keys.get('administration')}` },
    body: file,
  });
  if (posted.status !== 202)
    sowing.problems.push(`POST /edexml should have been taken, and was answered ${posted.status}`);
  const asked = await until(async () => {
    const { status, text } = await sowing.fetch(
      'uwlr/leerlinggegevens',
      '/soap/uwlr/v2/leerlinggegevens',
      {
        method: 'POST',
        headers: { 'content-type': 'text/xml' },
        body: uwlrQuestion({ ...cast.klant, school: otherSchool }),
      },
      'entitled',
    );
    return status === 200 && text.includes(pupil.name);
  }, PATIENCE_MS);
  if (!asked) sowing.problems.push('UWLR did not answer with the pupil of the file');
  const fileOf = (who: string, may: 'nobody' | 'entitled') =>
    sowing.fetch(
      'GET /edexml',
      `/edexml?school=${otherSchool}&schooljaar=2026-2027`,
      { headers: { authorization: `Bearer ${sowing.keys.get(who)}` } },
      may,
    );
  if (!(await fileOf('administration', 'entitled')).text.includes(pupil.name))
    sowing.problems.push('GET /edexml did not answer with the pupil of the file');
  await fileOf('stranger', 'nobody');

  return {
    bodies,
    orderFlow,
    async end() {
      // One of the messages with something wrong in it may have done it already.
      for (const one of bodies)
        if (LAST.has(one.body.operation.name)) await send(one, /^(mandate\.ended|learner\.unknown|state\.conflict)$/);
    },
  };
}

/** Looks at what was sent to webhooks, and at what the two that may know little can ask. */
export async function others(sowing: Sowing, cast: Cast): Promise<void> {
  for (const [name, may] of [
    ['platform', 'entitled'],
    ['modest', 'nobody'],
    ['stranger', 'nobody'],
  ] as const)
    for (const { body } of cast.hooks[name].requests)
      sowing.looking.at(`sent to ${may === 'entitled' ? 'who is entitled' : 'others'}`, body, may);
  for (const { problems } of Object.values(cast.hooks)) sowing.problems.push(...problems);
  if (cast.hooks.platform.requests.length === 0 || cast.hooks.modest.requests.length === 0)
    sowing.problems.push('a webhook was not called');
  if (cast.hooks.stranger.requests.length > 0) sowing.problems.push('a party without a mandate was told something');
  for (const body of workingBodies().filter(({ operation }) => asks(operation))) {
    for (const who of ['modest', 'stranger'])
      await sowing.call(body.operation, who, [encodedAs(body.operation, body.messages()[0])], { listenMs: 300 });
  }
}
