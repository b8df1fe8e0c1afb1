/** The core in the words of OneRoster 1.2. Pure. What it makes is identity: callers hold it in `Clear`. */
import { LossTally } from '#adapters/contract';
import { dutchDay, isDay, isSchoolYear } from '#kernel';
import type { LearnerRef, Person, Roster } from '#proto/eduk/core/v1/learner';
import type { Result } from '#proto/eduk/core/v1/result';
import type { Class, Kind, OneRoster, Ref, Role, User } from './wire.ts';

/** In the place of a name that OneRoster demands and nobody gave. */
const NO_NAME = '-';
const MOST_OF_KEY = 160;
/** A test and its part as an id names them. */
const MOST_OF_TEST = 200;

const nothing = (): OneRoster => ({
  ...{ org: [], academicSession: [], course: [], class: [], user: [], enrollment: [] },
  ...{ assessmentLineItem: [], assessmentResult: [] },
});

const text = (said: string): string => said.toWellFormed();
const refTo = (type: Kind, sourcedId: string): Ref => ({ sourcedId, type });
/** A key that can be a part of an id: an id has 255 characters. */
const isKey = (key: string): boolean => key !== '' && key.length <= MOST_OF_KEY && key.isWellFormed();
const nameOfUser = (ref: LearnerRef | undefined): string => ref?.lasKey || ref?.eckId || '';

