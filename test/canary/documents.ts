/**
 * Every exchange of every adapter of the registry: its examples with identities in them, in every element and attribute,
 * in comments, CDATA and instructions, whole and broken; read by the adapter itself, and sent to the door that mounts it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { Adapter, Exchange } from '#adapters/contract';
import { brinOf, describeError, GatewayError } from '#kernel';
import { fieldsOf } from '#proto/labels';
import { adapters, meanings } from '../../adapters/contract/registry.ts';
import { brokenForms, isJson } from '../../adapters/contract/suite.ts';
import { parties } from '../../docs/grpc/seed.ts';
import type { Canary, Kind } from './identities.ts';
import { inAscii, misplaced } from './identities.ts';
import { operation } from './operations.ts';
import { encodedAs, kindOf, type Message, type Sowing, together } from './sowing.ts';
import { type Cast, otherSchool } from './story.ts';

const folders = join(import.meta.dirname, '../../adapters');
const AT_ONCE = 8;

/** Makes an example the sender's own: its school, and who sends it. */
type Address = (text: string, cast: Cast) => string;
interface Way {
  name: string;
  send(sowing: Sowing, bytes: Uint8Array): Promise<void>;
}
interface Mounted {
  address: Address;
  ways: readonly Way[];
  /** Whether it says something public: then an identity in it is published, as any word would be. */
  isPublic?: boolean;
}

const upload = (name: string, first: object): Way => ({
  name: `OperatorService.${name}`,
  async send(sowing, bytes) {
    const op = operation(`OperatorService.${name}`);
    const parts = [first, { chunk: bytes }].map((part) => encodedAs(op, op.codec.fromPartial(part)));
    await sowing.call(op, 'operator', parts);
  },
});
const soap = (service: string, may: 'nobody' | 'entitled'): Way => ({
  name: `POST /soap/uwlr/v2/${service}`,
  async send(sowing, bytes) {
    const path = `/soap/uwlr/v2/${service}`;
    const init = { method: 'POST', headers: { 'content-type': 'text/xml' }, body: Buffer.from(bytes) };
    await sowing.fetch(`POST ${path}`, path, init, may);
  },
});
const ofSchool: Address = (text) =>
  text
    .replaceAll(/(<(?:\w+:)?brincode>)[^<]*/g, `$1${brinOf(otherSchool)}`)
    .replaceAll(/(<(?:\w+:)?schoolkey>)[^<]*/g, `$1${otherSchool}`);
const fromKlant: Address = (text, cast) =>
  ofSchool(text, cast)
    .replaceAll(/(<(?:\w+:)?autorisatiesleutel>)[^<]*/g, `$1${cast.klant.sleutel}`)
    .replaceAll(/(<(?:\w+:)?klantcode>)[^<]*/g, `$1${cast.klant.klantcode}`)
    .replaceAll(/(<(?:\w+:)?klantnaam>)[^<]*/g, `$1${cast.klant.klantnaam}`);

