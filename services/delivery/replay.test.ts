import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { testBench } from '#bus';
import { newId, uuidText } from '#kernel';
import { Freeze, MandateState, Role, Service } from '#proto/eduk/core/v1/party';
import {
  type Attempt,
  AttemptOutcome,
  DeliveryServiceDefinition,
  type ReplayJob,
} from '#proto/eduk/delivery/v1/delivery';
import { ReplaySelection, ReplaySubmitted } from '#proto/eduk/events/v1/deliveries';
import { PartyStandingChanged } from '#proto/eduk/events/v1/parties';
import { delivery } from './index.ts';
import { LEASE_MS } from './push.ts';
import { COUNTED_MS } from './replay.ts';
import { endpoints, outcomes, parkedKeys, pushKeys, replayKeys, replays, setAside } from './tables.ts';

const SCHOOL = '0000000700012AB00000';
const OTHER = '0000000700034CD00000';
const PLATFORM = '00000001000000000003';
const { SERVICE_ENTITLEMENT } = Service;
const { MANDATE_STATE_ACTIVE, MANDATE_STATE_ENDED } = MandateState;

const noParty = {
  oin: '',
  name: '',
  roles: [] as Role[],
  endpoints: [] as { standard: string; url: string }[],
  boardOin: '',
  sectors: [],
  attributes: [],
  requiresAcceptance: false,
};

/** A platform with a webhook, and a sender that does what the test says. */
function chain() {
  const bench = testBench(delivery);
  const client = bench.client(DeliveryServiceDefinition);
  const endpoint = (url = 'https://a.example/hook') =>
    bench.submit(
      'PartyRegistered',
      {
        party: {
          ...noParty,
          oin: PLATFORM,
          roles: [Role.ROLE_PLATFORM],
          endpoints: url === '' ? [] : [{ standard: 'webhook', url }],
        },
      },
      PLATFORM,
    );
  const mandate = (state: MandateState, school = SCHOOL) =>
    bench.submit(
      'MandateChanged',
      {
        mandate: {
          mandateId: `m-${school}`,
          schoolOin: school,
          partyOin: PLATFORM,
          services: [SERVICE_ENTITLEMENT],
          state,
        } as never,
      },
      school,
    );
  let made = 0;
  const grant = (learner: string, school = SCHOOL) => {
    const entitlementId = `e${++made}`;
    bench.submit(
      'EntitlementGranted',
      {
        terms: { entitlementId } as never,
        schoolOin: school,
        holder: { learner, group: '' },
        byOin: '',
        publisherOin: '',
        platformOin: PLATFORM,
      },
      learner,
      { school },
    );
    return entitlementId;
  };
  let owner = newId();
  const claim = async (most = 100) =>
    (await client.claimAttempts({ owner, outcomes: [], attempts: most, waitMs: 0n, alone: false })).attempts;
  const answered = (attempt: Attempt, status: number, more: Partial<AttemptOutcome> = {}) =>
    client.reportOutcomes({
      owner,
      outcomes: [
        AttemptOutcome.fromPartial({
          attemptId: attempt.attemptId,
          partyOin: attempt.partyOin,
          standard: attempt.standard,
          number: attempt.number,
          result: 'answered',
          status,
          ...more,
        }),
      ],
    });
  const sent: { key: string; id: string; first: number }[] = [];
  const drain = async (status: (attempt: Attempt) => number = () => 200) => {
    for (let round = 0; round < 1000; round++) {
      const started = await claim();
      if (started.length === 0) return;
      for (const attempt of started) {
        const code = status(attempt);
        if (code === 200)
          for (const { key, eventId, keyNumber } of attempt.rows)
            sent.push({ key, id: uuidText(eventId), first: Number(keyNumber) });
        await answered(attempt, code);
      }
    }
    throw new Error('it does not end');
  };
  let jobs = 0;
  const order = (action: string, jobId: string, more: Partial<ReplaySubmitted> = {}) =>
    bench.submit(
      'ReplaySubmitted',
      ReplaySubmitted.fromPartial({ partyOin: PLATFORM, jobId, action, ...more }),
      PLATFORM,
    );
  const shown = async (jobId: string): Promise<ReplayJob> =>
    (await client.listReplays({ partyOin: '', jobId })).replays[0]!;
  const settle = async (jobId: string, of: (state: string) => boolean) => {
    for (let i = 0; i < 2000; i++) {
      const job = await shown(jobId);
      if (of(job.state)) return job;
      bench.advance(1);
    }
    throw new Error('it does not come to that');
  };
  const preview = async (selection: Partial<ReplaySelection> = {}) => {
    const jobId = `job-${String(++jobs).padStart(4, '0')}`;
    bench.advance(1);
    order('preview', jobId, { selection: ReplaySelection.fromPartial({ partyOin: PLATFORM, ...selection }) });
    return settle(jobId, (state) => state !== 'counting');
  };
  const run = (jobId: string, more: Partial<ReplaySubmitted> = {}) =>
    order('run', jobId, { rate: 1000, mostErrors: 10, ...more });
  /** Goes on until it is over. */
  const finish = async (jobId: string, status?: (attempt: Attempt) => number) => {
    for (let i = 0; i < 500; i++) {
      bench.advance(100);
      await drain(status);
      const job = await shown(jobId);
      if (['done', 'stopped'].includes(job.state)) return job;
    }
    throw new Error('it does not end');
  };
  return {
    bench,
    client,
    endpoint,
    mandate,
    grant,
    claim,
    answered,
    drain,
    sent,
    order,
    preview,
    run,
    shown,
    finish,
    settle,
    restart: () => {
      owner = newId();
    },
  };
}

