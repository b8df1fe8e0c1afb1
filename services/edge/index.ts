/** The inbound door as a whole: what `services/main.ts` starts. */

import { setMaxListeners } from 'node:events';
import {
  type Address,
  type Clock,
  diallerFor,
  type Health,
  HmacKey,
  isLoopback,
  log,
  networksOf,
  type Transport,
  textOf,
} from '#kernel';
import { AuditKind } from '#proto/eduk/core/v1/audit';
import type { DiskUse } from '#proto/eduk/delivery/v1/delivery';
import { withAskedNames } from './administrations/fill.ts';
import { AdministrationPulls } from './administrations/index.ts';
import { AskedNames } from './administrations/names.ts';
import { SettingsOnHand } from './administrations/settings.ts';
import { type AlertSettings, Alerts } from './alerts/index.ts';
import { KeySets } from './assertions.ts';
import { Attempts } from './attempts.ts';
import { AuditNotes, audited } from './audit.ts';
import { operator as operatorCaller } from './caller.ts';
import { Certificates, type DoorTls } from './certificates.ts';
import { Chain } from './chain.ts';
import { type ConsoleSessions, consoleSessions } from './console-sessions.ts';
import { Crossing } from './crossing.ts';
import { Cursors } from './cursor.ts';
import { ForgetWatch } from './forgetting.ts';
import type { Gate } from './gate.ts';
import { startGrpc } from './grpc/server.ts';
import { Heads } from './heads.ts';
import { metricsPage } from './http/metrics.ts';
import { startHttp } from './http/server.ts';
import { limits } from './limits.ts';
import { Links } from './links.ts';
import { type OperatorSignIn, Operators } from './operators.ts';
import type { ProcessingSettings } from './processing.ts';
import { TrustedProxy } from './proxy.ts';
import { Reconciler, type ReconcileSettings } from './reconcile/index.ts';
import { RefusalNotes } from './refusals.ts';
import { Register, type RegisterOptions } from './register/index.ts';
import { RosterReads } from './roster-reads.ts';
import { AccessTokens, digestOf } from './secrets.ts';
import { connectServices } from './services.ts';
import { Provider, type SchoolSignIn } from './signin/provider.ts';
import { SamlProvider, type SamlSignIn } from './signin/saml/provider.ts';
import { acceptTogether } from './stages/accept.ts';
import type { Door } from './submission.ts';
import { Telemetry, type TelemetrySettings } from './telemetry/index.ts';
import { Together } from './together.ts';
import { paceOf, Turns } from './turns.ts';
import { Unfinished } from './unfinished.ts';

export type { AlertSettings } from './alerts/index.ts';
export type { Duty } from './caller.ts';
export { Certificates, type DoorPem, type DoorTls } from './certificates.ts';
export type { OperatorSignIn } from './operators.ts';
export { type OutboundOptions, type Sender, startOutbound } from './out/index.ts';
export type { ReconcileSettings } from './reconcile/index.ts';
export { type OsrAddress, osrAt } from './register/client.ts';
export type { RegisterOptions } from './register/index.ts';
export type { ClaimKind, ClaimRules, Level } from './signin/claims.ts';
export type { SchoolSignIn } from './signin/provider.ts';
export type { SamlSignIn } from './signin/saml/provider.ts';
export type { TelemetrySettings } from './telemetry/index.ts';

