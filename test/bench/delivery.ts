/** What sending costs, how fast it is, and whether endpoints that are sick are felt by others. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials } from '@grpc/grpc-js';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { CatalogueServiceDefinition } from '#proto/eduk/gateway/v1/catalogue';
import type { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { newOin, newSchool, sendAll, type WireClient, wire } from '../chain/gateway.ts';
import type { Brought } from './endpoints.ts';
import { cpuOf, nowMs, quantile } from './processes.ts';
import { end, lineOf, program, send } from './programs.ts';

/** The gateway that is measured; its consumers are at the head when `atHead` resolves. */
export interface Measured {
  operator: WireClient<typeof OperatorServiceDefinition>;
  grpc: string;
  pid: number;
  atHead(): Promise<unknown>;
}

/** Nothing new came for so long: it does not come any more. Longer than an endpoint rests. */
const QUIET_MS = 90_000;
const KINDS = ['slow', 'away', 'busy', 'hangs'] as const;
export type Kind = (typeof KINDS)[number] | 'well';

interface Count {
  distinct: number;
  well: number;
  requests: number;
}

export async function startEndpoints() {
  const child = program({ args: ['endpoints.ts'] });
  const { port } = JSON.parse(await lineOf(child)) as { port: number };
  const at = `http://127.0.0.1:${port}`;
  const ask = async <T>(path: string) => (await fetch(`${at}${path}`, { method: 'POST' })).json() as Promise<T>;
  return {
    url: (kind: Kind | 'uwlr', name: string) => `${at}/e/${kind}/${name}`,
    count: () => ask<Count>('/count'),
    arrivals: () => ask<[number, number][]>('/arrivals'),
    results: () => ask<Brought[]>('/results'),
    sick: (isSick: boolean) => ask(`/sick?on=${isSick ? 1 : 0}`),
    forget: () => ask('/forget'),
    /** When enough is there. Throws when nothing new comes any more. */
    async until(isEnough: (count: Count) => boolean): Promise<Count> {
      let last = await ask<Count>('/count');
      for (let heard = nowMs(); !isEnough(last); await sleep(20)) {
        const now = await ask<Count>('/count');
        if (now.distinct > last.distinct) heard = nowMs();
        if (nowMs() - heard > QUIET_MS)
          throw new Error(`only ${now.distinct} deliveries came, ${now.well} of them to who is well`);
        last = now;
      }
      return last;
    },
    stop: () => end(child),
  };
}

const { SERVICE_ENTITLEMENT: service } = Service;

/** A school with platforms at these addresses, each with a product of its own, and who grants those in turn. */
async function sellingTo(at: Measured, urls: readonly string[]) {
  const schoolOin = newSchool();
  const allow = (partyOin: string) =>
    at.operator.grantMandate({ mandate: { schoolOin, partyOin, services: [service] }, confirm: true });
  const add = async (name: string, role: Role, url = '') => {
    const endpoints = url === '' ? [] : [{ standard: 'webhook', url }];
    const oin = newOin();
    const { apiKey } = await at.operator.addParty({ party: { oin, name, roles: [role], endpoints } });
    return { oin, authorization: `Bearer ${apiKey}` };
  };
  const platforms: string[] = new Array(urls.length);
  let next = 0;
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (next < urls.length) {
        const i = next++;
        const { oin } = await add(`Leerplein ${i}`, Role.ROLE_PLATFORM, urls[i]!);
        await allow(oin);
        platforms[i] = oin;
      }
    }),
  );
  const publisher = await add('Uitgeverij Meting', Role.ROLE_PUBLISHER);
  const seller = await add('Meetverkoper', Role.ROLE_DISTRIBUTOR);
  await allow(publisher.oin);
  await allow(seller.oin);
  const base = 978_000_000_0000 + Math.floor(Math.random() * 900_000) * 10_000;
  const products = urls.map((_, i) => String(base + i).padStart(13, '0'));
  const channel = new Client(at.grpc, credentials.createInsecure());
  await sendAll(
    wire(CatalogueServiceDefinition, channel, publisher.authorization).publishProducts(),
    products.map((productId, i) => ({
      reference: productId,
      product: { productId, title: 'Meten is weten', licence: { licensed: true }, platformOin: platforms[i]! },
    })),
  );
  channel.close();
  await at.atHead();
  let from = 0;
  /** So many grants, in turn to each, and when each was to be sent, by its number. */
  const grants = async (count: number, perSecond: number): Promise<Map<number, number>> => {
    const sent = await send({
      kind: 'stream',
      address: at.grpc,
      ...{ count, from, learners: 1_000, perSecond, atOnce: 32, product: '', products },
      ...{ isStubborn: false, authorization: seller.authorization, schools: [schoolOin] },
      ...{ isSmall: true, isSilent: false },
    });
    if (sent.failed > 0) throw new Error(`grants were refused: ${sent.words}`);
    const due = new Map(sent.due.map((ms, i) => [from + i, ms]));
    from += count;
    return due;
  };
  return { grants, platforms };
}

