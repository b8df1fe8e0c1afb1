/** The outbound door as a whole: what a process starts that sends. */
import { type Clock, diallerFor, HmacKey, networksOf, type Transport } from '#kernel';
import { withAskedNames } from '../administrations/fill.ts';
import { AskedNames } from '../administrations/names.ts';
import { AuditNotes, audited } from '../audit.ts';
import { operator } from '../caller.ts';
import { Chain } from '../chain.ts';
import { connectServices } from '../services.ts';
import { acceptTogether } from '../stages/accept.ts';
import type { Door } from '../submission.ts';
import { Telemetry, type TelemetrySettings } from '../telemetry/index.ts';
import { Together } from '../together.ts';
import { startReopening } from './reopening.ts';
import { ResultsOverUwlr } from './results.ts';
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
  /** EDUK_ADMINISTRATIONS: how endpoints that take UWLR differ. */
  administrations?: string | undefined;
  /** Where it is told what came of requests. */
  telemetry?: TelemetrySettings | undefined;
  /** How long names of schools that keep none here stay in memory, milliseconds. */
  namesHeldMs: number;
  version: string;
  /** For tests: an authority (PEM) whose certificates are taken besides the system's. */
  ca?: string | undefined;
}

/** How long an attempt waits for names that an administration is asked for: it is leased for little longer. */
const NAMES_WAIT_MS = 2_500;

/** Begins to send. Rejects when the vault or the parties do not answer. */
export async function startOutbound(options: OutboundOptions): Promise<Sender> {
  const { clock, alone, version, ca } = options;
  const networks = networksOf(options.allowNetworks, options.onLoopback);
  const reached = connectServices(options.state, options.vault);
  const audit = new AuditNotes(reached.log, clock);
  const chain = new Chain(reached.parties, clock);
  const names = new AskedNames(
    { services: reached, chain, clock },
    { folder: options.administrations, networks, waitMs: NAMES_WAIT_MS, heldMs: options.namesHeldMs },
  );
  const services = { ...reached, vault: audited(withAskedNames(reached.vault, chain, names), audit, operator.oin) };
  const { digestKey, tokenKey } = await services.vault.doorKeys({});
  const secrets = new HmacKey(tokenKey);
  await chain.start();
  const closing = new AbortController();
  const dialler = diallerFor(networks, { ca });
  // By a way of its own: the sender closes its own first.
  const way = options.telemetry && diallerFor(networks, { ca });
  const telemetry = way && new Telemetry(options.telemetry!, { dialler: way, clock, version, role: 'sender' });
  const door: Door = {
    telemetry,
    services,
    asked: services,
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
  const reopening = startReopening(services, {
    isOnDemand: (school) => chain.isOnDemand(school),
    ready: (school) => names.ready(school),
  });
  const sender = startSender({ door }, version, {
    dialler,
    uwlr: new ResultsOverUwlr(door, networks, options.administrations),
    alone,
    onClosed: () => reopening.look(),
  });
  return {
    async stop(graceMs) {
      closing.abort();
      await Promise.all([sender.stop(graceMs), reopening.stop()]);
      await telemetry?.stop();
      way?.close();
      chain.stop();
      names.close();
      await audit.stop();
    },
  };
}
