/**
 * What the parties of a chain send in a few days, each message as the events that a door makes of it. `$flow` stands for
 * the flow of the message itself, `$flow:N` for that of message N: ids that a door only knows when it sends.
 */
import { LineState, ResultKind } from '#proto/eduk/core/v1/ordering';
import { ProductState } from '#proto/eduk/core/v1/product';
import type { Random } from '../parties/random.ts';
import type { SimProduct, SimSchool, World } from './world.ts';

export interface SimEvent {
  /** Name of the event; one that no contract knows stands for a newer release. */
  name: string;
  key: string;
  value: Record<string, unknown>;
}

export interface Message {
  /** Where it stands in the list. */
  n: number;
  party: string;
  method: string;
  remember: 400 | 35;
  school: string;
  events: SimEvent[];
}

/** Stream of events that no contract knows. */
export const FUTURE_STREAM = 'orders';
export const FUTURE_TYPE = 'OrderSplit';

type Draft = Omit<Message, 'n'> & { rank: number };

const TODAY = '2026-08-17';
const DAYS = ['', '', '2026-08-19', '2026-09-01', '2027-07-31'];
const YEAR = '2026-2027';

/** Writes the messages of one plan. `calm`: only such whose outcome does not hang on who was first. */
export function inventMessages(world: World, random: Random, calm: boolean): Message[] {
  const drafts: Draft[] = [];
  const add = (
    rank: number,
    party: string,
    method: string,
    school: string,
    events: SimEvent[],
    remember: 400 | 35 = 400,
  ): void => {
    // What belongs together mostly comes in its order, and often enough does not.
    const jitter = calm && rank < SETTLED ? 0 : random.between(-12, 12);
    drafts.push({ rank: rank + jitter, party, method, school, events, remember });
  };
  const { schools, administrations, distributors, products } = world;

  for (const party of world.parties)
    add(0, 'operator', 'OperatorService/AddParty', '', [
      {
        name: 'PartySubmitted',
        key: party.oin,
        value: {
          party: {
            oin: party.oin,
            name: `party ${party.oin.slice(-3)}`,
            roles: party.roles,
            boardOin: schools.some(({ oin }) => oin === party.oin) ? world.board : '',
          },
        },
      },
    ]);
  mandates(world, random, calm, add);
  for (const [i, product] of products.entries())
    if (!product.never || calm)
      add(25 + i, product.publisher, 'CatalogueService/PublishProducts', '', [offer(product, {})]);
  for (const school of schools) {
    add(
      30,
      random.pick(administrations),
      'RosterService/PushRoster',
      school.oin,
      [roster(school, random, 0, true)],
      35,
    );
    if (random.chance(0.7))
      add(
        60,
        random.pick(administrations),
        'IdentityService/RegisterLearners',
        school.oin,
        [named(school, random)],
        35,
      );
  }
  const makers = calm ? CALM : EVERYTHING;
  const count = random.between(25, 60);
  const about: About = { world, random, calm, drafts, add, ids: 0, grants: [], orders: [], pools: [], launches: [] };
  for (let i = 0; i < count; i++) random.pick(makers)(about, 40 + random.between(0, 60));
  if (!calm && random.chance(0.1)) {
    const school = random.pick(schools).oin;
    add(60, distributors[0]!, 'OrderService/SplitOrder', school, [{ name: FUTURE_TYPE, key: school, value: {} }]);
  }
  if (!calm) for (let i = random.between(0, 2); i > 0; i--) forget(about, random.between(50, 110));
  const order = drafts.map((draft, at) => ({ draft, at })).sort((a, b) => a.draft.rank - b.draft.rank || a.at - b.at);
  // Those who name another message by its place learn where it went.
  const placeOf = new Map(order.map(({ at }, n) => [at, n]));
  return order.map(({ draft: { rank: _, ...message } }, n) => ({
    n,
    ...message,
    events: JSON.parse(
      JSON.stringify(message.events).replaceAll(/\$flow:(\d+)/g, (_, at: string) => `$flow:${placeOf.get(Number(at))}`),
    ) as SimEvent[],
  }));
}

