/** Reads the image that `buf build` writes: labels of fields, options of events. */
import { fromBinary } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  type FileDescriptorProto,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';

const LABEL_EXTENSION = 50101;
const EVENT_EXTENSION = 50102;

export interface FieldInfo {
  /** As ts-proto names it. */
  name: string;
  protoName: string;
  kind: 'string' | 'bytes' | 'message' | 'other';
  /** Number of the label; 0 = none. */
  label: number;
  repeated: boolean;
  map: boolean;
  /** Full name of the message type, for kind `message`. */
  of?: string;
  /** Name of the oneof that holds it. */
  oneof?: string;
}

export interface EventInfo {
  stream: string;
  key: string;
  writer: string;
  readers: string[];
  retention: number;
}

export interface MessageInfo {
  name: string;
  file: string;
  comment: string;
  fields: FieldInfo[];
  event?: EventInfo;
  /** Whether it is the entry of a map field. */
  mapEntry: boolean;
}

export interface Image {
  files: FileDescriptorProto[];
  messages: Map<string, MessageInfo>;
  /** Names of the labels by number. */
  labels: Map<number, string>;
  retentions: Map<number, string>;
}

type Unknown = { $unknown?: { no: number; wireType: number; data: Uint8Array }[] };

function extensionBytes(options: unknown, no: number): Uint8Array | undefined {
  return (options as Unknown | undefined)?.$unknown?.findLast((field) => field.no === no)?.data;
}

export const camel = (name: string): string => name.replace(/_+([a-z0-9])/g, (_, c: string) => c.toUpperCase());

export function readImage(bytes: Uint8Array): Image {
  const set = fromBinary(FileDescriptorSetSchema, bytes);
  const image: Image = { files: set.file, messages: new Map(), labels: new Map(), retentions: new Map() };
  for (const file of set.file) {
    for (const e of file.enumType) {
      const into =
        file.package === 'eduk.core.v1'
          ? e.name === 'Label'
            ? image.labels
            : e.name === 'Retention'
              ? image.retentions
              : undefined
          : undefined;
      for (const value of e.value) into?.set(value.number, value.name);
    }
    if (file.package.startsWith('google.')) continue;
    for (const message of file.messageType) readMessage(image, file, `${file.package}.${message.name}`, message);
  }
  return image;
}

function readMessage(image: Image, file: FileDescriptorProto, name: string, message: DescriptorProto): void {
  const info: MessageInfo = {
    name,
    file: file.name,
    comment: '',
    fields: message.field.map((field) => readField(field, message)),
    mapEntry: message.options?.mapEntry ?? false,
  };
  const event = extensionBytes(message.options, EVENT_EXTENSION);
  if (event) info.event = readEvent(event);
  image.messages.set(name, info);
  for (const nested of message.nestedType) readMessage(image, file, `${name}.${nested.name}`, nested);
}

function readField(field: FieldDescriptorProto, message: DescriptorProto): FieldInfo {
  const label = extensionBytes(field.options, LABEL_EXTENSION);
  const of = field.type === FieldDescriptorProto_Type.MESSAGE ? field.typeName.replace(/^\./, '') : undefined;
  const info: FieldInfo = {
    name: camel(field.name),
    protoName: field.name,
    kind:
      field.type === FieldDescriptorProto_Type.STRING
        ? 'string'
        : field.type === FieldDescriptorProto_Type.BYTES
          ? 'bytes'
          : of
            ? 'message'
            : 'other',
    label: label ? new BinaryReader(label).int32() : 0,
    repeated: field.label === FieldDescriptorProto_Label.REPEATED,
    map:
      of !== undefined &&
      message.nestedType.some((nested) => of.endsWith(`.${nested.name}`) && nested.options?.mapEntry === true),
  };
  if (of) info.of = of;
  if (
    (field as unknown as Unknown & { oneofIndex?: number }).oneofIndex !== undefined &&
    Object.hasOwn(field, 'oneofIndex') &&
    !field.proto3Optional
  )
    info.oneof = camel(message.oneofDecl[field.oneofIndex]!.name);
  return info;
}

function readEvent(bytes: Uint8Array): EventInfo {
  const outer = new BinaryReader(bytes);
  // Unknown length-delimited data keeps its length prefix.
  const reader = new BinaryReader(outer.bytes());
  const event: EventInfo = { stream: '', key: '', writer: '', readers: [], retention: 0 };
  while (reader.pos < reader.len) {
    const [no, wire] = reader.tag();
    if (no === 1) event.stream = reader.string();
    else if (no === 2) event.key = reader.string();
    else if (no === 3) event.writer = reader.string();
    else if (no === 4) event.readers.push(reader.string());
    else if (no === 5) event.retention = reader.int32();
    else reader.skip(wire);
  }
  return event;
}

/**
 * What is wrong with the labels and options; empty = nothing. Readers are not judged here: labels.test.ts compares them
 * with what the services consume.
 */