async function delivered(learners: readonly string[]) {
  const it = chain();
  it.endpoint();
  it.mandate(MANDATE_STATE_ACTIVE);
  for (const learner of learners) it.grant(learner);
  await it.drain();
  return it;
}

/** Counts that are not 0, without what is of the run. */
const counted = ({ selected, fresh, had, outOfOrder, pending, toSend, forbidden }: ReplayJob) => ({
  selected: Number(selected),
  fresh: Number(fresh),
  had: Number(had),
  outOfOrder: Number(outOfOrder),
  pending: Number(pending),
  toSend: Number(toSend),
  forbidden: Object.fromEntries(forbidden.map(({ reason, messages }) => [reason, Number(messages)])),
});
const nothing = { selected: 0, fresh: 0, had: 0, outOfOrder: 0, pending: 0, toSend: 0, forbidden: {} };

describe('what it would come to', () => {
  test('what the receiver has changes nothing, and is sent only where that is asked', async () => {
    const it = await delivered(['a', 'b', 'a']);
    expect(counted(await it.preview())).toEqual({ ...nothing, selected: 3, had: 3 });
    expect(counted(await it.preview({ again: true }))).toEqual({ ...nothing, selected: 3, had: 3, toSend: 3 });
    expect(it.sent).toHaveLength(3);
  });

  test('by key, by what it is about, by school, kind and time', async () => {
    const it = chain();
    it.endpoint();
    it.mandate(MANDATE_STATE_ACTIVE);
    it.mandate(MANDATE_STATE_ACTIVE, OTHER);
    it.grant('a');
    const about = it.grant('b');
    const at = BigInt(it.bench.now() + 1);
    it.bench.advance(1000);
    it.grant('c', OTHER);
    await it.drain();
    const had = async (selection: Partial<ReplaySelection>) => Number((await it.preview(selection)).had);
    expect(await had({})).toBe(3);
    expect(await had({ key: 'a' })).toBe(1);
    expect(await had({ about })).toBe(1);
    expect(await had({ schoolOin: OTHER })).toBe(1);
    expect(await had({ types: ['EntitlementGranted'] })).toBe(3);
    expect(await had({ types: ['EntitlementChanged'] })).toBe(0);
    expect(await had({ fromMs: at })).toBe(1);
    expect(await had({ untilMs: at })).toBe(2);
    expect(await had({ service: Service.SERVICE_RESULT })).toBe(0);
  });

  test('what would come after later mail of its key is out of order', async () => {
    const it = await delivered([]);
    const first = it.grant('a');
    await it.drain(() => 422);
    await it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: '', action: 'drop' });
    it.grant('a');
    it.grant('b');
    await it.drain();
    expect(counted(await it.preview({ key: 'a' }))).toEqual({ ...nothing, selected: 2, had: 1, outOfOrder: 1 });
    // All of the key goes again, so that the last of it comes last.
    expect(counted(await it.preview({ again: true }))).toEqual({
      ...nothing,
      selected: 3,
      fresh: 1,
      had: 2,
      toSend: 3,
    });
    // The later one is not selected.
    const alone = await it.preview({ again: true, about: first });
    expect(counted(alone)).toEqual({ ...nothing, selected: 1, outOfOrder: 1 });
    expect(counted(await it.preview({ about: first, outOfOrder: true }))).toMatchObject({ outOfOrder: 1, toSend: 1 });
  });

  test('what may not be sent now, and what is on its way', async () => {
    const it = await delivered(['a', 'b']);
    it.mandate(MANDATE_STATE_ENDED);
    expect(counted(await it.preview({ again: true }))).toEqual({
      ...nothing,
      selected: 2,
      forbidden: { 'mandate.missing': 2 },
    });
    it.grant('c');
    expect(counted(await it.preview({ again: true }))).toMatchObject({ selected: 3, pending: 1 });
    const [attempt] = await it.claim();
    await it.answered(attempt!, 0, { result: 'withheld', code: 'mandate.ended' });
    expect(counted(await it.preview({ again: true }))).toMatchObject({
      selected: 3,
      forbidden: { 'mandate.missing': 2, parked: 1 },
    });
  });

  test('what is of a learner who was forgotten since, and what is told to another board by now', async () => {
    const it = await delivered(['a', 'b']);
    it.bench.advance(1);
    it.bench.submit('LearnerForgotten', { schoolOin: SCHOOL, learner: 'a' }, 'a', { school: SCHOOL });
    await it.drain();
    const { forbidden } = counted(await it.preview({ again: true, types: ['EntitlementGranted'] }));
    expect(forbidden).toEqual({ forgotten: 1 });

    const board = chain();
    const party = (oin: string, of: object) =>
      board.bench.submit('PartyRegistered', { party: { ...noParty, oin, ...of } }, oin);
    const endpoints = [{ standard: 'webhook-mandates', url: 'https://b.example/' }];
    party(PLATFORM, { roles: [Role.ROLE_BOARD], endpoints });
    party(SCHOOL, { roles: [Role.ROLE_SCHOOL], boardOin: PLATFORM });
    const mandate = { mandateId: 'm', schoolOin: SCHOOL, partyOin: OTHER, services: [SERVICE_ENTITLEMENT] };
    board.bench.submit('MandateChanged', { mandate: { ...mandate, state: MANDATE_STATE_ACTIVE } as never }, SCHOOL);
    await board.drain();
    expect(board.sent).toHaveLength(1);
    expect(counted(await board.preview({ again: true }))).toMatchObject({ had: 1, forbidden: {} });
    party(SCHOOL, { roles: [Role.ROLE_SCHOOL], boardOin: OTHER });
    expect(counted(await board.preview({ again: true }))).toMatchObject({ toSend: 0, forbidden: { route: 1 } });
  });

  test('what is of a school that is closed, and of a party that is stopped', async () => {
    const it = await delivered(['a', 'b']);
    const standing = (oin: string, of: object, change = '') =>
      it.bench.submit('PartyStandingChanged', PartyStandingChanged.fromPartial({ oin, change, standing: of }), oin);
    standing(SCHOOL, { forgetting: { schoolOin: SCHOOL, state: 'waits' } }, 'waits');
    const granted = { again: true, types: ['EntitlementGranted'] };
    expect(counted(await it.preview(granted)).forbidden).toEqual({ closed: 2 });
    standing(PLATFORM, { stoppedMs: BigInt(it.bench.now()) });
    expect(counted(await it.preview(granted)).forbidden).toEqual({ stopped: 2 });
  });

  test('a party without an endpoint, and a second preview', async () => {
    const it = chain();
    it.order('preview', 'j', { selection: ReplaySelection.fromPartial({ partyOin: PLATFORM }) });
    expect(it.bench.events('ReplayRefused').at(-1)!.value).toMatchObject({ code: 'state.missing' });
    it.endpoint();
    const first = await it.preview();
    const second = await it.preview();
    expect((await it.shown(first.jobId)).state).toBe('replaced');
    it.run(first.jobId);
    expect(it.bench.events('ReplayRefused').at(-1)!.value).toMatchObject({ code: 'state.conflict' });
    it.bench.advance(COUNTED_MS + 1);
    expect((await it.shown(second.jobId)).state).toBe('expired');
    expect(it.bench.list(replayKeys, { equals: [] })).toEqual([]);
  });
});

