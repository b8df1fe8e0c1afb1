/** An EDEXML file of 200 kB: read, validated, mapped and identified, against the bare library parsing and validating it. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { XmlDocument, XsdValidator } from 'libxml2-wasm';
import { read, schema, toCore } from '#adapters/edexml';
import { connect, dispatcher, systemClock } from '#kernel';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { openVault } from '#services/pseudonyms';
import { inventSchool } from '../../adapters/edexml/examples/invent.ts';
import { rosterPeople, rosterTexts } from '../../services/edge/intake/rosters.ts';

interface Ratio {
  ours: number;
  bare: number;
  ratio: number;
}

const median = (list: number[]): number => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!;

/** Milliseconds, medians of pairs measured in turn. */
export async function edexmlRatios(rounds = 15): Promise<{ kb: number; first: Ratio; known: Ratio }> {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-edexml-'));
  const vault = openVault({ file: join(folder, 'vault.db'), masterKey: randomBytes(32), clock: systemClock });
  vault.start();
  const client = connect(VaultServiceDefinition, dispatcher(vault.implementations));
  const bytes = Buffer.from(inventSchool({ pupils: 300, seed: 7 }));
  const xsd = XmlDocument.fromString(schema.files[schema.main]!);
  const validator = XsdValidator.fromDoc(xsd);
  const bare = (): number => {
    const started = performance.now();
    const doc = XmlDocument.fromBuffer(bytes);
    validator.validate(doc);
    doc.dispose();
    return performance.now() - started;
  };
  const ours = async (school: string): Promise<number> => {
    const started = performance.now();
    const roster = toCore(read(bytes));
    await roster.reveal(async (it) => {
      const identities = rosterPeople(it).map(({ identity }) => ({ ...identity, partyOin: '' }));
      await Promise.all([
        client.identify({ schoolOin: school, sector: '', identities, create: true, saltFor: [] }),
        client.sealTexts({ schoolOin: school, texts: rosterTexts(it), partyOin: '' }),
      ]);
    });
    return performance.now() - started;
  };
  for (let i = 0; i < 5; i++) {
    bare();
    await ours('0000000700099WW00000');
  }
  const firsts: [number, number][] = [];
  const knowns: [number, number][] = [];
  for (let i = 0; i < rounds; i++) {
    // A school not seen before, then the same file again.
    const school = `0000000700099XX${String(i).padStart(5, '0')}`;
    firsts.push([await ours(school), bare()]);
    knowns.push([await ours(school), bare()]);
  }
  validator.dispose();
  xsd.dispose();
  await vault.stop();
  rmSync(folder, { recursive: true, force: true });
  const of = (pairs: [number, number][]): Ratio => ({
    ours: median(pairs.map(([a]) => a)),
    bare: median(pairs.map(([, b]) => b)),
    ratio: median(pairs.map(([a, b]) => a / b)),
  });
  return { kb: bytes.length / 1024, first: of(firsts), known: of(knowns) };
}
