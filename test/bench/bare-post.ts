/**
 * The bare loop: so many POSTs of a body over connections that are kept, each signed as webhooks are, so many at once. Prints one line of
 * JSON: requests a second, and seconds of processor time of this process for each.
 */
import { createHmac, randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';

const { url, count, atOnce, bytes } = JSON.parse(process.argv[2]!) as Record<string, number> & { url: string };
const body = Buffer.alloc(bytes!, '{"data":"x"},');
const key = Buffer.alloc(32, 7);
const agent = new Agent({ keepAlive: true, maxSockets: atOnce! });

const post = (): Promise<void> =>
  new Promise((resolve, reject) => {
    const id = randomUUID();
    const seconds = Math.floor(Date.now() / 1000);
    const signature = createHmac('sha256', key).update(`${id}.${seconds}.`).update(body).digest('base64');
    const call = request(
      url,
      {
        agent,
        method: 'POST',
        headers: {
          'content-type': 'application/cloudevents-batch+json; charset=utf-8',
          'content-length': body.length,
          'webhook-id': id,
          'webhook-timestamp': String(seconds),
          'webhook-signature': `v1,${signature}`,
        },
      },
      (response) => {
        response.resume();
        response.once('end', resolve);
      },
    );
    call.once('error', reject);
    call.end(body);
  });

async function loop(times: number): Promise<void> {
  let left = times;
  await Promise.all(
    Array.from({ length: atOnce! }, async () => {
      while (left-- > 0) await post();
    }),
  );
}

await loop(Math.ceil(count! / 10));
const cpu = process.cpuUsage();
const started = performance.now();
await loop(count!);
const perSecond = (count! / (performance.now() - started)) * 1000;
const { user, system } = process.cpuUsage(cpu);
process.stdout.write(`${JSON.stringify({ perSecond, cpuMicros: (user + system) / count! })}\n`);
agent.destroy();
