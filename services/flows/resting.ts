/** What rests in the engine, by flow: records that wait for something, and those whose key is parked. */
import type { EngineView } from '#bus';
import { faults, isFault } from '#kernel';

export interface Rest {
  state: 'waiting' | 'parked';
  service: string;
  code: string;
  told: string;
  sinceMs: number;
}

/** Rows looked at. What rests beyond them is shown by its owner. */
const LOOKED_AT = 20_000;
/** Looking is repeated after so many times as long as it took, so that it never takes more than that share of the thread. */
const SHARE = 20;
/** What other processes changed is not heard of: after so long it is looked for, milliseconds. */
const FRESH_MS = 500;

/** The name of what is lacked starts with its kind. */
const lacks: Readonly<Record<string, { code: keyof typeof faults; told: string }>> = {
  product: { code: 'product.unknown', told: 'It waits for a product that no publisher has offered yet.' },
  order: { code: 'state.missing', told: 'It waits for its order.' },
  entitlement: { code: 'state.missing', told: 'It waits for its entitlement.' },
  launch: { code: 'state.missing', told: 'It waits for its launch.' },
};
const unknownLack = { code: 'state.missing', told: 'It waits for something that is not known yet.' } as const;

export class Resting {
  readonly #engine: EngineView;
  #byFlow = new Map<string, Rest>();
  /** By service and key. */
  #parkedKeys = new Map<string, Rest>();
  #stale = true;
  #notBefore = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(engine: EngineView) {
    this.#engine = engine;
  }

  /** Something was committed. */
  changed(): void {
    this.#stale = true;
  }

  /** What keeps a flow that is not decided: `service` is the one that must decide it. */
  of(flowId: string, service: string, key: string): Rest | undefined {
    const began = performance.now();
    if ((this.#stale || began - this.#lookedAt > FRESH_MS) && began >= this.#notBefore) {
      this.#look();
      const took = performance.now() - began;
      this.#notBefore = took < 2 ? 0 : began + took * SHARE;
    }
    return this.#byFlow.get(flowId) ?? this.#parkedKeys.get(`${service}/${key}`);
  }

  #look(): void {
    const byFlow = new Map<string, Rest>();
    const parkedKeys = new Map<string, Rest>();
    // Those behind the first of a scope wait for the same.
    const firsts = new Map<string, string>();
    for (const { consumer, what, scope, record, sinceMs } of this.#engine.waiting({ limit: LOOKED_AT })) {
      const place = `${consumer}/${scope}`;
      if (what !== '') firsts.set(place, what);
      const wanted = what || firsts.get(place) || '';
      const { code, told } = lacks[wanted.slice(0, wanted.indexOf(':'))] ?? unknownLack;
      byFlow.set(record.flowId, { state: 'waiting', service: consumer, code, told, sinceMs });
    }
    for (const { consumer, stream, key, code, sinceMs, flowId } of this.#engine.parked(LOOKED_AT)) {
      const told = isFault(code) ? faults[code].en : faults['gateway.bug'].en;
      const rest: Rest = { state: 'parked', service: consumer, code, told, sinceMs };
      byFlow.set(flowId, rest);
      if (consumer === stream) parkedKeys.set(`${consumer}/${key}`, rest);
    }
    this.#byFlow = byFlow;
    this.#parkedKeys = parkedKeys;
    this.#stale = false;
    this.#lookedAt = performance.now();
  }
}