describe('sending it', () => {
  test('under the same ids, in order, at the pace, and nothing that was not meant', async () => {
    const learners = Array.from({ length: 300 }, (_, i) => `l${i % 40}`);
    const it = await delivered(learners);
    const before = it.sent.splice(0);
    const job = await it.preview({ again: true });
    it.run(job.jobId, { rate: 100 });
    const began = it.bench.now();
    const over = await it.finish(job.jobId);
    expect(over).toMatchObject({ state: 'done', released: 300n, sent: 300n, errors: 0n, leftOut: 0n });
    expect((it.bench.now() - began) / 1000).toBeGreaterThan(2.9);
    expect((it.bench.now() - began) / 1000).toBeLessThan(3.5);
    const byFirst = (a: { first: number }, b: { first: number }) => a.first - b.first;
    expect([...it.sent].sort(byFirst)).toEqual([...before].sort(byFirst));
    for (const learner of new Set(learners)) {
      const firsts = it.sent.filter(({ key }) => key === learner).map(({ first }) => first);
      expect(firsts).toEqual([...firsts].sort((a, b) => a - b));
    }
    it.bench.advance(1000);
    expect(it.bench.list(replayKeys, { equals: [] })).toEqual([]);
    expect(it.bench.list(setAside, { equals: [] })).toEqual([]);
    expect(it.bench.list(pushKeys, { equals: [] })).toEqual([]);
    expect(it.bench.list(endpoints, { equals: [] })[0]!.replay).toBe('');
    expect(it.bench.events('ReplayChanged').map(({ value }) => value.state)).toEqual([
      'counting',
      'counted',
      'running',
      'done',
    ]);
  });

  test('only what the receiver does not have, where it is not asked otherwise', async () => {
    const it = await delivered(['a', 'b']);
    it.grant('c');
    await it.drain(() => 422);
    await it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: '', action: 'drop' });
    it.sent.length = 0;
    const { jobId } = await it.preview();
    it.run(jobId);
    expect(await it.finish(jobId)).toMatchObject({ state: 'done', sent: 1n });
    expect(it.sent.map(({ key }) => key)).toEqual(['c']);
    expect(it.bench.list(outcomes, { equals: [] }).map(({ state }) => state)).toEqual([
      'delivered',
      'delivered',
      'delivered',
    ]);
  });

  test('too many requests that fail end it, and what did not leave is set back', async () => {
    const it = await delivered(Array.from({ length: 500 }, (_, i) => `l${i}`));
    it.sent.length = 0;
    const { jobId } = await it.preview({ again: true });
    it.run(jobId, { rate: 200, mostErrors: 2 });
    let asked = 0;
    const over = await it.finish(jobId, () => (++asked > 1 ? 503 : 200));
    expect(over).toMatchObject({ state: 'stopped', cause: 'errors', errors: 3n });
    expect(over.setBack).toBeGreaterThan(0n);
    expect(over.sent + over.setBack).toBe(over.released);
    it.bench.advance(600_000);
    for (let i = 0; i < 5; i++) await it.drain();
    expect(it.sent).toHaveLength(Number(over.sent));
    expect(it.bench.list(setAside, { equals: [] })).toEqual([]);
    expect(it.bench.list(pushKeys, { equals: [] })).toEqual([]);
  });

  test('stopped, nothing more leaves: what was under way is told of, the rest is set back', async () => {
    const it = await delivered(Array.from({ length: 100 }, (_, i) => `l${i}`));
    const { jobId } = await it.preview({ again: true });
    it.run(jobId, { rate: 100 });
    it.bench.advance(100);
    const under = await it.claim();
    it.bench.advance(300);
    it.order('stop', jobId);
    const stopped = await it.shown(jobId);
    const left = BigInt(under.flatMap(({ rows }) => rows).length);
    expect(stopped).toMatchObject({ state: 'stopped', cause: 'operator', underWay: left });
    expect(stopped.setBack).toBe(stopped.released - left);
    expect(stopped.setBack).toBeGreaterThan(0n);
    for (const attempt of under) await it.answered(attempt, 200);
    expect(await it.claim()).toEqual([]);
    expect(await it.shown(jobId)).toMatchObject({ sent: left, underWay: 0n, setBack: stopped.setBack });
    it.order('stop', jobId);
    expect(it.bench.events('ReplayRefused').at(-1)!.value).toMatchObject({ code: 'state.conflict' });
    // What one left behind does not keep another from sending it.
    const next = await it.preview({ again: true });
    it.run(next.jobId);
    expect(await it.finish(next.jobId)).toMatchObject({ state: 'done', sent: 100n });
  });

  test('what an operator had stopped is waited for, and says so, until it is tried again or given up', async () => {
    const waiting = async () => {
      const it = await delivered(['a', 'b', 'a']);
      const { jobId } = await it.preview({ again: true });
      it.run(jobId);
      it.bench.advance(200);
      await it.drain(() => 503);
      it.bench.advance(300);
      // It will be tried again by itself.
      expect(await it.shown(jobId)).toMatchObject({ state: 'running', cause: '', parked: 0n, sent: 0n });
      const resolve = (action: string) =>
        it.client.resolveKeys({ partyOin: PLATFORM, schoolOin: '', key: 'a', action });
      await resolve('stop');
      expect(await it.shown(jobId)).toMatchObject({ state: 'running', cause: '', released: 3n });
      it.bench.advance(600_000);
      await it.drain();
      const job = await it.shown(jobId);
      expect(job).toMatchObject({ state: 'waiting', cause: 'parked', toSend: 3n, released: 3n, sent: 1n, parked: 2n });
      return { it, jobId, resolve };
    };
    const retried = await waiting();
    await retried.resolve('retry');
    expect(await retried.it.shown(retried.jobId)).toMatchObject({ state: 'running', cause: '', parked: 0n });
    expect(await retried.it.finish(retried.jobId)).toMatchObject({ state: 'done', sent: 3n, parked: 0n });
    const dropped = await waiting();
    await dropped.resolve('drop');
    expect(await dropped.it.finish(dropped.jobId)).toMatchObject({ state: 'done', sent: 1n, refused: 2n, parked: 0n });
    const stopped = await waiting();
    stopped.it.order('stop', stopped.jobId);
    expect(await stopped.it.shown(stopped.jobId)).toMatchObject({
      state: 'stopped',
      sent: 1n,
      setBack: 2n,
      parked: 0n,
    });
  });

  test('what of a key that was stopped had not been set aside is left out, and the numbers add up while it waits', async () => {
    const it = await delivered(Array.from({ length: 60 }, (_, i) => (i < 50 ? 'a' : 'b')));
    const { jobId } = await it.preview({ again: true });
    it.run(jobId, { rate: 200 });
    it.bench.advance(200);
    await it.drain(() => 503);
    const all = { partyOin: PLATFORM, schoolOin: '', key: 'a' };
    await it.client.resolveKeys({ ...all, action: 'stop' });
    it.bench.advance(600_000);
    await it.drain();
    const { released, ...job } = await it.shown(jobId);
    expect(job).toMatchObject({ state: 'waiting', cause: 'parked', toSend: 60n, sent: 10n, underWay: 0n });
    expect([job.parked + job.sent, job.parked + job.sent + job.leftOut]).toEqual([released, 60n]);
    await it.client.resolveKeys({ ...all, action: 'retry' });
    expect(await it.finish(jobId)).toMatchObject({ state: 'done', sent: released, leftOut: job.leftOut });
  });

  test('one that has no place for more, because all that it gave was stopped, waits, and goes on behind it', async () => {
    const it = await delivered(Array.from({ length: 230 }, (_, i) => `l${i}`));
    const { jobId } = await it.preview({ again: true });
    it.run(jobId, { rate: 200, mostErrors: 1_000 });
    it.bench.advance(5_000);
    const all = { partyOin: PLATFORM, schoolOin: '', key: '' };
    for (let i = 0; i < 200 && (await it.shown(jobId)).state === 'running'; i++) {
      await it.drain(() => 503);
      await it.client.resolveKeys({ ...all, action: 'stop' });
      it.bench.advance(60_000);
    }
    expect(await it.shown(jobId)).toMatchObject({ state: 'waiting', released: 200n, parked: 200n, leftOut: 0n });
    await it.client.resolveKeys({ ...all, action: 'retry' });
    expect(await it.finish(jobId)).toMatchObject({ state: 'done', sent: 230n });
  });

  test('live mail goes on, and what it overtook is left out', async () => {
    const it = await delivered(['a', 'b', 'a']);
    const { jobId } = await it.preview({ again: true });
    const live = it.grant('a');
    await it.drain();
    it.sent.length = 0;
    it.run(jobId);
    expect(await it.finish(jobId)).toMatchObject({ state: 'done', sent: 1n, leftOut: 2n });
    expect(it.sent.map(({ key }) => key)).toEqual(['b']);
    // Counted anew, all of the key goes, the newest last.
    const again = await it.preview({ again: true, key: 'a' });
    it.run(again.jobId);
    await it.finish(again.jobId);
    expect(it.sent.slice(1)).toHaveLength(3);
    expect(live).toBe('e4');
  });

  test('a message that is refused ends there: live mail of its key does not wait', async () => {
    const it = await delivered(['a']);
    const { jobId } = await it.preview({ again: true });
    it.run(jobId);
    expect(await it.finish(jobId, () => 422)).toMatchObject({ state: 'done', refused: 1n, errors: 1n });
    expect(it.bench.list(pushKeys, { equals: [] })).toEqual([]);
    expect(it.bench.list(outcomes, { equals: [] })).toMatchObject([{ state: 'delivered' }]);
    it.sent.length = 0;
    it.grant('a');
    await it.drain();
    expect(it.sent).toHaveLength(1);
  });

  test('what is withheld when it is sent is not parked, for it was there before', async () => {
    const it = await delivered(['a', 'b']);
    const { jobId } = await it.preview({ again: true });
    it.run(jobId);
    it.bench.advance(200);
    const [attempt] = await it.claim();
    it.mandate(MANDATE_STATE_ENDED);
    await it.answered(attempt!, 0, { result: 'withheld', code: 'mandate.ended' });
    expect(await it.finish(jobId)).toMatchObject({ state: 'done', sent: 0n, withheld: 2n });
    expect(it.bench.list(parkedKeys, { equals: [] })).toEqual([]);
  });

  test('a second person begins what is above the threshold', async () => {
    const it = await delivered(['a', 'b', 'c']);
    const { jobId } = await it.preview({ again: true });
    it.run(jobId, { secondAbove: 2, byPerson: 'aa', rate: 7 });
    expect((await it.shown(jobId)).state).toBe('asked');
    it.run(jobId, { secondAbove: 2, byPerson: 'aa' });
    expect(it.bench.events('ReplayRefused').at(-1)!.value).toMatchObject({ code: 'hold.pending' });
    it.run(jobId, { secondAbove: 2, byPerson: '' });
    expect((await it.shown(jobId)).state).toBe('asked');
    it.run(jobId, { secondAbove: 2, byPerson: 'bb', rate: 500 });
    expect(await it.shown(jobId)).toMatchObject({ state: 'running', rate: 7 });
  });

  test('of more than the threshold a party is told that an operator begins it, and then one does', async () => {
    const it = await delivered(['a', 'b', 'c']);
    const byOin = PLATFORM;
    const asked = ReplaySelection.fromPartial({ partyOin: PLATFORM, again: true });
    it.bench.advance(1);
    it.order('preview', 'own', { byOin, selection: asked });
    await it.settle('own', (state) => state === 'counted');
    it.run('own', { byOin, secondAbove: 2 });
    const refused = it.bench.events('ReplayRefused').at(-1)!.value;
    expect(refused).toMatchObject({ partyOin: PLATFORM, jobId: 'own', code: 'hold.operator' });
    expect(refused.told).toContain('an operator of the gateway begins it');
    expect((await it.shown('own')).state).toBe('counted');
    // It stands in for nobody of them.
    it.run('own', { secondAbove: 2, byPerson: 'aa' });
    expect((await it.shown('own')).state).toBe('asked');
    it.run('own', { byOin, secondAbove: 2, confirmed: true });
    it.run('own', { byOin, confirmed: true });
    expect((await it.shown('own')).state).toBe('asked');
    it.run('own', { secondAbove: 2, byPerson: 'bb' });
    expect(await it.finish('own')).toMatchObject({ state: 'done', sent: 3n });
  });

  test('a party begins its own up to the threshold, none that an operator had counted, and puts none of theirs aside', async () => {
    const it = await delivered(['a', 'b']);
    const byOin = PLATFORM;
    const asked = ReplaySelection.fromPartial({ partyOin: PLATFORM, again: true });
    const theirs = await it.preview({ again: true });
    it.run(theirs.jobId, { byOin });
    expect(it.bench.events('ReplayRefused').at(-1)!.value).toMatchObject({ code: 'state.missing' });
    it.order('preview', 'own', { byOin, selection: asked });
    expect(it.bench.events('ReplayRefused').at(-1)!.value).toMatchObject({ code: 'state.conflict' });
    expect((await it.shown(theirs.jobId)).state).toBe('counted');
    it.bench.advance(COUNTED_MS + 1);
    it.order('preview', 'own', { byOin, selection: asked });
    await it.settle('own', (state) => state === 'counted');
    it.run('own', { byOin, secondAbove: 2 });
    expect(await it.finish('own')).toMatchObject({ state: 'done', sent: 2n });
  });

  test('a party stops its own while it runs, also one that an operator began for it, and none of theirs', async () => {
    const byOin = PLATFORM;
    const it = await delivered(Array.from({ length: 100 }, (_, i) => `l${i}`));
    const theirs = await it.preview({ again: true });
    it.run(theirs.jobId, { rate: 100 });
    it.order('stop', theirs.jobId, { byOin });
    expect(it.bench.events('ReplayRefused').at(-1)!.value).toMatchObject({ code: 'state.missing' });
    expect((await it.shown(theirs.jobId)).state).toBe('running');
    it.order('stop', theirs.jobId);
    const asked = ReplaySelection.fromPartial({ partyOin: PLATFORM, again: true });
    for (const [jobId, begins] of [
      ['own', byOin],
      ['begun', ''],
    ] as const) {
      it.order('preview', jobId, { byOin, selection: asked });
      await it.settle(jobId, (state) => state === 'counted');
      it.run(jobId, { byOin: begins, rate: 100 });
      it.bench.advance(100);
      const under = await it.claim();
      it.bench.advance(300);
      it.order('stop', jobId, { byOin });
      const stopped = await it.shown(jobId);
      expect(stopped).toMatchObject({ state: 'stopped', cause: 'party' });
      expect(stopped.setBack).toBeGreaterThan(0n);
      for (const attempt of under) await it.answered(attempt, 200);
      expect(await it.claim()).toEqual([]);
    }
  });

  describe('under a freeze', () => {
    const froze = (it: ReturnType<typeof chain>, of: object, change = 'set') => {
      const times = { fromMs: BigInt(it.bench.now()), untilMs: BigInt(it.bench.now() + 600_000) };
      const freeze = Freeze.fromPartial({ freezeId: 'f', reason: 'exams', ...times, ...of });
      it.bench.submit('FreezeChanged', { freeze, change, unchanged: false }, SCHOOL);
      return freeze;
    };

    test('of the party, or of the only school that was asked for, it does not begin; the preview says what is frozen', async () => {
      for (const [of, selection] of [
        [{ partyOin: PLATFORM }, {}],
        [{}, {}],
        [{ schoolOin: SCHOOL }, { schoolOin: SCHOOL }],
      ] as const) {
        const it = await delivered(['a', 'b']);
        froze(it, of);
        const job = await it.preview({ ...selection, again: true });
        expect(job).toMatchObject({ toSend: 0n, forbidden: [{ reason: 'frozen', messages: 2n }] });
        it.run(job.jobId);
        expect(it.bench.events('ReplayRefused').at(-1)!.value).toMatchObject({ code: 'freeze.holds' });
      }
    });

    test('of one school what is of others goes, and live mail of all', async () => {
      const it = await delivered(['a', 'b']);
      it.mandate(MANDATE_STATE_ACTIVE, OTHER);
      it.grant('c', OTHER);
      await it.drain();
      froze(it, { schoolOin: SCHOOL });
      const { jobId, forbidden } = await it.preview({ again: true });
      expect(forbidden).toMatchObject([{ reason: 'frozen', messages: 2n }]);
      it.sent.length = 0;
      it.run(jobId);
      it.grant('a');
      expect(await it.finish(jobId)).toMatchObject({ state: 'done', sent: 1n, leftOut: 0n });
      expect(it.sent.map(({ key }) => key).sort()).toEqual(['a', 'c']);
    });

    test('that begins while it runs, it rests, and goes on when that ends', async () => {
      const it = await delivered(['a', 'b', 'c']);
      const { jobId } = await it.preview({ again: true });
      it.run(jobId);
      const freeze = froze(it, { partyOin: PLATFORM });
      it.bench.advance(60_000);
      it.sent.length = 0;
      await it.drain();
      expect(it.sent).toEqual([]);
      expect(await it.shown(jobId)).toMatchObject({ state: 'running', cause: 'freeze', released: 0n });
      froze(it, { ...freeze, endedMs: BigInt(it.bench.now()) }, 'ended');
      it.bench.advance(10_000);
      expect(await it.finish(jobId)).toMatchObject({ state: 'done', cause: '', sent: 3n });
    });

    test('of a school that begins while it runs, what it has of that school is left out', async () => {
      const it = await delivered(['a', 'b']);
      it.mandate(MANDATE_STATE_ACTIVE, OTHER);
      it.grant('c', OTHER);
      await it.drain();
      const { jobId } = await it.preview({ again: true });
      it.run(jobId);
      froze(it, { schoolOin: SCHOOL });
      expect(await it.finish(jobId)).toMatchObject({ state: 'done', sent: 1n, leftOut: 2n });
    });
  });

  test('an endpoint that is there no more ends it', async () => {
    const it = await delivered(['a', 'b']);
    const { jobId } = await it.preview({ again: true });
    it.run(jobId);
    it.endpoint('');
    it.bench.advance(1000);
    expect(await it.shown(jobId)).toMatchObject({ state: 'stopped', cause: 'endpoint' });
  });
});

