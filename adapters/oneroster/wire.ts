/** What of OneRoster 1.2 the core is written as, in its own names (rostering and gradebook, JSON binding), and its rules as data. */

export interface Ref {
  sourcedId: string;
  type: Kind;
}

interface Base {
  sourcedId: string;
  status: 'active' | 'tobedeleted';
  /** RFC 3339. */
  dateLastModified: string;
  metadata?: Record<string, string | string[]>;
}

export interface Org extends Base {
  name: string;
  type: 'school' | 'department';
  identifier?: string;
  parent?: Ref;
}
export interface AcademicSession extends Base {
  title: string;
  type: 'schoolYear' | 'term';
  /** The end is the first day after it. */
  startDate: string;
  endDate: string;
  /** The year in which it ends. */
  schoolYear: string;
  parent?: Ref;
}
export interface Course extends Base {
  title: string;
  org: Ref;
}
export interface Class extends Base {
  title: string;
  classType: 'homeroom' | 'scheduled';
  course: Ref;
  school: Ref;
  terms: Ref[];
}
export interface Role {
  roleType: 'primary' | 'secondary';
  role: 'student' | 'teacher';
  org: Ref;
}
export interface User extends Base {
  enabledUser: 'true';
  givenName: string;
  familyName: string;
  preferredFirstName?: string;
  username?: string;
  email?: string;
  userIds: { type: string; identifier: string }[];
  roles: Role[];
  primaryOrg: Ref;
}
export interface Enrollment extends Base {
  user: Ref;
  class: Ref;
  school: Ref;
  role: 'student' | 'teacher';
  beginDate?: string;
  endDate?: string;
}
export interface AssessmentLineItem extends Base {
  title: string;
  parentAssessmentLineItem?: Ref;
  resultValueMax?: number;
}
export interface AssessmentResult extends Base {
  assessmentLineItem: Ref;
  student: Ref;
  scoreDate: string;
  scoreStatus: 'fully graded' | 'partially graded' | 'submitted';
  score?: number;
  textScore?: string;
}

export interface OneRoster {
  org: Org[];
  academicSession: AcademicSession[];
  course: Course[];
  class: Class[];
  user: User[];
  enrollment: Enrollment[];
  assessmentLineItem: AssessmentLineItem[];
  assessmentResult: AssessmentResult[];
}
export type Kind = keyof OneRoster;

type Rule = 'text' | 'day' | 'moment' | 'number' | readonly string[] | { to: Kind } | { some: Kind };
/** Fields of each object; those with `?` may be absent. What is not here may not be there. */
export const rules: Readonly<Record<Kind, Readonly<Record<string, Rule>>>> = {
  org: { name: 'text', type: ['school', 'department'], 'identifier?': 'text', 'parent?': { to: 'org' } },
  academicSession: {
    ...{ title: 'text', type: ['schoolYear', 'term'], startDate: 'day', endDate: 'day', schoolYear: 'text' },
    'parent?': { to: 'academicSession' },
  },
  course: { title: 'text', org: { to: 'org' } },
  class: {
    ...{ title: 'text', classType: ['homeroom', 'scheduled'], course: { to: 'course' }, school: { to: 'org' } },
    terms: { some: 'academicSession' },
  },
  user: {
    ...{ enabledUser: ['true', 'false'], givenName: 'text', familyName: 'text', 'preferredFirstName?': 'text' },
    ...{ 'username?': 'text', 'email?': 'text', primaryOrg: { to: 'org' } },
  },
  enrollment: {
    ...{ user: { to: 'user' }, class: { to: 'class' }, school: { to: 'org' }, role: ['student', 'teacher'] },
    ...{ 'beginDate?': 'day', 'endDate?': 'day' },
  },
  assessmentLineItem: {
    ...{ title: 'text', 'parentAssessmentLineItem?': { to: 'assessmentLineItem' }, 'resultValueMax?': 'number' },
  },
  assessmentResult: {
    ...{ assessmentLineItem: { to: 'assessmentLineItem' }, student: { to: 'user' }, scoreDate: 'day' },
    ...{ scoreStatus: ['exempt', 'fully graded', 'not submitted', 'partially graded', 'submitted'] },
    ...{ 'score?': 'number', 'textScore?': 'text' },
  },
};
