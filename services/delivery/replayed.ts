/** What sending knows of replays: which of them still send, what became of their messages, and what went out beside them. */
import type { Writer } from './mailbox.ts';
import { type Member, type ReplayCounts, type ReplayRow, replayKeys, replays } from './tables.ts';

/** Whether a message may still leave: live mail, or of a replay that runs. */
export const isOn = (reader: Pick<Writer, 'get'>, party: string, { job }: Pick<Member, 'job'>): boolean =>
  !job || reader.get(replays, party, job)?.state === 'running';

/** How many messages of which replay are among these. */
export function jobsIn(members: readonly Pick<Member, 'job'>[]): Map<string, number> {
  const jobs = new Map<string, number>();
  for (const { job } of members) if (job) jobs.set(job, (jobs.get(job) ?? 0) + 1);
  return jobs;
}

/**
 * What became of messages of replays. Of one that does not run any more only what was sent, or was under way, still counts: the rest was set back.
 */
export function became(
  unit: Pick<Writer, 'get' | 'put'>,
  party: string,
  members: readonly Pick<Member, 'job'>[],
  what: keyof ReplayCounts,
): void {
  for (const [jobId, n] of jobsIn(members)) {
    const job = unit.get(replays, party, jobId);
    if (job === undefined || (what === 'gone' && job.state !== 'running')) continue;
    unit.put(replays, { ...job, counts: { ...job.counts, [what]: job.counts[what] + n } });
  }
}

/** A request with messages of replays failed: above what was allowed they stop. */
export function requestFailed(
  unit: Pick<Writer, 'get' | 'put' | 'now'>,
  party: string,
  members: readonly Pick<Member, 'job'>[],
): void {
  for (const jobId of jobsIn(members).keys()) {
    const job = unit.get(replays, party, jobId);
    if (job === undefined) continue;
    const counts = { ...job.counts, errors: job.counts.errors + 1 };
    const isOver = job.state === 'running' && counts.errors > job.mostErrors;
    const ended: Partial<ReplayRow> = isOver ? { state: 'stopped', cause: 'errors', endedMs: unit.now } : {};
    unit.put(replays, { ...job, counts, ...ended });
  }
}

/** The replay of a party that is not over, as its endpoint says. */
export function openReplay(
  reader: Pick<Writer, 'get'>,
  { party, replay }: { party: string; replay?: string | undefined },
): Readonly<ReplayRow> | undefined {
  return replay ? reader.get(replays, party, replay) : undefined;
}

/** Live mail of a key goes out: what a replay has of before it would come after it. */
export function overtaken(
  unit: Pick<Writer, 'get' | 'put'>,
  { party, jobId, state }: Readonly<ReplayRow>,
  of: { service: number; school: string; key: string },
  number: number,
): void {
  const { service, school, key } = of;
  const known = unit.get(replayKeys, party, jobId, service, school, key);
  // What is counted later of its key is counted as late.
  if (known === undefined && state !== 'counting') return;
  const row = known ?? { party, jobId, service, school, key, fresh: 0, had: 0, late: 0 };
  if (row.late < number) unit.put(replayKeys, { ...row, late: number });
}
