import type { LearnerRef } from '#proto/eduk/core/v1/learner';
import type { ActiveLicence, Blocker, FlowStep } from '#proto/eduk/gateway/v1/flow';
import type { FoundDelivery, WhyBlockedResponse } from '#proto/eduk/operator/v1/operator';
import { oin, schoolFlag } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { type LearnerLine, readLearners } from '../learners.ts';
import { age, counted, dutchTime, isoTime, list, paragraph, table } from '../print.ts';
import { asProblem, errorJson, misuse, Problem } from '../problem.ts';
import { following } from '../progress.ts';
import { whoMustAct } from '../words.ts';
import { lossesJson, lossTable } from './import.ts';
import { moment, momentOf } from './replay.ts';

const STATES = ['accepted', 'waiting', 'held', 'parked', 'refused', 'decided', 'done', 'read'];
const MOST_LISTED = 200;

export const listFlows: Command = {
  name: 'flow list',
  about: 'Find messages by what they are about, or by the learner, and rosters that were read: newest first.',
  arguments: [
    {
      name: 'TEXT',
      about:
        'Id of an order, entitlement, result, product or launch, an EAN or ISBN, or a school year; or of a delivery: the webhook-id of a request, or an event in it.',
      optional: true,
    },
  ],
  flags: {
    learner: {
      about:
        'All about one learner of the school: ECK iD, key of the administration or pseudonym on standard input. Not: rosters, and what is of a group or the whole school.',
    },
    'pseudonym-of': { about: 'With --learner: the party that was told this pseudonym.', value: 'OIN', check: oin },
    school: schoolFlag('Of this school; needed for a learner.'),
    party: { about: 'Sent or read by this party; operator = by the operator.', value: 'OIN' },
    state: {
      about: `In this state: ${STATES.join(', ')}. read = rosters that a party fetched, by day.`,
      value: 'STATE',
      check: (value) => (STATES.includes(value) ? undefined : `must be one of ${STATES.join(', ')}`),
    },
    from: {
      about: 'Accepted at this moment or later: a day, YYYY-MM-DD, or a time with its zone.',
      value: 'TIME',
      check: moment,
    },
    until: { about: 'Accepted before this moment.', value: 'TIME', check: moment },
    after: { about: 'Go on below the list that ended with this.', value: 'NEXT' },
    limit: {
      about: `At most so many; ${MOST_LISTED} at most, 50 without.`,
      value: 'NUMBER',
      check: (value) =>
        /^[1-9]\d{0,2}$/.test(value) && Number(value) <= MOST_LISTED
          ? undefined
          : `must be a whole number from 1 to ${MOST_LISTED}`,
    },
  },
  async run(call): Promise<Result> {
    const [text = ''] = call.args('TEXT');
    const schoolOin = call.one('school') ?? '';
    const fromMs = timeOf(call, 'from');
    const { flows, names, coveredFromMs, more, next, missing, deliveries, gone } = await call
      .gateway()
      .ask('listFlows', {
        ...(await learnerOf(call, text, schoolOin)),
        text,
        schoolOin,
        partyOin: call.one('party') ?? '',
        state: call.one('state') ?? '',
        limit: Number(call.one('limit') ?? 0),
        fromMs,
        beforeMs: timeOf(call, 'until'),
        after: call.one('after') ?? '',
      });
    const nameOf = new Map(names.map(({ oin, name }) => [oin, name]));
    const deliveredIn = Map.groupBy(deliveries, ({ flowId }) => flowId);
    const json = flows.map((flow) => ({
      flowId: flow.flowId,
      at: isoTime(flow.acceptedMs),
      method: flow.method,
      partyOin: flow.partyOin,
      partyName: nameOf.get(flow.partyOin) ?? null,
      schoolOin: flow.schoolOin || null,
      subject: flow.subject || null,
      state: flow.state,
      code: flow.code || null,
      ...(deliveries.length > 0 ? { deliveries: (deliveredIn.get(flow.flowId) ?? []).map(deliveryJson) } : {}),
    }));
    const rows = flows.map((flow) => [
      `${dutchTime(flow.acceptedMs)}\n${flow.flowId}`,
      [flow.method, flow.subject].filter(Boolean).join('\n'),
      [nameOf.get(flow.partyOin), flow.partyOin, flow.schoolOin && `of ${flow.schoolOin}`].filter(Boolean).join('\n'),
      [flow.state, flow.code].filter(Boolean).join('\n'),
    ]);
    const looked =
      coveredFromMs > fromMs && !more ? `Messages since ${dutchTime(coveredFromMs)} were looked through. ` : '';
    const older =
      next !== ''
        ? `${more ? 'There are more' : 'What is older is looked for'}: eduk flow list with the same words and --after ${next}`
        : looked && 'What is older is found by its id.';
    const lacking = missing.includes('deliveries')
      ? '\n\nNot all mail of the time of this id was looked through: name the receiver’s own words, an order or licence.'
      : missing.length === 0
        ? ''
        : `\n\nOf this product not all ${missing.join(' and ')} were looked through${schoolOin === '' ? ': name a school' : ''}.`;
    const sent = deliveries.length === 0 && gone === 0 ? '' : `\n\n${deliveryTable(deliveries, gone, nameOf)}`;
    const rest = `${sent}${older && `\n\n${looked}${older}`}${lacking}`;
    if (rows.length === 0) return { json, text: `Nothing was found.${rest}` };
    return { json, text: `${table(['when and flow', 'what', 'by', 'state'], rows)}${rest}` };
  },
};

