/** The bare library: a bidirectional stream that answers every 200 items, and an echo. What @grpc/grpc-js can do alone. */
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { GrantEntitlementsRequest, GrantEntitlementsResponse } from '#proto/eduk/gateway/v1/entitlement';
import { PlaceOrderRequest } from '#proto/eduk/gateway/v1/order';

const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const server = new Server();
server.addService(
  {
    stream: {
      path: '/bare/stream',
      requestStream: true,
      responseStream: true,
      requestSerialize: (m: GrantEntitlementsRequest) => toBuffer(GrantEntitlementsRequest.encode(m).finish()),
      requestDeserialize: (b: Buffer) => GrantEntitlementsRequest.decode(b),
      responseSerialize: (m: GrantEntitlementsResponse) => toBuffer(GrantEntitlementsResponse.encode(m).finish()),
      responseDeserialize: (b: Buffer) => GrantEntitlementsResponse.decode(b),
    },
    echo: {
      path: '/bare/echo',
      requestStream: false,
      responseStream: false,
      requestSerialize: (m: PlaceOrderRequest) => toBuffer(PlaceOrderRequest.encode(m).finish()),
      requestDeserialize: (b: Buffer) => PlaceOrderRequest.decode(b),
      responseSerialize: (m: PlaceOrderRequest) => toBuffer(PlaceOrderRequest.encode(m).finish()),
      responseDeserialize: (b: Buffer) => PlaceOrderRequest.decode(b),
    },
  },
  {
    stream: (call: ServerDuplexStream<GrantEntitlementsRequest, GrantEntitlementsResponse>) => {
      let n = 0;
      const answer = () => call.write({ through: BigInt(n - 1), receipt: undefined, refusals: [] });
      call.on('data', () => {
        if (++n % 200 === 0) answer();
      });
      call.on('end', () => {
        if (n % 200 !== 0) answer();
        call.end();
      });
    },
    echo: (call: { request: PlaceOrderRequest }, callback: (error: null, message: PlaceOrderRequest) => void) =>
      callback(null, call.request),
  } as never,
);
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`${JSON.stringify({ port })}\n`);
});
process.on('SIGTERM', () => process.exit(0));
