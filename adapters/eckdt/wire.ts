/**
 * ECK DT catalogue records as they are sent, with the standard's own names. Reading is tolerant where senders are known
 * to differ: order, namespaces that are absent, blanks around values, fields of a neighbouring version, fields that
 * nobody knows. A record that cannot be used is refused by itself, with the path of every fault, and never its value.
 */
import { child, envelopeOf, faultIn, readXml, SOAP11, textOf, type XmlElement } from '#adapters/xml';
import { type Fault, GatewayError, isDay, type Where } from '#kernel';
import {
  entryFields,
  type Field,
  type Fields,
  type Kind,
  namespaceStart,
  requiredIn,
  type Version,
  versions,
} from './schemas/entry.ts';

type ValueOf<F> = F extends { fields: infer G }
  ? F extends { many: true }
    ? GroupOf<G>[]
    : GroupOf<G>
  : F extends { many: true }
    ? string[]
    : F extends { kind: 'flag' }
      ? boolean
      : F extends { kind: 'count' | 'cents' }
        ? bigint
        : string;
type GroupOf<G> = { -readonly [K in keyof G]?: ValueOf<G[K]> };

/** ECK DT §1.5: one catalogue record. A field that is absent, empty or nil is not there. */
export type Entry = GroupOf<typeof entryFields>;

export interface Problem {
  fault: Fault;
  where: Where;
}

/** One record of a file, in the place where it stood. */
export interface CatalogueRecord {
  /** Counted from 0 over all records of the file. */
  index: number;
  /** Where its `Entry` stands, such as `searchRetrieveResponse/records/record[3]/recordData/Entry`. */
  path: string;
  line: number;
  /** On which line each of its fields stands. */
  lines: Readonly<Record<string, number>>;
  /** SRU only: collection, colon, id. */
  recordIdentifier?: string;
  /** Absent when the record states none, as records without a namespace do. */
  version?: Version;
  /** Absent when `problems` are there. */
  entry?: Entry;
  /** What makes the record unusable. */
  problems: readonly Problem[];
  /** Fields that the standard demands and the record lacks, though it can be used without. */
  lacks: readonly Where[];
}

export interface Catalogue {
  /** What was read. A bare `Entry` is a catalogue of one. */
  form: 'searchRetrieveResponse' | 'ReadCatalogResult' | 'Entry';
  /** SRU 1.2: records that the question has in all, and where the next page starts. */
  numberOfRecords?: number;
  nextRecordPosition?: number;
  /** ECK DT §1.4. */
  numEntries?: number;
  firstEntry?: number;
  records: CatalogueRecord[];
}

const SRU = 'http://www.loc.gov/zing/srw/';
const NIL = '{http://www.w3.org/2001/XMLSchema-instance}nil';
/** Problems told of one record; a file of nonsense is not answered with a file of problems. */
const MAX_PROBLEMS = 20;
/** A catalogue may be larger than a message. The cap on tags of `#adapters/xml` holds as well. */
export const MAX_CATALOGUE_BYTES = 64 * 1024 * 1024;

/**
 * Reads an SRU 1.2 answer (ECK DT §1.6), or a `ReadCatalogResult` (§1.4), bare or in a SOAP 1.1 envelope (§1.3). A file
 * that is not XML or holds neither is refused whole; what is wrong within a record is told in that record.
 */
export function readCatalogue(
  bytes: Uint8Array,
  { maxBytes = MAX_CATALOGUE_BYTES }: { maxBytes?: number } = {},
): Catalogue {
  return catalogueOf(readXml(bytes, { maxBytes }).root);
}

