/** Traces and metrics, as a collector gets them over HTTP. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import {
  clientsOf,
  eckId,
  newOin,
  newSchool,
  sendAll,
  startTestGateway,
  type TestGateway,
  type TestParty,
} from './gateway.ts';
import { Receiver } from './receiver.ts';

interface Came {
  path: string;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}
interface SpanSeen {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status: { code: number };
  attributes: { key: string; value: Record<string, unknown> }[];
  links: { traceId: string; spanId: string }[];
}

const school = newSchool();
/** All that a span may say: docs/telemetry.md. */
const ATTRIBUTES =
  /^(eduk\.(flow_id|method|party|school|bulk|repeated|standard|event|attempt|messages)|error\.type|http\.response\.status_code)$/;
const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
let at: TestGateway;
let las: TestParty;
let publisher: TestParty;
let hook: Receiver;
let server: Server;
let folder: string;
let came: Came[] = [];
let status = 200;
let orders = 0;

const taken = new WeakSet<Came>();
const jsonAt = (path: string): any[] =>
  came
    .filter((one) => one.path === path && taken.has(one) && one.headers['content-type'] === 'application/json')
    .map(({ body }) => JSON.parse(body.toString()));
const spans = (): SpanSeen[] =>
  jsonAt('/v1/traces').flatMap(({ resourceSpans }) =>
    resourceSpans.flatMap((one: any) => one.scopeSpans.flatMap((scope: any) => scope.spans)),
  );
const ofFlow = (flowId: string): SpanSeen[] => spans().filter(({ traceId }) => traceId === flowId.replaceAll('-', ''));
const saying = ({ attributes }: SpanSeen): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
const ms = (nano: string): number => Number(BigInt(nano) / 1_000_000n);

const place = (who: TestParty, productId = 'boek', schoolOin = school) => {
  orders += 1;
  const orderId = `bestelling-${orders}`;
  return who.orders.placeOrder({
    reference: orderId,
    orderId,
    schoolOin,
    lines: [{ terms: { lineId: '1', productId, quantity: 1 }, sellerOin: publisher.oin }],
  });
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-telemetry-'));
  writeFileSync(join(folder, 'headers'), 'x-collector-key: geheim van de verzamelaar\n', { mode: 0o600 });
  server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const one: Came = { path: request.url!, headers: request.headers, body: Buffer.concat(parts) };
      came.push(one);
      if (status === 200) taken.add(one);
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  at = await startTestGateway({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_METRIC_EXPORT_INTERVAL: '500',
    OTEL_SERVICE_NAME: 'poort',
    EDUK_OTLP_HEADERS_FILE: join(folder, 'headers'),
  });
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  publisher = await at.party('Uitgeverij Wilg', [Role.ROLE_PUBLISHER]);
  hook = await Receiver.open();
  const platform = newOin();
  hook.secret = (
    await at.operator.addParty({
      party: {
        oin: platform,
        name: 'Leerplein',
        roles: [Role.ROLE_PLATFORM],
        endpoints: [{ standard: 'webhook', url: hook.url, fromMs: 0n }],
      },
    })
  ).webhookSecret;
  await at.mandate(school, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER]);
  await at.mandate(school, publisher.oin, [Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT]);
  await at.mandate(school, platform, [Service.SERVICE_ENTITLEMENT, Service.SERVICE_ACCESS]);
  await sendAll(publisher.catalogue.publishProducts(), [
    {
      reference: 'p',
      product: { productId: 'boek', title: 'Rekenen', licence: { licensed: true }, platformOin: platform },
    },
  ]);
});
afterEach(() => {
  status = 200;
});
afterAll(async () => {
  await at?.stop();
  await hook?.close();
  server?.closeAllConnections();
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a message is a trace whose id is its flow, beside the trace of its sender', async () => {
  const traced = clientsOf(at.channel, `Bearer ${las.apiKey}`, { traceparent: PARENT });
  const { flowId } = await place({ ...las, ...traced });
  await expect.poll(() => ofFlow(flowId).length).toBe(1);
  const [span] = ofFlow(flowId);
  expect(span).toMatchObject({ name: 'OrderService/PlaceOrder', kind: 2, status: { code: 1 } });
  expect(span!.parentSpanId ?? '').toBe('');
  expect(saying(span!)).toEqual({
    'eduk.flow_id': flowId,
    'eduk.method': 'OrderService/PlaceOrder',
    'eduk.party': las.oin,
    'eduk.school': school,
  });
  expect(span!.links).toMatchObject([{ traceId: PARENT.slice(3, 35), spanId: PARENT.slice(36, 52) }]);
  expect(ms(span!.endTimeUnixNano)).toBeGreaterThanOrEqual(ms(span!.startTimeUnixNano));
  const [first] = jsonAt('/v1/traces');
  const resource = Object.fromEntries(
    first.resourceSpans[0].resource.attributes.map((one: any) => [one.key, one.value]),
  );
  expect(resource['service.name']).toEqual({ stringValue: 'poort' });
  expect(came[0]!.headers['x-collector-key']).toBe('geheim van de verzamelaar');
});