/** Ranks below this are decided before anything else is sent, where it must not matter who was first. */
const SETTLED = 20;

interface About {
  world: World;
  random: Random;
  calm: boolean;
  drafts: readonly unknown[];
  add: (rank: number, party: string, method: string, school: string, events: SimEvent[], remember?: 400 | 35) => void;
  ids: number;
  grants: Grant[];
  pools: Pool[];
  orders: Order[];
  launches: { learner: string; product: SimProduct; rank: number }[];
}
interface Grant {
  id: string;
  school: SimSchool;
  product: SimProduct;
  granter: string;
  learner: string;
  changed: boolean;
  rank: number;
}
interface Pool extends Grant {
  count: number;
  drawn: number;
}
interface Order {
  id: string;
  school: SimSchool;
  buyer: string;
  lines: { lineId: string; seller: string }[];
  confirmed: boolean;
}
type Maker = (about: About, rank: number) => void;

function mandates(world: World, random: Random, calm: boolean, add: About['add']): void {
  for (const school of world.schools)
    for (const party of world.parties) {
      if (party.services.length === 0 || (!calm && random.chance(0.1))) continue;
      const mandateId = `mandate-${school.oin.slice(11, 15)}-${party.oin.slice(-2)}`;
      const by = calm || random.chance(0.7) ? 'operator' : random.chance(0.6) ? school.oin : world.board;
      add(10, by, 'PartyService/GrantMandate', school.oin, [
        {
          name: 'MandateSubmitted',
          key: school.oin,
          value: {
            mandate: {
              mandateId,
              schoolOin: school.oin,
              partyOin: party.oin,
              services: party.services,
              attributes: ['roepnaam'],
              validFrom: !calm && random.chance(0.1) ? '2026-08-18' : '',
              validUntil: !calm && random.chance(0.1) ? '2026-08-20' : '',
            },
            confirm: calm || random.chance(0.85),
            byOin: by,
            keyDigest: '',
          },
        },
      ]);
      if (calm || !random.chance(0.35)) continue;
      const changes = random.chance(0.5) ? ['confirm'] : random.chance(0.5) ? ['stop'] : ['run_off', 'stop'];
      let rank = random.between(30, 70);
      for (const change of changes) {
        add(rank, by, 'PartyService/WithdrawMandate', school.oin, [
          {
            name: 'MandateChangeSubmitted',
            key: school.oin,
            value: {
              schoolOin: school.oin,
              mandateId,
              change,
              runOffUntil: change === 'run_off' ? '2026-08-19' : '',
              byOin: by,
            },
          },
        ]);
        rank += 10;
      }
      if (changes.includes('stop') && random.chance(0.7))
        add(rank + 10, by, 'PartyService/GrantMandate', school.oin, [
          {
            name: 'MandateSubmitted',
            key: school.oin,
            value: {
              mandate: {
                mandateId: `${mandateId}-again`,
                schoolOin: school.oin,
                partyOin: party.oin,
                services: party.services.slice(0, random.between(1, party.services.length)),
                attributes: [],
              },
              confirm: true,
              byOin: by,
              keyDigest: '',
            },
          },
        ]);
    }
}

const offer = (product: SimProduct, more: Record<string, unknown>): SimEvent => ({
  name: 'ProductSubmitted',
  key: product.id,
  value: {
    product: {
      productId: product.id,
      title: `Method ${product.id.slice(-1)}`,
      platformOin: product.platform,
      licence: { licensed: product.licensed },
      ...more,
    },
    byOin: product.publisher,
  },
});