/** What became of all that was counted, of one that is done. */
const ends = ({ sent, untold, refused, withheld, gone, leftOut }: ReplayJob): bigint =>
  sent + untold + refused + withheld + gone + leftOut;

test('a learner who is forgotten while it runs is in its counts', async () => {
  const it = await delivered(Array.from({ length: 400 }, (_, i) => `l${i % 4}`));
  const { jobId, toSend } = await it.preview({ again: true });
  it.run(jobId, { rate: 100 });
  it.bench.advance(500);
  await it.drain();
  it.bench.submit('LearnerForgotten', { schoolOin: SCHOOL, learner: 'l1' }, 'l1', { school: SCHOOL });
  const over = await it.finish(jobId);
  expect(over.state).toBe('done');
  expect(over.leftOut).toBeGreaterThan(50n);
  expect(ends(over)).toBe(toSend);
  expect(toSend).toBe(400n);
});

test('whatever happens while it runs, what was counted is in one of its counts when it is done', async () => {
  const happening = fc.constantFrom('ok', 'ok', 'forget', 'grant', 'freeze', 'mandate', 'refuse', 'hang', 'retry');
  const flags = fc.record({ again: fc.boolean(), outOfOrder: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(5), { minLength: 1, maxLength: 40 }),
      fc.array(happening, { maxLength: 6 }),
      fc.array(happening, { maxLength: 20 }),
      flags,
      async (keys, earlier, during, of) => {
        const it = await delivered(keys.map((key) => `l${key}`));
        let [turn, isActive] = [0, true];
        const happen = async (what: string): Promise<void> => {
          const key = `l${turn++ % 6}`;
          if (what === 'forget')
            it.bench.submit('LearnerForgotten', { schoolOin: SCHOOL, learner: key }, key, { school: SCHOOL });
          if (what === 'grant') it.grant(key);
          if (what === 'freeze') {
            const [fromMs, untilMs] = [BigInt(it.bench.now()), BigInt(it.bench.now() + 2_000)];
            const freeze = Freeze.fromPartial({
              freezeId: `f${turn}`,
              schoolOin: SCHOOL,
              reason: 'exams',
              fromMs,
              untilMs,
            });
            it.bench.submit('FreezeChanged', { freeze, change: 'set', unchanged: false }, SCHOOL);
          }
          if (what === 'mandate') {
            isActive = !isActive;
            it.mandate(isActive ? MANDATE_STATE_ACTIVE : MANDATE_STATE_ENDED);
          }
          if (what === 'retry' || what === 'drop')
            await it.client.resolveKeys({ partyOin: '', schoolOin: '', key: '', action: what });
          if (what === 'hang') return void (await it.claim());
          await it.drain((attempt) => (what === 'refuse' && attempt.rows.length > 0 ? 422 : 200));
        };
        for (const what of earlier) await happen(what);
        const { jobId, state, toSend } = await it.preview(of);
        expect(state).toBe('counted');
        it.run(jobId, { rate: 40, mostErrors: 1000 });
        for (const what of during) {
          it.bench.advance(100);
          await happen(what);
        }
        if (!isActive) await happen('mandate');
        it.bench.advance(LEASE_MS + 1);
        const over = await it.finish(jobId);
        expect(over.state).toBe('done');
        expect([ends(over), over.released + over.leftOut]).toEqual([toSend, toSend]);
      },
    ),
    { numRuns: 100 },
  );
});

