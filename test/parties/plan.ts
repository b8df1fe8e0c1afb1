/**
 * A school start as it should go: who orders, grants, opens and reports what, and what each party must have in the end.
 * Made from the school and the publishers' lists alone.
 */
import { type List, titleFor } from './catalogue.ts';
import type { Pupil, School } from './school.ts';

const partyNames = ['administration', 'distributor', 'wilgenblad', 'zilvermeeuw', 'platform', 'dashboard'] as const;
export type PartyName = (typeof partyNames)[number];
export type Oins = Readonly<Record<PartyName, string>>;

/** OINs of the parties; invented, as all their names are. Each `run` of one gateway, 0 to 4,500, has others. */
export const oinsOf = (run: number): Oins =>
  Object.fromEntries(
    partyNames.map((name, i) => [name, `000000991${String(run).padStart(7, '0')}${i + 1}000`]),
  ) as unknown as Oins;

export interface OrderLine {
  lineId: string;
  productId: string;
  quantity: number;
  eckId?: string;
  groupKey?: string;
  /** Absent = the publisher of the product. */
  sellerOin?: string;
}
export interface Order {
  orderId: string;
  lines: OrderLine[];
}
export interface Grant {
  entitlementId: string;
  productId: string;
  orderId: string;
  lineId: string;
  /** Neither of the two: for the school. */
  eckId?: string;
  groupKey?: string;
  /** How many may take from it. */
  count?: number;
  fromEntitlementId?: string;
}
export interface Launch {
  eckId: string;
  productId: string;
  callName: string;
}
/** Progress of one pupil, returned over gRPC. */
export interface Report {
  resultId: string;
  eckId: string;
  productId: string;
  groupKey: string;
  donePercent: number;
  seconds: number;
  /** Of 10. */
  score?: number;
  day: string;
}
/** A test of a group, returned over UWLR. */
export interface Test {
  code: string;
  name: string;
  maxScore: number;
  results: { key: string; lasKey: string; eckId: string; day: string; score: number }[];
}

export interface Plan {
  orders: Order[];
  /** All that are granted before the count is tried. */
  grants: Grant[];
  /** The school's licence for a number of pupils, and the pupils who take one; the last comes too late. */
  pool: Grant;
  draws: Grant[];
  tooLate: Grant;
  /** On the platform, and on the second publisher's own site. */
  platformLaunches: Launch[];
  siteLaunches: Launch[];
  tests: Test[];
  platformReports: Report[];
  siteReports: Report[];
  /** Granted when the platform may no longer hear of it. */
  afterStop: Grant;
  /** The pupil who is forgotten: has been ordered for, granted, in the material, and reported on. */
  forgotten: Pupil;
  /** Entitlements of that pupil. */
  forgottenEntitlements: string[];
}

/** Lines of one order; the gateway takes 1,000. */
const LINES = 900;

