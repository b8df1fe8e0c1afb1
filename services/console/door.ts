/** The operator's door, called as the command line calls it: what may be asked and done is judged there, and only there. */
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type Fault, GatewayError, isFault, type MethodDefinition } from '#kernel';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';

type Methods = typeof OperatorServiceDefinition.methods;
/** Methods of one message each way. */
export type Method = {
  [K in keyof Methods]: true extends Methods[K]['requestStream'] | Methods[K]['responseStream'] ? never : K;
}[keyof Methods];
export type RequestOf<K extends Method> = ReturnType<Methods[K]['requestType']['decode']>;
export type ResponseOf<K extends Method> = ReturnType<Methods[K]['responseType']['decode']>;

/** As one who signed in. Fields that are absent are empty. Rejects with `GatewayError`. */
export type Ask = <K extends Method>(method: K, request: Partial<RequestOf<K>>) => Promise<ResponseOf<K>>;

export interface OperatorDoor {
  /** `bearer`: the operator's key, or a token of the operators' provider. `link`: as who has this link to a page, by the operator's key. */
  as(bearer: string, link?: string): Ask;
  close(): void;
}

/** A decision is waited for at most 10 s at the door. Milliseconds. */
const ANSWER_MS = 30_000;

/** `address`: of the gRPC door on loopback, without TLS. Connects at the first question. */
export function openDoor(address: string): OperatorDoor {
  const client = new Client(address, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 });
  return {
    as(bearer, link) {
      const metadata = new Metadata();
      if (link !== undefined) metadata.set('eduk-link', link);
      metadata.set('authorization', `Bearer ${bearer}`);
      return (key, request) =>
        new Promise((resolve, reject) => {
          const method: MethodDefinition = OperatorServiceDefinition.methods[key];
          const { fromPartial } = method.requestType as unknown as { fromPartial(given: unknown): unknown };
          client.makeUnaryRequest(
            `/${OperatorServiceDefinition.fullName}/${method.name}`,
            (message: unknown): Buffer => Buffer.from(method.requestType.encode(fromPartial(message)).finish()),
            (bytes: Buffer): never => method.responseType.decode(bytes) as never,
            request as unknown,
            metadata,
            { deadline: Date.now() + ANSWER_MS },
            (error, answer) => (error ? reject(faultOf(error)) : resolve(answer!)),
          );
        });
    },
    close: () => client.close(),
  };
}

/** What the door said, with its code; its words quote no value. */
function faultOf(error: ServiceError): GatewayError {
  const code = error.metadata?.get('eduk-fault')[0]?.toString() ?? '';
  if (isFault(code)) {
    const told = error.details.startsWith(`${code}: `) ? error.details.slice(code.length + 2) : error.details;
    return new GatewayError(code, told);
  }
  const unsaid: Partial<Record<number, [Fault, string]>> = {
    [status.UNAVAILABLE]: ['peer.unavailable', 'The gateway does not answer at the moment.'],
    [status.DEADLINE_EXCEEDED]: [
      'peer.unknown_outcome',
      'The gateway did not answer in time; it may have done what was asked.',
    ],
  };
  const [fault, told] = unsaid[error.code] ?? ['gateway.bug', `The gateway answered without a code (${error.code}).`];
  return new GatewayError(fault, told);
}
