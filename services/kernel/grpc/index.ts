/** Calls between processes. Apart from the kernel's own index: threads that speak to nobody outside need not load gRPC. */
export { type GrpcTransport, type GrpcTransportOptions, grpcTransport } from './client.ts';
export type { InnerProof, InnerTls } from './security.ts';
export { type GrpcServer, type GrpcServerOptions, serveGrpc } from './server.ts';
