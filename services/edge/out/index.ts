/** The outbound door as a whole: what a process starts that sends. */
import { type Clock, diallerFor, HmacKey, networksOf, type Transport } from '#kernel';
import { AuditNotes, audited } from '../audit.ts';
import { operator } from '../caller.ts';
import { Chain } from '../chain.ts';
import { connectServices } from '../services.ts';
import { acceptTogether } from '../stages/accept.ts';
import type { Door } from '../submission.ts';
import { Together } from '../together.ts';
import { startReopening } from './reopening.ts';
import { type Sender, startSender } from './sender.ts';

export type { Sender } from './sender.ts';

export interface OutboundOptions {
  /** The way to delivery, and to the owners of what is told. */
  state: Transport;
  vault: Transport;
  clock: Clock;
  /** Networks (CIDR) beyond the Internet that requests may go to. */
  allowNetworks: readonly string[];
  /** Whether the gateway is on loopback, so that receivers may be. */
  onLoopback: boolean;
  /** No other process sends: what an earlier run of this one had under way is free at once. */
  alone: boolean;
  version: string;
  /** For tests: an authority (PEM) whose certificates are taken besides the system's. */
  ca?: string | undefined;
}

/** Begins to send. Rejects when the vault or the parties do not answer. */
export async function startOutbound(options: OutboundOptions): Promise<Sender> {
  const { clock, alone, version, ca } = options;
  const reached = connectServices(options.state, options.vault);
  const audit = new AuditNotes(reached.log, clock);
  const services = { ...reached, vault: audited(reached.vault, audit, operator.oin) };
  const { digestKey, tokenKey } = await services.vault.doorKeys({});
  const secrets = new HmacKey(tokenKey);
  const chain = new Chain(services.parties, clock);
  await chain.start();
  const closing = new AbortController();
  const dialler = diallerFor(networksOf(options.allowNetworks, options.onLoopback), { ca });
  const door: Door = {
    services,
    chain,
    clock,
    dialler,
    digestKey: new HmacKey(digestKey),
    audit,
    together: new Together((these) => acceptTogether(these, { services })),
    open: () => !closing.signal.aborted,
    closing: closing.signal,
    publicUrl: () => '',
    derive: (purpose, id) => secrets.digest(`${purpose}|${id}`).toString('base64url'),
  };
  const reopening = startReopening(services);
  const sender = startSender({ door }, version, { dialler, alone, onClosed: () => reopening.look() });
  return {
    async stop(graceMs) {
      closing.abort();
      await Promise.all([sender.stop(graceMs), reopening.stop()]);
      chain.stop();
      await audit.stop();
    },
  };
}
