/** Whether a whole of OneRoster objects keeps to the standard: fields, lists of words, days, ids, and references that lead somewhere. */
import { isDay } from '#kernel';
import { type Kind, type OneRoster, type Ref, rules } from './wire.ts';

type Thing = { sourcedId: string } & Record<string, unknown>;
const BASE = ['sourcedId', 'status', 'dateLastModified', 'metadata'];
/** Checked by themselves. */
const LISTS = ['userIds', 'roles'];

/** A place and what is wrong there, each; none = valid. No values. */
export function problemsIn(all: OneRoster): string[] {
  const wrong: string[] = [];
  const ids = new Map<Kind, Set<string>>();
  const kinds = Object.keys(rules) as Kind[];
  for (const kind of kinds) ids.set(kind, new Set((all[kind] as { sourcedId: string }[]).map((it) => it.sourcedId)));
  for (const kind of kinds) {
    const things = all[kind] as unknown as Thing[];
    if (ids.get(kind)!.size < things.length) wrong.push(`${kind}: an id twice`);
    for (const [i, thing] of things.entries()) {
      const say = (text: string) => wrong.push(`${kind}[${i}].${text}`);
      if (!isText(thing.sourcedId) || thing.sourcedId.length > 255) say('sourcedId: no id');
      if (thing['status'] !== 'active' && thing['status'] !== 'tobedeleted') say('status: no word of the list');
      if (!isMoment(thing['dateLastModified'])) say('dateLastModified: no moment');
      const known = new Set(BASE);
      for (const [name, rule] of Object.entries(rules[kind])) {
        const field = name.replace('?', '');
        known.add(field);
        const value = thing[field];
        if (value === undefined) {
          if (field === name) say(`${field}: absent`);
        } else if (!fits(value, rule)) say(`${field}: not as it must be`);
        else if (typeof rule === 'object' && !Array.isArray(rule)) {
          const refs = ('some' in rule ? value : [value]) as Ref[];
          for (const ref of refs) if (!ids.get(ref.type)!.has(ref.sourcedId)) say(`${field}: leads nowhere`);
        }
      }
      for (const field of Object.keys(thing))
        if (!known.has(field) && !(kind === 'user' && LISTS.includes(field))) say(`${field}: unknown`);
    }
  }
  for (const [i, { roles, userIds }] of all.user.entries()) {
    if (roles.filter(({ roleType }) => roleType === 'primary').length !== 1) wrong.push(`user[${i}].roles: no primary`);
    for (const { org } of roles)
      if (!ids.get('org')!.has(org.sourcedId)) wrong.push(`user[${i}].roles.org: leads nowhere`);
    if (!userIds.every(({ type, identifier }) => isText(type) && isText(identifier)))
      wrong.push(`user[${i}].userIds: empty`);
  }
  for (const [i, { startDate, endDate }] of all.academicSession.entries())
    if (startDate >= endDate) wrong.push(`academicSession[${i}]: ends before it begins`);
  const [session] = all.academicSession;
  for (const [i, { beginDate, endDate }] of all.enrollment.entries()) {
    const days = [beginDate, endDate].filter((day) => day !== undefined);
    if (session && days.some((day) => day < session.startDate || day > session.endDate))
      wrong.push(`enrollment[${i}]: outside of its session`);
    if (beginDate !== undefined && endDate !== undefined && beginDate > endDate)
      wrong.push(`enrollment[${i}]: ends before it begins`);
  }
  return wrong;
}

const isText = (value: unknown): boolean => typeof value === 'string' && value !== '' && value.isWellFormed();
const isMoment = (value: unknown): boolean =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value) && !Number.isNaN(Date.parse(value));

function fits(value: unknown, rule: (typeof rules)[Kind][string]): boolean {
  if (rule === 'text') return isText(value);
  if (rule === 'number') return typeof value === 'number' && Number.isFinite(value);
  if (rule === 'day') return typeof value === 'string' && isDay(value);
  if (rule === 'moment') return isMoment(value);
  if (Array.isArray(rule)) return rule.includes(value);
  const { to, some } = rule as { to?: Kind; some?: Kind };
  const isRef = (one: unknown, kind: Kind | undefined): boolean => (one as Ref | undefined)?.type === kind;
  return some === undefined
    ? isRef(value, to)
    : Array.isArray(value) && value.length > 0 && value.every((one) => isRef(one, some));
}