function roster(school: SimSchool, random: Random, version: number, full: boolean): SimEvent {
  const groups = full ? school.groups : school.groups.slice(0, random.between(0, school.groups.length));
  const share = full ? 1 : random.pick([0, 0.3, 0.8, 0.9]);
  const learners = school.learners.filter(() => random.chance(share));
  return {
    name: 'RosterSubmitted',
    key: school.oin,
    value: {
      rosterId: `roster-${version}`,
      schoolOin: school.oin,
      schoolYear: YEAR,
      asOf: TODAY,
      part: 0,
      last: true,
      partial: version > 0 && random.chance(0.4),
      groups: groups.map((group) => ({ group, name: `${group}-name${random.between(0, 1)}`, yearGroup: '3' })),
      learners: learners.map((learner) => ({
        learner,
        yearGroup: '3',
        group: groups.length > 0 ? random.pick(groups) : '',
        leavesOn: version > 0 && random.chance(0.1) ? '2026-08-18' : '',
        nameMark: 'AQI=',
      })),
      staff: school.staff.map((staff) => ({
        staff,
        groups: groups.slice(0, 1).map((group) => ({ group, duties: [] })),
      })),
      byOin: school.oin,
    },
  };
}

const named = (school: SimSchool, random: Random): SimEvent => ({
  name: 'LearnersSubmitted',
  key: school.oin,
  value: {
    schoolOin: school.oin,
    schoolYear: YEAR,
    learners: Array.from(new Set([random.pick(school.learners), random.pick(school.learners)])).map((learner) => ({
      learner,
      yearGroup: '4',
    })),
    byOin: school.oin,
  },
});

/** Mostly after the grant that it is about. */
const after = ({ random }: About, rank: number, grant: Grant | undefined): number =>
  grant && random.chance(0.7) ? Math.max(rank, grant.rank + random.between(5, 30)) : rank;

const next = (about: About, what: string): string => `${what}-${++about.ids}`;

const order: Maker = (about, rank) => {
  const { world, random, calm } = about;
  const school = random.pick(world.schools);
  const buyer = random.pick([...world.administrations, ...world.distributors]);
  const lines = Array.from({ length: random.between(1, 4) }, (_, i) => {
    const product = random.pick(world.products);
    const learner = random.chance(0.7) ? random.pick(school.learners) : '';
    const seller = random.chance(0.3) ? world.distributors[0]! : '';
    return {
      entry: {
        terms: {
          lineId: `line-${i + 1}`,
          productId: product.id,
          quantity: learner ? 1 : random.between(1, 30),
          startsOn: random.chance(0.3) ? '2026-08-20' : '',
          endsOn: random.chance(0.3) ? '2027-07-31' : '',
        },
        learner,
        group: !learner && random.chance(0.3) ? random.pick(school.groups) : '',
        sellerOin: seller,
      },
      lineId: `line-${i + 1}`,
      seller: seller || product.publisher,
    };
  });
  const id = next(about, 'order');
  const event: SimEvent = {
    name: 'OrderSubmitted',
    key: school.oin,
    value: {
      orderId: id,
      schoolOin: school.oin,
      buyerOin: buyer,
      lines: lines.map(({ entry }) => entry),
      expected: false,
    },
  };
  about.add(rank, buyer, 'OrderService/PlaceOrder', school.oin, [event]);
  // The same order under another reference, and now and then another order under the same id.
  if (random.chance(0.2)) about.add(rank + 8, buyer, 'OrderService/PlaceOrder', school.oin, [event]);
  if (!calm && random.chance(0.1))
    about.add(rank + 6, buyer, 'OrderService/PlaceOrder', school.oin, [
      { ...event, value: { ...event.value, expected: true } },
    ]);
  about.orders.push({ id, school, buyer, lines, confirmed: false });
};

const { LINE_STATE_CONFIRMED, LINE_STATE_REFUSED, LINE_STATE_DELIVERED, LINE_STATE_CREDITED } = LineState;