/** The same for a document that was read already, such as by `readXmlApart`. */
export function catalogueOf(root: XmlElement): Catalogue {
  const inEnvelope = root.ns === SOAP11 && root.name === 'Envelope';
  const top = inEnvelope ? envelopeOf(root).body : root;
  const path = inEnvelope ? 'Envelope/Body/' : '';
  if (faultIn(top))
    throw new GatewayError(
      'wire.invalid',
      'The envelope holds a fault instead of a catalogue.',
      at('Envelope/Body/Fault', top),
    );
  switch (top.name) {
    case 'searchRetrieveResponse':
      if (top.ns !== SRU && top.ns !== '')
        throw new GatewayError('wire.version', 'SRU 1.2 is read.', at(`${path}searchRetrieveResponse`, top));
      return readAnswer(top, `${path}searchRetrieveResponse`);
    case 'ReadCatalogResult':
      return readResult(top, wholeVersion(top, path), `${path}ReadCatalogResult`);
    case 'Entry':
      return { form: 'Entry', records: [readRecord(top, 0, `${path}Entry`, wholeVersion(top, path))] };
    default:
      throw new GatewayError(
        'wire.invalid',
        'This is neither an SRU answer nor a ReadCatalogResult.',
        at(path.slice(0, -1), top),
      );
  }
}

const at = (path: string, element: XmlElement): { where: Where[] } => ({ where: [{ path, line: element.line }] });

function wholeVersion(element: XmlElement, path: string): Version | undefined {
  const version = versionOf(element.ns);
  if (version === 'other')
    throw new GatewayError(
      'wire.version',
      `ECK DT catalogues of version ${versions[0]} to ${versions.at(-1)} are read.`,
      at(path + element.name, element),
    );
  return version;
}

/** The version that a namespace states; undefined when there is no namespace. */
function versionOf(namespace: string): Version | undefined | 'other' {
  if (namespace === '') return undefined;
  const stated = namespace.startsWith(namespaceStart) ? namespace.slice(namespaceStart.length) : '';
  return versions.find((it) => it === stated) ?? 'other';
}

