/** The page of metrics, which is where each is declared, as OTLP has them. */
import { type Attributes, ValueType } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import { hrTime, SCOPE } from './otlp.ts';

const LINE = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

interface Declared {
  about: string;
  type: string;
  points: { attributes: Attributes; value: number }[];
}

/** Lines of a page in Prometheus' text form → the metrics in it, by name. Lines of another form are passed over. */
export function readPage(page: string): Map<string, Declared> {
  const found = new Map<string, Declared>();
  const of = (name: string): Declared => {
    const known = found.get(name) ?? { about: '', type: 'gauge', points: [] };
    found.set(name, known);
    return known;
  };
  for (const line of page.split('\n')) {
    const [, what, name, text] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (what === 'HELP') of(name!).about = text!;
    else if (what === 'TYPE') of(name!).type = text!;
    else {
      const [, metric, labels = '', said] = LINE.exec(line) ?? [];
      const value = Number(said);
      if (metric === undefined || !Number.isFinite(value)) continue;
      const attributes = Object.fromEntries([...labels.matchAll(LABEL)].map(([, label, word]) => [label!, word!]));
      of(metric).points.push({ attributes, value });
    }
  }
  return found;
}

/** Counters count since `startMs`; everything else is what it is now. */
export function metricsOf(page: string, resource: Resource, startMs: number, nowMs: number): ResourceMetrics {
  const [startTime, endTime] = [hrTime(startMs), hrTime(nowMs)];
  const metrics = [...readPage(page)]
    .filter(([, { points }]) => points.length > 0)
    .map(([name, { about, type, points }]): MetricData => {
      const common = {
        descriptor: { name, description: about, unit: '', valueType: ValueType.DOUBLE },
        aggregationTemporality: AggregationTemporality.CUMULATIVE,
        dataPoints: points.map(({ attributes, value }) => ({ startTime, endTime, attributes, value })),
      };
      return type === 'counter'
        ? { ...common, dataPointType: DataPointType.SUM, isMonotonic: true }
        : { ...common, dataPointType: DataPointType.GAUGE };
    });
  return { resource, scopeMetrics: [{ scope: SCOPE, metrics }] };
}
