/**
 * An event of the log as a Kafka record and back: a CloudEvent 1.0 in binary mode (CloudEvents Kafka protocol binding 1.0:
 * attributes and extensions as headers with `ce_` before their name, `content-type` without, data as it is, text in UTF-8).
 * `eduk-number` is no attribute of the event but its place in the lane.
 */
import { uuidText } from '#kernel';
import type { LogRecord } from '../port.ts';
import { type FetchedRecord, type Header, KafkaError, type Lane, type ProducedRecord } from './port.ts';
import { buffer } from './wire.ts';

export const SPEC_VERSION = '1.0';
export const SOURCE = '/eduk-gateway';
export const CONTENT_TYPE = 'application/protobuf';
/** Generation of the streams' contract, as in topics and in types of events. */
const VERSION = 'v1';

/** `prefix` is what stands before the streams of one gateway; `eduk` unless several share a cluster. */
export const topicOf = (prefix: string, stream: string): string => `${prefix}.${stream}.${VERSION}`;

/** Stream of a topic; undefined where it is none of this prefix. */
export function streamOf(prefix: string, topic: string): string | undefined {
  const stream = topic.slice(prefix.length + 1, -(VERSION.length + 1));
  return stream !== '' && topic === topicOf(prefix, stream) ? stream : undefined;
}

const text = (value: string): Buffer => Buffer.from(value, 'latin1');
/** What is the same in every event. */
const SPEC: Header = ['ce_specversion', text(SPEC_VERSION)];
const FROM: Header = ['ce_source', text(SOURCE)];
const CONTENT: Header = ['content-type', text(CONTENT_TYPE)];
/** There are as many as the contract knows events; what else came would be a bug elsewhere, and must not fill memory. */
const KNOWN_TYPES = 1000;
const typeHeaders = new Map<string, Header>();
const types = new Map<string, { stream: string; type: string }>();
/** Records of one group have one time. */
let written: { ms: number; header: Header } = { ms: -1, header: SPEC };
let read: { text: string; ms: number } = { text: '', ms: -1 };

function typeHeader(stream: string, type: string): Header {
  const name = `eduk.${stream}.${VERSION}.${type}`;
  let header = typeHeaders.get(name);
  if (header === undefined) {
    header = ['ce_type', Buffer.from(name)];
    if (typeHeaders.size < KNOWN_TYPES) typeHeaders.set(name, header);
  }
  return header;
}

/** Topic and partition are the caller's: `topicOf(prefix, record.stream)`, `record.partition`. */
export function fromLog(record: LogRecord): ProducedRecord {
  const { stream, type, id, key, flowId, school, traceparent, timeMs, number, data } = record;
  if (written.ms !== timeMs) written = { ms: timeMs, header: ['ce_time', text(new Date(timeMs).toISOString())] };
  const keyBytes = Buffer.from(key);
  const headers: Header[] = [
    SPEC,
    ['ce_id', text(uuidText(id))],
    FROM,
    typeHeader(stream, type),
    written.header,
    CONTENT,
    ['ce_flowid', text(flowId)],
    ['eduk-number', text(String(number))],
  ];
  // An attribute without a value is left out.
  if (key !== '') headers.push(['ce_subject', keyBytes]);
  if (school !== '') headers.push(['ce_school', text(school)]);
  if (traceparent !== '') headers.push(['ce_traceparent', text(traceparent)]);
  return { key: keyBytes, value: data, headers, timestampMs: timeMs };
}