const confirm: Maker = (about, rank) => {
  const { random, calm } = about;
  const open = about.orders.filter(({ confirmed }) => !calm || !confirmed);
  if (open.length === 0) return order(about, rank);
  const of = random.pick(open);
  of.confirmed = true;
  const { seller } = random.pick(of.lines);
  const states = calm
    ? [LINE_STATE_CONFIRMED]
    : random.pick([
        [LINE_STATE_CONFIRMED],
        [LINE_STATE_REFUSED],
        [LINE_STATE_CONFIRMED, LINE_STATE_DELIVERED],
        [LINE_STATE_CREDITED],
      ]);
  about.add(rank, seller, 'OrderService/ConfirmOrder', of.school.oin, [
    {
      name: 'OrderConfirmSubmitted',
      key: of.school.oin,
      value: {
        orderId: !calm && random.chance(0.05) ? 'order-nobody' : of.id,
        schoolOin: of.school.oin,
        sellerOin: seller,
        buyerOin: of.buyer,
        outcomes: of.lines
          .filter((line) => line.seller === seller)
          .flatMap(({ lineId }) => states.map((state) => ({ lineId, state }))),
      },
    },
  ]);
};

const cancel: Maker = (about, rank) => {
  const { random } = about;
  if (about.orders.length === 0) return order(about, rank);
  const of = random.pick(about.orders);
  about.add(rank, of.buyer, 'OrderService/CancelOrder', of.school.oin, [
    {
      name: 'OrderCancelSubmitted',
      key: of.school.oin,
      value: {
        orderId: of.id,
        schoolOin: of.school.oin,
        buyerOin: of.buyer,
        lineIds: random.chance(0.5) ? [random.pick(of.lines).lineId] : [],
      },
    },
  ]);
};

function granted(
  about: About,
  rank: number,
  school: SimSchool,
  product: SimProduct,
  holder: { learner?: string; group?: string },
  more: { count?: number; fromEntitlementId?: string } = {},
): Grant {
  const { random, world, calm } = about;
  const granter = random.chance(0.6) ? world.distributors[0]! : product.publisher;
  const id = next(about, more.count ? 'pool' : 'grant');
  const learner = holder.learner ?? '';
  const of = random.chance(0.3) && about.orders.length > 0 ? random.pick(about.orders) : undefined;
  const event: SimEvent = {
    name: 'GrantSubmitted',
    key: learner && !more.fromEntitlementId ? learner : school.oin,
    value: {
      terms: {
        entitlementId: id,
        productId: product.id,
        orderId: of?.id ?? '',
        endsOn: more.fromEntitlementId || more.count || calm ? '' : random.pick(DAYS),
        count: 0,
        ...more,
      },
      schoolOin: school.oin,
      holder: { learner, group: holder.group ?? '' },
      byOin: granter,
      ownProducts: !world.distributors.includes(granter),
    },
  };
  about.add(rank, granter, 'EntitlementService/GrantEntitlements', school.oin, [event]);
  const again = random.chance(0.15);
  if (again) about.add(rank + 5, granter, 'EntitlementService/GrantEntitlements', school.oin, [event]);
  // Whether a grant that comes again is refused hangs on what became of it meanwhile.
  return { id, school, product, granter, learner, changed: calm && again, rank };
}

const grant: Maker = (about, rank) => {
  const { random, world } = about;
  const school = random.pick(world.schools);
  const holder = random.chance(0.8)
    ? { learner: random.pick(school.learners) }
    : random.chance(0.5)
      ? { group: random.pick(school.groups) }
      : {};
  about.grants.push(granted(about, rank, school, random.pick(world.products), holder));
};

const pool: Maker = (about, rank) => {
  const { random, world, calm } = about;
  const school = random.pick(world.schools);
  const count = calm ? 50 : random.between(1, 4);
  about.pools.push({ ...granted(about, rank, school, random.pick(world.products), {}, { count }), count, drawn: 0 });
};

const draw: Maker = (about, rank) => {
  const { random } = about;
  if (about.pools.length === 0) return pool(about, rank);
  const from = random.pick(about.pools);
  const fromEntitlementId = from.id;
  // Drawn by who gave the pool: others are refused, which says little.
  const { add } = about;
  const mine: About = { ...about, add: (at, _party, ...rest) => add(at, from.granter, ...rest) };
  const one = granted(
    mine,
    rank,
    from.school,
    from.product,
    { learner: random.pick(from.school.learners) },
    { fromEntitlementId },
  );
  about.ids = mine.ids;
  about.grants.push({ ...one, granter: from.granter });
};