test('what is refused says by which fault, and nothing of what it was', async () => {
  const elsewhere = newSchool();
  await expect(place(las, 'geheim-boek', elsewhere)).rejects.toMatchObject({ code: 'state.missing' });
  const refused = () => spans().filter((span) => saying(span)['error.type'] === 'state.missing');
  await expect.poll(() => refused().length).toBe(1);
  expect(refused()[0]).toMatchObject({ name: 'OrderService/PlaceOrder', status: { code: 2 } });
});

test('what goes out stands in the trace of its flow: how long it lay ready, each attempt, and what came of it', async () => {
  let refusals = 1;
  hook.behaviour = () => (refusals-- > 0 ? 503 : undefined);
  const learner = eckId(61_001);
  await sendAll(publisher.entitlements.grantEntitlements(), [
    {
      reference: 'recht-1',
      schoolOin: school,
      holder: { learner: { eckId: learner } },
      terms: { entitlementId: 'recht-1', productId: 'boek' },
    },
  ]);
  const granted = () => spans().find(({ name }) => name === 'EntitlementService/GrantEntitlements');
  await expect.poll(granted).toBeDefined();
  const flowId = String(saying(granted()!)['eduk.flow_id']);
  const delivered = () => ofFlow(flowId).filter(({ name }) => name === 'deliver webhook');
  await expect.poll(() => delivered().some(({ status: { code } }) => code === 1)).toBe(true);
  const [root] = ofFlow(flowId).filter(({ kind }) => kind === 2);
  expect(root!.name).toBe('EntitlementService/GrantEntitlements');
  for (const span of ofFlow(flowId)) {
    if (span.spanId !== root!.spanId) expect(span.parentSpanId).toBe(root!.spanId);
    for (const { key } of span.attributes) expect(key).toMatch(ATTRIBUTES);
  }
  const failed = delivered().find(({ status: { code } }) => code === 2)!;
  expect(saying(failed)).toMatchObject({ 'error.type': '503', 'eduk.standard': 'webhook' });
  const good = delivered().find(({ status: { code } }) => code === 1)!;
  expect(Number(saying(good)['eduk.attempt'])).toBeGreaterThan(1);
  expect(good.spanId).not.toBe(failed.spanId);
  const lay = ofFlow(flowId).filter(({ name }) => name === 'mailbox');
  expect(lay.length).toBeGreaterThan(0);
  for (const { startTimeUnixNano, endTimeUnixNano } of lay) {
    expect(ms(startTimeUnixNano)).toBeGreaterThan(Date.now() - 120_000);
    expect(ms(endTimeUnixNano)).toBeGreaterThanOrEqual(ms(startTimeUnixNano));
  }
  expect(Buffer.concat(came.map(({ body }) => body)).includes(learner)).toBe(false);
});

test('a collector that is busy gets it later; nobody waits for it meanwhile', async () => {
  status = 503;
  const { flowId } = await place(las);
  const tried = came.length;
  await expect.poll(() => came.slice(tried).some(({ path }) => path === '/v1/traces')).toBe(true);
  await place(las);
  expect(ofFlow(flowId)).toEqual([]);
  status = 200;
  await expect.poll(() => ofFlow(flowId).length).toBe(1);
});

test('metrics are those of /metrics: counters count on, gauges are as they are', async () => {
  const metrics = (): any[] => jsonAt('/v1/metrics').at(-1)?.resourceMetrics[0].scopeMetrics[0].metrics ?? [];
  await expect.poll(() => metrics().length).toBeGreaterThan(5);
  const byName = new Map(metrics().map((one) => [one.name, one]));
  expect(byName.get('eduk_log_events_total').sum).toMatchObject({ isMonotonic: true, aggregationTemporality: 2 });
  expect(byName.get('eduk_unread_events').gauge.dataPoints[0].attributes.map((one: any) => one.key)).toEqual([
    'consumer',
    'stream',
  ]);
  const page = await (await fetch(`${at.http}/metrics`)).text();
  const names = new Set([...page.matchAll(/^(?!#)([a-z_]+)/gm)].map(([, name]) => name));
  for (const name of byName.keys()) expect(names).toContain(name);
  expect(byName.get('eduk_spans_told_total').sum.dataPoints[0].asDouble).toBeGreaterThan(0);
});

test('as protobuf too, and of no flow where the share is nothing', async () => {
  await at.restart(undefined, { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' });
  came = [];
  const again = { ...las, ...at.as(`Bearer ${las.apiKey}`) };
  const { flowId } = await place(again);
  const id = Buffer.from(flowId.replaceAll('-', ''), 'hex');
  await expect.poll(() => came.some(({ path, body }) => path === '/v1/traces' && body.includes(id))).toBe(true);
  const [one] = came.filter(({ path }) => path === '/v1/traces');
  expect(one!.headers['content-type']).toBe('application/x-protobuf');
  expect(one!.body.includes('OrderService/PlaceOrder')).toBe(true);
  await at.restart(undefined, { OTEL_TRACES_SAMPLER_ARG: '0' });
  came = [];
  await place({ ...las, ...at.as(`Bearer ${las.apiKey}`) });
  await expect.poll(() => came.filter(({ path }) => path === '/v1/metrics').length).toBeGreaterThan(2);
  expect(came.filter(({ path }) => path === '/v1/traces')).toEqual([]);
});