export interface DoorOptions {
  grpc: Address;
  http: Address;
  tls?: DoorTls | undefined;
  /** On loopback, without TLS: for the operator, where `grpc` is not on loopback. */
  operator?: Address | undefined;
  /** Whether health and metrics are served at the HTTP address; false where they have one of their own. */
  servesHealth: boolean;
  /** What else is missing before messages can be taken in: names of parts that do not answer. */
  missing?: () => Promise<readonly string[]>;
  /** Default: the bound HTTP address. */
  publicUrl: string | undefined;
  state: Transport;
  /** Answers questions of persons beside the state; default: the state. */
  questions?: Transport | undefined;
  vault: Transport;
  clock: Clock;
  /** Where operators sign in at a provider of their own. */
  signIn?: OperatorSignIn | undefined;
  /** Where mandates of OSR are taken from. */
  register?: RegisterOptions | undefined;
  /** Folder with the settings of administrations that are asked for rosters. */
  administrations?: string | undefined;
  /** How long names of schools that keep none here stay in memory, milliseconds. */
  namesHeldMs: number;
  /** Where an operator is told of what stands in the way. */
  alerts?: AlertSettings | undefined;
  /** Where traces and metrics are told. */
  telemetry?: TelemetrySettings | undefined;
  /** Above so many messages a second person begins a replay; 0 or absent = nobody has to. */
  replaySecondAbove?: number | undefined;
  /** A second person approves what is held, and a rule that lets it go; absent = one does. */
  holdSecond?: boolean | undefined;
  /** A second person ends a freeze early too; absent = one does. */
  freezeSecond?: boolean | undefined;
  /** When parties are asked what they have; absent = never by themselves. */
  reconcile?: ReconcileSettings | undefined;
  /** Where authorised persons of boards and schools sign in. */
  schools?: SchoolSignIn | SamlSignIn | undefined;
  /** The operator's secret; only its digest is kept. */
  operatorKey: string;
  version: string;
  /** What papers tell of the operator; undefined = it said nothing. */
  processing?: ProcessingSettings | undefined;
  /** Until which day a standard is spoken to endpoints in its version of now, YYYY-MM-DD by standard. */
  versionEnds?: ReadonlyMap<string, string> | undefined;
  /** Networks (CIDR) beyond the Internet in which receivers may be. */
  allowNetworks: readonly string[];
  /** Calls and bulk items of one party a second. */
  pace: { calls: number; items: number };
  /** Networks (CIDR) of proxies that end TLS before the doors. */
  trustedProxies: readonly string[];
  /** How much each place for data holds; undefined = this process cannot see it. */
  disk?: (() => Promise<readonly DiskUse[]>) | undefined;
  /** Copies the gateway's files into a folder; undefined = it has none. */
  backup?: ((folder: string) => Promise<void>) | undefined;
}

export interface Doors {
  grpc: string;
  http: string;
  health: Health;
  /** Sessions of the operators' console, kept where all doors find them. */
  sessions: ConsoleSessions;
  /** No new messages; answers under way still leave. */
  close(): void;
  stop(graceMs: number): Promise<void>;
}

/** How long a call waits for names that an administration is asked for. */
const NAMES_WAIT_MS = 20_000;

