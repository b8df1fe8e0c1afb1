/** Calls as bytes: what is sent need not be a message, and all that comes back is kept, trailers and refusals too. */
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Client as GrpcClient,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { MethodDefinition } from '#kernel';

export interface Answer {
  /** '' where it was answered; else the fault's code, or that of gRPC. */
  code: string;
  /** Messages of the answer. */
  messages: Buffer[];
  /** Whatever else came back: details, metadata, trailers. */
  words: string[];
}

/** How long a watch is listened to. */
const GLANCE_MS = 40;

export class Caller {
  readonly #channel: GrpcClient;

  /** `authority` is what the caller says that the gateway is called. */
  constructor(address: string, authority?: string) {
    this.#channel = new GrpcClient(address, credentials.createInsecure(), {
      'grpc.enable_http_proxy': 0,
      // Each has a connection of its own.
      'grpc.use_local_subchannel_pool': 1,
      ...(authority === undefined ? {} : { 'grpc.default_authority': authority }),
    });
  }

  close(): void {
    this.#channel.close();
  }

  call(
    path: string,
    { requestStream, responseStream }: Pick<MethodDefinition, 'requestStream' | 'responseStream'>,
    bytes: readonly Buffer[],
    headers: Readonly<Record<string, string | Buffer>>,
    listenMs = GLANCE_MS,
  ): Promise<Answer> {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    return new Promise((resolve) => {
      const answer: Answer = { code: '', messages: [], words: [] };
      const heard = (given: Metadata | undefined): void => {
        if (given === undefined) return;
        for (const list of Object.values(given.toHttp2Headers())) answer.words.push(String(list));
        for (const one of given.get('grpc-status-details-bin')) answer.words.push(Buffer.from(one).toString('latin1'));
      };
      const failed = (error: ServiceError): void => {
        // We ended it ourselves.
        if (error.code === 1) {
          resolve(answer);
          return;
        }
        answer.code = error.metadata?.get('eduk-fault')[0]?.toString() || `grpc ${error.code}`;
        answer.words.push(error.details, error.message);
        heard(error.metadata);
        resolve(answer);
      };
      const same = (one: Buffer): Buffer => one;
      const stream = (call: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>): void => {
        call.on('data', (one: Buffer) => answer.messages.push(one));
        call.on('metadata', heard);
        call.on('error', (error) => failed(error as ServiceError));
        call.on('end', () => resolve(answer));
      };
      if (requestStream && responseStream) {
        const call = this.#channel.makeBidiStreamRequest(path, same, same, metadata);
        stream(call);
        for (const one of bytes) call.write(one);
        call.end();
      } else if (responseStream) {
        const call = this.#channel.makeServerStreamRequest(path, same, same, bytes[0]!, metadata);
        stream(call);
        setTimeout(() => call.cancel(), listenMs);
      } else {
        const done = (error: ServiceError | null, one?: Buffer): void => {
          if (error) failed(error);
          else {
            answer.messages.push(one!);
            resolve(answer);
          }
        };
        const options = { deadline: Date.now() + 30_000 };
        if (requestStream) {
          const call = this.#channel.makeClientStreamRequest(path, same, same, metadata, options, done);
          call.on('metadata', heard);
          for (const one of bytes) call.write(one);
          call.end();
        } else
          this.#channel.makeUnaryRequest(path, same, same, bytes[0]!, metadata, options, done).on('metadata', heard);
      }
    });
  }
}
