import {
  administrationOf,
  GatewayError,
  isAdministration,
  isSchoolOin,
  isSchoolYear,
  isSiteCode,
  routingOf,
} from '#kernel';
import type { LearnerRef, Person, Roster, RosterLearner, RosterStaff } from '#proto/eduk/core/v1/learner';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { GroupEntry, LearnerEntry, SiteEntry, StaffEntry } from '#proto/eduk/events/v1/rosters';
import { ForgetLearnerRequest, RegisterLearnersRequest } from '#proto/eduk/gateway/v1/identity';
import { PushRosterRequest } from '#proto/eduk/gateway/v1/roster';
import { KeepLearnerRequest } from '#proto/eduk/operator/v1/operator';
import type { Found, Intake, PersonAsk } from '../submission.ts';
import { event } from '../submission.ts';

const text = (found: Found, value: string): string => (value === '' ? '' : (found.texts.get(value) ?? ''));

const hasRef = (ref: LearnerRef | undefined): ref is LearnerRef =>
  ref !== undefined && (ref.eckId !== '' || ref.lasKey !== '');

const person = (given: Person | undefined): Person | undefined =>
  given && Object.values(given).some((value) => value !== '') ? given : undefined;

function askFor(kind: 'learner' | 'staff', of: RosterLearner | RosterStaff, path: string): PersonAsk {
  return {
    identity: { kind, eckId: of.ref?.eckId ?? '', lasKey: of.ref?.lasKey ?? '', person: person(of.person) },
    create: true,
    path: `${path}.ref`,
  };
}

/** Everyone in a roster, learners first, in order. */
export const rosterPeople = (roster: Roster): PersonAsk[] => [
  ...roster.learners.map((learner, i) => askFor('learner', learner, `roster.learners[${i}]`)),
  ...roster.staff.map((staff, i) => askFor('staff', staff, `roster.staff[${i}]`)),
];

export function rosterTexts(roster: Roster): string[] {
  const texts = new Set<string>();
  for (const site of roster.sites) texts.add(site.key).add(site.name).add(site.description);
  for (const group of roster.groups) texts.add(group.key).add(group.name).add(group.description);
  for (const learner of roster.learners) {
    texts.add(learner.groupKey).add(learner.siteKey);
    for (const key of learner.compositeGroupKeys) texts.add(key);
  }
  for (const staff of roster.staff) for (const group of staff.groups) texts.add(group.key);
  texts.delete('');
  return [...texts];
}

export const learnerEntry = (learner: RosterLearner, token: string, mark: Uint8Array, found: Found): LearnerEntry => ({
  learner: token,
  yearGroup: learner.yearGroup,
  group: text(found, learner.groupKey),
  compositeGroups: learner.compositeGroupKeys.map((key) => text(found, key)),
  site: text(found, learner.siteKey),
  entersOn: learner.entersOn,
  leavesOn: learner.leavesOn,
  nameMark: mark,
  siteCodes: [], // Which rosters name a learner is for their owner to say.
});

export interface RosterEntries {
  sites: SiteEntry[];
  groups: GroupEntry[];
  learners: LearnerEntry[];
  staff: StaffEntry[];
}

export function rosterEntries(roster: Roster, found: Found): RosterEntries {
  return {
    sites: roster.sites.map((site) => ({
      site: text(found, site.key),
      name: text(found, site.name),
      description: text(found, site.description),
    })),
    groups: roster.groups.map((group) => ({
      group: text(found, group.key),
      name: text(found, group.name),
      description: text(found, group.description),
      yearGroup: group.yearGroup,
      composite: group.composite,
      siteCodes: [],
    })),
    learners: roster.learners.map((learner, i) => learnerEntry(learner, found.tokens[i]!, found.marks[i]!, found)),
    staff: roster.staff.map((staff, i) => ({
      staff: found.tokens[roster.learners.length + i]!,
      groups: staff.groups.map((group) => ({ group: text(found, group.key), duties: group.duties })),
      duties: staff.duties,
      nameMark: found.marks[roster.learners.length + i]!,
      siteCodes: [],
    })),
  };
}

