import { GatewayError, isFault } from '#kernel';
import type { Identity } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import type { Door, Found, PersonAsk, Submission } from '../submission.ts';

const none: Found = { tokens: [], marks: [], texts: new Map(), sealed: [] };

/**
 * Trades identity for tokens: one call of the vault per school and batch. Tokens, texts and salts are durable there
 * before the message is accepted.
 * Faults: school.closed (of that school's messages only), learner.unknown, state.conflict (two numbers of one message name two learners), state.missing (a pseudonym of no group).
 */
export async function identify(batch: readonly Submission[], door: Door): Promise<void> {
  const bySchool = new Map<string, Submission[]>();
  for (const submission of batch) {
    const school = submission.school ?? '';
    const of = bySchool.get(school);
    if (of) of.push(submission);
    else bySchool.set(school, [submission]);
  }
  await Promise.all(
    [...bySchool].map(([school, of]) =>
      identifySchool(school, of, door).catch((thrown: unknown) => {
        if (!(thrown instanceof GatewayError) || thrown.fault !== 'school.closed') throw thrown;
        // Messages of other schools go on.
        for (const submission of of) submission.refused ??= thrown;
      }),
    ),
  );
}

const partyOf = ({ caller }: Submission): string => (caller.kind === 'operator' ? '' : caller.oin);

/** A pseudonym of no text that there is, or of another party, has no token. */
const namesUnknownText = ({ message, intake }: Submission, own: ReadonlyMap<string, string>): boolean =>
  [...own.values()].includes('') &&
  message.reveal((request) => (intake.texts?.(request) ?? []).some((text) => text !== '' && own.get(text) === ''));

/**
 * Whom a message names, without making or keeping anything of anybody; and whether it names one whom it would make. Of whom
 * it could only find, `identify` says why not. Faults: school.closed.
 */
export async function namedBy(submission: Submission, door: Door): Promise<{ tokens: string[]; hasNew: boolean }> {
  const people = submission.message.reveal((request) => submission.intake.people?.(request) ?? []);
  if (people.length === 0) return { tokens: [], hasNew: false };
  const { identified } = await door.services.vault.identify({
    schoolOin: submission.school ?? '',
    sector: '',
    identities: people.map(({ identity }) => ({ ...identity, person: undefined, partyOin: partyOf(submission) })),
    create: false,
    saltFor: [],
  });
  return {
    tokens: identified.flatMap(({ token }) => (token === '' ? [] : [token])),
    hasNew: identified.some(({ code }, i) => code === 'learner.unknown' && people[i]!.create),
  };
}

async function identifySchool(school: string, batch: readonly Submission[], door: Door): Promise<void> {
  const { vault } = door.services;
  const asks: { submission: Submission; people: PersonAsk[]; at: number[] }[] = [];
  // Two calls at most: those that may create, and those that may not.
  const lists = {
    create: { identities: [] as Identity[], salts: [] as Uint8Array[] },
    find: { identities: [] as Identity[], salts: [] as Uint8Array[] },
  };
  /** By who says them: what is a pseudonym of one party is nothing from another. */
  const texts = new Map<string, Map<string, string>>();
  const saltless: Submission[] = [];
  for (const submission of batch) {
    submission.message.reveal((request) => {
      const people = submission.intake.people?.(request) ?? [];
      const at: number[] = [];
      for (const ask of people) {
        const list = ask.create ? lists.create : lists.find;
        at.push(list.identities.length);
        list.identities.push({ ...ask.identity, partyOin: partyOf(submission) });
        list.salts.push(submission.flow);
      }
      asks.push({ submission, people, at });
      // A message about one learner is salted under that learner's key: forgetting destroys the salt. Others under the school's.
      if (people.length !== 1) saltless.push(submission);
      const own = texts.get(partyOf(submission)) ?? new Map<string, string>();
      for (const text of submission.intake.texts?.(request) ?? []) if (text !== '') own.set(text, '');
      if (own.size > 0) texts.set(partyOf(submission), own);
    });
  }
  const sealTexts = async ([partyOin, own]: [string, Map<string, string>]) => {
    const words = [...own.keys()];
    const { tokens } = await vault.sealTexts({ schoolOin: school, texts: words, partyOin });
    for (const [i, word] of words.entries()) own.set(word, tokens[i]!);
  };
  const ask = (list: typeof lists.create, create: boolean) =>
    list.identities.length === 0
      ? undefined
      : vault.identify({ schoolOin: school, sector: '', identities: list.identities, create, saltFor: list.salts });
  const [created, found, salts] = await Promise.all([
    ask(lists.create, true),
    ask(lists.find, false),
    saltless.length === 0
      ? undefined
      : vault.salts({ schoolOin: school, flowIds: saltless.map((submission) => submission.flow) }),
    ...[...texts].map(sealTexts),
  ]);
  if (salts) for (const [i, submission] of saltless.entries()) submission.salt = salts.salts[i]!;

  const payloads: { token: string; data: Uint8Array; context: string }[] = [];
  const payloadsOf: { submission: Submission; from: number; count: number }[] = [];
  for (const { submission, people, at } of asks) {
    const own = texts.get(partyOf(submission));
    if (people.length === 0 && own === undefined && !submission.intake.payloads) {
      submission.found = none;
      continue;
    }
    if (own && namesUnknownText(submission, own))
      submission.refused ??= new GatewayError('state.missing', 'No group or site has this key here.', {
        where: 'group_key',
      });
    const tokens: string[] = [];
    const marks: Uint8Array[] = [];
    for (const [i, person] of people.entries()) {
      const answer = (person.create ? created! : found!).identified[at[i]!]!;
      if (answer.code || !answer.token) {
        const fault = isFault(answer.code) ? answer.code : 'learner.unknown';
        submission.refused ??= new GatewayError(
          fault,
          fault === 'state.conflict' ? 'The two numbers given name two different learners.' : undefined,
          { where: person.path },
        );
      }
      tokens.push(answer.token);
      marks.push(answer.nameMark);
      if (people.length === 1) submission.salt = answer.salt;
    }
    if (submission.refused) continue;
    submission.found = { tokens, marks, texts: own ?? none.texts, sealed: [] };
    const wanted = submission.message.reveal((request) => submission.intake.payloads?.(request)) ?? [];
    if (wanted.length > 0) {
      payloadsOf.push({ submission, from: payloads.length, count: wanted.length });
      for (const { person, data, context } of wanted)
        payloads.push({ token: person < 0 ? '' : tokens[person]!, data, context });
    }
  }
  if (payloads.length === 0) return;
  const { sealed } = await vault.sealPayloads({ schoolOin: school, payloads });
  for (const { submission, from, count } of payloadsOf)
    submission.found = { ...submission.found!, sealed: sealed.slice(from, from + count) };
}