test('whatever happens, all that was selected is sent and nothing else, in the order of its key', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(5), { minLength: 1, maxLength: 30 }),
      fc.array(fc.constantFrom('ok', 'ok', 'ok', 'lose', 'late', 'crash', 'other'), { minLength: 5, maxLength: 40 }),
      fc.nat(5),
      async (keys, happens, only) => {
        const it = await delivered(keys.map((key) => `l${key}`));
        it.grant(`x${only}`, SCHOOL);
        await it.drain();
        const before = it.sent.splice(0);
        const wanted = before.filter(({ key }) => key === `l${only}`);
        const { jobId } = await it.preview({ again: true, key: `l${only}` });
        it.run(jobId, { rate: 20, mostErrors: 1000 });
        const seen: typeof before = [];
        for (const what of happens) {
          it.bench.advance(100);
          for (const attempt of await it.claim()) {
            const isThere = what !== 'lose' && what !== 'late';
            const rows = attempt.rows.map(({ key, eventId, keyNumber }) => ({
              key,
              id: uuidText(eventId),
              first: Number(keyNumber),
            }));
            if (isThere) seen.push(...rows);
            if (what === 'lose') await it.answered(attempt, 503);
            else if (what !== 'late' && what !== 'crash') await it.answered(attempt, 200);
          }
          if (what === 'crash') {
            it.restart();
            it.bench.advance(LEASE_MS + 1);
          }
          if (what === 'late') it.bench.advance(LEASE_MS + 1);
        }
        for (let i = 0; i < 300 && (await it.shown(jobId)).state === 'running'; i++) {
          it.bench.advance(10_000);
          it.sent.length = 0;
          await it.drain();
          seen.push(...it.sent);
        }
        expect((await it.shown(jobId)).state).toBe('done');
        const ids = new Set(wanted.map(({ id }) => id));
        expect(seen.filter(({ id }) => !ids.has(id))).toEqual([]);
        expect(new Set(seen.map(({ id }) => id))).toEqual(ids);
        // First arrivals in order; what comes twice was recognisable.
        const first = [...new Map(seen.map((one) => [one.id, one.first])).values()];
        expect(first).toEqual([...first].sort((a, b) => a - b));
        expect(it.bench.list(replays, { equals: [] })).toHaveLength(1);
      },
    ),
    { numRuns: 40 },
  );
});