/** A count beside the records; what is no number there is of no use and does no harm. */
function counted(element: XmlElement, name: string): number | undefined {
  const text = textOf(element, name)?.trim();
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** SRU 1.2: `records/record/recordData`, packed as XML or as a string. */
function readAnswer(answer: XmlElement, path: string): Catalogue {
  const stated = child(answer, 'version');
  if (stated && !['1.1', '1.2'].includes(stated.text.trim()))
    throw new GatewayError('wire.version', 'SRU 1.2 is read.', at(`${path}/version`, stated));
  const records = child(answer, 'records');
  const diagnostics = child(answer, 'diagnostics');
  if (!records && diagnostics)
    throw new GatewayError(
      'wire.invalid',
      'The SRU answer holds a diagnostic instead of records.',
      at(`${path}/diagnostics`, diagnostics),
    );
  const numberOfRecords = counted(answer, 'numberOfRecords');
  // An answer without hits has no `records`.
  if (!records && numberOfRecords !== 0)
    throw new GatewayError('wire.invalid', 'The SRU answer has no records.', at(`${path}/records`, answer));
  const read = (records?.children ?? [])
    .filter((it) => it.name === 'record')
    .map((it, index) => readSruRecord(it, index, `${path}/records/record[${index + 1}]`));
  return {
    form: 'searchRetrieveResponse',
    numberOfRecords,
    nextRecordPosition: counted(answer, 'nextRecordPosition'),
    records: read,
  };
}

function readSruRecord(record: XmlElement, index: number, path: string): CatalogueRecord {
  const recordIdentifier = textOf(record, 'recordIdentifier')?.trim();
  const refused = (fault: Fault, more: string, element: XmlElement): CatalogueRecord => ({
    index,
    path: path + more,
    line: element.line,
    recordIdentifier,
    problems: [{ fault, where: { path: path + more, line: element.line } }],
    lacks: [],
    lines: {},
  });
  const recordSchema = child(record, 'recordSchema');
  const schema = recordSchema?.text.trim() ?? '';
  const named = /^eckcs(.*)$/i.exec(schema)?.[1];
  // A server may say in place of one record what is wrong with it, or answer in another schema than was asked for.
  if (recordSchema && schema !== '' && named === undefined)
    return refused('wire.version', '/recordSchema', recordSchema);
  const recordData = child(record, 'recordData');
  if (!recordData) return refused('wire.invalid', '/recordData', record);
  let entry = child(recordData, 'Entry');
  if (!entry && textOf(record, 'recordPacking')?.trim() === 'string') {
    // Whatever encoding the text once declared, it is characters now.
    const text = recordData.text.trim().replace(/^<\?xml\s[^>]*\?>/, '');
    try {
      entry = moved(readXml(Buffer.from(text, 'utf8')).root, recordData.line - 1);
    } catch (thrown) {
      // A record that does not parse is that record's fault; anything else is not for us to swallow.
      if (!(thrown instanceof GatewayError)) throw thrown;
      return refused(thrown.fault, '/recordData', recordData);
    }
  }
  if (entry?.name !== 'Entry') return refused('wire.invalid', '/recordData/Entry', recordData);
  const stated = versionOf(entry.ns);
  if (stated === 'other') return refused('wire.version', '/recordData/Entry', entry);
  // The namespace decides; without one the name of the schema does.
  const version = stated ?? versions.find((it) => it === named);
  if (version === undefined && recordSchema && named) return refused('wire.version', '/recordSchema', recordSchema);
  return { ...readRecord(entry, index, `${path}/recordData/Entry`, version), recordIdentifier };
}

/** A tree read from text within a document, with the lines of that document. */
const moved = (element: XmlElement, lines: number): XmlElement => ({
  ...element,
  line: element.line + lines,
  children: element.children.map((it) => moved(it, lines)),
});

/** ECK DT §1.4: `Entries`, `numEntries` and `firstEntry`, in any order. */
function readResult(result: XmlElement, version: Version | undefined, path: string): Catalogue {
  const entries = child(result, 'Entries');
  const numEntries = counted(result, 'numEntries');
  if (!entries && numEntries !== 0)
    throw new GatewayError('wire.invalid', 'The ReadCatalogResult has no Entries.', at(`${path}/Entries`, result));
  const records = (entries?.children ?? [])
    .filter((it) => it.name === 'Entry')
    .map((it, index): CatalogueRecord => {
      const place = `${path}/Entries/Entry[${index + 1}]`;
      const own = versionOf(it.ns);
      if (own !== 'other') return readRecord(it, index, place, own ?? version);
      return {
        index,
        path: place,
        line: it.line,
        problems: [{ fault: 'wire.version', where: { path: place, line: it.line } }],
        lacks: [],
        lines: {},
      };
    });
  return { form: 'ReadCatalogResult', numEntries, firstEntry: counted(result, 'firstEntry'), records };
}

/** One `Entry`, checked by the table of fields. */
function readRecord(element: XmlElement, index: number, path: string, version: Version | undefined): CatalogueRecord {
  const problems: Problem[] = [];
  const lacks: Where[] = [];
  const entry = readGroup(element, { fields: entryFields, order: 'any' }, path, {
    problem: (where) => problems.length < MAX_PROBLEMS && problems.push({ fault: 'wire.invalid', where }),
    lack: (name, field, where) => {
      if (version !== undefined && requiredIn(name, field, version)) lacks.push(where);
    },
  }) as Entry;
  const lines: Record<string, number> = {};
  for (const it of element.children) if (Object.hasOwn(entryFields, it.name)) lines[it.name] ??= it.line;
  const record = { index, path, line: element.line, lines, version, problems, lacks };
  return problems.length === 0 ? { ...record, entry } : record;
}

interface Findings {
  problem(where: Where): void;
  lack(name: string, field: Field, where: Where): void;
}

type Read = string | boolean | bigint | Group | (string | Group)[];
interface Group {
  [name: string]: Read;
}

function readGroup(
  element: XmlElement,
  group: { fields: Fields; order: Field['order'] },
  path: string,
  findings: Findings,
): Group {
  const read: Group = {};
  const seen = new Map<string, number>();
  const wrong = new Set<string>();
  for (const it of element.children) {
    const field: Field | undefined = Object.hasOwn(group.fields, it.name) ? group.fields[it.name] : undefined;
    // A field that we do not know may be one of a later version.
    if (field === undefined || !isOurs(it.ns)) continue;
    const times = seen.get(it.name) ?? 0;
    seen.set(it.name, times + 1);
    const where = { path: `${path}/${it.name}${field.many ? `[${times + 1}]` : ''}`, line: it.line };
    if (it.attrs[NIL] === 'true' || (it.children.length === 0 && it.text.trim() === '')) continue;
    // Of two titles nobody can say which one is meant.
    if (!field.many && Object.hasOwn(read, it.name)) {
      findings.problem(where);
      continue;
    }
    const value =
      field.fields === undefined
        ? readValue(it, field.kind!)
        : it.text.trim() !== ''
          ? undefined // Words where fields belong: what was meant would be lost without a word.
          : readGroup(it, { fields: field.fields, order: field.order }, where.path, findings);
    if (value === undefined) {
      wrong.add(it.name);
      findings.problem(where);
    } else if (field.many) {
      if (!Object.hasOwn(read, it.name)) read[it.name] = [];
      (read[it.name] as (string | Group)[]).push(value as string | Group);
    } else read[it.name] = value;
  }
  if (group.order === 'choice' && Object.keys(read).length > 1) findings.problem({ path, line: element.line });
  for (const [name, field] of Object.entries(group.fields)) {
    // What is there and wrong has been told already.
    if (Object.hasOwn(read, name) || wrong.has(name)) continue;
    const where = { path: `${path}/${name}`, line: element.line };
    if (field.needed) findings.problem(where);
    else findings.lack(name, field, where);
  }
  return read;
}

/** The catalogue's own namespaces and those of the common types; the smallest records have none. */
const isOurs = (namespace: string): boolean => namespace === '' || namespace.startsWith('http://dt2.eck.nl/schema/');

function readValue(element: XmlElement, kind: Kind): string | boolean | bigint | undefined {
  if (element.children.length > 0) return undefined;
  return readText(element.text.trim(), kind);
}

const MAX_INT64 = 2n ** 63n - 1n;

/** Text of an XML Schema simple type → its value; undefined when it is none. Dates stay text. */
export function readText(text: string, kind: Kind): string | boolean | bigint | undefined {
  switch (kind) {
    case 'text':
    case 'name':
    case 'link':
      return text;
    case 'flag': {
      const word = text.toLowerCase();
      return word === 'true' || word === '1' ? true : word === 'false' || word === '0' ? false : undefined;
    }
    case 'count':
    case 'cents': {
      if (!/^(\+?\d{1,40}|-0{1,40})$/.test(text)) return undefined;
      const value = BigInt(text.replace(/^[+-]/, ''));
      return value <= MAX_INT64 ? value : undefined;
    }
    case 'percentage':
      return /^[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})$/.test(text) && Number(text) >= 0 && Number(text) <= 100
        ? text
        : undefined;
    case 'moment':
      return isMoment(text) ? text : undefined;
    case 'duration':
      return /^P(?=.)(\d{1,9}Y)?(\d{1,9}M)?(\d{1,9}D)?(T(?=.)(\d{1,9}H)?(\d{1,9}M)?(\d{1,9}(\.\d{1,9})?S)?)?$/.test(
        text,
      )
        ? text
        : undefined;
  }
}

const MOMENT = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,20}))?)?(Z|[+-](\d{2}):(\d{2}))?$/;
function isMoment(text: string): boolean {
  const m = MOMENT.exec(text);
  if (!m || m[1]!.startsWith('0000') || !isDay(m[1]!)) return false;
  const [hours, minutes, seconds, zoneHours, zoneMinutes] = [m[2], m[3], m[4], m[7], m[8]].map((it) =>
    Number(it ?? 0),
  ) as [number, number, number, number, number];
  const inDay =
    hours < 24
      ? minutes < 60 && seconds < 60
      : hours === 24 && minutes === 0 && seconds === 0 && /^0*$/.test(m[5] ?? '');
  return inDay && (zoneHours < 14 ? zoneMinutes < 60 : zoneHours === 14 && zoneMinutes === 0);
}