const deliveryJson = ({ deliveryId, about, delivery }: FoundDelivery) => ({
  deliveryId,
  receiverOin: delivery!.partyOin,
  type: delivery!.type,
  about: about || null,
  state: delivery!.state,
  attempts: delivery!.attempts,
  status: delivery!.status || null,
  at: isoTime(delivery!.atMs),
});

/** What went out under the id that was asked for. */
function deliveryTable(deliveries: readonly FoundDelivery[], gone: number, nameOf: Map<string, string>): string {
  const rows = deliveries.map(({ deliveryId, about, delivery }) => {
    const { partyOin, type, state, attempts, status, atMs } = delivery!;
    const tries =
      attempts === 0 ? '' : `${counted(attempts, 'attempt', 'attempts')}${status === 0 ? '' : `, ${status}`}`;
    return [
      `${dutchTime(atMs)}\n${deliveryId}`,
      [nameOf.get(partyOin), partyOin].filter(Boolean).join('\n'),
      [type, about].filter(Boolean).join('\n'),
      [state, tries].filter(Boolean).join('\n'),
    ];
  });
  const lost =
    gone === 0
      ? ''
      : `${counted(gone, 'event', 'events')} of this request ${gone === 1 ? 'is' : 'are'} kept no longer, or of somebody who is forgotten.`;
  const all =
    rows.length === 0 ? '' : `Delivered under this id:\n\n${table(['when and event', 'to', 'what', 'state'], rows)}`;
  return [all, lost].filter(Boolean).join('\n');
}

const timeOf = (call: Call, flag: 'from' | 'until'): bigint => {
  const given = call.one(flag);
  return BigInt(given === undefined ? 0 : momentOf(given));
};

/** Whom `--learner` asks for: one, on standard input. */
async function learnerOf(
  call: Call,
  text: string,
  schoolOin: string,
): Promise<{ learner: LearnerRef; pseudonymOfOin: string } | undefined> {
  const pseudonymOfOin = call.one('pseudonym-of') ?? '';
  if (!call.has('learner')) {
    if (pseudonymOfOin !== '') throw misuse('A pseudonym is given by --learner, on standard input.');
    return undefined;
  }
  if (text !== '') throw misuse('Ask by --learner or by TEXT; who the learner is stands on standard input.');
  if (schoolOin === '') throw misuse('Name the school: --school BRIN|OIN.');
  const [line, ...more] = await readLearners(call.streams);
  if (more.length > 0) throw misuse('Ask for one learner at a time: standard input holds more lines.');
  return { learner: line!.learner, pseudonymOfOin };
}

