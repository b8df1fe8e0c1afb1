/**
 * What the vault may do only as long as somebody else lets it. The master key, or the key that wraps those of one school, may
 * be held elsewhere (`holder.ts`): it is opened there, stays in memory for a while, and is asked for again before that is over.
 * A holder that gives no answer, or says no, closes what it holds. Then nothing of it is found, sealed or shown; forgetting
 * goes on, which needs no key. Nothing is lost: rows stay as they are, and who asked is told to come back.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, ConfigError, describeError, type Fault, GatewayError, log, logSeldom } from '#kernel';
import type { HeldSchool } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import type { Holders, KeyHolder } from './holder.ts';
import { ClosedSchool, type MasterRing, type SchoolLease, type SchoolWrappers } from './keys.ts';
import { type HeldKey, nextKeyFile, readHolderToken, readKeyFile } from './master.ts';
import { type Meta, openRing } from './ring.ts';
import type { KeyRotation, RotationStore } from './rotation.ts';
import { keyOf, open, seal } from './seal.ts';

/** How long what a holder has opened stays in memory after its last answer, unless a setting says otherwise. Milliseconds. */
export const LEASE_MS = 300_000;
/** How soon a holder that gave no answer is asked again. Milliseconds. */
const REST_MS = 2_000;
/** How old what we know of the holds of other processes may be. Milliseconds. */
const READ_MS = 5_000;
/** How often the right to ask is renewed, where it ends by itself. Milliseconds. */
const STAY_MS = 3_600_000;
/** How long a start waits for the holder of the master key. Milliseconds. */
const START_MS = 60_000;
/** How long one waits for another process that changes keys, and how often it looks. Milliseconds. */
const ALONE_MS = 10_000;
const ALONE_REST_MS = 100;
/** How long whoever wants a list waits for holders. Milliseconds. */
const LIST_MS = 5_000;
/** How often one call opens the same school. */
const MOST_TIMES = 3;
/** However short a setting says. Milliseconds. */
const LEAST_LEASE_MS = 100;

/** Time that no clock of the machine changes, milliseconds. */
const monotonic = (): number => performance.now();

/** The master key of one process, in the file or held elsewhere, with the one that is to follow it. */
export class MasterSource {
  readonly #file: string;
  readonly #holders: Holders;
  /** The one that is to follow, while somebody looks for it; only if it is held elsewhere. */
  #next: Uint8Array | undefined;

  constructor(file: string, holders: Holders) {
    this.#file = file;
    this.#holders = holders;
  }

  /** Addresses where it is held, and the one that is to follow; empty = in files. */
  heldAt(): string[] {
    return [this.#file, nextKeyFile(this.#file)].flatMap((file) => heldIn(file)?.address ?? []);
  }

  /** 32 bytes, which the caller wipes. Throws `ConfigError`, and what holders throw. */
  async read(): Promise<Uint8Array> {
    await this.prepareNext().catch((thrown: unknown) => {
      // It may not be needed; who needs it says that it is not there.
      if (!(thrown instanceof GatewayError)) throw thrown;
    });
    return this.#opened(this.#file);
  }

  async #opened(file: string): Promise<Uint8Array> {
    const key = readKeyFile(file);
    if (key instanceof Uint8Array) return key;
    const holder = this.#holders.own(key.address, () => readHolderToken(key.tokenFile));
    const opened = await holder.unwrap(key.wrapped, MASTER);
    if (opened.length !== 32) throw new ConfigError([`what the master key ${file} holds is no key of 32 bytes`]);
    return opened;
  }

