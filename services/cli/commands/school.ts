/** A school that leaves: all that is held of it, for the school itself; and then nothing is held any more. */
import { resolve } from 'node:path';
import type { ForgetReceiver, SchoolForgetting } from '#proto/eduk/core/v1/party';
import type { PartyName, PreviewSchoolForgetResponse } from '#proto/eduk/operator/v1/operator';
import { oin, schoolFlag } from '../checks.ts';
import type { Command, Result } from '../command.ts';
import { bytes, counted, dutchTime, isoTime, list, table } from '../print.ts';
import { misuse, refusalIn } from '../problem.ts';
import { following, waiting } from '../progress.ts';

export const exportSchool: Command = {
  name: 'school export',
  about: 'Write all that is held of a school for that school, in open standards, and who was given what.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
    out: {
      about: 'Folder on the gateway’s own machine; made, and must not be there yet.',
      value: 'FOLDER',
      required: true,
    },
  },
  notes: [
    'Rosters in EDEXML 2.1, the rest in CSV with a description (CSV on the Web), and LEESMIJ.txt in Dutch.',
    'Only the user that the gateway runs as can read it. For who guards privacy: another role is refused.',
    'The log of what was done shows it as a release to the school.',
    'Who waits to be forgotten is left out, and so is what parents or pupils bought themselves.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const folder = resolve(call.one('out')!);
    const asked = async function* () {
      yield { schoolOin, folder };
    };
    const gateway = call.gateway();
    const { files, forgetting, losses } = await following(call, waiting('The gateway writes the files'), () =>
      gateway.send('exportSchool', asked()),
    );
    return {
      json: {
        schoolOin,
        folder,
        files: files.map((file) => ({ name: file.name, rows: Number(file.rows), bytes: Number(file.bytes) })),
        leftOut: { forgetting: Number(forgetting), edexml: Number(losses) },
      },
      text: list([
        ['folder', folder],
        ...files.map((file): [string, string] => [
          file.name,
          file.rows === 0n ? bytes(Number(file.bytes)) : `${counted(file.rows, 'row')}, ${bytes(Number(file.bytes))}`,
        ]),
        ['wait to be forgotten', `${forgetting}, left out`],
        ['no room in EDEXML', losses === 0n ? 'nothing' : `${losses}, in edexml-weggelaten.txt`],
      ]),
      said: 'It holds personal data of everybody at the school: hand it over encrypted, and remove it here.',
    };
  },
};

type Names = readonly PartyName[];
const nameIn = (names: Names, party: string): string => names.find((one) => one.oin === party)?.name ?? '';

const receiverJson = ({ partyOin, mustConfirm, confirmedMs }: ForgetReceiver, names: Names) => ({
  oin: partyOin,
  name: nameIn(names, partyOin) || null,
  mustConfirm,
  confirmed: isoTime(confirmedMs),
});

const forgettingJson = (forgetting: SchoolForgetting | undefined, names: Names = []) =>
  forgetting
    ? {
        schoolOin: forgetting.schoolOin,
        state: forgetting.state,
        asked: isoTime(forgetting.askedMs),
        destroyed: isoTime(forgetting.destroyAtMs),
        receivers: forgetting.receivers.map((one) => receiverJson(one, names)),
      }
    : null;

const isOpen = ({ mustConfirm, confirmedMs }: ForgetReceiver): boolean => mustConfirm && confirmedMs === 0n;

/** Who is told or asked, one a line. */
const receiverTable = (receivers: readonly ForgetReceiver[], names: Names): string =>
  receivers.length === 0
    ? 'Nobody had data of it.'
    : table(
        ['receiver', 'name', 'deletes'],
        receivers.map((one) => [
          one.partyOin,
          nameIn(names, one.partyOin),
          one.confirmedMs > 0n
            ? `confirmed ${dutchTime(one.confirmedMs)}`
            : one.mustConfirm
              ? 'to be asked: eduk school done'
              : 'is told here',
        ]),
      );

const seenJson = ({ names, ...seen }: PreviewSchoolForgetResponse) => ({
  rosters: seen.rosters.map(({ schoolYear, learners, groups }) => ({ schoolYear, learners, groups })),
  learners: seen.learners,
  staff: seen.staff,
  texts: seen.texts,
  results: Number(seen.results),
  entitlements: Number(seen.entitlements),
  orders: Number(seen.orders),
  mandates: seen.mandates,
  receivers: seen.receivers.map((one) => receiverJson(one, names)),
  check: seen.check,
});

export const forgetSchool: Command = {
  name: 'school forget',
  about: 'Forget a whole school: closed at once, destroyed after 72 hours; say first what that comes to.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
    confirm: {
      about: 'The check that was shown with the numbers; without it nothing is done.',
      value: 'CHECK',
    },
  },
  notes: [
    'Give the school what is its own first: eduk school export. After this nothing of it is taken in or given.',
    'Its receivers are told of each learner; who cannot be told is listed, to be asked: eduk school forgets.',
    'Until the hour eduk school keep takes it back. Then identities, texts and keys of the school are destroyed.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const check = call.one('confirm');
    const gateway = call.gateway();
    const seen = await gateway.ask('previewSchoolForget', { schoolOin });
    const years = seen.rosters.map(({ schoolYear, learners }) => `${schoolYear}: ${learners} learners`);
    const text = [
      list([
        ['school', `${nameIn(seen.names, schoolOin)}\n${schoolOin}`],
        ['rosters', years.join('\n') || 'none'],
        ['identities', `${seen.learners} learners, ${seen.staff} staff`],
        ['texts', seen.texts],
        ['results', Number(seen.results)],
        ['rights', Number(seen.entitlements)],
        ['orders', Number(seen.orders)],
        ['mandates', seen.mandates],
        ['check', seen.check],
      ]),
      '',
      receiverTable(seen.receivers, seen.names),
    ].join('\n');
    if (check === undefined || seen.forgetting?.state === 'waits') {
      const hour = seen.forgetting && dutchTime(seen.forgetting.destroyAtMs);
      return {
        json: { schoolOin, done: false, forgetting: forgettingJson(seen.forgetting, seen.names), ...seenJson(seen) },
        text,
        said:
          seen.forgetting?.state === 'waits'
            ? `It is closed already, and destroyed at ${hour}.`
            : `Nothing was done. With --confirm ${seen.check} it is forgotten.`,
      };
    }
    const { flowId, decision, forgetting } = await gateway.ask('forgetSchool', { schoolOin, check });
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    return {
      json: { schoolOin, done: true, flowId, forgetting: forgettingJson(forgetting, seen.names), ...seenJson(seen) },
      text,
      said: forgetting
        ? `It is closed, and destroyed at ${dutchTime(forgetting.destroyAtMs)}.`
        : `Accepted, not decided yet; follow it with eduk flow show ${flowId}`,
    };
  },
};