export const showFlow: Command = {
  name: 'flow show',
  about: 'Show every step that a message took, and where it is now.',
  arguments: [
    { name: 'FLOW', about: 'Id of the flow; or of a delivery, where that was of one message.', optional: true },
  ],
  flags: {
    party: { about: 'With --reference: who sent it.', value: 'OIN', check: oin },
    reference: { about: 'The sender’s own reference, instead of the id.', value: 'REFERENCE' },
  },
  async run(call): Promise<Result> {
    const [id = ''] = call.args('FLOW');
    const [partyOin = '', reference = ''] = [call.one('party'), call.one('reference')];
    if ((id === '') === (reference === ''))
      throw misuse('Name the flow by its id, or by --party OIN and --reference REFERENCE.');
    if (reference !== '' && partyOin === '')
      throw misuse('A reference is known together with its sender: --party OIN is needed.');
    const gateway = call.gateway();
    const shown = (flowId: string) => gateway.ask('showFlow', { flowId, partyOin, reference });
    const {
      flow,
      partyOin: sender,
      partyName,
    } = await shown(id).catch(async (thrown) => {
      if (id === '' || asProblem(thrown).code !== 'state.missing') throw thrown;
      const { flows } = await gateway.ask('listFlows', { text: id });
      if (flows.length === 0) throw thrown;
      if (flows.length > 1)
        throw new Problem(
          'state.missing',
          `${flows.length} messages went out under this id: eduk flow list ${id} names them.`,
        );
      return shown(flows[0]!.flowId);
    });
    if (!flow) throw new Problem('state.missing', 'Nothing is known under this id.');
    const steps = flow.steps.map((step) => ({
      step: step.step,
      service: step.service,
      at: isoTime(step.atMs),
      state: step.state,
      code: step.code || null,
      told: step.told || null,
      receiverOin: step.receiverOin || null,
      losses: lossesJson(step.losses),
    }));
    const json = {
      flowId: flow.flowId,
      reference: flow.reference || null,
      method: flow.method,
      party: { oin: sender, name: partyName || null },
      schoolOin: flow.schoolOin || null,
      subject: flow.subject || null,
      state: flow.state,
      ended: flow.ended,
      steps,
      losses: lossesJson(flow.losses),
      ...(flow.changes > 0 ? { changes: flow.changes, held: flow.held, heldAtLeast: flow.heldAtLeast } : {}),
    };
    const facts = list([
      ['flow', flow.flowId],
      ['method', flow.method],
      ['from', [partyName, sender].filter(Boolean).join(', ')],
      ['school', flow.schoolOin],
      ['reference', flow.reference],
      ['about', flow.subject],
      ['state', flow.ended ? `${flow.state}, ended` : flow.state],
      [
        'waits for approval',
        flow.held > 0
          ? `${flow.held}${flow.heldAtLeast ? ' or more' : ''} of ${counted(flow.changes, 'change')}: eduk hold list`
          : '',
      ],
    ]);
    const rows = flow.steps.map((step) => [
      dutchTime(step.atMs),
      step.step,
      step.receiverOin ? `${step.service}\nto ${step.receiverOin}` : step.service,
      step.state,
      [step.code, step.told || inMailbox(step), lostIn(step)].filter(Boolean).join(': '),
    ]);
    const lost = flow.losses.length === 0 ? '' : `\n\n${lossTable(flow.losses)}`;
    return { json, text: `${facts}\n\n${table(['when', 'step', 'by', 'state', 'note'], rows)}${lost}` };
  },
};

/** What of a delivery the standard of its endpoint had no place for. */
const lostIn = ({ losses }: FlowStep): string =>
  losses.length === 0
    ? ''
    : `left out: ${losses.map(({ element, count }) => (count > 1 ? `${element} (${count})` : element)).join(', ')}`;

/** Done for delivery is laid ready; whether the receiver fetched it, its own watch knows. */
const inMailbox = ({ service, receiverOin, state }: FlowStep): string =>
  service === 'delivery' && receiverOin !== '' && state === 'done' ? 'in its mailbox' : '';

