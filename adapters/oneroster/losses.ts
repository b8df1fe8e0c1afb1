/** What of the core has no place in OneRoster 1.2: docs/losses.md prints it, and the mapping counts by it. */
import type { LossReason, LossRow, LossTable } from '#adapters/contract';

export const rosterLosses = {
  no_place: {
    site_code: 'A roster of one site is a roster of its school there.',
    administration: 'OneRoster knows one administration of a school.',
    as_of: 'Objects say when they changed, not which day they describe.',
    year_group: 'Grades are those of CEDS; the Dutch one stands in metadata, for who looks there.',
    duties: 'Roles are student and teacher; duties stand in metadata, for who looks there.',
    description: 'Groups and sites have a name only.',
    family_name_prefix: 'It stands before the family name.',
    initials: 'Names are given and family names.',
    dates: 'They stand with an enrolment, and who is in no group has none.',
  },
  minimised: {
    birth_date: 'Demographics are not written: a roster is for material, not for statistics.',
    gender: 'Demographics are not written: a roster is for material, not for statistics.',
    user: 'The receiver may have neither key nor ECK iD, and could not tell who it is.',
  },
  unfit: {
    user: 'Another one has the same key.',
    group: 'It has no key, or one that another has, or one that is too long for an id.',
    site: 'It has no key, or one that another has, or one that is too long for an id.',
    group_key: 'It names a group that is not there.',
    site_key: 'It names a site that is not there.',
    enters_on: 'Not a day of this school year.',
    leaves_on: 'Not a day of this school year, or before the first.',
    school_year: 'No school year: of it nothing is written.',
  },
  stand_in: {
    given_name: 'OneRoster demands one.',
    family_name: 'OneRoster demands one.',
    group_name: 'OneRoster demands one: the key.',
    site_name: 'OneRoster demands one: the key.',
    school_name: 'OneRoster demands one: the number.',
    course: 'A class is of a course: one by the name of the group.',
    term: 'A class is in a term: one as long as the year.',
    made_at: 'Objects say when they changed: the moment of writing.',
  },
} as const;

export const resultLosses = {
  no_place: {
    product_id: 'A line item names no product.',
    group_key: 'An assessment is of no class.',
    kind: 'Interim and final are one.',
    test: 'Of the description of a test its name stands there.',
    monitor: 'Of a monitoring system the score stands there.',
    exercises: 'There is no place for exercises beside a score.',
    done_percent: 'There is no place for a share of the work; unfinished is partially graded.',
    seconds_spent: 'There is no place for time.',
    subject: 'An assessment names no subject in words.',
    goals: 'Goals need ids of CASE, which the senders do not give.',
  },
  unfit: {
    result: 'It names a pupil who is not in the roster, has no test, or no id.',
    withdrawn: 'It is not written: what is taken back is gone.',
    score: 'Not a number.',
    taken_at: 'Not a day: the day of writing.',
  },
} as const;

const rowsOf = (table: Partial<Record<LossReason, Readonly<Record<string, string>>>>): LossRow[] =>
  (Object.keys(table) as LossReason[]).flatMap((reason) =>
    Object.entries(table[reason]!).map(([element, why]) => ({ element, reason, why })),
  );

export const lossTables: readonly LossTable[] = [
  { from: 'core', to: 'OneRoster 1.2 rostering', rows: rowsOf(rosterLosses) },
  { from: 'core', to: 'OneRoster 1.2 gradebook (assessments)', rows: rowsOf(resultLosses) },
];
