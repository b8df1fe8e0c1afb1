import { readFileSync } from 'node:fs';
import { oin } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { dutchTime, list } from '../print.ts';
import { misuse, refusalIn } from '../problem.ts';
import { secretRows, secretsJson } from '../secrets.ts';

/** Hours that old secrets hold by default, and at most. */
const OVERLAP_H = 24;
const MOST_H = 720;

const partyNamed = (call: Call): string => {
  const named = call.args('OIN')[0]!;
  const wrong = oin(named);
  if (wrong) throw misuse(`OIN ${wrong}.`);
  return named;
};

export const renewSecret: Command = {
  name: 'party secret renew',
  about: 'Make a party a new client secret and API key, printed this once; the old ones hold a while.',
  arguments: [{ name: 'OIN', about: 'The party.' }],
  flags: {
    overlap: {
      about: `How long the old ones hold beside the new; default ${OVERLAP_H}, 0 when they leaked.`,
      value: 'HOURS',
      check: (value) =>
        /^\d{1,3}$/.test(value) && Number(value) <= MOST_H ? undefined : `must be 0 to ${MOST_H} hours`,
    },
    webhooks: {
      about: 'Instead, renew what its webhooks are signed with; both sign until the old one holds no longer.',
    },
  },
  notes: ['Tokens that were issued before are good for ten minutes at most.'],
  async run(call): Promise<Result> {
    const party = partyNamed(call);
    const overlapS = Number(call.one('overlap') ?? OVERLAP_H) * 3600;
    const webhooks = call.has('webhooks');
    const answer = await call.gateway().ask('renewSecret', { oin: party, overlapS, webhooks });
    const refusal = refusalIn(answer.decision);
    if (refusal) throw refusal;
    const { clientId, clientSecret, apiKey, beforeUntilMs, flowId, decision } = answer;
    const until = beforeUntilMs > 0n ? new Date(Number(beforeUntilMs)).toISOString() : null;
    const { webhookSecret, mandatesWebhookSecret, holdingsSecret } = answer;
    const ofWebhooks = { webhookSecret, mandatesWebhookSecret, holdingsSecret };
    const named: [string, string][] = webhooks
      ? [
          ['webhook secret', webhookSecret],
          ['webhook-mandates secret', mandatesWebhookSecret],
          ['holdings secret', holdingsSecret],
        ]
      : [
          ['client id', clientId],
          ['client secret', clientSecret],
          ['api key', apiKey],
        ];
    const given = Object.fromEntries(Object.entries(ofWebhooks).map(([name, secret]) => [name, secret || null]));
    return {
      json: {
        oin: party,
        ...(webhooks ? { ...given, ...secretsJson(answer) } : { clientId, clientSecret, apiKey }),
        oldUntil: until,
      },
      text: list([
        ['oin', party],
        ...named.filter(([, secret]) => secret !== ''),
        ...(webhooks ? secretRows(answer) : []),
        ['old ones hold', until === null ? 'no longer' : `until ${dutchTime(beforeUntilMs)}`],
      ]),
      // The secrets exist only in this answer, so it is printed although the decision is still to come.
      ...(decision?.outcome ? {} : { said: `Accepted, not decided yet; follow it with eduk flow show ${flowId}` }),
    };
  },
};

export const partyKeys: Command = {
  name: 'party keys',
  about: 'Register the public keys by which a party signs (private_key_jwt), instead of those it had.',
  arguments: [{ name: 'OIN', about: 'The party.' }],
  flags: {
    jwks: {
      about: 'A JSON Web Key Set: its address, from which renewed keys are fetched, or a file.',
      value: 'URL|FILE',
      required: true,
    },
  },
  async run(call): Promise<Result> {
    const party = partyNamed(call);
    const given = call.one('jwks')!;
    const isUrl = /^https?:\/\//i.test(given);
    let jwks = new Uint8Array(0);
    if (!isUrl)
      try {
        jwks = new Uint8Array(readFileSync(given));
      } catch (error) {
        throw misuse(`--jwks names a file that cannot be read (${(error as NodeJS.ErrnoException).code}).`);
      }
    const answer = await call.gateway().ask('setKeys', { oin: party, jwksUrl: isUrl ? given : '', jwks });
    const refusal = refusalIn(answer.decision);
    if (refusal) throw refusal;
    return {
      json: { oin: party, clientId: answer.clientId, jwks: isUrl ? given : null },
      text: list([
        ['oin', party],
        ['client id', answer.clientId],
        ['keys', isUrl ? `at ${given}` : 'as in the file'],
      ]),
      ...(answer.decision?.outcome
        ? {}
        : { said: `Accepted, not decided yet; follow it with eduk flow show ${answer.flowId}` }),
    };
  },
};

/** Numbers of an organisation, by the flag that gives them. */
const numberFlags = {
  kvk: { form: /^\d{8}(\/\d{12})?$/, is: 'must be eight digits, and for one branch / and twelve more' },
  rsin: { form: /^\d{9}$/, is: 'must be nine digits' },
  brin: { form: /^\d{2}[A-Z]{2}(\d{2})?$/, is: 'must be a BRIN such as 99AA, or that of a site, 99AA01' },
} as const;
const ofForm = (name: keyof typeof numberFlags) => (value: string) =>
  numberFlags[name].form.test(value) ? undefined : numberFlags[name].is;

export const partySignIn: Command = {
  name: 'party signin',
  about: 'Say by which numbers of a board or school its authorised persons sign in, instead of those it had.',
  arguments: [{ name: 'OIN', about: 'The board or school.' }],
  flags: {
    kvk: {
      about: 'Of the Chamber of Commerce; with /BRANCH for persons authorised for one branch.',
      value: 'NUMBER',
      many: true,
      check: ofForm('kvk'),
    },
    rsin: { about: 'Of the tax office (RSIN).', value: 'NUMBER', many: true, check: ofForm('rsin') },
    'by-oin': { about: 'As a provider says it that knows organisations by OIN.', value: 'OIN', many: true, check: oin },
    brin: {
      about: 'As a provider says it that knows schools by BRIN.',
      value: 'BRIN',
      many: true,
      check: ofForm('brin'),
    },
    none: { about: 'Nobody signs in for it any more; open sessions end.' },
  },
  notes: ['Where they sign in, and what the provider must say of them: docs/sign-in.md.'],
  async run(call): Promise<Result> {
    const party = partyNamed(call);
    const numbers = (['kvk', 'rsin', 'by-oin', 'brin'] as const).flatMap((name) =>
      call.all(name).map((value) => `${name.replace('by-', '')}:${value}`),
    );
    if ((numbers.length === 0) !== call.has('none'))
      throw misuse('Name at least one number (--kvk, --rsin, --by-oin, --brin), or --none.');
    const answer = await call.gateway().ask('setSignIn', { oin: party, numbers });
    const refusal = refusalIn(answer.decision);
    if (refusal) throw refusal;
    return {
      json: { oin: party, signIn: numbers },
      text:
        numbers.length === 0 ? 'Nobody signs in for it any more.' : list(numbers.map((one) => ['signs in by', one])),
      ...(answer.decision?.outcome
        ? {}
        : { said: `Accepted, not decided yet; follow it with eduk flow show ${answer.flowId}` }),
    };
  },
};