export interface DeliveryFigures {
  /** Deliveries and requests a second. */
  perSecond: number;
  requests: number;
  /** Processor time of the whole gateway for each delivery, microseconds. */
  cpuMicros: number;
  /** The bare loop with one delivery a request, and with as many as ours. */
  barePerSecond: number;
  bareOfBatches: number;
}

/** So many bare POSTs of so many bytes: how many a second. */
export async function barePosts(url: string, bytes: number, count: number): Promise<number> {
  const args = ['bare-post.ts', JSON.stringify({ url, count, atOnce: 8, bytes })];
  return (JSON.parse(await lineOf(program({ args }))) as { perSecond: number }).perSecond;
}

/** One endpoint with so much mail waiting for it. */
export async function deliveryFigures(at: Measured, count: number): Promise<DeliveryFigures> {
  const endpoints = await startEndpoints();
  const { grants, platforms } = await sellingTo(at, ['']);
  await grants(count, 0);
  await at.atHead();
  const party = { oin: platforms[0]!, name: 'Leerplein', roles: [Role.ROLE_PLATFORM] };
  const cpu = cpuOf([at.pid]);
  const since = nowMs();
  const url = endpoints.url('well', '0');
  await at.operator.addParty({ party: { ...party, endpoints: [{ standard: 'webhook', url, fromMs: 0n }] } });
  const { requests } = await endpoints.until(({ distinct }) => distinct >= count);
  const seconds = (nowMs() - since) / 1000;
  const cpuMicros = ((cpuOf([at.pid]) - cpu) / count) * 1e6;
  const one = await barePosts(url, 900, Math.min(count, 20_000));
  const many = await barePosts(url, 900 * Math.round(count / requests), Math.max(50, Math.round(requests * 2)));
  await endpoints.stop();
  return {
    ...{ perSecond: count / seconds, requests: requests / seconds, cpuMicros },
    ...{ barePerSecond: one, bareOfBatches: many },
  };
}

export interface SickFigures {
  /** Deliveries a second, about half of what is possible. */
  perSecond: number;
  /** From the moment at which a grant was to be sent to its arrival at an endpoint that is well, p99, ms, by run. */
  without: number[];
  beside: number[];
}

/** Endpoints by kind, each with the same load; runs by turns with nobody sick and with those that are. */
export async function sickFigures(
  at: Measured,
  kinds: readonly Kind[],
  { rounds, seconds }: { rounds: number; seconds: number },
  say: (line: string) => void,
): Promise<SickFigures> {
  const endpoints = await startEndpoints();
  const { grants } = await sellingTo(
    at,
    kinds.map((kind, i) => endpoints.url(kind, String(i))),
  );
  const all = async (count: number) => {
    await grants(count, 0);
    await endpoints.until(({ distinct }) => distinct >= count);
  };
  const flood = Math.max(kinds.length * 2, seconds * 500);
  await all(flood); // To come to speed.
  await endpoints.forget();
  const since = nowMs();
  await all(flood);
  const pace = Math.max(1, Math.floor((flood / ((nowMs() - since) / 1000)) * 0.5));
  // Whole turns, so that in each run each endpoint has as much.
  const count = Math.max(1, Math.round((pace * seconds) / kinds.length)) * kinds.length;
  const isWell = kinds.filter((kind) => kind === 'well').length;
  const run = async (isSick: boolean): Promise<number> => {
    await endpoints.forget();
    await endpoints.sick(isSick);
    const due = await grants(count, pace);
    await endpoints.until(({ well }) => well >= (count / kinds.length) * isWell);
    const waits = (await endpoints.arrivals()).map(([i, ms]) => ms - due.get(i)!);
    await endpoints.sick(false);
    await endpoints.until(({ distinct }) => distinct >= count);
    await at.operator.resolveDeliveries({ action: 'retry' });
    return quantile(waits, 0.99);
  };
  const without: number[] = [];
  const beside: number[] = [];
  for (let i = 0; i < rounds; i++) {
    for (const isSick of i % 2 === 0 ? [false, true] : [true, false])
      (isSick ? beside : without).push(await run(isSick));
    say(
      `  run ${i + 1}: p99 ${Math.round(without.at(-1)!)} ms without, ${Math.round(beside.at(-1)!)} ms beside ${kinds.length - isWell} sick of ${kinds.length}`,
    );
  }
  await endpoints.stop();
  return { perSecond: pace, without, beside };
}

/** 47 that are well, one slow, one away, one busy. */
export const FIFTY: readonly Kind[] = [...Array<Kind>(47).fill('well'), 'slow', 'away', 'busy'];

/** So many, one in a hundred of them sick, by turns in each of the ways. */
export const oneInHundred = (endpoints: number): Kind[] =>
  Array.from({ length: endpoints }, (_, i) => (i % 100 === 99 ? KINDS[Math.floor(i / 100) % KINDS.length]! : 'well'));
