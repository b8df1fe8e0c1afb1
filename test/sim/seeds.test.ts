/** What seeds found, as the few steps that show it. The generator may change; these stay. */
import { beforeAll, describe, expect, test } from 'vitest';
import { logTo } from '#kernel';
import { randomFrom } from '../parties/random.ts';
import type { Message } from './messages.ts';
import type { Plan, Step } from './plan.ts';
import { simulate } from './simulate.ts';
import { inventWorld } from './world.ts';

beforeAll(() => logTo(() => undefined));

const world = inventWorld(randomFrom(1));
const school = world.schools[0]!;
const learner = school.learners[0]!;
const product = world.products.at(-1)!;

const message = (
  n: number,
  party: string,
  method: string,
  name: string,
  key: string,
  value: Record<string, unknown>,
): Message => ({ n, party, method, remember: 400, school: school.oin, events: [{ name, key, value }] });

const published = (n: number): Message =>
  message(n, product.publisher, 'CatalogueService/PublishProducts', 'ProductSubmitted', product.id, {
    product: { productId: product.id, title: 'Method' },
    byOin: product.publisher,
  });
const granted = (n: number): Message =>
  message(n, product.publisher, 'EntitlementService/GrantEntitlements', 'GrantSubmitted', learner, {
    terms: { entitlementId: `grant-${n}`, productId: product.id },
    schoolOin: school.oin,
    holder: { learner },
    byOin: product.publisher,
  });
const forgotten = (n: number): Message =>
  message(n, school.oin, 'IdentityService/ForgetLearner', 'LearnerForgetSubmitted', learner, {
    schoolOin: school.oin,
    learner,
    destroyAtMs: '0',
    byOin: school.oin,
  });

const sends = (n: number, budget: number | null = 500): Step => ({
  do: 'group',
  send: [n],
  repeat: [],
  conflict: [],
  resend: false,
  budget,
  lost: false,
});
const planWith = (messages: Message[], steps: Step[]): Plan => ({
  seed: 0,
  calm: false,
  forgetful: false,
  turned: 0,
  world,
  messages,
  steps,
});

describe('found by a seed', () => {
  test('156: a grant that was accepted for a learner who is forgotten, and decided after days without the gateway', async () => {
    const days: Step = { do: 'leap', ms: 4 * 86_400_000 };
    const works: Step = { ...(sends(0) as Step & { do: 'group' }), send: [] };
    const plan = planWith(
      [published(0), forgotten(1), granted(2)],
      [sends(0), works, sends(1), works, works, sends(2, null), days],
    );
    const { problems, accepted } = await simulate(plan);
    expect(problems).toEqual([]);
    expect(accepted).toBe(3);
  });
});