const blockerJson = (blocker: Blocker) => ({
  code: blocker.code,
  lastStep: blocker.lastStep,
  who: blocker.who,
  partyOin: blocker.partyOin || null,
  partyName: blocker.partyName || null,
  told: blocker.told,
  remedy: blocker.remedy,
  orderId: blocker.orderId || null,
  productId: blocker.productId || null,
  entitlementId: blocker.entitlementId || null,
  flowId: blocker.flowId || null,
  since: isoTime(blocker.sinceMs),
  learners: blocker.learners,
});

const activeJson = (licence: ActiveLicence) => ({
  entitlementId: licence.entitlementId || null,
  productId: licence.productId || null,
  title: licence.title || null,
  holder: licence.holder,
  endsOn: licence.endsOn || null,
  platformOin: licence.platformOin || null,
  platformName: licence.platformName || null,
  opens: licence.code === '',
  code: licence.code || null,
});

const whyJson = ({ told, blockers, has, earlier, partial }: WhyBlockedResponse) => ({
  told,
  blockers: blockers.map(blockerJson),
  has: has.map(activeJson),
  earlier: earlier.map(blockerJson),
  partial,
});

export const whyBlocked: Command = {
  name: 'flow why',
  about: 'Say why an order, product or learner has no material, or a party nothing: what blocks, who acts.',
  flags: {
    order: { about: 'By order.', value: 'ORDER' },
    product: { about: 'By product, at a school.', value: 'PRODUCT' },
    learner: { about: 'By learner: ECK iDs or keys of the administration on standard input, one a line.' },
    party: { about: 'By party: what keeps its messages from arriving, and those for it.', value: 'OIN', check: oin },
    school: schoolFlag('The school; needed for a product or learner.'),
  },
  async run(call): Promise<Result> {
    const [order, product, partyOin] = [call.one('order'), call.one('product'), call.one('party')];
    const schoolOin = call.one('school') ?? '';
    const asked = [order !== undefined, product !== undefined, partyOin !== undefined, call.has('learner')];
    if (asked.filter(Boolean).length !== 1) throw misuse('Ask by --order, by --product, by --learner or by --party.');
    if (order === undefined && partyOin === undefined && schoolOin === '')
      throw misuse('Name the school: --school BRIN|OIN.');
    if (call.has('learner')) return byLearner(call, schoolOin);
    const answer = await call
      .gateway()
      .ask('whyBlocked', { schoolOin, orderId: order ?? '', productId: product ?? '', partyOin: partyOin ?? '' });
    return { json: whyJson(answer), text: reasons(answer, call) };
  },
};

/** One answer a line; blockers say of which line they are. A line that cannot be answered does not keep the others. */
async function byLearner(call: Call, schoolOin: string): Promise<Result> {
  const lines = await readLearners(call.streams);
  const gateway = call.gateway();
  const told: string[] = [];
  const texts: string[] = [];
  const found = { blockers: [] as object[], has: [] as object[], earlier: [] as object[] };
  let partial = false;
  let failed: Problem | undefined;
  const one = async ({ line, learner }: LearnerLine): Promise<void> => {
    const name = (text: string): string => (lines.length === 1 ? text : `Line ${line}: ${text}`);
    try {
      const answer = await gateway.ask('whyBlocked', { schoolOin, learner });
      told.push(name(answer.told));
      texts.push(name(reasons(answer, call)));
      const of = whyJson(answer);
      for (const what of ['blockers', 'has', 'earlier'] as const)
        found[what].push(...of[what].map((one) => ({ line, ...one })));
      partial ||= of.partial;
    } catch (thrown) {
      const problem = asProblem(thrown);
      if (lines.length === 1 || problem.code === 'peer.unavailable' || problem.code === 'party.unknown') throw problem;
      failed ??= problem;
      texts.push(name(`${problem.message} (${problem.code})`));
    }
  };
  await following(call, { words: 'learners asked about', all: lines.length }, async (progress) => {
    for (const line of lines) {
      await one(line);
      progress.add(1);
    }
  });
  const json = { told: told.join('\n'), ...found, partial };
  return {
    json: failed ? { error: errorJson(failed), ...json } : json,
    text: texts.join('\n\n'),
    exit: failed ? 1 : 0,
  };
}

