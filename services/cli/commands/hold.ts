import { rosterKinds } from '#kernel';
import type { RosterDifference, YearGroupDifference } from '#proto/eduk/events/v1/rosters';
import type { HeldGroup, HeldLoss, HeldProduct, HeldRoster } from '#proto/eduk/operator/v1/operator';
import { schoolFlag } from '../checks.ts';
import type { Call, Command, Flag, Result } from '../command.ts';
import { age, counted, dutchTime, isoTime, list } from '../print.ts';
import { Problem, refusalIn } from '../problem.ts';

/** Counts, in words: `612 learners become 540: 4 join, 76 leave`. */
export function differenceWords(difference: RosterDifference | undefined): string {
  if (!difference) return '';
  const {
    before,
    after,
    joined,
    left,
    moved,
    renamed,
    groupsOpened,
    groupsClosed,
    groupsRenamed,
    staffJoined,
    staffLeft,
    staffRenamed,
    leavingLater,
  } = difference;
  const parts: [number, string][] = [
    [joined, 'join'],
    [left, 'leave'],
    [leavingLater, 'leave later'],
    [moved, 'change group'],
    [renamed, 'renamed'],
    [groupsOpened, 'groups open'],
    [groupsClosed, 'groups close'],
    [groupsRenamed, 'groups renamed'],
    [staffJoined, 'staff join'],
    [staffLeft, 'staff leave'],
    [staffRenamed, 'staff renamed'],
  ];
  const changes = parts.filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`);
  return `${counted(before, 'learner')} become ${after}${changes.length > 0 ? `: ${changes.join(', ')}` : ''}`;
}

/** `7: 24 leave, 2 join`. */
const yearGroupWords = ({ yearGroup, joined, left, moved, renamed }: YearGroupDifference): string => {
  const parts: [number, string][] = [
    [left, 'leave'],
    [joined, 'join'],
    [moved, 'change group'],
    [renamed, 'renamed'],
  ];
  const some = parts.filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`);
  return `${yearGroup || 'without a year group'}: ${some.join(', ')}`;
};

/** `7A: 24 leave, closes`. */
const groupWords = ({ group, name, joined, left, moved, renamed, closes }: HeldGroup): string => {
  const parts: [number, string][] = [
    [left, 'leave'],
    [joined, 'join'],
    [moved, 'change group'],
    [renamed, 'renamed'],
  ];
  const some = parts.filter(([n]) => n > 0).map(([n, what]) => `${n} ${what}`);
  return `${name || group}: ${[...some, ...(closes ? ['closes'] : [])].join(', ') || 'is another'}`;
};

/** `24 of Getal en Ruimte 1`; `-`: not told, because another count would follow from it. */
function lossWords({ productId, learners, licences }: HeldLoss, products: readonly HeldProduct[]): string {
  const of = products.find((one) => one.productId === productId)?.title || productId;
  const some = learners?.underTen ? '<10' : learners?.hidden ? '-' : String(learners?.count ?? 0);
  return [
    ...(some === '0' ? [] : [`${some} of ${of}`]),
    ...(licences > 0 ? [`${counted(licences, 'licence')} of no learner, of ${of}`] : []),
  ].join(', ');
}

/** `7A: 24 of Getal en Ruimte 1, <10 of Taal`. */
const classWords = ({ group, name, loses }: HeldGroup, products: readonly HeldProduct[]): string =>
  `${name || group}: ${loses.map((loss) => lossWords(loss, products)).join(', ')}`;

const stateWords = ({ state, part, approvedOnce }: HeldRoster): string =>
  approvedOnce
    ? 'waiting: one person approved it, another one has to'
    : part && state === 'waiting'
      ? 'waiting: the rest, a part was decided'
      : state;
/** Why a rule does not let something go. */
const whyNots: Record<string, string> = {
  beyond_count: 'it is more than its number',
  beyond_share: 'it is beyond its share',
  other_year_groups: 'others leave than the year groups of the rule',
  not_approved: 'a second person has not approved it (eduk hold rule approve)',
  not_begun: 'it has not begun',
  over: 'it is over',
  ended: 'it was ended',
  other_kind: 'it is also held because of something else than the rule names',
  came_before: 'it came before the rule, which leaves alone what waited already',
  part_decided: 'a part was decided, and so is the rest: by somebody',
};
export const whyNotWords = (why: string): string => whyNots[why] ?? why;

