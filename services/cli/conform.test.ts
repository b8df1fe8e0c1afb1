/** `eduk conform` where nothing could be found out: it says why, with status 2, and repeats no secret. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { run } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'eduk-conform-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const file = (name: string, text: string, mode = 0o600): string => {
  writeFileSync(at(name), text, { mode });
  return at(name);
};
const env = { EDUK_DATA: at('none') };

async function words(...args: string[]): Promise<string> {
  const { exit, out, err } = await run(['conform', 'uwlr', ...args], env);
  expect([exit, out]).toEqual([2, '']);
  return err.replaceAll(/\s+/g, ' ');
}
const sleutel = file('sleutel', 'geheim-1');
const las = (address: string, ...more: string[]) => [
  '--las',
  address,
  '--school',
  '99ZX',
  '--klantcode',
  'K',
  '--klantnaam',
  'N',
  '--sleutel-file',
  sleutel,
  ...more,
];
/** Nobody listens there. */
const SILENT = 'http://127.0.0.1:9/uwlr';

test.each<[string, string[], string]>([
  ['nothing is named', [], '--las is needed'],
  ['both are', [...las(SILENT), '--ea'], '--las or --ea'],
  ['a flag of the one is given to the other', ['--ea', '--write'], '--write goes with --las'],
  ['and the other way round', las(SILENT, '--for', '3'), '--for goes with --ea'],
  ['no school is named', ['--las', SILENT], '--school or by --schoolkey'],
  ['two are', las(SILENT, '--schoolkey', 'x'), '--school or by --schoolkey'],
  ['the address is none', las('uwlr'), 'must be an address'],
  ['the report has no kind', las(SILENT, '--report', at('r.pdf')), '.html, .md or .json'],
  ['the report has no folder', las(SILENT, '--report', at('nergens/r.md')), 'cannot be written (ENOENT)'],
  ['half a certificate is given', las(SILENT, '--certificate', sleutel), 'given together'],
  ['nobody answers', las(SILENT), 'gives no answer (refused)'],
  ['plain HTTP would leave this machine', las('http://192.0.2.1/'), 'must be https'],
  ['the address is not on the Internet', las('https://192.0.2.1/'), 'EDUK_ALLOW_NETWORKS'],
  ['it would listen for others in the clear', ['--ea', '--listen', '0.0.0.0:0'], 'needs --certificate'],
])('%s', async (_, args, told) => {
  expect(await words(...args)).toContain(told);
});

test('nobody calls', async () => {
  expect(await words('--ea', '--for', '1')).toMatch(/99ED.*nobody called/);
});

test('a file of settings is told to be wrong without a word of it', async () => {
  const settings = (text: string) => words('--settings', file('las.json', text));
  expect(await settings('{"wachtwoord":"geheim"}')).toMatch(/field that is not known; known are leerlinggegevens,/);
  expect(await settings('{"klantcode":{"geheim":1}}')).toContain('klantcode in the file');
  expect(await settings('geheim')).toContain('is not JSON');
  expect(await settings('["geheim"]')).toContain('is not one object');
  expect(await settings('{"headers":{"Sleutel":7}}')).toContain('must name a file for each header');
  expect(await words('--settings', at('nergens'))).toContain('ENOENT');
  expect(await settings('{"wachtwoord":"geheim"}')).not.toContain('geheim');
});

test.skipIf(process.platform === 'win32')('a key that others can read is not used, nor shown', async () => {
  const open = file('open', 'geheim-2', 0o644);
  const told = await words(...las(SILENT).map((one) => (one === sleutel ? open : one)));
  expect(told).toContain('can be read by others');
  expect(told).not.toContain('geheim-2');
});

test('with --json it is one value', async () => {
  const { exit, json } = await run(['conform', 'uwlr', ...las(SILENT), '--json'], env);
  expect([exit, json.error.code, json.error.who]).toEqual([2, 'peer.unavailable', 'peer']);
});