export function planStart(school: School, reken: List, taal: List, today: string, oins: Oins): Plan {
  const baseGroups = school.groups.filter(({ composite }) => !composite);
  // Ids travel to everyone, so they hold nothing of a pupil: no key of the administration, no ECK iD.
  const numberOf = new Map(school.pupils.map(({ eckId }, i) => [eckId, String(i + 1).padStart(4, '0')]));
  const orders: Order[] = [];
  const grants: Grant[] = [];
  for (const year of [...new Set(school.pupils.map(({ yearGroup }) => yearGroup))].sort()) {
    const productId = titleFor(reken, year).ean;
    const forPupils = school.pupils
      .filter(({ yearGroup }) => yearGroup === year)
      .map(({ eckId }): OrderLine => ({ lineId: `pupil-${numberOf.get(eckId)}`, productId, quantity: 1, eckId }));
    const forGroups = baseGroups
      .filter(({ yearGroup }) => yearGroup === year)
      .map(
        ({ key }): OrderLine => ({
          lineId: `group-${key}`,
          productId: titleFor(taal, year).ean,
          quantity: school.pupils.filter(({ groupKey }) => groupKey === key).length,
          groupKey: key,
        }),
      );
    const lines = [...forGroups, ...forPupils];
    for (let from = 0; from < lines.length; from += LINES) {
      const orderId = `start-groep-${year}-${from / LINES + 1}`;
      const part = lines.slice(from, from + LINES);
      orders.push({ orderId, lines: part });
      for (const { lineId, productId, eckId, groupKey } of part)
        grants.push({ entitlementId: `licence-${lineId}`, productId, orderId, lineId, eckId, groupKey });
    }
  }

  const typing = taal.titles[PRACTICE + 7]!.ean;
  const count = Math.max(2, Math.floor(school.pupils.length / 10));
  const counted: OrderLine = { lineId: 'typing', productId: typing, quantity: count, sellerOin: oins.distributor };
  orders.push({ orderId: 'start-typing', lines: [counted] });
  const pool: Grant = {
    entitlementId: 'licence-typing',
    productId: typing,
    orderId: 'start-typing',
    lineId: 'typing',
    count,
  };
  const takers = school.pupils.slice(0, count + 1).map(
    ({ eckId }): Grant => ({
      entitlementId: `typing-${numberOf.get(eckId)}`,
      productId: typing,
      orderId: '',
      lineId: '',
      eckId,
      fromEntitlementId: pool.entitlementId,
    }),
  );

  const launchOf =
    (list: List) =>
    ({ eckId, callName, yearGroup }: Pupil): Launch => ({ eckId, callName, productId: titleFor(list, yearGroup).ean });
  const firstDay = school.pupils.slice(0, Math.min(60, school.pupils.length));
  // Forgotten is someone who did everything, also took from the count.
  const forgotten = school.pupils[1]!;
  return {
    orders,
    grants,
    pool,
    draws: takers.slice(0, count),
    tooLate: takers[count]!,
    platformLaunches: firstDay.map(launchOf(reken)),
    siteLaunches: firstDay.slice(0, 20).map(launchOf(taal)),
    tests: baseGroups.map(
      ({ key, name, yearGroup }): Test => ({
        code: titleFor(reken, yearGroup).ean,
        name: `Toets 1, ${name}`,
        maxScore: MAX_SCORE,
        results: school.pupils
          .map((pupil, i) => ({ pupil, i }))
          .filter(({ pupil }) => pupil.groupKey === key)
          .map(({ pupil: { lasKey, eckId }, i }) => ({
            key: `toets-${numberOf.get(eckId)}`,
            lasKey,
            eckId,
            day: today,
            score: testScore(i),
          })),
      }),
    ),
    platformReports: school.pupils.map(({ eckId, yearGroup, groupKey }, i) => ({
      resultId: `oefenen-${numberOf.get(eckId)}`,
      eckId,
      productId: titleFor(reken, yearGroup).ean,
      groupKey,
      donePercent: donePercent(i),
      seconds: 600 + i,
      day: today,
    })),
    siteReports: school.pupils.map(({ eckId, yearGroup, groupKey }, i) => ({
      resultId: `lezen-${numberOf.get(eckId)}`,
      eckId,
      productId: titleFor(taal, yearGroup).ean,
      groupKey,
      donePercent: 100 - donePercent(i),
      seconds: 300 + i,
      score: siteScore(i),
      day: today,
    })),
    afterStop: {
      entitlementId: 'licence-after-stop',
      productId: reken.titles[PRACTICE]!.ean,
      orderId: '',
      lineId: '',
      eckId: school.pupils[0]!.eckId,
    },
    forgotten,
    forgottenEntitlements: [forgotten.eckId].flatMap((eckId) => [
      `licence-pupil-${numberOf.get(eckId)}`,
      `typing-${numberOf.get(eckId)}`,
    ]),
  };
}

/** Where the second title of each year group begins in a list. */
const PRACTICE = 8;
const MAX_SCORE = 20;
const testScore = (i: number): number => 5 + ((i * 7) % 16);
const donePercent = (i: number): number => 10 + (i % 81);
const siteScore = (i: number): number => 4 + (i % 7);

/** What the suppliers report on. */
export const ACTIVITY = 'h-1';

/** Column → items that a party must have, exactly. Names and forms are those of the parties' ledgers. */
export type Expected = Record<PartyName, Record<string, string[]>>;