export const keepSchool: Command = {
  name: 'school keep',
  about: 'Take back the forgetting of a school, until five minutes before its hour: all of it is open again.',
  flags: { school: { ...schoolFlag('The school.'), required: true } },
  notes: [
    'Learners are told of again as of who comes new; what waited meanwhile goes in its order.',
    'Who was asked to be forgotten by itself stays so: eduk learner keep.',
  ],
  async run(call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const { flowId, decision, forgetting } = await call.gateway().ask('keepSchool', { schoolOin });
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    return {
      json: { schoolOin, flowId, forgetting: forgettingJson(forgetting) },
      text: forgetting?.state === 'kept' ? 'It is kept.' : `Accepted; follow it with eduk flow show ${flowId}`,
    };
  },
};

export const schoolDone: Command = {
  name: 'school done',
  about: 'Say that a receiver has deleted what it had of a school that is forgotten.',
  flags: {
    school: { ...schoolFlag('The school.'), required: true },
    party: { about: 'The receiver.', value: 'OIN', required: true, check: oin },
  },
  async run(call): Promise<Result> {
    const schoolOin = call.one('school')!;
    const partyOin = call.one('party')!;
    const { flowId, decision, forgetting } = await call.gateway().ask('confirmSchoolForget', { schoolOin, partyOin });
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    const open = forgetting?.receivers.filter(isOpen).length ?? 0;
    return {
      json: { schoolOin, partyOin, flowId, open, forgetting: forgettingJson(forgetting) },
      text: open === 0 ? 'Everyone who had to be asked has confirmed.' : `${open} must still confirm.`,
    };
  },
};

export const listForgets: Command = {
  name: 'school forgets',
  about: 'List the schools that are forgotten or to be, and who must still confirm that it deleted.',
  flags: { school: schoolFlag('Only this school.') },
  async run(call): Promise<Result> {
    const { forgettings, names } = await call
      .gateway()
      .ask('listSchoolForgets', { schoolOin: call.one('school') ?? '' });
    return {
      json: forgettings.map((one) => forgettingJson(one, names)),
      text:
        forgettings.length === 0
          ? 'No school.'
          : forgettings
              .map((one) =>
                [
                  list([
                    ['school', `${nameIn(names, one.schoolOin)}\n${one.schoolOin}`],
                    ['state', one.state],
                    [one.state === 'destroyed' ? 'destroyed' : 'to be destroyed', dutchTime(one.destroyAtMs)],
                  ]),
                  ...(one.state === 'kept' ? [] : ['', receiverTable(one.receivers, names)]),
                ].join('\n'),
              )
              .join('\n\n'),
    };
  },
};

const IDENTITIES = ['on-demand', 'kept'];

export const schoolIdentity: Command = {
  name: 'school identity',
  about: 'Have names of a school’s people asked of its administration, or kept here.',
  arguments: [{ name: 'SETTING', about: 'on-demand or kept.' }],
  flags: { school: { ...schoolFlag('The school.'), required: true } },
  notes: [
    'on-demand: what is held of them is destroyed, at the latest within minutes, and nothing of it is kept any more; eduk audit access says how many people that were. They are asked of the administration (EDUK_ADMINISTRATIONS) when a receiver may have them, and are in memory for five minutes.',
    'Tokens, ECK iDs and keys of the administration stay: by them people are recognised.',
    'While the administration gives no answer, what would show a name waits and goes in its order afterwards; who asks is told peer.unavailable.',
    'kept: names come again with the next roster, which is fetched or sent as a whole.',
  ],
  async run(call): Promise<Result> {
    const identity = call.args('SETTING')[0]!;
    if (!IDENTITIES.includes(identity)) throw misuse('SETTING must be on-demand or kept.');
    const schoolOin = call.one('school')!;
    const { flowId, decision, unchanged, administrations } = await call
      .gateway()
      .ask('setIdentity', { schoolOin, identity });
    const refusal = refusalIn(decision);
    if (refusal) throw refusal;
    const isDecided = decision?.outcome !== '';
    return {
      json: { schoolOin, identity, unchanged, flowId, administrations },
      text: !isDecided
        ? `Accepted, not decided yet; follow it with eduk flow show ${flowId}`
        : unchanged
          ? 'It was so already.'
          : identity === 'kept'
            ? 'Names are kept again from the next roster on.'
            : 'Names are not kept any more; those that are held go now.',
      ...(identity === 'on-demand' && administrations.length === 0
        ? { said: 'No file of EDUK_ADMINISTRATIONS names this school: nobody can be told a name until one does.' }
        : {}),
    };
  },
};
