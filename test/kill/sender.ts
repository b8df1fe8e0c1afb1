import { Buffer } from 'node:buffer';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'vite';
import { uuid7 } from '#kernel';
import { AcceptRequest, AcceptResponse, Taken } from '#proto/eduk/bus/v1/bus';
import { randomFrom } from '../parties/random.ts';
import { ask } from './deciders.ts';
import type { Plant } from './plants.ts';

/** One message, as the sender remembers it. It knows only what it was answered. */
interface Sent {
  key: string;
  seq: number;
  reference: string;
  party: string;
  isBulk: boolean;
  /** Flow ids under which it was sent, in hexadecimal: each attempt has its own, as at a door. */
  attempts: string[];
  answered?: { flowId: string; answer: string };
}

export interface Findings {
  kills: number;
  /** Kills at which at least one group had no answer. */
  unanswered: number;
  accepted: number;
  /** Messages that had been committed although their answer never came. */
  repeated: number;
  problems: string[];
  ms: number;
}

const KEYS = 60;
const IN_FLIGHT = 4;

/** Puts the process that is killed into one file in `folder`, for it is started hundreds of times; gives its path. */
export async function childIn(folder: string): Promise<string> {
  await build({
    configFile: false,
    root: import.meta.dirname,
    logLevel: 'warn',
    ssr: { noExternal: true },
    build: { ssr: 'child.ts', outDir: folder, emptyOutDir: false, target: 'node24', minify: false },
  });
  return join(folder, 'child.js');
}

class Killed extends Error {}

/** A running engine, and calls to it. Calls end in `Killed` when it dies. */
class Target {
  readonly process: ChildProcess;
  readonly #calls = new Map<number, { resolve(bytes: Uint8Array): void; reject(error: unknown): void }>();
  #next = 1;
  readonly ready: Promise<unknown>;

  constructor(child: string, file: string, plant: Plant, cache: string) {
    this.process = fork(child, [file, plant], {
      serialization: 'advanced',
      execArgv: [],
      env: { ...process.env, NODE_COMPILE_CACHE: cache, EDUK_LOG: 'error' },
    });
    this.process.on('message', ({ id, bytes }: { id: number; bytes: Uint8Array }) => {
      this.#calls.get(id)?.resolve(bytes);
      this.#calls.delete(id);
    });
    this.process.on('exit', () => {
      for (const { reject } of this.#calls.values()) reject(new Killed());
      this.#calls.clear();
    });
    this.ready = new Promise((resolve, reject) => this.#calls.set(0, { resolve, reject }));
  }

  call(method: string, bytes: Uint8Array = new Uint8Array()): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.process.exitCode !== null || this.process.signalCode !== null || !this.process.connected) {
        reject(new Killed());
        return;
      }
      const id = this.#next++;
      this.#calls.set(id, { resolve, reject });
      this.process.send({ id, method, bytes }, () => undefined);
    });
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill('SIGKILL');
    await once(this.process, 'exit');
  }
}

/**
 * Sends groups to an engine in a process of its own, kills it again and again at random moments, starts it on the same
 * file and sends again what was not answered. At the end the file is compared with what the sender was told.
 */