/** A roster, and the results of its pupils. `nowMs`: the moment of writing. */
export function oneRosterOf(
  roster: Roster,
  results: readonly Result[],
  nowMs: number,
): { wire: OneRoster; losses: LossTally } {
  const losses = new LossTally();
  const wire = nothing();
  const { schoolOin, schoolYear } = roster;
  if (!isSchoolYear(schoolYear)) {
    losses.add('school_year', 'unfit');
    return { wire, losses };
  }
  const made = Date.parse(roster.madeAt);
  if (Number.isNaN(made)) losses.add('made_at', 'stand_in');
  const base = {
    status: 'active',
    dateLastModified: new Date(Number.isNaN(made) ? nowMs : made).toISOString(),
  } as const;
  if (roster.siteCode !== '') losses.add('site_code', 'no_place');
  if (roster.administration !== '') losses.add('administration', 'no_place');
  if (roster.asOf !== '') losses.add('as_of', 'no_place');

  const id = schoolOin || 'school';
  const school = refTo('org', id);
  losses.add('school_name', 'stand_in');
  wire.org.push({
    ...{ sourcedId: id, ...base, name: id, type: 'school' },
    ...(schoolOin === '' ? {} : { identifier: schoolOin }),
  });
  const sites = new Map<string, Ref>();
  for (const { key, name, description } of roster.sites) {
    if (!isKey(key) || sites.has(key)) {
      losses.add('site', 'unfit');
      continue;
    }
    if (description !== '') losses.add('description', 'no_place');
    if (name === '') losses.add('site_name', 'stand_in');
    const site = refTo('org', `${id}:site:${key}`);
    sites.set(key, site);
    wire.org.push({ sourcedId: site.sourcedId, ...base, name: text(name || key), type: 'department', parent: school });
  }

  const [first, last] = [schoolYear.slice(0, 4), schoolYear.slice(5)];
  // An end is the first day after it.
  const days = { startDate: `${first}-08-01`, endDate: `${last}-08-01`, schoolYear: last };
  const year = refTo('academicSession', `${id}:${schoolYear}`);
  const term = refTo('academicSession', `${id}:${schoolYear}:term`);
  losses.add('term', 'stand_in');
  wire.academicSession.push(
    { sourcedId: year.sourcedId, ...base, title: schoolYear, type: 'schoolYear', ...days },
    { sourcedId: term.sourcedId, ...base, title: schoolYear, type: 'term', ...days, parent: year },
  );

  const classes = new Map<string, Ref>();
  for (const { key, name, description, yearGroup, composite } of roster.groups) {
    if (!isKey(key) || classes.has(key)) {
      losses.add('group', 'unfit');
      continue;
    }
    if (description !== '') losses.add('description', 'no_place');
    if (name === '') losses.add('group_name', 'stand_in');
    losses.add('course', 'stand_in');
    if (yearGroup !== '') losses.add('year_group', 'no_place');
    const title = text(name || key);
    const course = refTo('course', `${id}:course:${key}`);
    const group = refTo('class', `${id}:group:${key}`);
    classes.set(key, group);
    wire.course.push({ sourcedId: course.sourcedId, ...base, title, org: school });
    const one: Class = {
      ...{ sourcedId: group.sourcedId, ...base, title, classType: composite ? 'scheduled' : 'homeroom' },
      ...{ course, school, terms: [term] },
      ...(yearGroup === '' ? {} : { metadata: { jaargroep: text(yearGroup) } }),
    };
    wire.class.push(one);
  }

  const users = new Map<string, Ref>();
  const add = (ref: LearnerRef | undefined, person: Person | undefined, role: Role['role'], more: Partial<User>) => {
    const name = nameOfUser(ref);
    if (name === '') {
      losses.add('user', 'minimised');
      return undefined;
    }
    const kind = role === 'student' ? 'learner' : 'staff';
    const user = refTo('user', `${id}:${kind}:${name}`);
    if (users.has(`${kind} ${name}`) || name.length > MOST_OF_KEY || !name.isWellFormed()) {
      losses.add('user', 'unfit');
      return undefined;
    }
    users.set(`${kind} ${name}`, user);
    // A result may name a pupil by the other number.
    if (kind === 'learner' && ref!.eckId !== '' && !users.has(`eck ${ref!.eckId}`))
      users.set(`eck ${ref!.eckId}`, user);
    wire.user.push({
      ...{ sourcedId: user.sourcedId, ...base, enabledUser: 'true', ...namesOf(person, losses) },
      userIds: [
        ...(ref!.eckId === '' ? [] : [{ type: 'ECK iD', identifier: text(ref!.eckId) }]),
        ...(ref!.lasKey === '' ? [] : [{ type: 'LAS', identifier: text(ref!.lasKey) }]),
      ],
      ...{ roles: [{ roleType: 'primary', role, org: school }], primaryOrg: school, ...more },
    });
    return user;
  };
  /** Where somebody is; a group that is named twice is one. */
  const enrol = (user: Ref, keys: readonly string[], role: Role['role'], when: object): boolean => {
    const known = new Set(keys.filter((key) => key !== ''));
    for (const key of known) {
      const group = classes.get(key);
      if (!group) {
        losses.add('group_key', 'unfit');
        known.delete(key);
      } else
        wire.enrollment.push({
          ...{ sourcedId: `${user.sourcedId}:in:${wire.enrollment.length}`, ...base, user, class: group, school, role },
          ...when,
        });
    }
    return known.size > 0;
  };
  for (const one of roster.learners) {
    const site = sites.get(one.siteKey);
    if (one.siteKey !== '' && !site) losses.add('site_key', 'unfit');
    const atSite: Role[] = site ? [{ roleType: 'secondary', role: 'student', org: site }] : [];
    const user = add(one.ref, one.person, 'student', {
      roles: [{ roleType: 'primary', role: 'student', org: school }, ...atSite],
      ...(one.yearGroup === '' ? {} : { metadata: { jaargroep: text(one.yearGroup) } }),
    });
    if (!user) continue;
    if (one.yearGroup !== '') losses.add('year_group', 'no_place');
    const within = (day: string) => isDay(day) && day >= days.startDate && day <= days.endDate;
    const [enters, leaves] = [one.entersOn, one.leavesOn];
    const begins = within(enters) ? enters : undefined;
    const ends = within(leaves) && (begins === undefined || leaves >= begins) ? leaves : undefined;
    if (enters !== '' && begins === undefined) losses.add('enters_on', 'unfit');
    if (leaves !== '' && ends === undefined) losses.add('leaves_on', 'unfit');
    const when = { ...(begins && { beginDate: begins }), ...(ends && { endDate: ends }) };
    const isIn = enrol(user, [one.groupKey, ...one.compositeGroupKeys], 'student', when);
    if (!isIn && Object.keys(when).length > 0) losses.add('dates', 'no_place');
  }
  for (const one of roster.staff) {
    const duties = [...new Set([...one.duties, ...one.groups.flatMap((group) => group.duties)])].filter(Boolean);
    const user = add(
      one.ref,
      one.person,
      'teacher',
      duties.length === 0 ? {} : { metadata: { duties: duties.map(text) } },
    );
    if (!user) continue;
    if (duties.length > 0) losses.add('duties', 'no_place');
    enrol(
      user,
      one.groups.map(({ key }) => key),
      'teacher',
      {},
    );
  }
  const seen = new Set<string>();
  for (const one of results) addResult(one, { wire, losses, base, id, users, nowMs, seen });
  return { wire, losses };
}

