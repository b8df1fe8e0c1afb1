/** Messages to bytes and back, as the generated codecs do it, with less garbage: of small messages that is most of the work. */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';

export interface Encoder<T> {
  encode(message: T, writer?: BinaryWriter): { finish(): Uint8Array };
}

export interface Decoder<T> {
  decode(input: BinaryReader | Uint8Array): T;
}

/** A message beyond this leaves its writer to the collector, so that one large message does not stay for ever. */
const LARGEST_KEPT = 1 << 20;
let writer = new BinaryWriter();

/** A message as bytes that own their whole memory. One writer serves all messages of a thread. */
export function encoded<T>(codec: Encoder<T>, message: T): Uint8Array {
  let isClean = false;
  try {
    const bytes = codec.encode(message, writer).finish();
    isClean = bytes.length <= LARGEST_KEPT;
    return bytes;
  } finally {
    // Half a message that could not be written must not stand before the next.
    if (!isClean) writer = new BinaryWriter();
  }
}

/** The message in bytes. Its fields of bytes are views of them. Throws what the codec throws. */
export const decodedWith = <T>(codec: Decoder<T>, bytes: Uint8Array): T => codec.decode(new Reader(bytes));

/** Reads text in one step; the library's own makes an array of its characters first. */
class Reader extends BinaryReader {
  readonly #bytes: Buffer;

  constructor(bytes: Uint8Array) {
    super(bytes);
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  override string(): string {
    const length = this.uint32();
    if (length === 0) return '';
    const start = this.pos;
    this.pos += length;
    if (this.pos > this.len) throw new RangeError('premature EOF');
    return this.#bytes.toString('utf8', start, this.pos);
  }
}