export async function killRun({
  child,
  kills,
  seed,
  plant = 'none',
}: {
  /** Of `childIn`. */
  child: string;
  kills: number;
  seed: number;
  plant?: Plant;
}): Promise<Findings> {
  const { next: random } = randomFrom(seed);
  const below = (n: number) => Math.floor(random() * n);
  const folder = mkdtempSync(join(tmpdir(), 'eduk-kill-'));
  const file = join(folder, 'state.db');
  const findings: Findings = { kills: 0, unanswered: 0, accepted: 0, repeated: 0, problems: [], ms: 0 };
  const problem = (text: string) => {
    if (findings.problems.length < 1000) findings.problems.push(text);
  };
  const started = performance.now();
  const ledger: Sent[] = [];
  const seqs = new Map<string, number>();
  /** Groups without an answer, oldest first: sent again before anything new, so that keys keep their order. */
  let open: Sent[][] = [];

  const newGroup = (): Sent[] => {
    // A key belongs to one sender and class: order is promised to a sender.
    const lot = below(4);
    const group = Array.from({ length: 1 + below(60) }, () => {
      const key = `key ${below(KEYS / 4) * 4 + lot}`;
      const seq = (seqs.get(key) ?? 0) + 1;
      seqs.set(key, seq);
      const sent: Sent = {
        key,
        seq,
        reference: `${key} / ${seq}`,
        party: `party ${lot}`,
        isBulk: lot % 2 === 1,
        attempts: [],
      };
      ledger.push(sent);
      return sent;
    });
    return group;
  };

  const transmit = async (target: Target, group: readonly Sent[]): Promise<void> => {
    const entries = group.map((sent) => {
      const flowId = Buffer.from(uuid7());
      sent.attempts.push(flowId.toString('hex'));
      return {
        flowId,
        partyOin: sent.party,
        method: 'Kill/Ask',
        referenceKey: Buffer.from(sent.reference.padEnd(16)),
        digest: Buffer.from(`digest of ${sent.reference}`),
        digestVersion: 1,
        rememberDays: 35,
        events: [{ stream: 'asked', type: 'Asked', key: sent.key, data: Buffer.from(ask.encode(sent).finish()) }],
        answer: Buffer.from(`answer ${flowId.toString('hex')}`),
        schoolOin: '',
        traceparent: '',
        bulk: sent.isBulk,
      };
    });
    const { outcomes } = AcceptResponse.decode(await target.call('accept', AcceptRequest.encode({ entries }).finish()));
    for (const [i, outcome] of outcomes.entries()) {
      const sent = group[i]!;
      const flowId = Buffer.from(outcome.flowId).toString('hex');
      const answer = Buffer.from(outcome.answer).toString();
      if (outcome.taken === Taken.TAKEN_CONFLICT) problem(`${sent.reference}: a conflict with itself`);
      if (!sent.attempts.includes(flowId) || answer !== `answer ${flowId}`)
        problem(`${sent.reference}: an answer that belongs to no attempt`);
      if (sent.answered === undefined) {
        if (outcome.taken === Taken.TAKEN_REPEATED) findings.repeated += 1;
        sent.answered = { flowId, answer };
      } else if (sent.answered.flowId !== flowId || sent.answered.answer !== answer)
        problem(`${sent.reference}: a repeat was answered otherwise`);
      else if (outcome.taken !== Taken.TAKEN_REPEATED) problem(`${sent.reference}: taken in again`);
    }
  };

  try {
    for (let round = 0; round < kills; round++) {
      const target = new Target(child, file, plant, join(folder, 'cache'));
      await target.ready;
      let dead = false;
      const send = async (group: Sent[]): Promise<void> => {
        open.push(group);
        try {
          await transmit(target, group);
          open = open.filter((other) => other !== group);
        } catch (thrown) {
          if (!(thrown instanceof Killed)) throw thrown;
        }
      };
      const flight = new Set<Promise<void>>();
      const fly = (group: Sent[]) => {
        const sending = send(group).finally(() => flight.delete(sending));
        flight.add(sending);
      };
      const again = open;
      open = [];
      for (const group of again) fly(group);
      const pump = (async () => {
        while (!dead) {
          while (flight.size >= IN_FLIGHT && !dead) await Promise.race(flight);
          if (dead) break;
          const answered = random() < 0.1 ? ledger.filter((sent) => sent.answered !== undefined) : [];
          // Now and then something is repeated that was answered long ago.
          if (answered.length > 0) void transmit(target, [answered[below(answered.length)]!]).catch(onlyKilled);
          else fly(newGroup());
          // Leaves the loop free for answers and for the end.
          await sleep(random() < 0.5 ? 0 : below(4));
        }
      })();
      await sleep(below(10) === 0 ? 0 : below(120));
      dead = true;
      // What has no answer when the signal leaves.
      const without = open.length;
      await target.kill();
      await pump;
      await Promise.allSettled(flight);
      findings.kills += 1;
      if (without > 0 && open.length > 0) findings.unanswered += 1;
    }
    const target = new Target(child, file, plant, join(folder, 'cache'));
    await target.ready;
    for (const group of open) await transmit(target, group);
    const old = ledger.filter(() => random() < 0.05);
    for (let at = 0; at < old.length; at += 200) await transmit(target, old.slice(at, at + 200));
    await target.call('idle');
    await target.call('stop');
    if (target.process.exitCode === null) await once(target.process, 'exit');
    compare(file, ledger, problem);
    findings.accepted = ledger.length;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  findings.ms = Math.round(performance.now() - started);
  return findings;
}

function onlyKilled(thrown: unknown): void {
  if (!(thrown instanceof Killed)) throw thrown;
}

/** Reads the file without the engine: log, positions and rows against the ledger. */
function compare(file: string, ledger: readonly Sent[], problem: (text: string) => void): void {
  const db = new DatabaseSync(file, { readOnly: true });
  const all = <T>(sql: string) => db.prepare(sql).all() as unknown as T[];
  const lanes = all<{ stream: string; partition: number; head: number }>(
    'SELECT stream, partition, head FROM bus_lanes',
  );
  const positions = new Map(
    all<{ id: string; number: number }>(
      `SELECT consumer || ' ' || stream || '/' || partition AS id, number FROM bus_positions`,
    ).map(({ id, number }) => [id, number]),
  );
  const taken = new Map(
    all<{ id: string; times: number }>(`SELECT lane || ' ' || number AS id, times FROM kill_taken`).map(
      ({ id, times }) => [id, times],
    ),
  );
  const logged = new Map<string, { times: number; flow: string }>();
  const seqs = new Map<string, number>();
  for (const { stream, partition, head } of lanes) {
    const lane = `log_${stream}_${String(partition).padStart(2, '0')}`;
    const records = all<{ number: number; key: string; id: Uint8Array; data: Uint8Array }>(
      `SELECT number, key, id, data FROM ${lane} ORDER BY number`,
    );
    for (const [i, { number, key, id, data }] of records.entries()) {
      if (number !== i + 1) problem(`${lane}: number ${i + 1} is missing`);
      const { seq, reference } = ask.decode(data);
      const before = seqs.get(`${stream} ${key}`) ?? 0;
      if (seq !== before + 1) problem(`${stream} ${key}: ${seq} follows ${before}`);
      seqs.set(`${stream} ${key}`, seq);
      if (taken.get(`${lane} ${number}`) !== 1)
        problem(`${lane}: number ${number} was taken ${taken.get(`${lane} ${number}`) ?? 0} times`);
      if (stream === 'asked')
        logged.set(reference, {
          times: (logged.get(reference)?.times ?? 0) + 1,
          flow: Buffer.from(id).toString('hex'),
        });
    }
    if (records.length !== head) problem(`${lane}: its head is ${head}, it holds ${records.length}`);
    for (const consumer of stream === 'asked' ? ['counter', 'reader'] : ['reader'])
      if (positions.get(`${consumer} ${stream}/${partition}`) !== head)
        problem(`${consumer} stands elsewhere than at the head of ${lane}`);
  }
  const expected = new Map<string, number>();
  for (const { key, reference, answered } of ledger) {
    expected.set(key, (expected.get(key) ?? 0) + 1);
    const found = logged.get(reference);
    if (answered === undefined) problem(`${reference} was never answered`);
    else if (found === undefined) problem(`${reference} was accepted and is lost`);
    else if (found.times !== 1) problem(`${reference} is on the log ${found.times} times`);
    else if (found.flow !== answered.flowId) problem(`${reference} has another flow than its receipt`);
  }
  if (logged.size !== ledger.length) problem(`the log holds ${logged.size} messages of ${ledger.length} sent`);
  const counts = new Map(
    all<{ key: string; count: number; lastSeq: number; outOfOrder: number }>('SELECT * FROM kill_counts').map((row) => [
      row.key,
      row,
    ]),
  );
  const totals = new Map(
    all<{ key: string; counted: number; last: number; outOfOrder: number }>('SELECT * FROM kill_totals').map((row) => [
      row.key,
      row,
    ]),
  );
  for (const [key, count] of expected) {
    const row = counts.get(key);
    if (row?.count !== count || row.lastSeq !== count || row.outOfOrder !== 0)
      problem(`${key}: counted ${row?.count ?? 0} of ${count}, ${row?.outOfOrder ?? 0} out of order`);
    const total = totals.get(key);
    if (total?.counted !== count || total.last !== count || total.outOfOrder !== 0)
      problem(`${key}: read ${total?.counted ?? 0} counts of ${count}`);
  }
  db.close();
}