function namesOf(
  person: Person | undefined,
  losses: LossTally,
): Pick<User, 'givenName' | 'familyName'> & Partial<User> {
  const { familyName = '', familyNamePrefix = '', givenNames = '', callName = '', initials = '' } = person ?? {};
  if (familyNamePrefix !== '') losses.add('family_name_prefix', 'no_place');
  if (initials !== '') losses.add('initials', 'no_place');
  if ((person?.birthDate ?? '') !== '') losses.add('birth_date', 'minimised');
  if ((person?.gender ?? '') !== '') losses.add('gender', 'minimised');
  const given = givenNames || callName;
  const family = [familyNamePrefix, familyName].filter(Boolean).join(' ');
  if (given === '') losses.add('given_name', 'stand_in');
  if (family === '') losses.add('family_name', 'stand_in');
  return {
    givenName: text(given || NO_NAME),
    familyName: text(family || NO_NAME),
    ...(callName === '' ? {} : { preferredFirstName: text(callName) }),
    ...(person?.accountName ? { username: text(person.accountName) } : {}),
    ...(person?.email ? { email: text(person.email) } : {}),
  };
}

interface Within {
  wire: OneRoster;
  losses: LossTally;
  base: { status: 'active'; dateLastModified: string };
  id: string;
  users: ReadonlyMap<string, Ref>;
  nowMs: number;
  /** Ids of results and line items that are there. */
  seen: Set<string>;
}

/** A test is a line item, and a part of it one below; the whole of it is there once something of it is. */
function addResult(one: Result, { wire, losses, base, id, users, nowMs, seen }: Within): void {
  if (one.withdrawn) {
    losses.add('withdrawn', 'unfit');
    return;
  }
  const { payload, learner } = one;
  const student = users.get(`learner ${learner?.lasKey ?? ''}`) ?? users.get(`eck ${learner?.eckId ?? ''}`);
  const [code, part] = [payload?.activityId ?? '', payload?.partId ?? ''];
  const sourcedId = `${id}:result:${one.resultId}`;
  const isLong = JSON.stringify([code, part]).length > MOST_OF_TEST;
  if (!payload || !student || !isKey(one.resultId) || code === '' || isLong || seen.has(sourcedId)) {
    losses.add('result', 'unfit');
    return;
  }
  seen.add(sourcedId);
  const item = (name: string, title: string, more: object): Ref => {
    const ref = refTo('assessmentLineItem', `${id}:test:${name}`);
    if (!seen.has(ref.sourcedId))
      wire.assessmentLineItem.push({ sourcedId: ref.sourcedId, ...base, title: text(title), ...more });
    seen.add(ref.sourcedId);
    return ref;
  };
  const { scoreMax, score, grade } = payload;
  const max = scoreMax !== undefined && Number.isFinite(scoreMax) ? { resultValueMax: scoreMax } : {};
  const whole = item(JSON.stringify([code]), payload.activityName || code, part === '' ? max : {});
  const of =
    part === '' ? whole : item(JSON.stringify([code, part]), part, { ...max, parentAssessmentLineItem: whole });
  const taken = isDay(payload.takenAt) ? payload.takenAt : dayOf(payload.takenAt);
  if (taken === undefined) losses.add('taken_at', 'unfit');
  const hasScore = score !== undefined && Number.isFinite(score);
  if (score !== undefined && !hasScore) losses.add('score', 'unfit');
  if (one.productId !== '') losses.add('product_id', 'no_place');
  if (one.groupKey !== '') losses.add('group_key', 'no_place');
  losses.add('kind', 'no_place');
  if (payload.test) losses.add('test', 'no_place');
  if (payload.monitor) losses.add('monitor', 'no_place');
  if (payload.subject) losses.add('subject', 'no_place');
  if (payload.goals.length > 0) losses.add('goals', 'no_place');
  if (payload.exercisesDone !== undefined || payload.exercisesTotal !== undefined) losses.add('exercises', 'no_place');
  if (payload.donePercent !== undefined) losses.add('done_percent', 'no_place');
  if (payload.secondsSpent !== undefined) losses.add('seconds_spent', 'no_place');
  const isGraded = hasScore || grade !== '';
  wire.assessmentResult.push({
    ...{ sourcedId, ...base, assessmentLineItem: of, student, scoreDate: taken ?? dutchDay(nowMs) },
    scoreStatus: !isGraded ? 'submitted' : (payload.donePercent ?? 100) < 100 ? 'partially graded' : 'fully graded',
    ...(hasScore ? { score } : {}),
    ...(grade === '' ? {} : { textScore: text(grade) }),
  });
}

function dayOf(moment: string): string | undefined {
  const ms = moment === '' ? Number.NaN : Date.parse(moment);
  return Number.isNaN(ms) ? undefined : dutchDay(ms);
}
