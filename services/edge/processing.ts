/** What the operator says of itself and its subprocessors, from a file, so that papers tell what holds when they are written. */
import { readFileSync } from 'node:fs';
import { GatewayError } from '#kernel';
import { Processor } from '#proto/eduk/operator/v1/operator';

/** What a door knows of the processing besides what is agreed. */
export interface ProcessingSettings {
  /** Whose subprocessor the operator is; empty = it is the schools' processor itself. */
  processorFor: string;
  /** File with the operator and its subprocessors; undefined = nobody said who they are. */
  file: string | undefined;
  engine: string;
}

export interface Declared {
  operator: Processor | undefined;
  /** Undefined = nobody said whether there are any. */
  subprocessors: Processor[] | undefined;
}

const LARGEST = 256 * 1024;
const FIELDS = ['name', 'address', 'contact', 'does', 'country'] as const;

/**
 * Reads the file, each time anew: JSON with `operator` {name, address, contact} and `subprocessors` [{name, address, contact,
 * does, country}]. Faults: state.conflict, where it says what no file may say.
 */
export function readDeclared(file: string | undefined): Declared {
  if (file === undefined) return { operator: undefined, subprocessors: undefined };
  const wrong = (told: string, cause?: unknown): GatewayError =>
    new GatewayError('state.conflict', `EDUK_PROCESSING_FILE ${told}`, { cause });
  let read: unknown;
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length > LARGEST) throw wrong('is larger than 256 KiB.');
    read = JSON.parse(text);
  } catch (thrown) {
    if (thrown instanceof GatewayError) throw thrown;
    throw wrong('cannot be read as JSON.', thrown);
  }
  if (!isObject(read)) throw wrong('holds no object.');
  for (const name of Object.keys(read))
    if (name !== 'operator' && name !== 'subprocessors') throw wrong('holds more than operator and subprocessors.');
  const one = (given: unknown, what: string, needed: readonly string[]): Processor => {
    if (!isObject(given)) throw wrong(`has no object for ${what}.`);
    for (const [name, value] of Object.entries(given))
      if (!(FIELDS as readonly string[]).includes(name) || typeof value !== 'string')
        throw wrong(`has another field than ${FIELDS.join(', ')} in ${what}, or one that is no text.`);
    for (const name of needed) if (!given[name]) throw wrong(`does not say the ${name} of ${what}.`);
    return Processor.fromPartial(given as Partial<Processor>);
  };
  const { operator, subprocessors } = read;
  if (subprocessors !== undefined && !Array.isArray(subprocessors)) throw wrong('has no list of subprocessors.');
  return {
    operator: operator === undefined ? undefined : one(operator, 'the operator', ['name', 'contact']),
    subprocessors: (subprocessors as unknown[] | undefined)?.map((given, i) =>
      one(given, `subprocessor ${i + 1}`, ['name', 'does', 'country']),
    ),
  };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
