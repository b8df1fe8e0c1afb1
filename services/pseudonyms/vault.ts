import { timingSafeEqual } from 'node:crypto';
import { type Clock, ConfigError, describeError, GatewayError, type Implementation, implement, log } from '#kernel';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { Forgetting } from './forgetting.ts';
import { masterKeys } from './keys.ts';
import { openLedger } from './ledger.ts';
import { checkIdentify, findLearner, identify, OLD_NAMES_MS, reveal, type Touched } from './people.ts';
import { base32, mac, random } from './seal.ts';
import { type School, Shelf } from './shelf.ts';
import { FORM, openStore, type Store } from './store.ts';

export interface VaultOptions {
  /** The database, made when absent; `<file>.forgotten` is the ledger beside it. */
  file: string;
  /** 32 bytes. */
  masterKey: Uint8Array;
  clock: Clock;
  /** Whether the key is a development key; remembered by a vault that is made now. */
  devKey?: boolean;
  /** How many learners stay in memory, with their secrets and without numbers or names; under 1 kB each. */
  maxCached?: number;
}

/** How often a receiver was shown something, for one purpose, since the start. */
export interface RevealCount {
  partyOin: string;
  purpose: string;
  numbers: number;
  names: number;
  contact: number;
  payloads: number;
}

export interface Vault {
  readonly implementations: readonly Implementation[];
  /** Whether the vault was made under a development key; such data listens on loopback only. */
  readonly devKey: boolean;
  /** Begins to run what is due: forgetting, old names, wiping. Every second, until `stop`. */
  start(): void;
  /** What `start` does each second, once. */
  tick(): void;
  /** Answers what was asked, then closes the file. Later calls are refused with gateway.stopping. */
  stop(): Promise<void>;
  reveals(): readonly RevealCount[];
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Up to this size the file is written anew as soon as someone was forgotten; above it once a day. */
const VACUUM_AT_ONCE_BYTES = 64 * 1024 * 1024;
/** Texts that are used again are marked so at most this often. */
const TOUCH_TEXT_MS = 30 * DAY_MS;
const MAX_COUNTS = 10_000;
const EMPTY = Buffer.alloc(0);

/**
 * Opens the vault, or makes it where the file does not exist. A wrong master key, a newer form, a damaged file or one in
 * use is a `ConfigError`; nothing is changed then. Before it returns, the ledger is applied and what is due is destroyed.
 */
export function openVault({ file, masterKey, clock, devKey = false, maxCached = 30_000 }: VaultOptions): Vault {
  if (masterKey.length !== 32) throw new ConfigError(['a master key has 32 bytes']);
  const store = openStore(file);
  try {
    const vaultId = store.fresh ? random(16) : (store.run.getMeta.get('vault_id')?.['value'] as Uint8Array);
    const master = masterKeys(masterKey, vaultId);
    if (store.fresh) {
      store.run.putMeta.run('form', FORM);
      store.run.putMeta.run('vault_id', vaultId);
      store.run.putMeta.run('check', master.check);
      store.run.putMeta.run('dev_key', devKey ? 1 : 0);
      store.commit();
    } else if (!timingSafeEqual(master.check, store.run.getMeta.get('check')?.['value'] as Uint8Array))
      throw new ConfigError([
        `the master key is not the one that ${file} was made under; nothing was changed. Put the right key back: without it no identity can be opened`,
      ]);
    return vaultOn(store, master, file, clock, maxCached);
  } catch (error) {
    store.rollback();
    store.close();
    throw error;
  }
}

function vaultOn(
  store: Store,
  master: ReturnType<typeof masterKeys>,
  file: string,
  clock: Clock,
  maxCached: number,
): Vault {
  const shelf = new Shelf(store, master, clock, maxCached);
  const ledger = openLedger(`${file}.forgotten`);
  const forgetting = new Forgetting(shelf, ledger);
  const touched: Touched = new Map();
  const counts = new Map<string, RevealCount>();
  const devKey = store.run.getMeta.get('dev_key')?.['value'] === 1;

  /** Runs `work` in one transaction, if it writes; all of it counts or none. */
  function together<T>(work: () => T): T {
    try {
      const result = work();
      if (shelf.writing) {
        forgetting.beforeCommit();
        shelf.commit();
      }
      forgetting.afterCommit();
      shelf.trim();
      return result;
    } catch (error) {
      shelf.rollback();
      forgetting.afterRollback();
      throw error;
    }
  }

  // Calls that arrive in one turn of the event loop share one transaction, for it is the wait for the disk that costs.
  let queue: Call[] = [];
  let stopped = false;
  const flush = (): void => {
    const calls = queue;
    queue = [];
    if (calls.length === 0) return;
    try {
      const answers = together(() => calls.map(({ run }) => run()));
      for (const [i, { resolve }] of calls.entries()) resolve(answers[i]);
    } catch (error) {
      if (calls.length === 1) calls[0]!.reject(error);
      // One of them is to blame. Each for itself, so that only that one fails.
      else
        for (const { run, resolve, reject } of calls)
          try {
            resolve(together(run));
          } catch (alone) {
            reject(alone);
          }
    }
  };
  const grouped = <T>(run: () => T): Promise<T> =>
    new Promise((resolve, reject) => {
      if (stopped) return reject(new GatewayError('gateway.stopping'));
      if (queue.push({ run, resolve: resolve as (answer: unknown) => void, reject }) === 1) setImmediate(flush);
    });

  const count = (
    partyOin: string,
    purpose: string,
    what: 'numbers' | 'names' | 'contact' | 'payloads',
    n: number,
  ): void => {
    let key = `${partyOin} ${purpose}`;
    if (!counts.has(key) && counts.size >= MAX_COUNTS) key = ' ';
    let row = counts.get(key);
    if (!row) {
      row = {
        partyOin: key === ' ' ? '' : partyOin,
        purpose: key === ' ' ? '' : purpose,
        numbers: 0,
        names: 0,
        contact: 0,
        payloads: 0,
      };
      counts.set(key, row);
    }
    row[what] += n;
  };

  const service = implement(VaultServiceDefinition, {
    identify(request) {
      checkIdentify(request);
      return grouped(() => identify(shelf, request));
    },
    findLearner: (request) => grouped(() => findLearner(shelf, request)),
    reveal: (request) =>
      grouped(() => {
        const revealed = reveal(shelf, request, (learner) => forgetting.waits(learner), touched);
        const known = revealed.filter((one) => one.known).length;
        for (const what of ['numbers', 'names', 'contact'] as const)
          if (request[what]) count(request.partyOin, request.purpose, what, known);
        return { revealed };
      }),
    sealTexts: ({ schoolOin, texts }) =>
      grouped(() => {
        const school = shelf.school(schoolOin, true);
        return { tokens: texts.map((text) => sealText(shelf, school, text)) };
      }),
    openTexts: ({ schoolOin, tokens }) =>
      grouped(() => {
        const school = shelf.school(schoolOin, false);
        return { texts: tokens.map((token) => (school ? openText(shelf, school, token) : '')) };
      }),
    sealPayloads: ({ schoolOin, payloads }) =>
      grouped(() => {
        const school = shelf.school(schoolOin, true);
        const sealed = payloads.map(({ token, data, context }) => {
          const learner = token === '' ? undefined : shelf.byToken(school, token);
          return token !== '' && !learner ? EMPTY : shelf.sealPayload(school, learner, context, data);
        });
        return { sealed };
      }),
    openPayloads: ({ schoolOin, sealed, partyOin, purpose }) =>
      grouped(() => {
        const school = shelf.school(schoolOin, false);
        const data = sealed.map((one) => {
          const learner = school && one.token !== '' ? shelf.byToken(school, one.token) : undefined;
          if (!school || (one.token !== '' && !learner)) return EMPTY;
          return shelf.openPayload(school, learner, one.context, one.sealed) ?? EMPTY;
        });
        count(partyOin, purpose, 'payloads', data.filter((one) => one.length > 0).length);
        return { data };
      }),
    salts: ({ schoolOin, flowIds }) =>
      grouped(() => {
        const school = shelf.school(schoolOin, true);
        const { hmac } = shelf.key(school, 'salts');
        return { salts: flowIds.map((flowId) => mac(hmac, 'salt', flowId).subarray(0, 16)) };
      }),
    forget: ({ schoolOin, token, atMs }) => grouped(() => forgetting.decide(schoolOin, token, Number(atMs))),
    doorKeys: () => ({ digestKey: master.digestKey, cursorKey: master.cursorKey, tokenKey: master.tokenKey }),
  });

  let sweptMs = 0;
  function tick(): void {
    const now = clock.now();
    const destroyed = together(() => forgetting.runDue());
    if (destroyed > 0) log('info', 'vault.forgot', { learners: destroyed });
    if (now - sweptMs >= HOUR_MS) {
      sweptMs = now;
      saveTouched();
      const swept = Number(together(() => shelf.write.sweepNames.run(now - OLD_NAMES_MS)).changes);
      if (swept > 0) log('info', 'vault.old_names', { rows: swept });
    }
    vacuumWhenDue(now);
  }

  function saveTouched(): void {
    if (touched.size === 0) return;
    together(() => {
      for (const { learner, mark, atMs } of touched.values()) shelf.write.touchName.run(atMs, learner, mark);
    });
    touched.clear();
  }

  /** Deleting overwrites a row; copies that SQLite made while it moved rows about go when the file is written anew. */
  function vacuumWhenDue(now: number): void {
    const meta = (name: string) => Number(store.run.getMeta.get(name)?.['value'] ?? 0);
    if (meta('unvacuumed') === 0) return;
    if (store.bytes() > VACUUM_AT_ONCE_BYTES && now - meta('vacuumed_ms') < DAY_MS) return;
    store.vacuum();
    together(() => {
      shelf.write.putMeta.run('unvacuumed', 0);
      shelf.write.putMeta.run('vacuumed_ms', now);
    });
    store.checkpoint();
  }

  // A process that died just after a destruction left it in the write-ahead log.
  store.checkpoint();
  const reapplied = together(() => forgetting.catchUp());
  if (reapplied > 0) log('warn', 'vault.ledger_applied', { decisions: reapplied });
  together(() => forgetting.runDue());

  let timer: NodeJS.Timeout | undefined;
  return {
    implementations: [service],
    devKey,
    start() {
      timer ??= setInterval(() => {
        try {
          tick();
        } catch (error) {
          // A full disk must not end the vault: what is due is tried again in a second.
          log('error', 'vault.tick_failed', describeError(error));
        }
      }, 1000).unref();
    },
    tick,
    async stop() {
      if (stopped) return;
      stopped = true;
      clearInterval(timer);
      flush();
      saveTouched();
      store.checkpoint();
      store.close();
      ledger.close();
    },
    reveals: () => [...counts.values()],
  };
}

interface Call {
  run: () => unknown;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/** A school's text → its token, always the same: HMAC under a key that serves nothing else. */
function sealText(shelf: Shelf, school: School, text: string): string {
  if (text === '') return '';
  const { hmac, version } = shelf.key(school, 'text_tokens');
  const token = `tx_${base32(mac(hmac, 'text', text))}`;
  const now = shelf.clock.now();
  const row = shelf.store.run.text.get(school.id, token) as { touchedMs: number } | undefined;
  if (!row) {
    shelf.write.addText.run(school.id, token, version, now, shelf.sealText(school, token, text));
  } else if (now - row.touchedMs > TOUCH_TEXT_MS) shelf.write.touchText.run(now, school.id, token);
  return token;
}

function openText(shelf: Shelf, school: School, token: string): string {
  const row = shelf.store.run.text.get(school.id, token) as { sealed: Uint8Array } | undefined;
  return row ? shelf.openText(school, token, row.sealed) : '';
}