/** Licences that are listed; all are in the sentence. */
const LISTED = 30;

/** First what there is, then what blocks, then what nothing waits for any more. */
function reasons({ told, blockers, has, earlier }: WhyBlockedResponse, call: Call): string {
  const now = call.streams.now();
  return [
    paragraph(told || (blockers.length === 0 ? 'Nothing blocks.' : 'This blocks:')),
    ...(has.length === 0 ? [] : [activeTable(has)]),
    ...(blockers.length === 0 ? [] : [causesTable('what blocks', blockers, now)]),
    ...(earlier.length === 0
      ? []
      : [
          `Refused or ended earlier; nothing waits for ${earlier.length === 1 ? 'this' : 'these'}:\n\n${causesTable('what was refused or ended', earlier, now)}`,
        ]),
  ].join('\n\n');
}

const activeTable = (has: readonly ActiveLicence[]): string =>
  table(
    ['licence', 'held by', 'until', 'opens at'],
    has
      .slice(0, LISTED)
      .map(({ title, productId, holder, endsOn, platformName, platformOin, code }) => [
        title || productId || '(a sensitive product)',
        holder === 'learner' ? 'the learner' : `the ${holder}`,
        endsOn,
        code === '' ? platformName || platformOin || 'its platform' : `not now: ${code}`,
      ]),
  ) + (has.length > LISTED ? `\nand ${has.length - LISTED} more; --json lists them.` : '');

function causesTable(head: string, blockers: readonly Blocker[], now: number): string {
  const rows = alike(blockers).map((group) => {
    const [{ code, told, partyName, who, partyOin, remedy }] = group;
    return [
      [code, told, subjects(group)].filter(Boolean).join('\n'),
      age(oldest(group), now),
      [partyName || whoMustAct(who), partyOin].filter(Boolean).join('\n'),
      remedy,
    ];
  });
  return table([head, 'since', 'who must act', 'remedy'], rows);
}

type Alike = [Blocker, ...Blocker[]];

/** Blockers that differ only in what they are about: fifty licences that stopped for one reason are one row. */
function alike(blockers: readonly Blocker[]): Alike[] {
  const groups = new Map<string, Alike>();
  for (const blocker of blockers) {
    const { code, told, who, partyOin, remedy, productId, lastStep } = blocker;
    const key = JSON.stringify([code, told, who, partyOin, remedy, productId, lastStep]);
    const group = groups.get(key);
    if (group) group.push(blocker);
    else groups.set(key, [blocker]);
  }
  return [...groups.values()];
}

/** The longest ago of those that say when; zero when none does. */
const oldest = (group: Alike): bigint =>
  group.reduce((least, { sinceMs }) => (least === 0n || (sinceMs > 0n && sinceMs < least) ? sinceMs : least), 0n);

/** How many ids of the same kind a row names. */
const NAMED = 3;

function subjects(group: Alike): string {
  const [{ productId, lastStep }] = group;
  const learners = group.reduce((sum, one) => sum + one.learners, 0);
  const named = (what: string, ids: string[]): string => {
    const all = [...new Set(ids.filter(Boolean))];
    if (all.length === 0) return '';
    const more = all.length > NAMED ? ` and ${all.length - NAMED} more` : '';
    return `${all.length === 1 ? what : `${what}s`} ${all.slice(0, NAMED).join(', ')}${more}`;
  };
  return [
    lastStep !== '' && lastStep !== 'none' && `came as far as ${lastStep}`,
    named(
      'order',
      group.map(({ orderId }) => orderId),
    ),
    productId && `product ${productId}`,
    named(
      'entitlement',
      group.map(({ entitlementId }) => entitlementId),
    ),
    learners > 1 && `${learners} learners`,
    named(
      'flow',
      group.map(({ flowId }) => flowId),
    ),
  ]
    .filter(Boolean)
    .join('\n');
}