/** Throws a `KafkaError` with code `NOT_OURS` where the record is no event of ours: it names what is wrong, and quotes nothing. */
export function toLog(lane: Lane, record: FetchedRecord): LogRecord {
  let id: Uint8Array | undefined;
  let type: { stream: string; type: string } | undefined;
  let number = 0;
  let timeMs = -1;
  let flowId = '';
  let school = '';
  let traceparent = '';
  for (const [name, value] of record.headers) {
    switch (name) {
      case 'ce_id':
        id = uuidOf(value);
        break;
      case 'ce_type':
        type = typeOf(value);
        break;
      case 'eduk-number':
        number = numberOf(value);
        break;
      case 'ce_time':
        timeMs = timeOf(value);
        break;
      case 'ce_flowid':
        flowId = latin1(value);
        break;
      case 'ce_school':
        school = latin1(value);
        break;
      case 'ce_traceparent':
        traceparent = latin1(value);
        break;
      case 'ce_specversion':
        if (value.length !== 3 || latin1(value) !== SPEC_VERSION) throw notOurs(lane, record, 'ce_specversion');
        break;
    }
  }
  if (id === undefined) throw notOurs(lane, record, 'ce_id');
  if (type === undefined) throw notOurs(lane, record, 'ce_type');
  if (number < 1) throw notOurs(lane, record, 'eduk-number');
  if (timeMs < 0) throw notOurs(lane, record, 'ce_time');
  if (flowId.length !== 36) throw notOurs(lane, record, 'ce_flowid');
  if (record.key === null) throw notOurs(lane, record, 'key');
  if (record.value === null) throw notOurs(lane, record, 'value');
  return {
    stream: type.stream,
    partition: lane.partition,
    number,
    id,
    key: utf8(record.key),
    type: type.type,
    flowId,
    school,
    traceparent,
    timeMs,
    data: record.value,
  };
}

const notOurs = ({ topic, partition }: Lane, { offset }: FetchedRecord, what: string): KafkaError =>
  new KafkaError('NOT_OURS', `${topic}/${partition} at ${offset}: ${what} is not as we write it`, { retriable: false });

const latin1 = (bytes: Uint8Array): string => buffer(bytes).toString('latin1');
const utf8 = (bytes: Uint8Array): string => buffer(bytes).toString('utf8');

const TYPE = /^eduk\.([a-z]+)\.v1\.([A-Za-z]+)$/;

function typeOf(bytes: Uint8Array): { stream: string; type: string } | undefined {
  const name = latin1(bytes);
  let known = types.get(name);
  if (known === undefined) {
    const match = TYPE.exec(name);
    if (match === null) return undefined;
    known = { stream: match[1]!, type: match[2]! };
    if (types.size < KNOWN_TYPES) types.set(name, known);
  }
  return known;
}

/** Unix milliseconds; -1 = it is no time as we write it. The record's own timestamp is the broker's. */
function timeOf(bytes: Uint8Array): number {
  const text = latin1(bytes);
  if (read.text !== text) {
    const ms = text.length === 24 && text[23] === 'Z' ? Date.parse(text) : Number.NaN;
    if (Number.isNaN(ms)) return -1;
    read = { text, ms };
  }
  return read.ms;
}

/** A safe whole number from 1, in digits; 0 = it is none. */
function numberOf(bytes: Uint8Array): number {
  if (bytes.length === 0 || bytes.length > 16 || bytes[0] === 0x30) return 0;
  let number = 0;
  for (const byte of bytes) {
    if (byte < 0x30 || byte > 0x39) return 0;
    number = number * 10 + (byte - 0x30);
  }
  return Number.isSafeInteger(number) ? number : 0;
}

/** Value of a hexadecimal digit by its byte; 255 = it is none. */
const digit = new Uint8Array(256).fill(255);
for (let value = 0; value < 16; value++) {
  digit[value.toString(16).charCodeAt(0)] = value;
  digit[value.toString(16).toUpperCase().charCodeAt(0)] = value;
}
const DASH = 0x2d;

/** 36 characters to 16 bytes. */
function uuidOf(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length !== 36 || bytes[8] !== DASH || bytes[13] !== DASH || bytes[18] !== DASH || bytes[23] !== DASH)
    return undefined;
  const id = new Uint8Array(16);
  for (let at = 0, from = 0; at < 16; at++, from += 2) {
    if (bytes[from] === DASH) from++;
    const high = digit[bytes[from]!]!;
    const low = digit[bytes[from + 1]!]!;
    if (high === 255 || low === 255) return undefined;
    id[at] = (high << 4) | low;
  }
  return id;
}