  /** Opens the one that is to follow, where it is held elsewhere, so that `next` finds it. */
  async prepareNext(): Promise<void> {
    const file = nextKeyFile(this.#file);
    if (heldIn(file)) this.#next ??= await this.#opened(file);
  }

  /** The one that is to follow, 32 bytes for the caller to wipe; held elsewhere, only after `prepareNext`. Throws `ConfigError`. */
  readonly next = (): Uint8Array | undefined => {
    const file = nextKeyFile(this.#file);
    if (!existsSync(file)) return undefined;
    const key = readKeyFile(file);
    return key instanceof Uint8Array ? key : this.#next && Uint8Array.from(this.#next);
  };

  /** Wipes what `prepareNext` has opened. */
  settle(): void {
    this.#next?.fill(0);
    this.#next = undefined;
  }

  /** Of the token for the holder: where the provider lets it end, it does not end while we ask. */
  async stay(): Promise<void> {
    const key = heldIn(this.#file);
    if (key) await this.#holders.own(key.address, () => readHolderToken(key.tokenFile)).stay();
  }
}

const MASTER = 'eduk master key';

/** Where the key of a file is held; undefined = it is in the file, or there is none. */
function heldIn(file: string): HeldKey | undefined {
  if (!existsSync(file)) return undefined;
  try {
    const key = readKeyFile(file);
    if (!(key instanceof Uint8Array)) return key;
    key.fill(0);
  } catch (thrown) {
    // What is wrong with a file is said by who needs its key.
    if (!(thrown instanceof ConfigError)) throw thrown;
  }
  return undefined;
}

/**
 * A new master key that is held elsewhere: 32 random bytes, wrapped there, opened again to see that this goes. Nobody has
 * them afterwards. Throws `ConfigError` for the file with the token, and what holders throw.
 */
export async function makeHeldKey(address: string, tokenFile: string, holders: Holders): Promise<HeldKey> {
  const holder = holders.own(address, () => readHolderToken(tokenFile));
  return { address, tokenFile, wrapped: await wrapped(holder, MASTER, (secret) => void secret.fill(0)) };
}

/** Has a new secret wrapped, and hands it on once it has been opened again. */
async function wrapped(holder: KeyHolder, about: string, use: (secret: Buffer) => void): Promise<string> {
  const secret = randomBytes(32);
  const sealed = await holder.wrap(secret, about);
  const again = await holder.unwrap(sealed, about);
  const same = again.equals(secret);
  again.fill(0);
  if (!same) throw new GatewayError('peer.unavailable', 'The holder of the key does not open what it has wrapped.');
  use(secret);
  return sealed;
}

/** The master key for a start: waits a minute for a holder that gives no answer. Throws `ConfigError` in words for the operator. */
export async function readAtStart(source: MasterSource, waitMs = START_MS): Promise<Uint8Array> {
  const until = monotonic() + waitMs;
  for (let said = false; ; said = true)
    try {
      return await source.read();
    } catch (thrown) {
      if (!(thrown instanceof GatewayError)) throw thrown;
      if (!said) log('warn', 'vault.master_holder_away', describeError(thrown));
      if (thrown.fault !== 'peer.unavailable' || monotonic() >= until)
        throw new ConfigError([
          `the master key is held at ${source.heldAt().join(', ')}, which ${thrown.fault === 'peer.refused' ? 'says no: look at its token and at what the token may do' : 'does not answer'}; nothing was changed`,
        ]);
      await sleep(Math.min(REST_MS, waitMs));
    }
}

/** The key of one school while it is open. */
class Lease implements SchoolLease {
  readonly oin: string;
  readonly name: string;
  readonly wrapping: SchoolLease['wrapping'];
  readonly #now: () => number;
  untilMs = 0;
  used = true;
  stayedMs: number;

  constructor(oin: string, name: string, secret: Uint8Array, now: () => number) {
    this.#now = now;
    this.stayedMs = now();
    this.oin = oin;
    this.name = name;
    this.wrapping = keyOf(secret);
  }

  get isOpen(): boolean {
    return this.#now() < this.untilMs;
  }

  use(): void {
    this.used = true;
  }
}

/** One row: where the key is that wraps the keys of a school. */
interface Hold {
  oin: string;
  /** As wrapped keys of the school name it. */
  name: string;
  at: string;
  /** The master key under which the rest is sealed: who has only what the holder gives has nothing. */
  by: string;
  sealed: string;
}

const PREFIX = 'hold:';
/** `hold:OIN:NAME`, beside what else the vault knows of itself. */
const rowName = ({ oin, name }: Pick<Hold, 'oin' | 'name'>): string => `${PREFIX}${oin}:${name}`;
const place = ({ oin, name, at, by }: Hold) => ['hold', oin, name, at, by];
const about = (oin: string): string => `eduk school ${oin}`;

interface Trouble {
  name: string;
  sinceMs: number;
  fault: Fault;
  atMs: number;
}

export interface CustodyOptions {
  ring: MasterRing;
  store: RotationStore & HeldStore;
  clock: Clock;
  /** Undefined = of this vault no key is held elsewhere, and none can be. */
  holders: Holders | undefined;
  source: MasterSource | undefined;
  leaseMs: number;
  /** Milliseconds that went by since some moment, by no clock that is set; default: of this process. */
  elapsed: (() => number) | undefined;
  /** Whose master key it is, for messages. */
  where: string;
  /** Nothing stays in memory of what is not open any more. */
  drop(): Promise<void>;
}

/** What custody asks of a database beside what renewing keys does. */
export interface HeldStore {
  /** Schools whose keys are wrapped by a held key, and its name. */
  held(): Promise<{ oin: string; name: string }[]>;
}

export class Custody implements SchoolWrappers {
  readonly #options: CustodyOptions;
  readonly #now: () => number;
  readonly #restMs: number;
  readonly #leases = new Map<string, Lease>();
  readonly #asking = new Map<string, Promise<void>>();
  /** Of schools that could not be opened when they were last asked for. */
  readonly #closed = new Map<string, Trouble>();
  readonly #tell = logSeldom();
  #holds = new Map<string, Hold>();
  #readMs = Number.NEGATIVE_INFINITY;
  /** Until when the master key may be used; undefined = it is in a file. */
  #masterUntilMs: number | undefined;
  #masterAskMs = 0;
  #masterStayedMs = 0;
  #masterAway: Pick<Trouble, 'sinceMs'> | undefined;
  #ticking: Promise<void> | undefined;
  #changing: Promise<void> | undefined;

  constructor(options: CustodyOptions) {
    this.#now = options.elapsed ?? monotonic;
    this.#masterStayedMs = this.#now();
    this.#options = { ...options, leaseMs: Math.max(LEAST_LEASE_MS, options.leaseMs) };
    // Asked again in time, however short that is.
    this.#restMs = Math.min(REST_MS, options.leaseMs / 8);
    if (options.source && options.source.heldAt().length > 0) this.#extendMaster();
  }

  // Schools

  /** Of a key of this name, while it is open. */
  lease(name: string): SchoolLease | undefined {
    const lease = this.#leases.get(name);
    return lease?.isOpen ? lease : undefined;
  }

  /** Runs calls; where one meets a school that is not open, it is opened first, if its holder lets us. */
  async opening<T>(oin: string, run: () => Promise<T>): Promise<T> {
    // What is known to be closed disturbs no group of calls.
    const trouble = this.#closed.get(oin);
    if (trouble) {
      if (this.#now() - trouble.atMs >= this.#restMs) await this.#read();
      if (this.#holds.has(trouble.name)) await this.#open(oin, trouble.name);
      // Another process took it back, or gave it to another holder.
      else this.#closed.delete(oin);
    }
    const opened = new Map<string, number>();
    for (;;)
      try {
        return await run();
      } catch (thrown) {
        if (!(thrown instanceof ClosedSchool)) throw thrown;
        // One call may be about many schools; one that closes again right away is closed.
        const times = (opened.get(thrown.wrapper) ?? 0) + 1;
        if (times > MOST_TIMES) throw thrown;
        opened.set(thrown.wrapper, times);
        await this.#open(thrown.oin, thrown.wrapper);
      }
  }

  /** Throws `school.closed`. */
  async #open(oin: string, name: string): Promise<void> {
    if (this.lease(name)) return;
    const trouble = this.#closed.get(oin);
    if (trouble && this.#now() - trouble.atMs < this.#restMs) throw closed(oin, name, trouble);
    const asking = this.#asking.get(name) ?? this.#ask(oin, name).finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    await asking;
  }

  async #ask(oin: string, name: string): Promise<void> {
    const { leaseMs, clock } = this.#options;
    const asked = this.#now();
    let secret: Buffer | undefined;
    try {
      if (!this.#holds.has(name) || asked - this.#readMs >= READ_MS) await this.#read();
      const hold = this.#holds.get(name);
      // A backup from before it was held elsewhere, or rows that somebody took away.
      if (!hold) throw new GatewayError('gateway.bug', 'Nobody knows where the key of a school is held.');
      const { holder, wrapped } = this.#holderOf(hold);
      secret = await holder.unwrap(wrapped, about(oin));
      if (secret.length !== 32) throw new GatewayError('peer.refused', 'The holder of the key opens something else.');
      let lease = this.#leases.get(name);
      if (!lease) {
        lease = new Lease(oin, name, secret, this.#now);
        this.#leases.set(name, lease);
      }
      lease.untilMs = asked + leaseMs;
      if (this.#closed.delete(oin)) log('info', 'vault.school_open', { school_oin: oin });
    } catch (thrown) {
      const { fault } = thrown instanceof GatewayError ? thrown : new GatewayError('gateway.bug');
      // Without the master key there is nobody to blame but us.
      if (fault === 'gateway.unavailable') throw thrown;
      const before = this.#closed.get(oin);
      const trouble = { name, sinceMs: before?.sinceMs ?? clock.now(), fault, atMs: this.#now() };
      if (before?.fault !== fault) log('warn', 'vault.school_holder', { school_oin: oin, ...describeError(thrown) });
      this.#closed.set(oin, trouble);
      throw closed(oin, name, trouble);
    } finally {
      secret?.fill(0);
    }
  }

  #holderOf(hold: Hold): { holder: KeyHolder; wrapped: string } {
    const { token, wrapped } = this.#opened(hold);
    return { holder: this.#holders.at(hold.at, () => token), wrapped };
  }

  get #holders(): Holders {
    const { holders } = this.#options;
    if (!holders) throw new GatewayError('gateway.bug', 'This vault cannot ask holders of keys.');
    return holders;
  }

  #opened(hold: Hold): { token: string; wrapped: string } {
    const wrapper = this.#options.ring.of(hold.by);
    if (!wrapper) throw new GatewayError('gateway.unavailable', 'The vault has not read its new master key yet.');
    const plain = open(wrapper.wrapping(`${PREFIX}${hold.oin}`), place(hold), Buffer.from(hold.sealed, 'base64'));
    if (!plain) throw new GatewayError('gateway.bug', 'What the vault knows of the holder of a key does not open.');
    return JSON.parse(plain.toString('utf8'));
  }

  #sealed(hold: Pick<Hold, 'oin' | 'name' | 'at'>, what: { token: string; wrapped: string }): Hold {
    const { wraps } = this.#options.ring;
    const made: Hold = { oin: hold.oin, name: hold.name, at: hold.at, by: wraps.name, sealed: '' };
    const key = wraps.wrapping(`${PREFIX}${hold.oin}`);
    made.sealed = seal(key, { school: 0, learner: 0 }, place(made), JSON.stringify(what)).toString('base64');
    return made;
  }

  async #read(): Promise<void> {
    this.#take(await this.#options.store.meta());
  }

  #take(meta: Meta): void {
    const holds = new Map<string, Hold>();
    for (const [name, value] of meta)
      if (name.startsWith(PREFIX)) {
        const hold = JSON.parse(Buffer.from(value as Uint8Array).toString('utf8')) as Hold;
        holds.set(hold.name, hold);
      }
    this.#holds = holds;
    this.#readMs = this.#now();
  }

  /**
   * From now on the keys of a school are wrapped by a key at this address. Those under which its rows rest, and by which
   * they are found, are renewed as well, so that nobody can open them with the master key and an earlier copy of the database.
   */
  async hold(
    oin: string,
    at: string,
    token: string,
    rotation: Pick<KeyRotation, 'begin'>,
    run: RotationStore['run'],
  ): Promise<void> {
    const { leaseMs, store } = this.#options;
    await this.#known(oin, run);
    const holder = this.#holders.at(at, () => token);
    const name = `held:${randomBytes(6).toString('hex')}`;
    const asked = this.#now();
    let lease: Lease | undefined;
    const sealedThere = await wrapped(holder, about(oin), (secret) => {
      lease = new Lease(oin, name, secret, this.#now);
      secret.fill(0);
    });
    lease!.untilMs = asked + leaseMs;
    await store.prepare();
    await this.#alone(async () => {
      const hold = this.#sealed({ oin, name, at }, { token, wrapped: sealedThere });
      // On disk before anything is wrapped by it; the one before stays until nothing is any more.
      await store.putMeta({ [rowName(hold)]: Buffer.from(JSON.stringify(hold)) });
      this.#holds.set(name, hold);
      this.#leases.set(name, lease!);
      await run(oin, ({ shelf }) => shelf.rewrapUnder(shelf.school(oin, false)!, lease));
      await this.#tidy(oin);
    });
    this.#closed.delete(oin);
    log('info', 'vault.school_held', { school_oin: oin });
    await rotation.begin(['data', 'index'], oin);
  }

  /** The keys of a school are wrapped by the master key again. Only while the school is open. Faults: state.missing (nobody else holds it). */
  async takeBack(oin: string, run: RotationStore['run']): Promise<void> {
    await this.#known(oin, run);
    await this.#alone(async () => {
      // Nothing to take back is told, not logged as if it had been.
      if (!(await this.#options.store.held()).some((one) => one.oin === oin))
        throw new GatewayError('state.missing', 'Nobody else holds the key of this school: the master key wraps it.', {
          where: 'school_oin',
        });
      await run(oin, ({ shelf }) => shelf.rewrapUnder(shelf.school(oin, false)!, undefined));
      await this.#tidy(oin);
    });
    log('info', 'vault.school_taken_back', { school_oin: oin });
  }

  async #known(oin: string, run: RotationStore['run']): Promise<void> {
    // Its keys are asked for, so that it is opened if it is closed.
    const known = await run(oin, ({ shelf }) => {
      const school = shelf.school(oin, false);
      return school !== undefined && shelf.key(school, 'index') !== undefined;
    });
    if (!known) throw new GatewayError('state.missing', 'The vault knows no such school.', { where: 'school_oin' });
  }

  /** One change at a time of what wraps keys, over all processes: whose row goes is never what somebody has just wrapped by. */
  async #alone(work: () => Promise<void>): Promise<void> {
    const before = this.#changing;
    let done = () => {};
    this.#changing = new Promise((resolve) => {
      done = resolve;
    });
    try {
      await before;
      for (const until = monotonic() + ALONE_MS; !(await this.#options.store.alone(work)); await sleep(ALONE_REST_MS))
        if (monotonic() > until)
          throw new GatewayError('state.conflict', 'Another process renews keys at this moment: repeat it shortly.');
    } finally {
      done();
    }
  }

  /** Takes the rows of holders away by which no key of the school is wrapped. */
  async #tidy(oin: string): Promise<void> {
    await this.#read();
    const used = new Set((await this.#options.store.held()).map(({ name }) => name));
    const unused = [...this.#holds.values()].filter((hold) => hold.oin === oin && !used.has(hold.name));
    await this.#options.store.putMeta(Object.fromEntries(unused.map((hold) => [rowName(hold), undefined])));
    for (const { name } of unused) {
      this.#holds.delete(name);
      this.#leases.delete(name);
    }
  }

  /** What is known of holders is sealed under the master key that wraps now. Says whether something was not. */
  async reseal(): Promise<boolean> {
    await this.#read();
    const { wraps } = this.#options.ring;
    const old = [...this.#holds.values()].filter(({ by }) => by !== wraps.name);
    if (old.length === 0) return false;
    const anew = old.map((hold) => this.#sealed(hold, this.#opened(hold)));
    await this.#options.store.putMeta(
      Object.fromEntries(anew.map((hold) => [rowName(hold), Buffer.from(JSON.stringify(hold))])),
    );
    for (const hold of anew) this.#holds.set(hold.name, hold);
    return true;
  }

  /** Whose keys are held elsewhere, of all or of one, and whether they are open; asks the holders of those that are not. */
  async list(oin = ''): Promise<HeldSchool[]> {
    await this.#read();
    if (![...this.#holds.values()].some((hold) => oin === '' || hold.oin === oin)) return [];
    const held = (await this.#options.store.held()).filter((one) => oin === '' || one.oin === oin);
    const asked = Promise.allSettled(held.map(({ oin, name }) => this.#open(oin, name)));
    await Promise.race([asked, sleep(LIST_MS, undefined, { ref: false })]);
    return held.map(({ oin, name }) => {
      const trouble = this.#closed.get(oin);
      const isOpen = this.lease(name) !== undefined;
      return {
        schoolOin: oin,
        at: this.#holds.get(name)?.at ?? '',
        open: isOpen,
        awayMs: BigInt(trouble?.sinceMs ?? (isOpen ? 0 : this.#options.clock.now())),
        code: trouble?.fault ?? (isOpen ? '' : 'peer.unavailable'),
      };
    });
  }

  // The master key

  /** Where the master key is held; empty = in a file. And since when its holder gives no answer, Unix ms; 0 = it does. */
  master(): { at: string; awaySinceMs: number; isOpen: boolean } {
    const { source, ring } = this.#options;
    const at = this.#masterUntilMs === undefined ? [] : (source?.heldAt() ?? []);
    return { at: at[0] ?? '', awaySinceMs: this.#masterAway?.sinceMs ?? 0, isOpen: !ring.isClosed };
  }

  #extendMaster(): void {
    this.#masterUntilMs = this.#now() + this.#options.leaseMs;
    this.#masterAskMs = this.#now() + this.#options.leaseMs / 2;
  }

  /** Before half of its time is over, the holder is asked again; when all of it is, what came of the key is gone from memory. */
  async #tickMaster(): Promise<void> {
    const { source, ring, store } = this.#options;
    if (!source) return;
    source.settle();
    const held = this.#masterUntilMs !== undefined || source.heldAt().length > 0;
    const now = this.#now();
    if (!held || now < this.#masterAskMs) return;
    try {
      // A database that is away says nothing of a holder.
      const meta = await store.meta();
      await this.#askMaster(source, meta);
    } finally {
      if (this.#masterUntilMs !== undefined && this.#now() >= this.#masterUntilMs && !ring.isClosed) {
        ring.close();
        log('error', 'vault.master_closed');
        await this.#options.drop();
      }
    }
  }

  async #askMaster(source: MasterSource, meta: Meta): Promise<void> {
    const { ring, where, clock } = this.#options;
    const now = this.#now();
    try {
      // What it was held at may be a file by now.
      if (source.heldAt().length === 0) {
        this.#masterUntilMs = undefined;
        if (!ring.isClosed) return;
      }
      const key = await source.read();
      try {
        const opened = openRing(meta, key, source.next, where);
        if (ring.isClosed) ring.adopt(opened);
      } finally {
        key.fill(0);
        source.settle();
      }
      if (this.#masterAway) log('info', 'vault.master_holder_back');
      this.#masterAway = undefined;
      if (source.heldAt().length > 0) this.#extendMaster();
      if (now - this.#masterStayedMs >= STAY_MS) {
        this.#masterStayedMs = now;
        await source.stay().catch((thrown) => this.#tell('warn', 'vault.holder_token', describeError(thrown)));
      }
    } catch (thrown) {
      this.#masterAway ??= { sinceMs: clock.now() };
      this.#masterAskMs = now + this.#restMs;
      this.#tell('error', 'vault.master_holder_away', describeError(thrown));
    }
  }

  /** Each second: asks again in time, and lets go of what nobody lets us have any more. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = undefined;
    });
    return this.#ticking;
  }

  async #tick(): Promise<void> {
    await this.#tickMaster();
    if (this.#leases.size === 0) return;
    const now = this.#now();
    if (now - this.#readMs >= READ_MS) await this.#read();
    const { leaseMs } = this.#options;
    let lapsed = false;
    const due: Lease[] = [];
    for (const lease of this.#leases.values()) {
      // Taken back, or held elsewhere, by another process.
      const isGone = !this.#holds.has(lease.name);
      if (lease.isOpen && !isGone) {
        if (lease.used && lease.untilMs - now < leaseMs / 2) due.push(lease);
        continue;
      }
      lease.untilMs = 0;
      this.#leases.delete(lease.name);
      lapsed = true;
      if (!isGone && this.#closed.has(lease.oin)) log('warn', 'vault.school_closed', { school_oin: lease.oin });
    }
    if (lapsed) await this.#options.drop();
    // Together: one holder that says nothing keeps no other waiting.
    await Promise.all(due.map((lease) => this.#renew(lease)));
  }

  async #renew(lease: Lease): Promise<void> {
    const trouble = this.#closed.get(lease.oin);
    if (trouble && this.#now() - trouble.atMs < this.#restMs) return;
    lease.used = false;
    try {
      await this.#ask(lease.oin, lease.name);
      if (this.#now() - lease.stayedMs < STAY_MS) return;
      lease.stayedMs = this.#now();
      await this.#holderOf(this.#holds.get(lease.name)!).holder.stay();
    } catch (thrown) {
      lease.used = true;
      // `#ask` has told of a school that cannot be opened; what is left is a token that cannot be renewed.
      if (!(thrown instanceof ClosedSchool)) this.#tell('warn', 'vault.holder_token', describeError(thrown));
    }
  }

  /** Resolves when nothing is under way; then lets go of everything. */
  async stop(): Promise<void> {
    await this.#ticking?.catch(() => undefined); // Told of by who ticks.
    this.#leases.clear();
    this.#options.source?.settle();
    this.#options.holders?.close();
  }
}

const closed = (oin: string, name: string, { fault }: Trouble): GatewayError =>
  fault === 'gateway.bug'
    ? new GatewayError('gateway.bug', 'What the vault knows of the holder of a school’s key cannot be used.')
    : new ClosedSchool(oin, name);