const change: Maker = (about, rank) => {
  const { random, calm, world } = about;
  const open = [...about.grants, ...(calm ? [] : about.pools)].filter(({ changed }) => !calm || !changed);
  if (open.length === 0) return grant(about, rank);
  const of = random.pick(open);
  of.changed = true;
  const mode = calm ? 'withdraw' : random.pick(['withdraw', 'withdraw', 'block', 'unblock']);
  const swaps = mode === 'withdraw' && random.chance(0.3);
  const others = !calm && random.chance(0.2) ? [random.pick(open)] : [];
  about.add(
    after(about, rank, of),
    of.granter,
    'EntitlementService/WithdrawEntitlements',
    of.school.oin,
    [of, ...others.filter((other) => other !== of && other.school === of.school)].map((one) => ({
      name: 'WithdrawSubmitted',
      key: of.school.oin,
      value: {
        schoolOin: of.school.oin,
        entitlementId: !calm && random.chance(0.05) ? 'grant-nobody' : one.id,
        mode,
        swapToProductId: swaps ? random.pick(world.products).id : '',
        swapToEntitlementId: swaps ? next(about, 'swap') : '',
        byOin: of.granter,
        ownProducts: false,
      },
    })),
  );
};

const usage: Maker = (about, rank) => {
  const { random, calm } = about;
  const open = about.grants.filter(({ changed }) => !calm || !changed);
  if (open.length === 0) return grant(about, rank);
  const of = random.pick(open);
  of.changed = true;
  const by = random.chance(0.7) ? of.product.platform : of.product.publisher;
  about.add(after(about, rank, of), by, 'EntitlementService/ReportUsage', of.school.oin, [
    {
      name: 'UsageSubmitted',
      key: of.school.oin,
      value: {
        schoolOin: of.school.oin,
        entitlementId: of.id,
        day: !calm && random.chance(0.1) ? '2026-08-12' : TODAY,
        times: random.between(0, 3),
        byOin: by,
      },
    },
  ]);
};

const provision: Maker = (about, rank) => {
  const { random, calm } = about;
  const open = about.grants.filter(({ changed }) => !calm || !changed);
  if (open.length === 0) return grant(about, rank);
  const of = random.pick(open);
  of.changed = true;
  const revoke = !calm && random.chance(0.3);
  about.add(
    after(about, rank, of),
    of.product.platform,
    revoke ? 'AccessService/RevokeAccess' : 'AccessService/ProvisionAccess',
    of.school.oin,
    [
      {
        name: 'ProvisionSubmitted',
        key: of.school.oin,
        value: { schoolOin: of.school.oin, entitlementId: of.id, revoke, byOin: of.product.platform },
      },
    ],
  );
};

const launch: Maker = (about, rank) => {
  const { random, world } = about;
  const of = about.grants.length > 0 && random.chance(0.8) ? random.pick(about.grants) : undefined;
  const school = of?.school ?? random.pick(world.schools);
  const learner = of?.learner || random.pick(school.learners);
  const product = of?.product ?? random.pick(world.products);
  const byEntitlement = of !== undefined && random.chance(0.5);
  const by = school.oin;
  const opened: SimEvent = {
    name: 'LaunchSubmitted',
    key: learner,
    value: {
      launchId: '$flow',
      schoolOin: school.oin,
      learner,
      entitlementId: byEntitlement ? of.id : '',
      productId: byEntitlement ? '' : product.id,
      ticketDigest: '$ticket:$flow',
      byOin: by,
    },
  };
  const at = after(about, rank, of);
  about.add(at, by, 'AccessService/CreateLaunch', school.oin, [opened], 35);
  about.launches.push({ learner, product, rank: at });
};

const redeem: Maker = (about, rank) => {
  const { random, world } = about;
  launch(about, rank);
  const { learner, product, rank: launched } = about.launches.at(-1)!;
  const draft = about.drafts.length - 1;
  const by = random.chance(0.8) ? product.platform : random.pick(world.platforms);
  for (let times = random.between(1, 2); times > 0; times--)
    about.add(
      launched + 14,
      by,
      'AccessService/RedeemLaunch',
      '',
      [
        {
          name: 'RedeemSubmitted',
          key: learner,
          value: { launchId: `$flow:${draft}`, ticketDigest: `$ticket:$flow:${draft}`, byOin: by },
        },
      ],
      35,
    );
};

