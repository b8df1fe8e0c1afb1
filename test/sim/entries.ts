/** Invented messages as doors hand them to the log. */
import { createHash } from 'node:crypto';
import type { NewEntry } from '#bus';
import { type Codec, encoded, uuid7, uuidText } from '#kernel';
import { events } from '#proto/events';
import type { Message } from './messages.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Messages as doors make them; those that speak of another's flow know it. */
export function entriesOf(messages: readonly Message[], now: number): NewEntry[] {
  const flows = new Map(messages.map(({ n }) => [n, uuid7(now)]));
  const flowOf = (name: string, own: number): string =>
    uuidText(flows.get(name === '$flow' ? own : Number(name.slice('$flow:'.length)))!);
  return messages.map(({ n, party, method, remember, school, events: told }) => {
    const text = JSON.stringify(told)
      .replaceAll(/\$ticket:(\$flow(:\d+)?)/g, (_, flow: string) =>
        digest(`ticket ${flowOf(flow, n)}`).toString('base64'),
      )
      .replaceAll(/\$flow(:\d+)?/g, (flow) => flowOf(flow, n));
    return {
      flowId: Buffer.from(flows.get(n)!),
      partyOin: party,
      method,
      referenceKey: digest(`reference ${n}`).subarray(0, 16),
      digest: digest(`content ${n}`),
      digestVersion: 1,
      rememberDays: remember,
      events: (JSON.parse(text) as Message['events']).flatMap(({ name, key, value }) => {
        const known = events[name as keyof typeof events];
        if (!known) return [];
        const codec = known.codec as unknown as Codec<unknown> & { fromJSON(value: unknown): unknown };
        return [{ stream: known.stream, type: name, key, data: Buffer.from(encoded(codec, codec.fromJSON(value))) }];
      }),
      answer: Buffer.from(`receipt ${n}`),
      schoolOin: school,
      traceparent: '',
    };
  });
}
