/**
 * Tries to open what pupils did: `node test/demo/open-payloads.ts FOLDER KEYFILE SCHOOL`, on a copy of a data folder with
 * its key, as someone who got hold of both would. It takes every sealed payload that was ever put on the log and asks the
 * vault's own code to open it. Standard input: texts to look for in the files, one a line. Prints one JSON value; `texts` are the lines that were found.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { text } from 'node:stream/consumers';
import { stateFile } from '#bus';
import { connect, dispatcher, systemClock } from '#kernel';
import { ResultSubmitted } from '#proto/eduk/events/v1/results';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { openVault, readMasterKey } from '#services/pseudonyms';

const [folder, keyFile, school] = process.argv.slice(2) as [string, string, string];
const wanted = (await text(process.stdin)).split('\n').filter((line) => line !== '');

const log = new DatabaseSync(stateFile(folder), { readOnly: true });
const lanes = log.prepare(`SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'log_results_%'`).all();
const sealed = lanes.flatMap(({ name }) =>
  log
    .prepare(`SELECT data FROM ${name} WHERE type = 'ResultSubmitted'`)
    .all()
    .map(({ data }) => ResultSubmitted.decode(data as Uint8Array).result!),
);
log.close();

const vault = openVault({ file: join(folder, 'vault.db'), masterKey: readMasterKey(keyFile), clock: systemClock });
const call = connect(VaultServiceDefinition, dispatcher(vault.implementations));
const { data } = await call.openPayloads({
  schoolOin: school,
  sealed: sealed.map(({ learner, payload }) => ({ token: learner, sealed: payload, context: 'result' })),
  partyOin: 'demo',
  purpose: 'demo',
});
const tokens = [...new Set(sealed.map(({ learner }) => learner))];
const { revealed } = await call.reveal({
  schoolOin: school,
  wanted: tokens.map((token) => ({ token, nameMark: new Uint8Array(0) })),
  numbers: true,
  names: true,
  contact: true,
  partyOin: 'demo',
  purpose: 'demo',
  pairwise: false,
});
await vault.stop();

const shut = sealed.filter((_, i) => data[i]!.length === 0);
const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)));
process.stdout.write(
  `${JSON.stringify({
    payloads: sealed.length,
    opened: sealed.length - shut.length,
    pupils: tokens.length,
    shutPupils: new Set(shut.map(({ learner }) => learner)).size,
    unknownPupils: revealed.filter(({ known }) => !known).length,
    texts: wanted.flatMap((one, i) => (files.some((bytes) => bytes.includes(one)) ? [i] : [])),
  })}\n`,
);
