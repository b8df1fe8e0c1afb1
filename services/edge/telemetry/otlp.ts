/** The form in which a collector takes spans and metrics: written by OpenTelemetry's own library, sent by our dialler. */
import { type HrTime, SpanKind } from '@opentelemetry/api';
import {
  JsonMetricsSerializer,
  JsonTraceSerializer,
  ProtobufMetricsSerializer,
  ProtobufTraceSerializer,
} from '@opentelemetry/otlp-transformer';
import type { Resource } from '@opentelemetry/resources';
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { allowed, SAMPLED, type Span } from './spans.ts';

export const protocols = ['http/protobuf', 'http/json'] as const;
export type Protocol = (typeof protocols)[number];

export const SCOPE = { name: 'eduk-gateway' };
const NONE: HrTime = [0, 0];

/** Whole milliseconds are enough: our ids say no more. */
export const hrTime = (ms: number): HrTime => {
  const whole = Math.floor(ms / 1000);
  return [whole, Math.round((ms - whole * 1000) * 1e6)];
};

const readable = (span: Span, resource: Resource): ReadableSpan => {
  const context = (spanId: string) => ({ traceId: span.traceId, spanId, traceFlags: SAMPLED });
  return {
    name: span.name,
    kind: span.kind ?? SpanKind.INTERNAL,
    spanContext: () => context(span.spanId),
    ...(span.parentId === undefined ? {} : { parentSpanContext: context(span.parentId) }),
    startTime: hrTime(span.startMs),
    endTime: hrTime(span.endMs),
    status: { code: span.status },
    attributes: allowed(span.attributes),
    links: span.links,
    events: [],
    duration: NONE,
    ended: true,
    resource,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
};

/** Bytes of a request, and their type. */
export interface Body {
  bytes: Uint8Array;
  type: string;
}

const TYPE: Readonly<Record<Protocol, string>> = {
  'http/protobuf': 'application/x-protobuf',
  'http/json': 'application/json',
};

export function traceBody(protocol: Protocol, spans: readonly Span[], resource: Resource): Body {
  const writer = protocol === 'http/json' ? JsonTraceSerializer : ProtobufTraceSerializer;
  return { bytes: writer.serializeRequest(spans.map((span) => readable(span, resource)))!, type: TYPE[protocol] };
}

export function metricsBody(protocol: Protocol, metrics: ResourceMetrics): Body {
  const writer = protocol === 'http/json' ? JsonMetricsSerializer : ProtobufMetricsSerializer;
  return { bytes: writer.serializeRequest(metrics)!, type: TYPE[protocol] };
}
