/**
 * Kafka's record batch (format 2, KIP-98), the one part of the protocol that is written here: every event passes it, with a
 * dozen headers, and both libraries spend three to eight times as long on it. Uncompressed, without producer ids. The
 * checksum is verified on reading too, which neither library does.
 */
import { type FetchedRecord, type Header, KafkaError, type ProducedRecord } from './port.ts';

/** CRC-32C of some bytes, unsigned. Each library brings its own. */
export type Crc32c = (bytes: Buffer) => number;

/*
 * base_offset INT64, batch_length INT32, leader_epoch INT32, magic INT8, crc UINT32, attributes INT16, last_offset_delta INT32,
 * base_timestamp INT64, max_timestamp INT64, producer_id INT64, producer_epoch INT16, base_sequence INT32, count INT32, records
 */
const LENGTH = 8;
const EPOCH = 12;
const MAGIC = 16;
const CRC = 17;
const ATTRIBUTES = 21;
const LAST_DELTA = 23;
const BASE_TIME = 27;
const MAX_TIME = 35;
const PRODUCER = 43;
const COUNT = 57;
const RECORDS = 61;
const FORMAT = 2;
const COMPRESSED = 0x07;
/** The broker's time, the same for the whole batch. */
const APPEND_TIME = 0x08;
/** Marks of transactions, which no reader wants. */
const CONTROL = 0x20;

/** Names repeat in every record: their bytes and strings are made once. Bounded, as others may write to a topic too. */
const KNOWN_NAMES = 1000;
const nameBytes = new Map<string, Buffer>();
const names = new Map<string, string>();

function bytesOf(name: string): Buffer {
  const known = nameBytes.get(name);
  if (known !== undefined) return known;
  const made = Buffer.from(name);
  if (nameBytes.size < KNOWN_NAMES) nameBytes.set(name, made);
  return made;
}

/** Bytes of a zigzag number that is not negative, below 2^31. */
const sizeOf = (length: number): number =>
  length < 64 ? 1 : length < 8192 ? 2 : length < 1_048_576 ? 3 : length < 134_217_728 ? 4 : 5;
const sizeOfBytes = (bytes: Uint8Array | null): number => (bytes === null ? 1 : sizeOf(bytes.length) + bytes.length);

/** Zigzag as a number: timestamps may be further apart than 31 bits. */
const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value);
function sizeOfZigzag(value: number): number {
  let size = 1;
  for (let left = zigzag(value); left >= 0x80; left = Math.floor(left / 0x80)) size++;
  return size;
}

/** Above it a copy by the engine is quicker than one by hand. */
const BY_HAND = 40;

/** Writes into one buffer of the right size. */
class Out {
  readonly bytes: Buffer;
  at: number;
  constructor(size: number, at: number) {
    this.bytes = Buffer.allocUnsafe(size);
    this.at = at;
  }

  zigzag(value: number): void {
    let left = zigzag(value);
    while (left >= 0x80) {
      this.bytes[this.at++] = (left % 0x80) | 0x80;
      left = Math.floor(left / 0x80);
    }
    this.bytes[this.at++] = left;
  }

  sized(bytes: Uint8Array | null): void {
    if (bytes === null) {
      this.bytes[this.at++] = 1; // -1
      return;
    }
    const { length } = bytes;
    if (length < 64) this.bytes[this.at++] = length << 1;
    else this.zigzag(length);
    if (length > BY_HAND) this.bytes.set(bytes, this.at);
    else for (let at = 0; at < length; at++) this.bytes[this.at + at] = bytes[at]!;
    this.at += length;
  }
}

