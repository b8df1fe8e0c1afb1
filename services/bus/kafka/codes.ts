import { KafkaError } from './port.ts';

/**
 * Kafka's error codes as far as the requests that we send can meet them. What is not here counts as not retriable and, for
 * a write, as unknown. A lost leader may already have copied a batch to the next one, so `NOT_LEADER_OR_FOLLOWER` says
 * nothing about what was written; `none` is only where the broker looked before it appended.
 */
const codes: Readonly<Record<number, readonly [name: string, retriable?: 'retriable', written?: 'none']>> = {
  [-1]: ['UNKNOWN_SERVER_ERROR'],
  1: ['OFFSET_OUT_OF_RANGE'],
  2: ['CORRUPT_MESSAGE', 'retriable', 'none'],
  3: ['UNKNOWN_TOPIC_OR_PARTITION', 'retriable', 'none'],
  5: ['LEADER_NOT_AVAILABLE', 'retriable'],
  6: ['NOT_LEADER_OR_FOLLOWER', 'retriable'],
  7: ['REQUEST_TIMED_OUT', 'retriable'],
  8: ['BROKER_NOT_AVAILABLE', 'retriable'],
  9: ['REPLICA_NOT_AVAILABLE', 'retriable'],
  10: ['MESSAGE_TOO_LARGE', undefined, 'none'],
  13: ['NETWORK_EXCEPTION', 'retriable'],
  14: ['COORDINATOR_LOAD_IN_PROGRESS', 'retriable'],
  15: ['COORDINATOR_NOT_AVAILABLE', 'retriable'],
  16: ['NOT_COORDINATOR', 'retriable'],
  17: ['INVALID_TOPIC_EXCEPTION', undefined, 'none'],
  18: ['RECORD_LIST_TOO_LARGE', undefined, 'none'],
  19: ['NOT_ENOUGH_REPLICAS', 'retriable', 'none'],
  20: ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'retriable'],
  21: ['INVALID_REQUIRED_ACKS', undefined, 'none'],
  29: ['TOPIC_AUTHORIZATION_FAILED', undefined, 'none'],
  30: ['GROUP_AUTHORIZATION_FAILED'],
  31: ['CLUSTER_AUTHORIZATION_FAILED', undefined, 'none'],
  32: ['INVALID_TIMESTAMP', undefined, 'none'],
  33: ['UNSUPPORTED_SASL_MECHANISM'],
  34: ['ILLEGAL_SASL_STATE'],
  35: ['UNSUPPORTED_VERSION', undefined, 'none'],
  36: ['TOPIC_ALREADY_EXISTS'],
  37: ['INVALID_PARTITIONS'],
  38: ['INVALID_REPLICATION_FACTOR'],
  40: ['INVALID_CONFIG'],
  41: ['NOT_CONTROLLER', 'retriable'],
  42: ['INVALID_REQUEST', undefined, 'none'],
  43: ['UNSUPPORTED_FOR_MESSAGE_FORMAT', undefined, 'none'],
  44: ['POLICY_VIOLATION', undefined, 'none'],
  56: ['KAFKA_STORAGE_ERROR', 'retriable'],
  57: ['LOG_DIR_NOT_FOUND', 'retriable'],
  58: ['SASL_AUTHENTICATION_FAILED', undefined, 'none'],
  74: ['FENCED_LEADER_EPOCH', 'retriable'],
  75: ['UNKNOWN_LEADER_EPOCH', 'retriable'],
  76: ['UNSUPPORTED_COMPRESSION_TYPE', undefined, 'none'],
  78: ['OFFSET_NOT_AVAILABLE', 'retriable'],
  87: ['INVALID_RECORD', undefined, 'none'],
  88: ['UNSTABLE_OFFSET_COMMIT', 'retriable'],
  89: ['THROTTLING_QUOTA_EXCEEDED', 'retriable'],
};

export const OFFSET_OUT_OF_RANGE = 1;
export const UNKNOWN_TOPIC_OR_PARTITION = 3;
export const LEADER_NOT_AVAILABLE = 5;
export const TOPIC_ALREADY_EXISTS = 36;

/** What a broker answered, as an error. `about` says what was asked of whom. */
export function answered(code: number, about: string): KafkaError {
  const [name, retriable, written] = codes[code] ?? [`KAFKA_${code}`];
  return new KafkaError(name, `${about}: ${name}`, {
    retriable: retriable !== undefined,
    written: written ?? 'unknown',
  });
}

/** The same error for a request that writes nothing, or that was never sent. */
export const unwritten = (error: KafkaError): KafkaError =>
  error.written === 'none'
    ? error
    : new KafkaError(error.code, error.message, { retriable: error.retriable, cause: error.cause });

const tlsCodes = /^(ERR_(TLS|SSL|OSSL)|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|EPROTO)/;

/** Says in our words why there is no connection to `address`, whatever the library made of it. */
export function connectionError(address: string, cause: unknown): KafkaError {
  const told = (code: string, message: string, retriable: boolean) =>
    new KafkaError(code, `broker ${address}: ${message}`, { retriable, written: 'unknown', cause });
  const codes = new Set<string>();
  let words = '';
  for (let at = cause as Chained | undefined, depth = 0; at && depth < 8; at = at.cause ?? at.errors?.[0], depth++) {
    if (at instanceof KafkaError) return at;
    // A connection that ends while somebody signs in is no refusal.
    if (at.code === 'PLT_KFK_NETWORK' && codes.delete('PLT_KFK_AUTHENTICATION')) words = '';
    for (const code of [at.code, at.apiId, at.type, at.name]) if (code) codes.add(code);
    words += ` ${at.message ?? ''}`;
  }
  const all = [...codes];
  const tls = all.find((code) => tlsCodes.test(code));
  if (tls !== undefined) return told('TLS', `no agreement on TLS (${tls})`, false);
  if (/\bTLS\b/.test(words)) return told('TLS', 'no agreement on TLS: one side speaks it, the other does not', false);
  if (all.includes('UNSUPPORTED_SASL_MECHANISM') || /suitable SASL mechanism|mechanism is not supported/.test(words)) {
    return told('UNSUPPORTED_SASL_MECHANISM', 'does not offer this SASL mechanism', false);
  }
  if (all.some((code) => /SASL_?AUTHENTICATION|PLT_KFK_AUTHENTICATION/i.test(code))) {
    return told('SASL_AUTHENTICATION_FAILED', 'refused the user name or password', false);
  }
  if (/timed? ?out/i.test(words)) return told('TIMEOUT', 'no answer in time', true);
  const system = all.find((code) => /^E[A-Z]+$/.test(code));
  return told('CONNECTION', system === undefined ? 'the connection ended' : `no connection (${system})`, true);
}

interface Chained {
  code?: string;
  apiId?: string;
  type?: string;
  name?: string;
  message?: string;
  cause?: Chained;
  errors?: Chained[];
}