/** Refuses what one message can be seen to have wrong: keys twice, people without a number, groups that are not named. */
export function checkRoster(roster: Roster | undefined, groupsKnown: boolean): void {
  if (!roster) throw new GatewayError('wire.invalid', 'There is no roster in the message.', { where: 'roster' });
  if (!isSchoolOin(roster.schoolOin))
    throw new GatewayError('wire.invalid', 'The OIN of a school is 00000007000, the BRIN and five digits.', {
      where: 'roster.school_oin',
    });
  if (!isSchoolYear(roster.schoolYear))
    throw new GatewayError('wire.invalid', 'A school year is two years that follow each other, such as 2026-2027.', {
      where: 'roster.school_year',
    });
  if (!isSiteCode(roster.siteCode))
    throw new GatewayError('wire.invalid', 'The code of a site is two digits.', { where: 'roster.site_code' });
  const routed = routingOf(roster.schoolOin).administration;
  const named = administrationOf(roster.administration);
  if (!isAdministration(roster.administration) || (routed !== '' && named !== '' && routed !== named))
    throw new GatewayError('wire.invalid', 'An administration is the five digits that end its routing id.', {
      where: 'roster.administration',
    });
  const wrong: { path: string }[] = [];
  const groups = new Set<string>();
  for (const [i, group] of roster.groups.entries()) {
    if (!group.key || groups.has(group.key)) wrong.push({ path: `roster.groups[${i}].key` });
    groups.add(group.key);
  }
  const seen = new Set<string>();
  const numbers = (ref: LearnerRef | undefined, kind: string, path: string) => {
    if (!hasRef(ref)) wrong.push({ path });
    else
      for (const [label, value] of [
        ['eck_id', ref.eckId],
        ['las_key', ref.lasKey],
      ] as const) {
        if (value === '') continue;
        const key = `${kind} ${label} ${value}`;
        if (seen.has(key)) wrong.push({ path: `${path}.${label}` });
        seen.add(key);
      }
  };
  const groupRef = (key: string, path: string) => {
    if (groupsKnown && key !== '' && !groups.has(key)) wrong.push({ path });
  };
  for (const [i, learner] of roster.learners.entries()) {
    numbers(learner.ref, 'learner', `roster.learners[${i}].ref`);
    groupRef(learner.groupKey, `roster.learners[${i}].group_key`);
    for (const [j, key] of learner.compositeGroupKeys.entries())
      groupRef(key, `roster.learners[${i}].composite_group_keys[${j}]`);
  }
  for (const [i, staff] of roster.staff.entries()) {
    numbers(staff.ref, 'staff', `roster.staff[${i}].ref`);
    for (const [j, group] of staff.groups.entries()) groupRef(group.key, `roster.staff[${i}].groups[${j}].key`);
  }
  if (wrong.length > 0)
    throw new GatewayError(
      'wire.invalid',
      `In ${wrong.length} places a number is missing or stands twice, or a group is named that the roster does not have.`,
      { where: wrong.slice(0, 100) },
    );
}

export const pushRoster: Intake<PushRosterRequest> = {
  method: 'RosterService/PushRoster',
  type: 'eduk.gateway.v1.PushRosterRequest',
  codec: PushRosterRequest,
  roles: [Role.ROLE_ADMINISTRATION, Role.ROLE_SCHOOL, Role.ROLE_BOARD],
  service: Service.SERVICE_ROSTER,
  remember: 35,
  reference: (request) => request.reference,
  // Administrations of one school name it by their routing id: its pupils, names and mandates are of the school.
  school: (request) => routingOf(request.roster?.schoolOin ?? '').schoolOin,
  site: (request) => request.roster?.siteCode ?? '',
  siteAt: 'roster.site_code',
  check: (request) => {
    if (!request.rosterId)
      throw new GatewayError('wire.invalid', 'A roster needs an id, the same in all its parts.', {
        where: 'roster_id',
      });
    // Groups stand in the first part only, so later parts are checked by the owner of rosters.
    checkRoster(request.roster, request.part === 0);
  },
  people: (request) => rosterPeople(request.roster!),
  texts: (request) => rosterTexts(request.roster!),
  events: (request, found, { caller }) => {
    const roster = request.roster!;
    const { schoolOin, administration } = routingOf(roster.schoolOin);
    return [
      event(
        'RosterSubmitted',
        {
          rosterId: request.rosterId,
          schoolOin,
          schoolYear: roster.schoolYear,
          asOf: roster.asOf,
          madeAt: roster.madeAt,
          part: request.part,
          last: request.last,
          ...rosterEntries(roster, found),
          byOin: caller.oin,
          partial: false,
          siteCode: roster.siteCode,
          administration: administration || administrationOf(roster.administration),
          losses: [], // A message of ours loses nothing.
        },
        schoolOin,
      ),
    ];
  },
};