/** `released by rule R`, or which rule comes near and why it does not let it go. */
const ruleWords = ({ ruling }: HeldRoster): string =>
  ruling?.ruleId
    ? `released by rule ${ruling.ruleId}`
    : ruling?.nearRuleId
      ? `${ruling.nearRuleId} comes near: ${whyNotWords(ruling.nearWhy)}`
      : '';

const isOfProducts = ({ products }: HeldRoster): boolean => products.length > 0;
/** `Getal en Ruimte 1 (9789000000011): 28 entitlements, 28 of one learner`; after a part by class `24 entitlements or more`. */
function productWords({ productId, title, entitlements, learners, atLeast }: HeldProduct): string {
  const name = title === '' ? productId : `${title} (${productId})`;
  if (atLeast)
    return `${name}: ${entitlements === 0 ? 'some entitlements' : `${counted(entitlements, 'entitlement')} or more`}`;
  return `${name}: ${counted(entitlements, 'entitlement')}${learners > 0 ? `, ${learners} of one learner` : ''}`;
}

const reasons: Record<string, string> = {
  empty: 'it is empty',
  truncated: 'it seems cut off',
  leaves_out_site: 'it names no site, and lacks most pupils of one',
  removes_many: 'it removes many learners',
  ends_many: 'it names a day on which most learners leave',
  renames_many: 'it renames many learners or groups',
  removes_groups: 'it closes many groups',
  removes_staff: 'it removes many staff',
  renames_staff: 'it renames many staff',
  freeze: 'a freeze holds (eduk freeze list), and it goes on by itself when that ends',
  merge: 'a second person must say so too',
  school_change: 'a second person must say so too',
  withdraws_many: 'one party would take much away at once',
  said_again: 'it says again what was not approved before',
  forgets_many: 'many learners of the school are to be forgotten at once',
};
export const heldBecause = (reason: string): string => reasons[reason] ?? reason;

/** Of which part of a school: `site 01, administration 00002`; empty = all of it. */
export const scopeWords = ({ siteCode, administration }: { siteCode: string; administration: string }): string =>
  [siteCode && `site ${siteCode}`, administration && `administration ${administration}`].filter(Boolean).join(', ');

export const differenceJson = (difference: RosterDifference | undefined) => difference ?? null;

export const listHolds: Command = {
  name: 'hold list',
  about: 'List what waits for approval (rosters, withdrawals, forgettings), with what would change.',
  flags: {
    school: schoolFlag('Of this school.'),
    decided: { about: 'Those that were decided too.' },
  },
  async run(call): Promise<Result> {
    const { holds } = await call
      .gateway()
      .ask('listHolds', { schoolOin: call.one('school') ?? '', decided: call.has('decided') });
    const now = call.streams.now();
    const json = holds.map((hold) => ({
      holdId: hold.holdId,
      schoolOin: hold.schoolOin,
      schoolName: hold.schoolName || null,
      schoolYear: hold.schoolYear,
      siteCode: hold.siteCode || null,
      administration: hold.administration || null,
      reason: hold.reason,
      state: hold.state,
      since: isoTime(hold.sinceMs),
      byOin: hold.byOin || null,
      flowId: hold.flowId,
      difference: differenceJson(hold.difference),
      yearGroups: hold.yearGroups,
      groupsClosing: hold.groupsClosing,
      groups: hold.groups,
      part: hold.part,
      approvedOnce: hold.approvedOnce,
      forgets: hold.forgets,
      merges: hold.merges,
      toSchoolOin: hold.toSchoolOin || null,
      onDay: hold.onDay || null,
      products: hold.products,
      ruling: hold.ruling ?? null,
    }));
    const texts = holds.map((hold) =>
      list([
        ['hold', hold.holdId],
        ['school', [hold.schoolName, hold.schoolOin].filter(Boolean).join(', ')],
        [
          'roster of',
          hold.forgets > 0 || hold.merges > 0 || hold.toSchoolOin || isOfProducts(hold)
            ? ''
            : [hold.schoolYear, scopeWords(hold)].filter(Boolean).join(', '),
        ],
        ['held because', heldBecause(hold.reason)],
        [
          'would change',
          isOfProducts(hold)
            ? `lost at the moment of approval: ${hold.products.map(productWords).join('; ')}`
            : hold.toSchoolOin
              ? `learners go on at ${hold.toSchoolOin} from ${hold.onDay}; eduk school changes says who`
              : hold.merges > 0
                ? 'two learners become one; eduk learner merge of whoever asked says which'
                : hold.forgets > 0
                  ? `${counted(hold.forgets, 'learner')} forgotten, destroyed 72 hours after approval`
                  : differenceWords(hold.difference),
        ],
        ['asked by', isOfProducts(hold) ? hold.byOin : ''],
        ['by year group', hold.yearGroups.map(yearGroupWords).join('; ')],
        [
          'by group',
          hold.groups
            .map((group) => (isOfProducts(hold) ? classWords(group, hold.products) : groupWords(group)))
            .join('; '),
        ],
        ['closing groups', hold.groupsClosing.join(', ')],
        ['since', `${dutchTime(hold.sinceMs)} (${age(hold.sinceMs, now)})`],
        ['state', stateWords(hold)],
        ['rule', ruleWords(hold)],
        ['flow', hold.flowId],
      ]),
    );
    return { json, text: holds.length === 0 ? 'Nothing is held.' : texts.join('\n\n') };
  },
};