/** At least one record. */
export function encodeBatch(records: readonly ProducedRecord[], crc32c: Crc32c): Buffer {
  const baseMs = records[0]!.timestampMs;
  let maxMs = baseMs;
  let size = RECORDS;
  const sizes = new Array<number>(records.length);
  for (let at = 0; at < records.length; at++) {
    const { key, value, headers, timestampMs } = records[at]!;
    if (timestampMs > maxMs) maxMs = timestampMs;
    let length =
      1 +
      sizeOfZigzag(timestampMs - baseMs) +
      sizeOf(at) +
      sizeOfBytes(key) +
      sizeOfBytes(value) +
      sizeOf(headers.length);
    for (const [name, bytes] of headers) length += sizeOfBytes(bytesOf(name)) + sizeOfBytes(bytes);
    sizes[at] = length;
    size += sizeOf(length) + length;
  }
  const out = new Out(size, RECORDS);
  const { bytes } = out;
  bytes.fill(0, 0, LENGTH);
  bytes.writeInt32BE(size - EPOCH, LENGTH);
  bytes.writeInt32BE(-1, EPOCH);
  bytes[MAGIC] = FORMAT;
  bytes.writeInt16BE(0, ATTRIBUTES);
  bytes.writeInt32BE(records.length - 1, LAST_DELTA);
  bytes.writeBigInt64BE(BigInt(baseMs), BASE_TIME);
  bytes.writeBigInt64BE(BigInt(maxMs), MAX_TIME);
  bytes.fill(0xff, PRODUCER, COUNT); // No producer id, epoch or sequence.
  bytes.writeInt32BE(records.length, COUNT);
  for (let at = 0; at < records.length; at++) {
    const { key, value, headers, timestampMs } = records[at]!;
    out.zigzag(sizes[at]!);
    bytes[out.at++] = 0;
    out.zigzag(timestampMs - baseMs);
    out.zigzag(at);
    out.sized(key);
    out.sized(value);
    out.zigzag(headers.length);
    for (const [name, value] of headers) {
      out.sized(bytesOf(name));
      out.sized(value);
    }
  }
  bytes.writeUInt32BE(crc32c(bytes.subarray(ATTRIBUTES)), CRC);
  return bytes;
}

/** Reads from one buffer. */
class In {
  readonly bytes: Buffer;
  at = 0;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  zigzag(): number {
    const { bytes } = this;
    let byte = bytes[this.at++]!;
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
    let value = byte & 0x7f;
    let factor = 0x80;
    do {
      byte = bytes[this.at++]!;
      value += (byte & 0x7f) * factor;
      factor *= 0x80;
    } while (byte >= 0x80);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  sized(): Buffer | null {
    const length = this.zigzag();
    if (length < 0) return null;
    const from = this.at;
    this.at += length;
    return this.bytes.subarray(from, this.at);
  }

  name(): string {
    const length = this.zigzag();
    const from = this.at;
    this.at += length;
    const quick = this.bytes.toString('latin1', from, this.at);
    const known = names.get(quick);
    if (known !== undefined) return known;
    const made = this.bytes.toString('utf8', from, this.at);
    if (names.size < KNOWN_NAMES) names.set(quick, made);
    return made;
  }
}

const NOTHING = Buffer.alloc(0);

/**
 * All whole batches of an answer, which may end within one. `next` is the offset after the last. Keys and values are views.
 * Throws `CORRUPT_MESSAGE` where the checksum is another, and `DRIVER` for what we never write (compressed, older formats).
 */
export function decodeBatches(bytes: Buffer, crc32c: Crc32c): { records: FetchedRecord[]; next?: bigint } {
  const records: FetchedRecord[] = [];
  let next: bigint | undefined;
  for (let from = 0; bytes.length - from >= RECORDS; ) {
    const end = from + EPOCH + bytes.readInt32BE(from + LENGTH);
    if (end > bytes.length) break;
    const batch = bytes.subarray(from, end);
    from = end;
    const attributes = batch.readInt16BE(ATTRIBUTES);
    if (batch[MAGIC] !== FORMAT || attributes & COMPRESSED) {
      throw new KafkaError('DRIVER', 'a batch that is compressed or of another format, which we never write', {
        retriable: false,
      });
    }
    if (batch.readUInt32BE(CRC) !== crc32c(batch.subarray(ATTRIBUTES)) >>> 0) {
      throw new KafkaError('CORRUPT_MESSAGE', 'a batch whose checksum is another', { retriable: true });
    }
    const baseOffset = batch.readBigInt64BE(0);
    next = baseOffset + BigInt(batch.readInt32BE(LAST_DELTA)) + 1n;
    if (attributes & CONTROL) continue;
    const appendMs = attributes & APPEND_TIME ? Number(batch.readBigInt64BE(MAX_TIME)) : undefined;
    const baseMs = Number(batch.readBigInt64BE(BASE_TIME));
    const input = new In(batch);
    input.at = RECORDS;
    for (let left = batch.readInt32BE(COUNT); left > 0; left--) {
      const length = input.zigzag();
      const ends = input.at + length;
      input.at++; // attributes
      const timestampMs = baseMs + input.zigzag();
      const offset = baseOffset + BigInt(input.zigzag());
      const key = input.sized();
      const value = input.sized();
      const headers: Header[] = [];
      for (let left = input.zigzag(); left > 0; left--) headers.push([input.name(), input.sized() ?? NOTHING]);
      records.push({ offset, key, value, headers, timestampMs: appendMs ?? timestampMs });
      input.at = ends;
    }
  }
  return { records, next };
}