export const registerLearners: Intake<RegisterLearnersRequest> = {
  method: 'IdentityService/RegisterLearners',
  type: 'eduk.gateway.v1.RegisterLearnersRequest',
  codec: RegisterLearnersRequest,
  roles: [Role.ROLE_ADMINISTRATION, Role.ROLE_SCHOOL, Role.ROLE_BOARD],
  service: Service.SERVICE_ROSTER,
  remember: 35,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  check: (request) => {
    if (request.learners.length === 0 || request.learners.length > 1000)
      throw new GatewayError('wire.invalid', 'Name 1 to 1,000 learners.', { where: 'learners' });
    for (const [i, learner] of request.learners.entries())
      if (!hasRef(learner.ref))
        throw new GatewayError('wire.invalid', 'A learner needs an ECK iD or a key.', { where: `learners[${i}].ref` });
    if (request.schoolYear && !isSchoolYear(request.schoolYear))
      throw new GatewayError('wire.invalid', undefined, { where: 'school_year' });
  },
  people: (request) => request.learners.map((learner, i) => askFor('learner', learner, `learners[${i}]`)),
  texts: (request) =>
    request.learners.flatMap((learner) => [learner.groupKey, learner.siteKey, ...learner.compositeGroupKeys]),
  events: (request, found, { caller }) => [
    event(
      'LearnersSubmitted',
      {
        schoolOin: request.schoolOin,
        // Empty: the year that the school is in.
        schoolYear: request.schoolYear,
        learners: request.learners.map((learner, i) => learnerEntry(learner, found.tokens[i]!, found.marks[i]!, found)),
        byOin: caller.oin,
        crossing: false,
      },
      request.schoolOin,
    ),
  ],
};

/** A forgotten learner can be taken back for this long. */
export const FORGET_UNDO_MS = 72 * 3_600_000;

export const forgetLearner = (now: boolean): Intake<ForgetLearnerRequest> => ({
  method: 'IdentityService/ForgetLearner',
  type: 'eduk.gateway.v1.ForgetLearnerRequest',
  codec: ForgetLearnerRequest,
  roles: [Role.ROLE_ADMINISTRATION, Role.ROLE_SCHOOL, Role.ROLE_BOARD],
  service: Service.SERVICE_ROSTER,
  remember: 35,
  reference: (request) => request.reference,
  school: (request) => request.schoolOin,
  check: (request) => {
    if (!hasRef(request.learner))
      throw new GatewayError('wire.invalid', 'Name the learner by ECK iD or key.', { where: 'learner' });
  },
  people: (request) => [
    {
      identity: { kind: 'learner', eckId: request.learner!.eckId, lasKey: request.learner!.lasKey, person: undefined },
      create: false,
      path: 'learner',
    },
  ],
  events: (request, found, { caller, nowMs }) => [
    event(
      'LearnerForgetSubmitted',
      {
        schoolOin: request.schoolOin,
        learner: found.tokens[0]!,
        destroyAtMs: BigInt(now ? nowMs : nowMs + FORGET_UNDO_MS),
        byOin: caller.oin,
      },
      found.tokens[0]!,
    ),
  ],
});

/** An operator's only: a school asks for it where it is sure that the right learner is meant. */
export const keepLearner = (reference: string): Intake<KeepLearnerRequest> => ({
  method: 'OperatorService/KeepLearner',
  type: 'eduk.operator.v1.KeepLearnerRequest',
  codec: KeepLearnerRequest,
  roles: [Role.ROLE_OPERATOR],
  remember: 35,
  reference: () => reference,
  school: (request) => request.schoolOin,
  check: (request) => {
    if (!hasRef(request.learner))
      throw new GatewayError('wire.invalid', 'Name the learner by ECK iD or key.', { where: 'learner' });
  },
  people: (request) => [
    {
      identity: { kind: 'learner', eckId: request.learner!.eckId, lasKey: request.learner!.lasKey, person: undefined },
      create: false,
      path: 'learner',
    },
  ],
  events: (request, found, { caller }) => [
    event(
      'LearnerKeepSubmitted',
      { schoolOin: request.schoolOin, learner: found.tokens[0]!, byOin: caller.oin },
      found.tokens[0]!,
    ),
  ],
});
