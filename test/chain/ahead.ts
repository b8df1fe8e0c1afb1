/** A gateway as a process of its own whose clock a test sets, so that what happens after a month or a year can be seen whole. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, Client as GrpcClient } from '@grpc/grpc-js';
import type { Role, Service } from '#proto/eduk/core/v1/party';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { type Clients, clientsOf, newOin, type WireClient, wire } from './gateway.ts';

const bin = join(import.meta.dirname, '../../services/cli/eduk.js');
const clock = join(import.meta.dirname, 'ahead.js');

export interface AheadGateway {
  folder: string;
  grpc: string;
  /** Settings of a command that speaks to it, at its time. */
  env: Record<string, string>;
  operator: WireClient<typeof OperatorServiceDefinition>;
  party(name: string, roles: Role[], attributes?: readonly string[]): Promise<{ oin: string; apiKey: string }>;
  mandate(school: string, party: string, services: Service[], more?: object): Promise<void>;
  as(apiKey: string): Clients;
  /** Ends it, and starts it again at that moment (RFC 3339); `between` runs while it is stopped. */
  at(moment: string, between?: () => void): Promise<void>;
  stop(): Promise<void>;
}

export async function startAhead(moment: string, settings: Record<string, string> = {}): Promise<AheadGateway> {
  const parent = mkdtempSync(join(tmpdir(), 'eduk-ahead-'));
  const folder = join(parent, 'data');
  let child: ChildProcess | undefined;
  let channel: GrpcClient | undefined;
  const self = { folder } as AheadGateway;

  const end = async () => {
    channel?.close();
    const ended = child && child.exitCode === null && new Promise((resolve) => child!.once('close', resolve));
    child?.kill('SIGTERM');
    await ended;
  };
  const start = async (at: string) => {
    self.env = {
      PATH: process.env['PATH']!,
      NODE_OPTIONS: `--import=${clock}`,
      AHEAD_MS: String(Date.parse(at) - Date.now()),
      EDUK_DATA: folder,
      EDUK_GRPC: '127.0.0.1:0',
      EDUK_HTTP: '127.0.0.1:0',
      EDUK_LOG: 'warn',
      ...settings,
    };
    child = spawn(process.execPath, [bin, 'start'], { env: self.env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout!.on('data', (bytes) => (out += bytes));
    child.stderr!.on('data', (bytes) => (err += bytes));
    let address: string | undefined;
    for (const until = Date.now() + 60_000; address === undefined; await sleep(20)) {
      address = /^ready grpc=(\S+) /m.exec(out)?.[1];
      if (child.exitCode !== null || Date.now() > until) throw new Error(`the gateway did not start: ${err}`);
    }
    self.grpc = address;
    self.env['EDUK_OPERATOR'] = address;
    channel = new GrpcClient(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    const key = readFileSync(join(folder, 'operator.key'), 'utf8').trim();
    self.operator = wire(OperatorServiceDefinition, channel, `Bearer ${key}`);
  };
  Object.assign(self, {
    party: async (name: string, roles: Role[], attributes: readonly string[] = []) => {
      const oin = newOin();
      const { apiKey } = await self.operator.addParty({ party: { oin, name, roles, attributes: [...attributes] } });
      return { oin, apiKey };
    },
    mandate: async (schoolOin: string, partyOin: string, services: Service[], more: object = {}) => {
      await self.operator.grantMandate({ mandate: { schoolOin, partyOin, services, ...more }, confirm: true });
    },
    as: (apiKey: string) => clientsOf(channel!, `Bearer ${apiKey}`),
    at: async (then: string, between?: () => void) => {
      await end();
      between?.();
      await start(then);
    },
    stop: async () => {
      await end();
      rmSync(parent, { recursive: true, force: true });
    },
  });
  try {
    await start(moment);
  } catch (error) {
    await self.stop();
    throw error;
  }
  return self;
}
