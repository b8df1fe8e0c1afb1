/** A party that is stopped everywhere, and goes on. */
import type { PreviewStopResponse, StoppedParty } from '#proto/eduk/operator/v1/operator';
import { oin } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { agreed, goingFlags, goingJson, goingSaid, LET_GO, UNCOUNTED, withheldShown } from '../going.ts';
import { counted, dutchTime, isoTime, list } from '../print.ts';
import { misuse, refusalIn } from '../problem.ts';
import { secretRows, secretsJson } from '../secrets.ts';
import { services } from '../words.ts';

const partyNamed = (call: Call): string => {
  const named = call.args('OIN')[0]!;
  const wrong = oin(named);
  if (wrong) throw misuse(`OIN ${wrong}.`);
  return named;
};

export const stoppedJson = ({ oin: party, sinceMs, reason }: StoppedParty) => ({
  oin: party,
  since: isoTime(sinceMs),
  reason,
});

const CASE = /^[\w.:/@+#-]{1,64}$/;

/** What a stop would come to, for a person. */
function consequences(preview: PreviewStopResponse): string {
  const { party, schools, active, runOff, unconfirmed, pairwiseSchools, endpoints, parked, proofs } = preview;
  const mandates = [
    ...(active > 0 ? [`${active} active`] : []),
    ...(runOff > 0 ? [`${runOff} that run off`] : []),
    ...(unconfirmed > 0 ? [`${unconfirmed} unconfirmed`] : []),
  ];
  return list([
    ['party', `${party?.name ?? ''}\n${party?.oin ?? ''}`],
    ['schools', schools],
    ['mandates', mandates.join(', ') || 'none'],
    ['services', preview.services.map(services.word).join(', ') || 'none'],
    ['pseudonyms', pairwiseSchools === 0 ? 'it has none' : `of ${counted(pairwiseSchools, 'school')}, renewed`],
    ['endpoints', endpoints.map(({ standard, state }) => `${standard} (${state})`).join(', ') || 'none'],
    ['waits already', counted(parked, 'message')],
    ['proves itself by', ['secret', ...proofs].join(', ')],
  ]);
}

export const stopParty: Command = {
  name: 'party stop',
  about: 'Stop a party everywhere: refuse it, send it nothing, renew its pseudonyms; say what that comes to.',
  arguments: [{ name: 'OIN', about: 'The party.' }],
  flags: {
    reason: {
      about: 'What the case is called, such as breach-2026-11: it stands in the log of what was done.',
      value: 'CASE',
      required: true,
      check: (value) =>
        CASE.test(value) ? undefined : 'must be one word of at most 64 characters, no name of a person',
    },
    yes: { about: 'Do it; without it only what it would come to is shown.' },
  },
  notes: [
    'Within seconds every door refuses its secrets, keys, certificate and tokens, and its open streams end. Mandates stay as they are and give it nothing.',
    'What is under way for it waits up to 30 days, and goes in its order when eduk party resume lets it go on.',
    'Where mandates give it pseudonyms of its own, it gets others afterwards: what leaked cannot be put beside them. Those it has are still understood from it, so that it finds its own pupils again.',
  ],
  async run(call): Promise<Result> {
    const party = partyNamed(call);
    const gateway = call.gateway();
    const preview = await gateway.ask('previewStop', { oin: party });
    const would = {
      schools: preview.schools,
      active: preview.active,
      runOff: preview.runOff,
      unconfirmed: preview.unconfirmed,
      services: preview.services.map(services.word),
      pairwiseSchools: preview.pairwiseSchools,
      endpoints: preview.endpoints.map(({ standard, state }) => ({ standard, state })),
      waiting: Number(preview.parked),
      proofs: preview.proofs,
    };
    if (preview.stopped)
      return {
        json: { oin: party, done: false, unchanged: true, stopped: stoppedJson(preview.stopped), ...would },
        text: consequences(preview),
        said: `It is stopped since ${dutchTime(preview.stopped.sinceMs)} (${preview.stopped.reason}).`,
      };
    if (!call.has('yes'))
      return {
        json: { oin: party, done: false, unchanged: false, stopped: null, ...would },
        text: consequences(preview),
        said: 'Nothing was done. With --yes it is stopped.',
      };
    const { decision, flowId, stopped, unchanged } = await gateway.ask('stopParty', {
      oin: party,
      reason: call.one('reason')!,
    });
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    return {
      json: { oin: party, done: !unchanged, unchanged, stopped: stopped ? stoppedJson(stopped) : null, ...would },
      text: consequences(preview),
      said: stopped
        ? `It is stopped. Schools are told by eduk breach --party ${party}; it goes on by eduk party resume ${party}.`
        : `Accepted, not decided yet; follow it with eduk flow show ${flowId}`,
    };
  },
};

export const resumeParty: Command = {
  name: 'party resume',
  about: 'Let a stopped party go on, its mandates as they are, with new secrets printed this once.',
  arguments: [{ name: 'OIN', about: 'The party.' }],
  flags: goingFlags,
  notes: [
    'Its secret, API key and tokens of before are refused for good; the secret of its webhook is another one.',
    'Its certificate and public keys hold again: register others first where they leaked (eduk party keys). So do keys of schools and party (autorisatiesleutel): eduk mandate key --renew.',
    'A secret that was not seen, because this command was cut off, is made anew by eduk party secret renew.',
  ],
  async run(call): Promise<Result> {
    const party = partyNamed(call);
    const preview = () => call.gateway().ask('previewWithheld', { oin: party });
    if (call.has('preview')) return withheldShown(await preview());
    await agreed(call, async () => (await preview()).going);
    const answer = await call.gateway().ask('resumeParty', { oin: party });
    const refusal = refusalIn(answer.decision);
    if (refusal) throw refusal;
    const { unchanged, clientId, clientSecret, apiKey, webhookSecret, mandatesWebhookSecret, holdingsSecret } = answer;
    const { decision, flowId } = answer;
    const json = {
      oin: party,
      resumed: !unchanged,
      clientId: clientId || null,
      clientSecret: clientSecret || null,
      apiKey: apiKey || null,
      webhookSecret: webhookSecret || null,
      ...(mandatesWebhookSecret ? { mandatesWebhookSecret } : {}),
      ...(holdingsSecret ? { holdingsSecret } : {}),
      ...secretsJson(answer),
      ...goingJson(answer.going, answer.uncounted),
    };
    if (unchanged) return { json, text: 'It was not stopped; its secrets stay as they are.' };
    return {
      json,
      text: list([
        ['oin', party],
        ['client id', clientId || '(none)'],
        ['client secret', clientSecret || '(none)'],
        ['api key', apiKey || '(none)'],
        ...(webhookSecret ? [['webhook secret', webhookSecret] as [string, string]] : []),
        ...(mandatesWebhookSecret ? [['webhook-mandates secret', mandatesWebhookSecret] as [string, string]] : []),
        ...(holdingsSecret ? [['holdings secret', holdingsSecret] as [string, string]] : []),
        ...secretRows(answer),
      ]),
      // The secrets exist only in this answer, so it is printed although the decision is still to come.
      ...(decision?.outcome
        ? answer.going.length > 0 || answer.uncounted
          ? { said: answer.uncounted ? UNCOUNTED : goingSaid(answer.going, LET_GO) }
          : {}
        : { said: `Accepted, not decided yet; follow it with eduk flow show ${flowId}` }),
    };
  },
};
