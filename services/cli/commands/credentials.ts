import { readFileSync } from 'node:fs';
import { oin } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { dutchTime, list } from '../print.ts';
import { misuse, refusalIn } from '../problem.ts';

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
  },
  notes: ['Tokens that were issued before are good for ten minutes at most.'],
  async run(call): Promise<Result> {
    const party = partyNamed(call);
    const overlapS = Number(call.one('overlap') ?? OVERLAP_H) * 3600;
    const answer = await call.gateway().ask('renewSecret', { oin: party, overlapS });
    const refusal = refusalIn(answer.decision);
    if (refusal) throw refusal;
    const { clientId, clientSecret, apiKey, beforeUntilMs, flowId, decision } = answer;
    const until = beforeUntilMs > 0n ? new Date(Number(beforeUntilMs)).toISOString() : null;
    return {
      json: { oin: party, clientId, clientSecret, apiKey, oldUntil: until },
      text: list([
        ['oin', party],
        ['client id', clientId],
        ['client secret', clientSecret],
        ['api key', apiKey],
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