const which = [{ name: 'HOLD', about: 'Its id, as eduk hold list shows it.' }] as const;

const partFlags: Record<string, Flag> = {
  only: {
    about:
      'Only this of a held roster; the rest waits on. Each pupil, group and member of staff is of the gravest kind.',
    value: 'KIND',
    many: true,
    choices: rosterKinds,
  },
  without: {
    about: 'All of a held roster but this, which waits on.',
    value: 'KIND',
    many: true,
    choices: rosterKinds,
  },
  group: {
    about:
      'Only of this group, as eduk hold list names it: pupils in it or coming into it, and the group itself. Of withdrawals also without-class.',
    value: 'GROUP',
    many: true,
  },
  product: { about: 'Only withdrawals and blocks of this product; the rest waits on.', value: 'PRODUCT', many: true },
};

/** What of a hold is meant; groups by the names that the school gives them, or as the list shows them. */
async function partOf(
  call: Call,
  holdId: string,
): Promise<{ kinds: string[]; groups: string[]; productIds: string[] }> {
  const productIds = [...call.all('product')];
  const without = call.all('without');
  const only = call.all('only');
  if (without.length > 0 && only.length > 0)
    throw new Problem('wire.invalid', 'Say --only or --without, not both: each says all of it.');
  const kinds = without.length > 0 ? rosterKinds.filter((kind) => !without.includes(kind)) : [...only];
  const named = call.all('group');
  if (named.length === 0) return { kinds, groups: [], productIds };
  const { holds } = await call.gateway().ask('listHolds', {});
  const known = holds.find((hold) => hold.holdId === holdId)?.groups ?? [];
  const groups = named.flatMap((name) => known.filter((one) => one.name === name || one.group === name));
  if (groups.length < named.length)
    throw new Problem('state.missing', 'Not every group that you name is in this hold: eduk hold list shows them.');
  return { kinds, groups: groups.map(({ group }) => group), productIds };
}

async function decide(call: Call, approve: boolean): Promise<Result> {
  const holdId = call.args('HOLD')[0]!;
  const part = await partOf(call, holdId);
  const isPart = Object.values(part).some(({ length }) => length > 0);
  const { flowId, decision } = await call
    .gateway()
    .ask('decideHold', { holdId, approve, confirm: call.has('confirm'), ...part });
  const refusal = refusalIn(decision);
  // The first of two persons: the other is somebody who runs the gateway as well.
  if (refusal && approve && refusal.code === 'hold.pending')
    throw new Problem(refusal.code, refusal.message, { who: 'us' });
  if (refusal) throw refusal;
  const state = approve ? 'approved' : 'rejected';
  return {
    json: { holdId, state, flowId, ...(isPart ? part : {}) },
    text: list([
      ['hold', holdId],
      ['state', isPart ? `${state} in part; eduk hold list shows what still waits` : state],
      ['flow', flowId],
    ]),
    said: decision?.outcome ? undefined : `Accepted, not carried out yet; follow it with eduk flow show ${flowId}`,
  };
}

export const approveHold: Command = {
  name: 'hold approve',
  about: 'Let what is held take effect: a roster, withdrawals, a forgetting, a merge, a change of schools.',
  arguments: which,
  flags: {
    ...partFlags,
    confirm: {
      about: 'Stand in for the second person where one is needed, on this machine only.',
    },
  },
  run: (call) => decide(call, true),
};

export const rejectHold: Command = {
  name: 'hold reject',
  about: 'Drop a held roster or withdrawals, or keep the learners; what stands stays.',
  arguments: which,
  flags: partFlags,
  run: (call) => decide(call, false),
};