/** How documents of an exchange come in. An exchange that is not here makes the suite fail. */
export const mounted: Readonly<Record<string, Mounted>> = {
  'edexml/EDEX': {
    address: ofSchool,
    ways: [
      upload('ImportRoster', { schoolOin: otherSchool }),
      {
        name: 'POST /edexml',
        async send(sowing, bytes) {
          const headers = { authorization: `Bearer ${sowing.keys.get('administration')}` };
          await sowing.fetch('POST /edexml', '/edexml', { method: 'POST', headers, body: Buffer.from(bytes) });
        },
      },
    ],
  },
  'uwlr/leerlinggegevens': { address: fromKlant, ways: [soap('leerlinggegevens', 'entitled')] },
  'uwlr/structuur': { address: fromKlant, ways: [soap('leerlinggegevens', 'entitled')] },
  'uwlr/leerlingen': { address: fromKlant, ways: [soap('leerlinggegevens', 'entitled')] },
  'uwlr/leerkrachten': { address: fromKlant, ways: [soap('leerlinggegevens', 'entitled')] },
  'uwlr/leerresultaten': { address: fromKlant, ways: [soap('leerresultaten', 'nobody')] },
  'uwlr/administratie': {
    address: ofSchool,
    ways: [
      {
        name: 'a roster of an administration',
        send: (sowing, bytes) => sowing.administration!.answer(sowing, bytes),
      },
      {
        name: 'an answer of an administration with status 500',
        send: (sowing, bytes) => sowing.administration!.answer(sowing, bytes, 500),
      },
    ],
  },
  'eckdt/catalogue': {
    address: (text) => text,
    ways: [upload('ImportCatalogue', { partyOin: parties.find(({ caller }) => caller === 'publisher')!.oin })],
    isPublic: true,
  },
  // Only what the gateway itself asks for is read so: nothing of it comes in at a door. It names schools and suppliers.
  'osr/schools': { address: (text) => text, ways: [], isPublic: true },
  'osr/mandate': { address: (text) => text, ways: [], isPublic: true },
  'osr/endpoints': { address: (text) => text, ways: [], isPublic: true },
};

/** Identities in a message of the core, with the kind of each. */
function identitiesOf(type: string, message: Message): { kind: Kind; value: string }[] {
  return (fieldsOf[type] ?? []).flatMap((field): { kind: Kind; value: string }[] => {
    const values = [message[field.name]]
      .flat()
      .filter((value) => value !== undefined && value !== '' && value !== null);
    const kind = kindOf(field);
    if (field.kind === 'string')
      return kind === undefined ? [] : values.map((value) => ({ kind, value: String(value) }));
    return field.of ? values.flatMap((value) => identitiesOf(field.of!, value as Message)) : [];
  });
}

interface Place {
  name: string;
  from: number;
  to: number;
}

/** Values of elements and attributes; of each name the first. */
function placesIn(text: string): Place[] {
  const places = new Map<string, Place>();
  const start = text.indexOf('?>') + 1;
  for (const [pattern, mark] of [
    [/<([\w:.-]+)(?:\s[^<>]*)?>([^<>]+)</g, ''],
    [/\s(?!xmlns|xsi)([\w:.-]+)="([^"<>]+)"/g, '@'],
  ] as const)
    for (const found of text.matchAll(pattern)) {
      const [whole, name, value] = found as unknown as [string, string, string];
      if (value.trim() === '' || found.index < start) continue;
      const from = found.index + whole.lastIndexOf(value);
      if (!places.has(mark + name)) places.set(mark + name, { name: mark + name, from, to: from + value.length });
    }
  return [...places.values()];
}

const escaped = (value: string): string =>
  value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

interface Document {
  text: string;
  encoding: 'latin1' | 'utf8';
}

/** Examples as text; those that say so in windows-1252 stay so. */
function example(adapter: Adapter, file: string): Document {
  const bytes = readFileSync(join(folders, adapter.name, 'examples', file));
  const encoding = /^<\?xml[^>]*encoding="(?:windows-1252|iso-8859-1)"/i.test(bytes.toString('latin1'))
    ? 'latin1'
    : 'utf8';
  return { text: bytes.toString(encoding), encoding };
}

/** What the adapter itself lets out, without a door: errors, and what is not `Clear`. */
function readBy(sowing: Sowing, adapter: Adapter, name: string, exchange: Exchange, bytes: Uint8Array): void {
  const place = `what adapters let out`;
  let out: string;
  let code = '';
  try {
    const means: unknown = exchange.toCore!(exchange.read!(bytes));
    out = `${JSON.stringify(means, (_key, one) => (typeof one === 'bigint' ? String(one) : one))}\n${inspect(means, { depth: 20 })}`;
    // What is public is let out on purpose.
    if (!meanings[`${adapter.name}/${name}`]?.people && mounted[`${adapter.name}/${name}`]?.isPublic) out = '';
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) {
      sowing.problems.push(`${adapter.name}/${name} failed by ${(thrown as Error)?.name}, not by a GatewayError`);
      return;
    }
    code = thrown.fault;
    out = [
      thrown.message,
      thrown.told,
      ...thrown.where.map(({ path }) => path),
      adapter.sayFault(thrown),
      JSON.stringify(describeError(thrown)),
    ].join('\n');
  }
  sowing.hear(`${adapter.name}/${name}`, { code, messages: [], words: [] });
  sowing.looking.at(place, out);
}

