/**
 * Tables of the vault in PostgreSQL: the same rows as in SQLite (`../sqlite.ts`), in a schema of their own, best in a
 * database of their own. Forms follow one another; a release that comes only adds (columns with a default, tables,
 * indexes), so that it and the one before run on one schema; what nobody uses any more is dropped by a later release,
 * which says so in `oldestReader`.
 */
import { ConfigError } from '#kernel';
import { Connection } from './connection.ts';

interface Form {
  form: number;
  /** The oldest form whose release can work on this one. */
  oldestReader: number;
  statements: readonly string[];
}

/**
 * What forgetting empties is cut into parts, so that writing one part anew, which takes its bytes off the disk, locks a part
 * only, and not for long.
 */
const PARTS = 8;
const inParts = (name: string, columns: string, by: string): string[] => [
  `CREATE TABLE ${name} (${columns}) PARTITION BY HASH (${by})`,
  ...Array.from(
    { length: PARTS },
    (_, i) => `CREATE TABLE ${name}_${i} PARTITION OF ${name} FOR VALUES WITH (MODULUS ${PARTS}, REMAINDER ${i})`,
  ),
];

const TEXT = 'text COLLATE "C" NOT NULL';
const FORMS: readonly Form[] = [
  {
    form: 1,
    oldestReader: 1,
    statements: [
      'CREATE TABLE meta (name text PRIMARY KEY, number bigint, bytes bytea)',
      // Ids of schools and learners. Several are taken at a time; what is not used is lost.
      'CREATE SEQUENCE ids',
      `CREATE TABLE schools (id bigint PRIMARY KEY, oin ${TEXT} UNIQUE, first_sector text, version bigint NOT NULL)`,
      `CREATE TABLE school_sectors (school bigint NOT NULL, sector ${TEXT}, PRIMARY KEY (school, sector))`,
      `CREATE TABLE school_keys (
        school bigint NOT NULL, purpose ${TEXT}, version int NOT NULL, wrapped_by text NOT NULL, wrapped bytea NOT NULL,
        made_ms bigint NOT NULL, PRIMARY KEY (school, purpose, version))`,
      `CREATE TABLE learners (
        id bigint PRIMARY KEY, token ${TEXT} UNIQUE, school bigint NOT NULL, kind text NOT NULL,
        secret_version int NOT NULL, forgotten_ms bigint)`,
      ...inParts('secrets', 'learner bigint PRIMARY KEY, wrapped bytea NOT NULL', 'learner'),
      ...inParts(
        'lookups',
        'school bigint NOT NULL, hash bytea NOT NULL, learner bigint NOT NULL, key_version int NOT NULL, PRIMARY KEY (school, hash)',
        'hash',
      ),
      ...inParts(
        'numbers',
        'learner bigint NOT NULL, ordinal int NOT NULL, eck_id_hash bytea, las_key_hash bytea, sealed bytea NOT NULL, PRIMARY KEY (learner, ordinal)',
        'learner',
      ),
      ...inParts(
        'names',
        'learner bigint NOT NULL, mark bytea NOT NULL, rank int NOT NULL, touched_ms bigint NOT NULL, sealed bytea NOT NULL, PRIMARY KEY (learner, mark)',
        'learner',
      ),
      ...inParts('births', 'learner bigint PRIMARY KEY, content bytea NOT NULL, sealed bytea NOT NULL', 'learner'),
      ...inParts(
        'contact',
        'learner bigint PRIMARY KEY, content bytea NOT NULL, touched_ms bigint NOT NULL, sealed bytea NOT NULL',
        'learner',
      ),
      `CREATE TABLE texts (
        school bigint NOT NULL, token ${TEXT}, key_version int NOT NULL, touched_ms bigint NOT NULL, sealed bytea NOT NULL,
        PRIMARY KEY (school, token))`,
      'CREATE TABLE forgetting (learner bigint PRIMARY KEY, at_ms bigint NOT NULL)',
      'CREATE INDEX forgetting_due ON forgetting (at_ms)',
      // Parts in which something was deleted whose bytes still stand in the files.
      'CREATE TABLE unwiped (part text PRIMARY KEY, since_ms bigint NOT NULL, marks bigint NOT NULL DEFAULT 0)',
    ],
  },
  {
    form: 2,
    // Until keys are renewed for the first time: then `RENEWED`.
    oldestReader: 1,
    // Renewing keys reads the learners of one school in order.
    statements: ['CREATE INDEX learners_of_school ON learners (school, id)'],
  },
  {
    form: 3,
    oldestReader: 1,
    // How many learners were shown to whom.
    statements: [
      `CREATE TABLE reveal_hours (
        hour_ms bigint NOT NULL, party_oin ${TEXT}, learners bigint NOT NULL, PRIMARY KEY (hour_ms, party_oin))`,
    ],
  },
  {
    form: 4,
    oldestReader: 1,
    // Who asked to be told who learners are, and who decided.
    statements: [
      `CREATE TABLE asked_reveals (
        request_id ${TEXT} PRIMARY KEY, school_oin ${TEXT}, reason ${TEXT}, attributes ${TEXT}, tables ${TEXT}, tokens ${TEXT},
        flow_id ${TEXT}, learners int NOT NULL, state ${TEXT}, asked_by ${TEXT}, asked_ms bigint NOT NULL, decided_by ${TEXT},
        decided_ms bigint NOT NULL, until_ms bigint NOT NULL, taken_ms bigint NOT NULL, shown int NOT NULL)`,
    ],
  },
  {
    form: 5,
    oldestReader: 1,
    // Second tokens of learners, and whose they are.
    statements: [
      'CREATE TABLE merged (learner bigint PRIMARY KEY, winner bigint NOT NULL)',
      'CREATE INDEX merged_of_winner ON merged (winner)',
    ],
  },
];
/** From the first renewed key on a release of the form before would look numbers up under one key only. */
export const RENEWED = 'UPDATE forms SET oldest_reader = 2 WHERE form >= 2 AND oldest_reader < 2';
/** The form that this release works on, the newest that it makes. */
export const FORM = FORMS.at(-1)!.form;