/** What every ledger holds when the school start is done, before the mandate is stopped. */
export function expectedFigures(school: School, plan: Plan, list: { reken: List; taal: List }, oins: Oins): Expected {
  const isReken = new Set(list.reken.titles.map(({ ean }) => ean));
  const sells = (sellerOin: string, line: OrderLine): boolean =>
    (line.sellerOin ?? (isReken.has(line.productId) ? oins.wilgenblad : oins.zilvermeeuw)) === sellerOin;
  const linesOf = (sellerOin: string): string[] =>
    plan.orders.flatMap(({ orderId, lines }) =>
      lines.filter((line) => sells(sellerOin, line)).map(({ lineId }) => `${orderId}/${lineId}`),
    );
  const item = ({ entitlementId, eckId, groupKey }: Grant): string =>
    `${entitlementId} ${eckId ?? groupKey ?? 'the school'}`;
  const personal = plan.grants.filter(({ productId }) => isReken.has(productId));
  const grouped = plan.grants.filter(({ productId }) => !isReken.has(productId));
  const opened = ({ eckId, productId, callName }: Launch): string => `${eckId} ${productId} ${callName}`;
  const used = (launches: readonly Launch[], among: readonly Grant[]): string[] => {
    const groupOf = new Map(school.pupils.map(({ eckId, groupKey }) => [eckId, groupKey]));
    const found = launches.map(
      (launch) =>
        among.find(
          ({ productId, eckId, groupKey }) =>
            productId === launch.productId &&
            (eckId === launch.eckId || (groupKey ?? '-') === groupOf.get(launch.eckId)),
        )!,
    );
    return [...new Set(found.map(item))];
  };
  const usedPersonal = used(plan.platformLaunches, personal);
  const usedGrouped = used(plan.siteLaunches, grouped);
  const results = [
    ...plan.tests.flatMap(({ code, results }) =>
      results.map(({ key, eckId, score }) => `${key} ${eckId} ${code} ${oins.platform} ${score}`),
    ),
    ...plan.platformReports.map(
      ({ resultId, eckId, productId, donePercent }) =>
        `${resultId} ${eckId} ${productId} ${oins.platform} ${donePercent}`,
    ),
    ...plan.siteReports.map(
      ({ resultId, eckId, productId, score }) => `${resultId} ${eckId} ${productId} ${oins.zilvermeeuw} ${score}`,
    ),
  ];
  // UWLR has no place for a share of the work: where there is no score, the time says that it was done.
  const brought = [
    ...plan.tests.flatMap(({ code, results }) =>
      results.map(({ key, eckId, score }) => `${key} ${eckId} ${code} ${oins.platform} ${score}`),
    ),
    ...plan.platformReports.map(
      ({ resultId, eckId, seconds }) => `${resultId} ${eckId} ${ACTIVITY} ${oins.platform} ${seconds} s`,
    ),
    ...plan.siteReports.map(
      ({ resultId, eckId, score }) => `${resultId} ${eckId} ${ACTIVITY} ${oins.zilvermeeuw} ${score}`,
    ),
  ];
  const scoreOf = new Map(
    plan.tests.flatMap(({ results }) => results.map(({ eckId, score }) => [eckId, score] as const)),
  );
  return {
    administration: {
      placed: plan.orders.map(({ orderId }) => orderId),
      confirmed: plan.orders.flatMap(({ orderId, lines }) => lines.map(({ lineId }) => `${orderId}/${lineId}`)),
      results,
      brought,
    },
    distributor: {
      ordered: linesOf(oins.distributor),
      granted: [...plan.grants, plan.pool, ...plan.draws].map(item),
      refused: [plan.tooLate.entitlementId],
      ready: [...plan.grants, ...plan.draws].map(item),
      used: [...usedPersonal, ...usedGrouped],
    },
    wilgenblad: {
      ordered: linesOf(oins.wilgenblad),
      granted: personal.map(item),
      ready: personal.map(item),
      used: usedPersonal,
    },
    zilvermeeuw: {
      ordered: linesOf(oins.zilvermeeuw),
      granted: [...grouped, plan.pool, ...plan.draws].map(item),
      ready: [...grouped, ...plan.draws].map(item),
      opened: plan.siteLaunches.map(opened),
      used: usedGrouped,
    },
    platform: {
      groups: school.groups.map(({ key }) => key),
      pupils: school.pupils.map(({ eckId, lasKey, groupKey }) => `${eckId} ${lasKey} ${groupKey}`),
      'fields of pupils': fieldsOf(school),
      granted: personal.map(item),
      ready: personal.map(item),
      sent: personal.map(item),
      opened: plan.platformLaunches.map(opened),
      used: usedPersonal,
    },
    dashboard: {
      groups: school.groups.map(({ key }) => key),
      'in groups': school.pupils.map(({ eckId, groupKey }) => `${eckId} ${groupKey}`),
      brought,
      pupils: school.pupils.map(({ eckId }) => eckId),
      progress: [
        ...plan.platformReports.map(
          ({ eckId, productId, donePercent, seconds }) =>
            `${eckId} ${productId} ${oins.platform} ${donePercent} ${seconds} ${scoreOf.get(eckId)}`,
        ),
        ...plan.siteReports.map(
          ({ eckId, productId, donePercent, seconds, score }) =>
            `${eckId} ${productId} ${oins.zilvermeeuw} ${donePercent} ${seconds} ${score}`,
        ),
      ],
    },
  };
}

/** UWLR's Smalle set, as it is since 2.3 without the day of birth: nothing of account, e-mail or gender, which the school's file does have. */
const fieldsOf = ({ pupils }: School): string[] => [
  '@eckid',
  '@key',
  'achternaam',
  'groep',
  'jaargroep',
  'roepnaam',
  ...(pupils.some(({ compositeGroupKeys }) => compositeGroupKeys.length > 0) ? ['samengestelde_groepen'] : []),
  ...(pupils.some(({ familyNamePrefix }) => familyNamePrefix !== '') ? ['voorvoegsel'] : []),
];