/** Runs over `list`, which tests give another. */
export async function sowDocuments(sowing: Sowing, cast: Cast, list: readonly Adapter[] = adapters): Promise<void> {
  const work: { adapter: Adapter; name: string; exchange: Exchange; bytes: Uint8Array; ways: readonly Way[] }[] = [];
  let turn = 0;
  const next = (): Kind => misplaced[turn++ % misplaced.length]!;
  for (const adapter of list)
    for (const [name, exchange] of Object.entries(adapter.exchanges) as [string, Exchange][]) {
      const id = `${adapter.name}/${name}`;
      const door = mounted[id];
      if (!door || !meanings[id]) {
        sowing.problems.push(`${id} is in the registry, and the suite does not know how its documents come in`);
        continue;
      }
      for (const { file } of exchange.examples) {
        if (!existsSync(join(folders, adapter.name, 'examples', file))) {
          sowing.problems.push(`${id} has no example ${file}`);
          continue;
        }
        const { text, encoding } = example(adapter, file);
        const addressed = door.address(text, cast);
        const add = (changed: string, ways = door.ways): void =>
          void work.push({ adapter, name, exchange, bytes: Buffer.from(changed, encoding), ways });
        const plant = (kind: Kind, place: string, belongs = false): Canary => sowing.plant(kind, id, place, belongs);

        const { people } = meanings[id];
        let right = addressed;
        if (people) {
          // The persons of the example become invented ones of ours, each of their values wherever it stands.
          const means = people.of(exchange.toCore!(exchange.read!(Buffer.from(text, encoding))));
          const known = new Map<string, string>();
          for (const one of means)
            for (const { kind, value } of identitiesOf(people.type, one as Message))
              if (value.length > 1 && !known.has(value)) {
                const { value: made } = plant(kind, `a ${kind} of ${file}`, true);
                known.set(value, made.includes(' ') && kind === 'text of a school' ? made.replaceAll(' ', '-') : made);
              }
          right = addressed.replaceAll(/(?<=>)[^<>]+(?=<)|(?<==")[^"<>]+(?=")/g, (value) => known.get(value) ?? value);
          add(right);
        }
        const places = placesIn(right).filter(
          ({ name: at }) => !/autorisatiesleutel|klantcode|klantnaam|brincode|schoolkey/.test(at) || people,
        );
        const spots =
          sowing.isWhole || places.length < 40
            ? places
            : places.filter((_, i) => i % Math.ceil(places.length / 40) === 0);
        if (!door.isPublic)
          for (const { name: at, from, to } of spots) {
            // In a document of persons, a name in a place of a name is where it belongs.
            const { value } = plant(next(), `${at} of ${file}`, true);
            add(right.slice(0, from) + escaped(value) + right.slice(to));
            if (sowing.isWhole) {
              const inside = plant(next(), `CDATA in ${at} of ${file}`, true).value;
              if (!at.startsWith('@')) add(`${right.slice(0, from)}<![CDATA[${inside}]]>${right.slice(to)}`);
            }
          }
        if (isJson(Buffer.from(right, encoding))) {
          const v = (place: string): string => plant(next(), `${place} of ${file}`).value.replaceAll(/["\\]/g, '');
          const inside = (added: string): string => right.replace('{', `{${added},`);
          for (const changed of [
            inside(`"leerling":"${v('an unknown member')}"`),
            inside(`"${v('the name of a member')}":1`),
            inside(`"leerling":{"naam":["${v('an object')}"]}`),
            inside(`"__proto__":{"status":"${v('__proto__')}"}`),
            `${right}${v('text after the end')}`,
            `${right}/* ${v('a comment')} */`,
            `"${v('a text')}"`,
            `["${v('a list')}"]`,
            `{"status":"${v('a word')}"}`,
            `{"start_date":"${v('a day')}"}`,
            `<leerling>${v('XML instead of JSON')}</leerling>`,
          ])
            add(changed);
          for (const { bytes } of brokenForms(Buffer.from(inside(`"x":"${v('a broken document')}"`), encoding)))
            work.push({ adapter, name, exchange, bytes, ways: door.ways });
          continue;
        }
        const close = right.lastIndexOf('</');
        const open = /<([\w:.-]+)(?=[\s>])/.exec(right.slice(right.indexOf('?>') + 2).replace(/<!--.*?-->/gs, ''))![1]!;
        const root = right.indexOf(`<${open}`) + open.length + 1;
        const at = (where: number, made: string): string => right.slice(0, where) + made + right.slice(where);
        const v = (place: string): string => escaped(plant(next(), `${place} of ${file}`).value);
        for (const changed of [
          at(close, `<!-- ${v('a comment')} -->`),
          at(close, `<?leerling ${v('an instruction')}?>`),
          at(close, `<leerling-onbekend>${v('an unknown element')}</leerling-onbekend>`),
          at(close, `<![CDATA[${v('CDATA between elements')}]]>`),
          at(close, v('text between elements')),
          at(root, ` onbekend="${v('an unknown attribute')}"`),
          at(root, ` xmlns:x="urn:${v('a namespace').replaceAll(' ', '-')}"`),
          `${right}<!-- ${v('a comment after the end')} -->`,
          `${right}${v('text after the end')}`,
          `<!DOCTYPE ${open} [<!ENTITY naam "${v('an entity')}">]>${right.slice(right.indexOf('?>') + 2)}`,
          `<?xml version="1.0" encoding="${inAscii(v('the encoding'), /\w/)}"?>${right.slice(right.indexOf('?>') + 2)}`,
          `{"leerling": "${v('JSON instead of XML')}"}`,
        ])
          add(changed);
        for (const { bytes } of brokenForms(Buffer.from(at(close, `<!-- ${v('a broken document')} -->`), encoding)))
          work.push({ adapter, name, exchange, bytes, ways: door.ways });
      }
    }
  // What an administration says when it refuses may quote what it was sent.
  const refusal = (place: string): string => escaped(sowing.plant(next(), 'uwlr/administratie', place).value);
  for (let i = 0; i < 4; i++)
    await sowing.administration?.answer(
      sowing,
      Buffer.from(
        `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>${i % 2 ? 'Client.AutorisatieOngeldig' : refusal('the code of a fault')}</faultcode><faultstring>${refusal('the words of a fault')}</faultstring><detail><x y="${refusal('an attribute of a fault')}">${refusal('the detail of a fault')}</x></detail></s:Fault></s:Body></s:Envelope>`,
      ),
      i < 2 ? 500 : 200,
    );
  if (sowing.administration?.asked() === 0) sowing.problems.push('no administration was asked for a roster');
  const most = { whole: Number.POSITIVE_INFINITY, quick: 260, brief: 90 }[sowing.size];
  const every = Math.max(1, Math.ceil(work.length / most));
  await together(
    work.map((one, i) => ({ ...one, isSent: i % every === 0 })),
    AT_ONCE,
    async ({ adapter, name, exchange, bytes, ways, isSent }) => {
      readBy(sowing, adapter, name, exchange, bytes);
      if (isSent) for (const way of ways) await way.send(sowing, bytes);
    },
  );
}