export async function startDoors(options: DoorOptions): Promise<Doors> {
  const { state, vault, clock } = options;
  const certificates = options.tls && new Certificates(options.tls, () => clock.now());
  const tls = options.tls?.ends ? certificates : undefined;
  const reached = connectServices(state, vault);
  const audit = new AuditNotes(reached.log, clock);
  const onLoopback = isLoopback(options.grpc.host) && isLoopback(options.http.host);
  const networks = networksOf(options.allowNetworks, onLoopback);
  const asked = connectServices(options.questions ?? state, vault);
  const chain = new Chain(reached.parties, clock, asked.parties);
  const names = new AskedNames(
    { services: reached, chain, clock },
    { folder: options.administrations, networks, waitMs: NAMES_WAIT_MS, heldMs: options.namesHeldMs },
  );
  const vaultWithNames = withAskedNames(reached.vault, chain, names);
  const services = { ...reached, vault: audited(vaultWithNames, audit, operatorCaller.oin) };
  const { digestKey, cursorKey, tokenKey, devKey } = await services.vault.doorKeys({});
  const secrets = new HmacKey(tokenKey);
  await chain.start();
  const forgetting = new ForgetWatch(services, () => clock.now(), {
    forgettings: () => chain.forgettings(),
    onDemand: () => chain.onDemand(),
    destroyed(schoolOin, { people, texts }) {
      log('info', 'school_destroyed', { people, texts });
      const kind = AuditKind.AUDIT_KIND_OPERATOR;
      audit.note({ kind, partyOin: operatorCaller.oin, schoolOin, method: 'VaultService/ForgetSchool', people });
    },
    namesEnded(schoolOin, people) {
      log('info', 'names_ended', { people });
      const kind = AuditKind.AUDIT_KIND_OPERATOR;
      audit.note({ kind, partyOin: operatorCaller.oin, schoolOin, method: 'VaultService/EndNames', people });
    },
  });
  await forgetting.start();
  const closing = new AbortController();
  setMaxListeners(0, closing.signal); // One for each open watch.
  let publicUrl = options.publicUrl ?? '';
  const dialler = diallerFor(networks);
  const digests = new HmacKey(digestKey);
  const telemetry =
    options.telemetry && new Telemetry(options.telemetry, { dialler, clock, version: options.version, role: 'doors' });
  const door: Door = {
    telemetry,
    services,
    asked,
    chain,
    clock,
    dialler,
    digestKey: digests,
    audit,
    together: new Together((these) => acceptTogether(these, { services })),
    open: () => !closing.signal.aborted,
    closing: closing.signal,
    publicUrl: () => publicUrl,
    replaySecondAbove: options.replaySecondAbove,
    derive: (purpose, id) => secrets.digest(`${purpose}|${id}`).toString('base64url'),
  };
  const notes = new RefusalNotes(services.flows, audit);
  const reads = new RosterReads(services.flows, () => clock.now());
  const heads = new Heads(services.audit);
  heads.start();
  const keys = new KeySets(dialler);
  const gate: Gate = {
    door,
    proofs: {
      chain,
      tokens: new AccessTokens(tokenKey, () => publicUrl),
      operatorKey: digestOf(options.operatorKey),
      operators:
        options.signIn &&
        new Operators(
          options.signIn,
          keys,
          dialler,
          () => clock.now(),
          (issuer, subject) => digests.digest('operator|', JSON.stringify([issuer, subject])),
        ),
      now: () => clock.now(),
    },
    cursors: new Cursors(cursorKey),
    notes,
    links: new Links(services.parties, options.operatorKey, () => clock.now()),
    reads,
    certificates,
    heads,
    proxy: new TrustedProxy(options.trustedProxies, certificates),
    keys,
    attempts: new Attempts(() => performance.now()),
    devKey,
    version: options.version,
    processing: options.processing,
    versionEnds: options.versionEnds,
    untoldNames: () => forgetting.untold(),
    tellNames: () => forgetting.tellNames(),
    names,
    backup: options.backup,
    disk: options.disk,
    replaySecondAbove: options.replaySecondAbove ?? 0,
    holdSecond: options.holdSecond ?? false,
    freezeSecond: options.freezeSecond ?? false,
    schools: options.schools && {
      given: options.schools,
      provider:
        'issuer' in options.schools
          ? new Provider(options.schools, dialler)
          : new SamlProvider(
              options.schools,
              () => door.publicUrl(),
              () => clock.now(),
            ),
    },
    turns: new Turns(paceOf(options.pace.calls, options.pace.items)),
    unfinished: new Unfinished(limits.unfinished.at),
    settings: new SettingsOnHand(options.administrations),
    register: options.register && new Register(door, dialler.networks, options.register),
    health: {
      async ready() {
        if (closing.signal.aborted) return { status: 'stopping', missing: [] };
        const missing = (await options.missing?.()) ?? [];
        return { status: missing.length === 0 ? 'ready' : 'waiting', missing };
      },
      metrics: () => metricsPage(gate),
    },
  };
  if (options.administrations !== undefined)
    gate.administrations = new AdministrationPulls(gate, options.administrations, dialler.networks);
  const crossing = new Crossing(gate);
  gate.crossing = crossing;
  const reconciler = new Reconciler(gate, options.reconcile ?? { hours: { from: 0, over: 0 }, settleMs: 300_000 });
  gate.reconciler = reconciler;
  const alerts = new Alerts(gate, options.alerts ?? {}, async () => (await options.missing?.()) ?? []);
  gate.alerts = alerts;
  // HTTP first: the bound port is part of the public address.
  const isTls = tls !== undefined;
  publicUrl ||= urlOf(options.http, isTls);
  const http = await startHttp(options.http, gate, { tls, servesHealth: options.servesHealth });
  if (!options.publicUrl) publicUrl = urlOf({ ...options.http, port: http.port }, isTls);
  const grpc = await startGrpc(options.grpc, gate, tls);
  const operator = options.operator && (await startGrpc(options.operator, gate));
  certificates?.start();
  gate.register?.start();
  gate.administrations?.start();
  crossing.start();
  reconciler.start();
  alerts.start();
  telemetry?.startMetrics(() => metricsPage(gate));
  return {
    grpc: textOf({ ...options.grpc, port: grpc.port }),
    http: textOf({ ...options.http, port: http.port }),
    health: gate.health,
    sessions: consoleSessions(services.parties),
    close: () => closing.abort(),
    async stop(graceMs) {
      closing.abort();
      await Promise.all([
        grpc.stop(graceMs),
        operator?.stop(graceMs),
        http.stop(graceMs),
        gate.register?.stop(),
        gate.administrations?.stop(),
        alerts.stop(),
        telemetry?.stop(),
        crossing.stop(),
        reconciler.stop(),
      ]);
      await Promise.all([notes.flush(), reads.flush(true)]);
      notes.stop();
      reads.stop();
      dialler.close();
      names.close();
      heads.stop();
      await audit.stop();
      chain.stop();
      forgetting.stop();
      certificates?.stop();
    },
  };
}

const urlOf = (address: Address, isTls: boolean): string => `${isTls ? 'https' : 'http'}://${textOf(address)}`;