const result: Maker = (about, rank) => {
  const { random, world, calm } = about;
  const school = random.pick(world.schools);
  const learner = random.pick(school.learners);
  const platform = random.pick(world.platforms);
  const resultId = next(about, 'result');
  const productId = random.pick(world.products).id;
  const group = random.chance(0.3) ? random.pick(school.groups) : '';
  for (let times = random.between(1, 3); times > 0; times--) {
    const content = random.between(1, 2);
    about.add(
      rank + 3 * times,
      platform,
      'ResultService/ReturnResults',
      school.oin,
      [
        {
          name: 'ResultSubmitted',
          key: learner,
          value: {
            result: {
              resultId,
              schoolOin: school.oin,
              learner,
              productId,
              group,
              day: !calm && random.chance(0.05) ? '2026-02-31' : TODAY,
              kind: ResultKind.RESULT_KIND_PROGRESS,
              payload: Buffer.from(`sealed ${content}`).toString('base64'),
              byOin: platform,
              digest: Buffer.from(`digest ${content}`).toString('base64'),
            },
          },
        },
      ],
      35,
    );
  }
};

const republish: Maker = (about, rank) => {
  const { random, world, calm } = about;
  const product = random.pick(world.products);
  if (product.never && !calm) return grant(about, rank);
  const state =
    calm || random.chance(0.7) ? ProductState.PRODUCT_STATE_UNSPECIFIED : ProductState.PRODUCT_STATE_WITHDRAWN;
  about.add(rank, product.publisher, 'CatalogueService/PublishProducts', '', [
    offer(product, { state, edition: `${random.between(1, 3)}` }),
  ]);
};

const newRoster: Maker = (about, rank) => {
  const { random, world } = about;
  const school = random.pick(world.schools);
  const version = ++about.ids;
  const whole = roster(school, random, version, random.chance(0.3));
  const draft = about.drafts.length;
  if (random.chance(0.25)) {
    const part = { ...whole, value: { ...whole.value, learners: [], staff: [], last: false, part: 0 } };
    const last = { ...whole, value: { ...whole.value, groups: [], part: 1 } };
    for (const one of [part, last]) about.add(rank, school.oin, 'RosterService/PushRoster', school.oin, [one], 35);
    return;
  }
  about.add(rank, school.oin, 'RosterService/PushRoster', school.oin, [whole], 35);
  if (random.chance(0.5))
    about.add(rank + 15, 'operator', 'OperatorService/DecideHold', school.oin, [
      {
        name: 'HoldDecisionSubmitted',
        key: school.oin,
        value: { schoolOin: school.oin, holdId: `$flow:${draft}`, approve: random.chance(0.7), byOin: 'operator' },
      },
    ]);
};

const forget: Maker = (about, rank) => {
  const { world, random } = about;
  const school = random.pick(world.schools);
  const learner = random.pick(school.learners);
  about.add(
    rank,
    school.oin,
    'IdentityService/ForgetLearner',
    school.oin,
    [
      {
        name: 'LearnerForgetSubmitted',
        key: learner,
        value: { schoolOin: school.oin, learner, destroyAtMs: '1790000000000', byOin: school.oin },
      },
    ],
    35,
  );
};

const CALM: readonly Maker[] = [
  order,
  order,
  confirm,
  grant,
  grant,
  pool,
  draw,
  draw,
  change,
  usage,
  provision,
  result,
  republish,
];
const EVERYTHING: readonly Maker[] = [
  order,
  order,
  confirm,
  cancel,
  grant,
  grant,
  grant,
  pool,
  draw,
  draw,
  change,
  change,
  usage,
  provision,
  launch,
  redeem,
  redeem,
  result,
  result,
  republish,
  newRoster,
];
