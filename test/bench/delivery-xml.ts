/** What sending results to a school's administration over UWLR costs, each pupil revealed, and how fast it is. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brinOf } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import { eckId, newOin, newSchool } from '../chain/gateway.ts';
import { barePosts, type Measured, startEndpoints } from './delivery.ts';
import type { Brought } from './endpoints.ts';
import { cpuOf, nowMs } from './processes.ts';
import { Bringing, bringerFor, pupilKey, resultsDocument, scoreOf } from './uwlr.ts';

const PUPILS = 500;
/** Results that the learning application brings in one message. */
const BROUGHT_AT_ONCE = 1_000;

/** A school, and its administration. */
export interface Place {
  school: string;
  las: string;
}

/** Writes the files of so many administrations. Before the gateway starts: a folder counts for seconds as it was read. */
export const placesIn = (folder: string, count: number): Place[] =>
  Array.from({ length: count }, (_, i) => {
    const place = { school: newSchool(), las: newOin() };
    writeFileSync(join(folder, `${i}.sleutel`), `sleutel-${i}`, { mode: 0o600 });
    writeFileSync(
      join(folder, `${i}.json`),
      JSON.stringify({
        party: place.las,
        klantcode: 'GW-7',
        klantnaam: 'Schakel',
        schools: [{ school: brinOf(place.school), sleutel: `${i}.sleutel` }],
      }),
    );
    return place;
  });

export interface XmlDeliveryFigures {
  /** Results and messages a second. */
  perSecond: number;
  messages: number;
  /** Of one message on average. */
  size: number;
  bytes: number;
  /** Processor time of the whole gateway for each result, microseconds. */
  cpuMicros: number;
  /** The bare loop with one result's bytes a request, and with as many as our messages have. */
  barePerSecond: number;
  bareOfMessages: number;
}

/** One administration with so many results waiting for it. */
export async function xmlDeliveryFigures(
  at: Measured & { http: string },
  { school, las }: Place,
  count: number,
): Promise<XmlDeliveryFigures> {
  const endpoints = await startEndpoints();
  const refs = Array.from({ length: PUPILS }, (_, i) => ({ lasKey: pupilKey(i), eckId: eckId(i) }));
  const bringer = await bringerFor(at, { school, las, refs });
  const bringing = new Bringing(at.http, 1);
  for (let from = 0; from < count; from += BROUGHT_AT_ONCE)
    await bringing.bring(resultsDocument(bringer, from, Math.min(BROUGHT_AT_ONCE, count - from), PUPILS));
  bringing.close();
  await at.atHead();
  const url = endpoints.url('uwlr', '0');
  const party = { oin: las, name: 'De Leerlijst', roles: [Role.ROLE_ADMINISTRATION] };
  const cpu = cpuOf([at.pid]);
  const since = nowMs();
  await at.operator.addParty({ party: { ...party, endpoints: [{ standard: 'uwlr', url, fromMs: 0n }] } });
  await endpoints.until(({ distinct }) => distinct >= count);
  const seconds = (nowMs() - since) / 1000;
  // What became of the last is noted too.
  await at.atHead();
  const cpuMicros = ((cpuOf([at.pid]) - cpu) / count) * 1e6;
  const brought = await endpoints.results();
  check(brought, count);
  const messages = brought.length;
  const bytes = brought.reduce((sum, one) => sum + one.bytes, 0);
  await endpoints.forget();
  const barePerSecond = await barePosts(url, Math.round(bytes / count), Math.min(count, 20_000));
  await endpoints.forget();
  const bareOfMessages = await barePosts(url, Math.round(bytes / messages), Math.max(50, messages * 2));
  await endpoints.stop();
  return {
    ...{ perSecond: count / seconds, messages: messages / seconds, size: count / messages, bytes: bytes / messages },
    ...{ cpuMicros, barePerSecond, bareOfMessages },
  };
}

/** Throws where a result did not come, came twice, or came as another pupil's. */
function check(brought: readonly Brought[], count: number): void {
  const seen = new Set<number>();
  for (const { results } of brought)
    for (const { key, lasKey, eckId: own, score } of results) {
      const n = Number(/\.b(\d+)~/.exec(key)?.[1]);
      if (!(n < count)) throw new Error('a result came that nobody brought');
      if (seen.has(n)) throw new Error(`result ${n} came twice`);
      seen.add(n);
      const pupil = n % PUPILS;
      if (lasKey !== pupilKey(pupil) || own !== eckId(pupil) || score !== String(scoreOf(n)))
        throw new Error(`result ${n} came otherwise than it was brought`);
    }
  if (seen.size !== count) throw new Error(`${seen.size} of ${count} results came`);
}