/** One process at a time changes tables. */
const MIGRATING = 0x76_61_75_6c;
const NAME = /^[a-z][a-z0-9_]{0,40}$/;

/**
 * Brings the schema to the newest form this release knows. A newer one is left as it is where this release can work on it,
 * and refused otherwise (`ConfigError`). Other replicas may do the same at the same time.
 */
export async function migrate(url: string, schema: string, forms: readonly Form[] = FORMS): Promise<void> {
  if (!NAME.test(schema)) throw new ConfigError(['the name of the vault’s schema is none']);
  const connection = await Connection.open(url, schema, 'migration');
  try {
    await connection.send([
      { text: 'BEGIN' },
      // Whoever is ahead of us makes dozens of tables.
      { text: "SET LOCAL lock_timeout = '60s'" },
      { text: "SET LOCAL statement_timeout = '60s'" },
      { text: 'SELECT pg_advisory_xact_lock($1, hashtext($2))', values: [MIGRATING, schema] },
    ]);
    const [[found]] = (await connection.send([
      { text: "SELECT to_regclass($1 || '.forms') IS NOT NULL AS made", values: [schema] },
    ])) as [[{ made: boolean }]];
    if (!found.made)
      await connection.send([
        { text: `CREATE SCHEMA IF NOT EXISTS ${schema}` },
        { text: 'CREATE TABLE forms (form int PRIMARY KEY, oldest_reader int NOT NULL, made_at timestamptz NOT NULL)' },
      ]);
    const [rows] = (await connection.send([
      { text: 'SELECT form, oldest_reader AS "oldestReader" FROM forms ORDER BY form' },
    ])) as [Omit<Form, 'statements'>[]];
    const newest = rows.at(-1);
    const known = forms.at(-1)!.form;
    if (newest && newest.oldestReader > known)
      throw new ConfigError([
        `the vault’s database was brought to form ${newest.form} by a newer release; this release knows ${known}`,
      ]);
    for (const { form, oldestReader, statements } of forms) {
      if (newest && form <= newest.form) continue;
      await connection.send([
        ...statements.map((text) => ({ text })),
        { text: 'INSERT INTO forms VALUES ($1, $2, now())', values: [form, oldestReader] },
      ]);
    }
    await connection.send([{ text: 'COMMIT' }]);
  } finally {
    // Closing ends what was not committed.
    connection.close();
  }
}
