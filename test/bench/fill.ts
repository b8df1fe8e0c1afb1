/**
 * Fills the data folder of a gateway that is stopped with a month of flows, and their references, as the engine itself writes them:
 * by its unit into the tables of the flows, and as claims. What came of each elsewhere (orders, licences, mail, the log) is not there.
 * Prints one line of JSON: what it took, and bytes of tables and indexes.
 */
import { randomBytes } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { openEngine, openStore, stateFile } from '#bus';
import { connect, HmacKey, sha256, uuidBytes } from '#kernel';
import { Receipt } from '#proto/eduk/core/v1/receipt';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { flows } from '#services/flows';
import { devKeyFile, startVaultThread } from '#services/pseudonyms';
import { Month, type MonthOf } from './month.ts';

/** Rows, or claims, of one transaction. */
const AT_ONCE = 50_000;
const DAY_MS = 86_400_000;

export interface FillOptions extends MonthOf {
  data: string;
}

export interface Filled {
  seconds: number;
  /** Bytes of the rows of flows, of the indexes over them, and of what finds them by their references. */
  rows: number;
  indexes: number;
  references: number;
}

const { data, ...of } = JSON.parse(process.argv[2]!) as FillOptions;
const began = performance.now();
const month = new Month(of);
const file = stateFile(data);
const table = flows.tables.find(({ name }) => name === 'flows_flows')!;

/** By which doors make the key of a reference. */
async function digestKey(): Promise<HmacKey> {
  const vault = await startVaultThread({ file: `${data}/vault.db`, keyFile: devKeyFile(data), devKey: true });
  const keys = await connect(VaultServiceDefinition, vault.transport).doorKeys({});
  await vault.stop();
  return new HmacKey(keys.digestKey);
}

function row(i: number): object {
  const { type, method, outcome, says, refusal, code, told } = month.kind(i);
  const state = month.state(i);
  const acceptedMs = month.acceptedMs(i);
  const isDecided = state !== 'accepted';
  const isRefused = state === 'refused';
  return {
    ...{ flowId: month.flowId(i), type, method, party: month.party(i), school: month.school(i) },
    ...{ key: month.learner(i), subject: month.subject(i) },
    ...{ asked: 1, answered: isDecided ? 1 : 0, refused: isRefused ? 1 : 0 },
    outcome: isRefused ? refusal : isDecided ? outcome : '',
    says: isRefused ? 'refused' : isDecided ? says : '',
    ...(isRefused ? { code, told } : { code: '', told: '' }),
    ...{ acceptedMs, decidedMs: isDecided ? acceptedMs + 40 : 0 },
  };
}

async function fillRows(): Promise<void> {
  const engine = openEngine({ file, modules: [flows] });
  for (let from = 0; from < month.count; from += AT_ONCE)
    engine.view.note((unit) => {
      for (let i = from; i < Math.min(month.count, from + AT_ONCE); i++) unit.put(table, row(i));
    });
  await engine.stop();
}

/** As `claimOf` of the engine and `referenceKey` of the doors: where either is made otherwise one day, no reference is found, and the bench says so. */
function claimed(i: number, key: HmacKey): string {
  const [party, { method }] = [month.party(i), month.kind(i)];
  const reference = key.digest(`reference|${party}|${method}|${month.reference(i)}`).subarray(0, 16);
  return sha256(Buffer.concat([Buffer.from(`${party}\0${method}\0`), reference])).slice(0, 16);
}

function fillReferences(key: HmacKey): void {
  const store = openStore(file, [flows]);
  const bytes = (length: number): Uint8Array => randomBytes(length);
  const answer = Receipt.encode(
    Receipt.fromPartial({ version: 1, leaf: bytes(32), salt: bytes(24), acceptedMs: BigInt(of.untilMs) }),
  ).finish();
  for (const [first, end] of month.days()) {
    // Of one day in the order of the tree that they go into: a page is written once a transaction, and not once a claim.
    const claims = Array.from({ length: end - first }, (_, n) => ({ i: first + n, claim: claimed(first + n, key) }));
    claims.sort((a, b) => (a.claim < b.claim ? -1 : 1));
    for (let from = 0; from < claims.length; from += AT_ONCE) {
      store.begin();
      for (const { i, claim } of claims.slice(from, from + AT_ONCE))
        store.claim(
          {
            ...{ claim: Buffer.from(claim, 'latin1'), digest: bytes(16), digestVersion: 1, answer },
            flowId: uuidBytes(month.flowId(i))!,
            rememberUntilMs: month.acceptedMs(i) + month.kind(i).remember * DAY_MS,
          },
          of.untilMs,
        );
      store.commit();
    }
  }
  store.close();
}

function sizes(): Omit<Filled, 'seconds'> {
  const db = new DatabaseSync(file, { readOnly: true });
  const indexes = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?`).all(table.name);
  const of = db.prepare('SELECT sum(pgsize) AS bytes FROM dbstat WHERE name = ? AND aggregate = TRUE');
  const sum = (names: readonly unknown[]): number =>
    names.reduce<number>((all, name) => all + Number(of.get(name as string)!['bytes'] ?? 0), 0);
  const said = {
    rows: sum([table.name]),
    indexes: sum(indexes.map(({ name }) => name)),
    references: sum(['bus_references', 'bus_answers']),
  };
  db.close();
  return said;
}

const key = await digestKey();
await fillRows();
fillReferences(key);
const filled: Filled = { ...sizes(), seconds: (performance.now() - began) / 1000 };
process.stdout.write(`${JSON.stringify(filled)}\n`);
