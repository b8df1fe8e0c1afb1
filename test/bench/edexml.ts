/** EDEXML files, read, validated, mapped and identified, against the bare library parsing and validating them. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { XmlDocument, XsdValidator } from 'libxml2-wasm';
import { read, schema, takeApart, toCore } from '#adapters/edexml';
import { closeWorker } from '#adapters/xml';
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

/**
 * A file of 10 MB as a door takes it in: read apart in a worker, mapped, and its people and texts made known to the vault, at a school
 * not seen before. Milliseconds, medians of pairs measured in turn.
 */
export async function largeEdexml(rounds = 3, pupils = 16_000): Promise<{ mb: number; first: Ratio }> {
  const { vault, client, end } = openOne();
  const bytes = Buffer.from(inventSchool({ pupils, seed: 7 }));
  const xsd = XmlDocument.fromString(schema.files[schema.main]!);
  const validator = XsdValidator.fromDoc(xsd);
  const pairs: [number, number][] = [];
  for (let i = 0; i <= rounds; i++) {
    const school = `0000000700098XX${String(i).padStart(5, '0')}`;
    const started = performance.now();
    const { wire } = await takeApart(bytes);
    await toCore(wire).reveal(async (it) => {
      const identities = rosterPeople(it).map(({ identity }) => ({ ...identity, partyOin: '' }));
      // In parts, as a large roster goes to the log.
      for (let from = 0; from < identities.length; from += PART)
        await client.identify({
          schoolOin: school,
          sector: '',
          identities: identities.slice(from, from + PART),
          create: true,
          saltFor: [],
        });
      await client.sealTexts({ schoolOin: school, texts: rosterTexts(it), partyOin: '' });
    });
    const ours = performance.now() - started;
    const bareStarted = performance.now();
    const doc = XmlDocument.fromBuffer(bytes);
    validator.validate(doc);
    doc.dispose();
    // The first warms both up.
    if (i > 0) pairs.push([ours, performance.now() - bareStarted]);
  }
  validator.dispose();
  xsd.dispose();
  await closeWorker();
  await vault.stop();
  end();
  return {
    mb: bytes.length / 1024 / 1024,
    first: {
      ours: median(pairs.map(([a]) => a)),
      bare: median(pairs.map(([, b]) => b)),
      ratio: median(pairs.map(([a, b]) => a / b)),
    },
  };
}

/** Learners that go to the vault at once. */
const PART = 4_000;

/** A vault in a folder of its own. */
function openOne() {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-edexml-'));
  const vault = openVault({ file: join(folder, 'vault.db'), masterKey: randomBytes(32), clock: systemClock });
  vault.start();
  const client = connect(VaultServiceDefinition, dispatcher(vault.implementations));
  return { vault, client, end: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Milliseconds, medians of pairs measured in turn. */
export async function edexmlRatios(rounds = 15): Promise<{ kb: number; first: Ratio; known: Ratio }> {
  const { vault, client, end } = openOne();
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
  end();
  const of = (pairs: [number, number][]): Ratio => ({
    ours: median(pairs.map(([a]) => a)),
    bare: median(pairs.map(([, b]) => b)),
    ratio: median(pairs.map(([a, b]) => a / b)),
  });
  return { kb: bytes.length / 1024, first: of(firsts), known: of(knowns) };
}
