/**
 * Traces and metrics for a collector (OTLP over HTTP): docs/telemetry.md. What is told is told once and may be lost: nothing waits for
 * a collector, and memory is bounded. What must not be lost stands in the log and in flows.
 */
import type { Resource } from '@opentelemetry/resources';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { asGatewayError, type Clock, type Dialler, describeError, logSeldom } from '#kernel';
import type { Attempt, AttemptOutcome } from '#proto/eduk/delivery/v1/delivery';
import type { Submission } from '../submission.ts';
import { metricsOf } from './metrics.ts';
import { type Body, metricsBody, type Protocol, traceBody } from './otlp.ts';
import { isSampled, ofAttempt, ofSubmission, type Span } from './spans.ts';

export type { Protocol } from './otlp.ts';
export { protocols } from './otlp.ts';

export interface TelemetrySettings {
  /** Whole addresses; undefined = not told. */
  traces: string | undefined;
  metrics: string | undefined;
  protocol: Protocol;
  /** Sent with each request, such as a key. */
  headers: Readonly<Record<string, string>>;
  service: string;
  /** Share of flows whose spans are told, 0 to 1. */
  share: number;
  metricsEveryMs: number;
}

/** Spans that wait; beyond it they are counted and gone. */
const MOST_WAITING = 8_192;
const BATCH = 512;
/** How long a span waits for others. */
const GATHER_MS = 2_000;
const TIMEOUT_MS = 10_000;
/** The last request of a process that stops. */
const LAST_MS = 1_500;
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [1_000, 30_000];
/** A collector that says so is busy, not wrong. */
const BUSY: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export class Telemetry {
  readonly #settings: TelemetrySettings;
  readonly #dialler: Pick<Dialler, 'dial'>;
  readonly #clock: Clock;
  readonly #resource: Resource;
  readonly #startMs: number;
  readonly #seldom = logSeldom();
  #waiting: Span[] = [];
  #told = 0;
  #dropped = 0;
  #pauseMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #metricsTimer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  #counting: Promise<void> | undefined;
  #isStopped = false;

  /** `role` tells processes of one gateway apart: `doors`, `sender`. */
  constructor(
    settings: TelemetrySettings,
    { dialler, clock, version, role }: { dialler: Pick<Dialler, 'dial'>; clock: Clock; version: string; role: string },
  ) {
    this.#settings = settings;
    this.#dialler = dialler;
    this.#clock = clock;
    this.#startMs = clock.now();
    this.#resource = resourceFromAttributes({
      'service.name': settings.service,
      'service.version': version,
      'service.instance.id': `${role}-${process.pid}`,
    });
  }

  /** What a door did with a message. */
  passed(submission: Submission): void {
    if (this.#settings.traces === undefined || !this.#samples(submission.flowId)) return;
    this.#add([ofSubmission(submission, this.#clock.now())]);
  }

  /** What came of a request to an endpoint. */
  sent(attempt: Attempt, outcome: Partial<AttemptOutcome>, beganMs: number): void {
    if (this.#settings.traces === undefined) return;
    this.#add(ofAttempt(attempt, outcome, beganMs, this.#clock.now(), (flowId) => this.#samples(flowId)));
  }

  /** Tells the metrics of this page, again and again. */
  startMetrics(page: () => Promise<string>): void {
    const { metrics, metricsEveryMs } = this.#settings;
    if (metrics === undefined) return;
    const next = (): void => {
      this.#metricsTimer = setTimeout(() => {
        this.#counting = this.#count(metrics, page).finally(() => {
          if (!this.#isStopped) next();
        });
      }, metricsEveryMs).unref();
    };
    next();
  }

  /** For the page of metrics. */
  lines(): string[] {
    return [
      '# HELP eduk_spans_told_total Spans that a collector has taken.',
      '# TYPE eduk_spans_told_total counter',
      `eduk_spans_told_total ${this.#told}`,
      '# HELP eduk_spans_lost_total Spans that no collector took in time; flows lose nothing by it.',
      '# TYPE eduk_spans_lost_total counter',
      `eduk_spans_lost_total ${this.#dropped}`,
    ];
  }

  /** Tells what waits, if that is quickly done. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#metricsTimer);
    await Promise.all([this.#sending, this.#counting]);
    if (this.#pauseMs === 0 && this.#waiting.length > 0) await this.#send(LAST_MS);
  }

  #samples(flowId: string): boolean {
    return isSampled(flowId, this.#settings.share);
  }

  #add(spans: readonly Span[]): void {
    const room = MOST_WAITING - this.#waiting.length;
    for (const span of spans.slice(0, Math.max(0, room))) this.#waiting.push(span);
    this.#dropped += Math.max(0, spans.length - room);
    if (this.#waiting.length === 0 || this.#sending !== undefined || this.#isStopped) return;
    if (this.#waiting.length >= BATCH && this.#pauseMs === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#go();
    } else this.#later(GATHER_MS);
  }

  #later(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#go();
    }, ms).unref();
  }

  #go(): void {
    if (this.#sending !== undefined || this.#isStopped) return;
    this.#sending = this.#send(TIMEOUT_MS).finally(() => {
      this.#sending = undefined;
      if (this.#waiting.length === 0 || this.#isStopped) return;
      if (this.#pauseMs > 0) this.#later(this.#pauseMs * (0.5 + Math.random() / 2));
      else if (this.#waiting.length >= BATCH) setImmediate(() => this.#go());
      else this.#later(GATHER_MS);
    });
  }

  async #send(timeoutMs: number): Promise<void> {
    const batch = this.#waiting.slice(0, BATCH);
    const { protocol, traces } = this.#settings;
    const came = await this.#post(traces!, traceBody(protocol, batch, this.#resource), timeoutMs);
    if (came === 'busy') {
      this.#pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2));
      return;
    }
    this.#pauseMs = 0;
    this.#waiting = this.#waiting.slice(batch.length);
    if (came === 'taken') this.#told += batch.length;
    else this.#dropped += batch.length;
  }

  async #count(url: string, page: () => Promise<string>): Promise<void> {
    const text = await page().catch(() => undefined);
    if (text === undefined) return;
    const metrics = metricsOf(text, this.#resource, this.#startMs, this.#clock.now());
    await this.#post(url, metricsBody(this.#settings.protocol, metrics), TIMEOUT_MS);
  }

  /** Never throws; says once in a while what is wrong, and never what was sent. */
  async #post(url: string, { bytes, type }: Body, timeoutMs: number): Promise<'taken' | 'busy' | 'refused'> {
    try {
      const { status } = await this.#dialler.dial(url, {
        method: 'POST',
        headers: { ...this.#settings.headers, 'content-type': type },
        body: bytes,
        timeoutMs,
        mostBytes: 64 * 1024,
      });
      if (status >= 200 && status < 300) return 'taken';
      this.#seldom('warn', 'telemetry_refused', { status });
      return BUSY.has(status) ? 'busy' : 'refused';
    } catch (thrown) {
      this.#seldom('warn', 'telemetry_failed', describeError(asGatewayError(thrown)));
      return 'busy';
    }
  }
}
