/** What is judged again while a stream is open: who calls, and whether the school still agrees. */
import type { ClientDuplexStream, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { GrantEntitlementsRequest, GrantEntitlementsResponse } from '#proto/eduk/gateway/v1/entitlement';
import {
  type Clients,
  eckId,
  Fault,
  newSchool,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';

const BOOK = '9789000000019';
const school = newSchool();
let at: TestGateway;
let publisher: TestParty;
let mandateId: string;

beforeAll(async () => {
  at = await startTestGateway();
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  ({ mandateId } = await at.mandate(school, publisher.oin, [Service.SERVICE_ENTITLEMENT]));
  await sendAll(publisher.catalogue.publishProducts(), [
    { reference: 'p', product: { productId: BOOK, title: 'Wilg' } },
  ]);
});
afterAll(() => at?.stop());
afterEach(() => vi.restoreAllMocks());

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** How long it took. The door runs in this thread: time in which this thread did not run is not counted. */
async function until(isSo: () => boolean, ms = 60_000): Promise<number> {
  let took = 0;
  while (!isSo()) {
    if (took > ms) throw new Error('it did not become so');
    const before = performance.now();
    await sleep(20);
    took += Math.min(40, performance.now() - before);
  }
  return took;
}

let sequence = 0;
const grant = (): Partial<GrantEntitlementsRequest> => {
  const id = `e-${++sequence}`;
  return {
    reference: id,
    schoolOin: school,
    holder: { learner: { eckId: eckId(sequence) } } as never,
    terms: { entitlementId: id, productId: BOOK } as never,
  };
};

interface Followed {
  ended: string;
  answers: number;
  refusals: string[];
}
function follow(call: ClientDuplexStream<never, GrantEntitlementsResponse> | ClientReadableStream<unknown>): Followed {
  const seen: Followed = { ended: '', answers: 0, refusals: [] };
  call.on('data', (answer: Partial<GrantEntitlementsResponse>) => {
    seen.answers++;
    seen.refusals.push(...(answer.refusals ?? []).map(({ code }) => code));
  });
  call.on('error', (error: ServiceError) => {
    seen.ended = new Fault(error).code;
  });
  return seen;
}

const bearer = async (): Promise<Clients> => {
  const answer = await fetch(`${at.http}/oauth2/token`, {
    method: 'POST',
    body: 'grant_type=client_credentials',
    headers: {
      authorization: `Basic ${Buffer.from(`${publisher.clientId}:${publisher.clientSecret}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
  });
  return at.as(`Bearer ${((await answer.json()) as { access_token: string }).access_token}`);
};

test('a token that expires ends its watch and its bulk stream within 5 s, and those of an API key go on', async () => {
  const as = await bearer();
  const calls = [as.entitlements.grantEntitlements(), publisher.entitlements.grantEntitlements()] as const;
  const [bulk, ownBulk] = calls.map((call) => follow(call as never)) as [Followed, Followed];
  const watches = [as.entitlements.watchEntitlements({}), publisher.entitlements.watchEntitlements({})];
  const [watch, ownWatch] = watches.map((call) => follow(call)) as [Followed, Followed];
  for (const call of calls) call.write(grant() as never);
  await until(() => bulk.answers > 0 && ownBulk.answers > 0 && watch.answers > 0 && ownWatch.answers > 0);
  // The door's clock is eleven minutes on.
  const real = Date.now;
  vi.spyOn(Date, 'now').mockImplementation(() => real() + 11 * 60_000);
  const took = await until(() => bulk.ended !== '' && watch.ended !== '');
  expect([bulk.ended, watch.ended]).toEqual(['party.unknown', 'party.unknown']);
  expect(took).toBeLessThan(5_000);
  calls[1].write(grant() as never);
  await until(() => ownBulk.answers > 1);
  expect([ownBulk.ended, ownWatch.ended]).toEqual(['', '']);
  for (const call of [...calls, ...watches]) call.cancel();
});

test('a mandate that is withdrawn refuses the next item of an open bulk stream and parks what a watch would tell', async () => {
  const call = publisher.entitlements.grantEntitlements();
  const bulk = follow(call as never);
  const watching = publisher.entitlements.watchEntitlements({});
  const watch = follow(watching);
  call.write(grant() as never);
  await until(() => bulk.answers === 1);
  expect(bulk.refusals).toEqual([]);
  await until(() => watch.answers > 0);
  await at.operator.changeMandate({ mandateId, change: 'stop' });
  // Told to itself or not: from at most 5 s on nothing of this school is taken or told.
  let since = 0;
  const wasRefused = () => bulk.refusals.length > 0;
  while (!wasRefused() && since < 5_000) {
    call.write(grant() as never);
    for (let i = 0; i < 5 && !wasRefused(); i++) {
      const before = performance.now();
      await sleep(20);
      since += Math.min(40, performance.now() - before);
    }
  }
  expect(bulk.refusals[0]).toBe('mandate.ended');
  expect([bulk.ended, watch.ended]).toEqual(['', '']);
  const told = watch.answers;
  // Another school of the same party still goes its way over the same streams.
  const other = newSchool();
  await at.mandate(other, publisher.oin, [Service.SERVICE_ENTITLEMENT]);
  call.write({ ...grant(), schoolOin: other } as never);
  await until(() => watch.answers > told);
  for (const one of [call, watching]) one.cancel();
});