export function labelProblems(image: Image): string[] {
  const problems: string[] = [];
  const numberOf = (name: string) => [...image.labels].find(([, n]) => n === name)![0];
  const identifyingFrom = numberOf('LABEL_SCHOOL_TEXT');
  const inEvents = new Set<string>();
  const used = new Set([...image.messages.values()].flatMap(({ fields }) => fields.map(({ of }) => of)));
  const reach = (name: string, seen: Set<string>): void => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const field of image.messages.get(name)?.fields ?? []) if (field.of) reach(field.of, seen);
  };
  for (const message of image.messages.values()) {
    if (!message.mapEntry)
      for (const field of message.fields)
        if ((field.kind === 'string' || field.kind === 'bytes') && field.label === 0)
          problems.push(`${message.name}.${field.protoName} has no label`);
    if (message.name.startsWith('eduk.events.') && message.event) reach(message.name, inEvents);
  }
  for (const name of inEvents)
    for (const field of image.messages.get(name)?.fields ?? [])
      if (field.label >= identifyingFrom)
        problems.push(`${name}.${field.protoName} carries ${image.labels.get(field.label)} and can stand in an event`);
  for (const message of image.messages.values()) {
    if (!message.name.startsWith('eduk.events.') || message.mapEntry) continue;
    if (!message.event) {
      if (!used.has(message.name)) problems.push(`${message.name} is neither an event with options nor part of one`);
      continue;
    }
    const { stream, key, writer, retention } = message.event;
    if (!stream || !key || !writer || retention === 0)
      problems.push(`${message.name} does not declare stream, key, writer and retention`);
    if (writer === 'door' && !message.name.endsWith('Submitted'))
      problems.push(`${message.name} is written by a door but is not called …Submitted`);
    if (writer !== 'door' && message.name.endsWith('Submitted'))
      problems.push(`${message.name} is called …Submitted but is not written by a door`);
  }
  return problems;
}

/** proto/gen/labels.ts: what the doors need of the image at run time. */
export function labelsModule(image: Image): string {
  const lines = [
    '// Written by proto/generate.ts. Do not edit.',
    '',
    "import type { EventInfo, FieldInfo } from '../labels.ts';",
    '',
    'export const fieldsOf: Record<string, readonly FieldInfo[]> = {',
  ];
  for (const message of [...image.messages.values()].sort((a, b) => (a.name < b.name ? -1 : 1)))
    if (!message.mapEntry) lines.push(`  ${JSON.stringify(message.name)}: ${JSON.stringify(message.fields)},`);
  lines.push('};', '', 'export const eventsOf: Record<string, EventInfo> = {');
  for (const message of [...image.messages.values()].sort((a, b) => (a.name < b.name ? -1 : 1)))
    if (message.event) lines.push(`  ${JSON.stringify(message.name)}: ${JSON.stringify(message.event)},`);
  lines.push('};', '');
  return lines.join('\n');
}

const TERMS: Record<string, string> = {
  RETENTION_PUBLIC: 'until replaced',
  RETENTION_ROSTER: 'current and previous school year',
  RETENTION_ORDER: '7 years, learner token removed after the school year',
  RETENTION_RESULT: 'until 1 October after the school year',
  RETENTION_ACCESS: '30 days exact, then the day only',
  RETENTION_AUDIT: '3 years',
};

/** docs/streams.md. */
export function streamsPage(image: Image): string {
  const events = [...image.messages.values()]
    .filter((message) => message.event)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const streams = [...new Set(events.map((message) => message.event!.stream))].sort();
  const lines = [
    '# Streams',
    '',
    'Written by `npm run generate` from the options in `proto/eduk/events/v1`. Each event has one writer; a door writes only `…Submitted`.',
    '',
    '*Kept* is how long the rows rest that services make of an event. The log itself drops an event 48 hours after every reader took it.',
    '',
  ];
  for (const stream of streams) {
    lines.push(
      `## ${stream}`,
      '',
      `Topic \`eduk.${stream}.v1\`.`,
      '',
      '| event | key | writer | readers | kept |',
      '| --- | --- | --- | --- | --- |',
    );
    for (const { name, event } of events)
      if (event!.stream === stream)
        lines.push(
          `| \`${name.split('.').at(-1)}\` | ${event!.key} | ${event!.writer} | ${event!.readers.join(', ') || 'nobody yet'} | ${TERMS[image.retentions.get(event!.retention) ?? ''] ?? '?'} |`,
        );
    lines.push('');
  }
  return lines.join('\n');
}

/** proto/gen/events.ts: the codec of each event by its short name. */
export function eventsModule(image: Image): string {
  const events = [...image.messages.values()]
    .filter((message) => message.event)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const files = [...new Set(events.map((message) => message.file))].sort();
  const alias = (file: string) => file.split('/').at(-1)!.replace('.proto', '');
  return [
    '// Written by proto/generate.ts. Do not edit.',
    '',
    ...files.map((file) => `import * as ${alias(file)} from './${file.replace('.proto', '.ts')}';`),
    '',
    '/** Codec and stream of each event, by its name on the log. */',
    'export const events = {',
    ...events.map(
      ({ name, file, event }) =>
        `  ${name.split('.').at(-1)}: { stream: '${event!.stream}', codec: ${alias(file)}.${name.split('.').at(-1)} },`,
    ),
    '} as const;',
    '',
    'export type EventName = keyof typeof events;',
    'export type EventOf<N extends EventName> = ReturnType<(typeof events)[N]["codec"]["decode"]>;',
    '',
  ].join('\n');
}
