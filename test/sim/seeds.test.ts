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

const published = (n: number, { id, publisher } = product): Message =>
  message(n, publisher, 'CatalogueService/PublishProducts', 'ProductSubmitted', id, {
    product: { productId: id, title: 'Method' },
    byOin: publisher,
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

  test('49682: a retry that a full disk undoes does not let a stopped stream go on', async () => {
    // Keys are taken up again in their order: were the sixth parked as well, its mail would be the first and not the last.
    const ill = [1, 2, 3, 4, 5, 0].map((n) => ({ ...product, id: `${product.id}-${n}` }));
    const works: Step = { ...(sends(0) as Step & { do: 'group' }), send: [] };
    const plan = planWith(
      ill.map((of, n) => published(n, of)),
      [
        { do: 'poison', messages: ill.map((_, n) => n), service: 'delivery' },
        // Five keys are parked: the stream stops, and the sixth stays on the log.
        ...ill.flatMap((_, n) => [sends(n), works]),
        { do: 'full' },
        { do: 'retry' },
        { do: 'room' },
        works,
      ],
    );
    const { problems, accepted } = await simulate(plan);
    expect(problems).toEqual([]);
    expect(accepted).toBe(6);
  });

  test('880039: who was forgotten for its term while the gateway was away, and is named again in time, is kept', async () => {
    const [first, other] = school.learners;
    const roster = (n: number, partial: boolean, learners: readonly string[]): Message =>
      message(n, school.oin, 'RosterService/PushRoster', 'RosterSubmitted', school.oin, {
        rosterId: `roster-${n}`,
        schoolOin: school.oin,
        schoolYear: '2026-2027',
        asOf: '2026-08-17',
        part: 0,
        last: true,
        partial,
        groups: [],
        learners: learners.map((one) => ({ learner: one, yearGroup: '3', group: '', leavesOn: '' })),
        byOin: school.oin,
      });
    const plan = planWith(
      [roster(0, false, [first!, other!]), roster(1, false, [other!]), roster(2, true, [first!])],
      [
        sends(0),
        sends(1),
        { do: 'leap', ms: 80 * 86_400_000 },
        { ...sends(2, 4), fault: { kind: 'fails', after: 22 } } as Step,
        { do: 'wait', ms: 3_600_000 },
      ],
    );
    const { problems } = await simulate(plan);
    expect(problems).toEqual([]);
  });
});
