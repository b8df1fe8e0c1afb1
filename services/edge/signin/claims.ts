import { GatewayError, isPartyOin, settings } from '#kernel';

/**
 * What a provider says of whoever signed in, read as little as possible: for which organisation, at which level, for which
 * service. Who the person is, is not read.
 */

/** What is read from a claim. `subject` is a number whose kind stands in `kind`; the last four are numbers of one kind. */
export type ClaimKind =
  | 'subject'
  | 'kind'
  | 'branch'
  | 'intermediary'
  | 'service'
  | 'level'
  | 'kvk'
  | 'rsin'
  | 'oin'
  | 'brin';

/** Levels of assurance of eHerkenning, from the least. */
export const LEVELS = settings.EDUK_SIGNIN_LEVEL.choices;
export type Level = (typeof LEVELS)[number];

export interface ClaimRules {
  /** Name of the claim for each; a kind without one is not read. */
  claims: Readonly<Partial<Record<ClaimKind, string>>>;
  least: Level;
  /** Words of the provider for levels, besides those that everybody has. */
  words: ReadonlyMap<string, Level>;
  /** Service for which the person must be authorised; undefined = the provider has one only. */
  service: string | undefined;
}

/** Words for levels: of eHerkenning, of eIDAS, and short ones. */
const known: ReadonlyMap<string, Level> = new Map([
  ...LEVELS.flatMap((level): [string, Level][] => [
    [level, level],
    [`urn:etoegang:core:assurance-class:${level}`, level],
  ]),
  ['http://eidas.europa.eu/LoA/low', 'loa2'],
  ['http://eidas.europa.eu/LoA/substantial', 'loa3'],
  ['http://eidas.europa.eu/LoA/high', 'loa4'],
]);

/** How eHerkenning writes what kind of number a subject is. */
const KIND_OF: ReadonlyMap<string, 'kvk' | 'rsin'> = new Map([
  ['urn:etoegang:1.9:EntityConcernedID:KvKnr', 'kvk'],
  ['urn:etoegang:1.9:EntityConcernedID:RSIN', 'rsin'],
]);

const FORM: Readonly<Record<'kvk' | 'rsin' | 'oin' | 'brin', (text: string) => boolean>> = {
  kvk: (text) => /^\d{8}$/.test(text),
  rsin: (text) => /^\d{9}$/.test(text),
  oin: isPartyOin,
  brin: (text) => /^\d{2}[A-Z]{2}(\d{2})?$/.test(text),
};

/** A refusal of a sign-in; `where` names what it is about, for the page that tells it. It never quotes a claim. */
export const notTaken = (where: string, told: string): GatewayError =>
  new GatewayError('party.forbidden', told, { where });

/**
 * The numbers of the organisation that the person acts for, as `kind:number`; of a restriction to one branch with that
 * behind it. Faults: party.forbidden, with `where` = level, service, intermediary, organisation.
 */
export function organisationIn(said: Readonly<Record<string, unknown>>, rules: ClaimRules): readonly string[] {
  const text = (kind: ClaimKind): string | undefined => {
    const name = rules.claims[kind];
    return name === undefined ? undefined : textIn(said, name, kind);
  };
  const level = rules.words.get(text('level') ?? '') ?? known.get(text('level') ?? '');
  if (level === undefined || LEVELS.indexOf(level) < LEVELS.indexOf(rules.least))
    throw notTaken('level', `Sign in at level ${rules.least} or higher.`);
  if (rules.service !== undefined && text('service') !== rules.service)
    throw notTaken('service', 'You are not authorised for this service.');
  // Who is authorised by a chain may be the supplier whose mandate this is about.
  if (text('intermediary') !== undefined)
    throw notTaken('intermediary', 'Only persons of the board or school itself sign in here.');
  const branch = text('branch');
  if (branch !== undefined && !/^\d{12}$/.test(branch)) throw unreadable();
  const found: string[] = [];
  for (const kind of ['kvk', 'rsin', 'oin', 'brin'] as const) {
    const number = text(kind);
    if (number === undefined) continue;
    if (!FORM[kind](number)) throw unreadable();
    found.push(`${kind}:${number}`);
  }
  const subject = text('subject');
  if (subject !== undefined) {
    const qualifier = text('kind');
    // Nine digits whose kind nobody says could be a person's number: those are not even compared.
    const kind = qualifier === undefined ? 'kvk' : KIND_OF.get(qualifier);
    if (kind === undefined || !FORM[kind](subject)) throw unreadable();
    found.push(`${kind}:${subject}`);
  }
  if (found.length === 0) throw unreadable();
  // Who may act for one branch may not for the whole: only a number with that branch is theirs.
  if (branch === undefined) return [...new Set(found)];
  const ofBranch = found.filter((number) => number.startsWith('kvk:')).map((number) => `${number}/${branch}`);
  if (ofBranch.length === 0) throw unreadable();
  return ofBranch;
}

const unreadable = (): GatewayError =>
  notTaken('organisation', 'The provider does not say for which organisation you sign in.');

/** One text in a claim, by its whole name or by a path with dots. Faults: party.forbidden (something else than one text). */
function textIn(said: Readonly<Record<string, unknown>>, name: string, kind: ClaimKind): string | undefined {
  let value: unknown = Object.hasOwn(said, name) ? said[name] : undefined;
  if (value === undefined) {
    value = said;
    for (const step of name.split('.'))
      value =
        typeof value === 'object' && value !== null && Object.hasOwn(value, step)
          ? (value as Record<string, unknown>)[step]
          : undefined;
  }
  if (Array.isArray(value) && value.length === 1) value = value[0];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string' || value.length > 256)
    throw kind === 'level' ? notTaken('level', 'The provider does not say at which level.') : unreadable();
  return value;
}
