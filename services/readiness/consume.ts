/** What orders, entitlements and rosters say → rows of needs, and the counts that they are in. */
import {
  type Consumer,
  decoded,
  ForgottenLearners,
  type LogRecord,
  MergedLearners,
  SetAside,
  type TimerRow,
  terms,
  together,
  type Unit,
} from '#bus';
import { dutchDay, isDay, schoolYearOf, startOfDutchDay } from '#kernel';
import { EntitlementState, Form, LineState } from '#proto/eduk/core/v1/ordering';
import type { OrderLineEntry } from '#proto/eduk/events/v1/orders';
import type { EventOf } from '#proto/events';
import { type Facts, sharesOf } from './need.ts';
import {
  aside,
  cells,
  days,
  forgotten,
  type LineCell,
  merged,
  type Need,
  type NeedRow,
  needOf,
  needRow,
  needs,
  type OrderLines,
  orders,
  type Pupil,
  pupils,
  type RightCell,
  type Tally,
  type Total,
  totals,
  years,
} from './tables.ts';

const gone = new ForgottenLearners(forgotten);
const kept = new SetAside(aside);
const same = new MergedLearners(merged);
/** What is of a year whose term is over already is kept this long. */
const LEAST_KEPT_MS = 14 * 86_400_000;
/** Days of which a product keeps how it stood: those of a spring and a summer. */
const MOST_DAYS = 120;
/** Rows looked at in one firing of a timer. */
const PAGE = 500;
/** Holder in an order whose learner was forgotten. */
const NOBODY = 'x';
/** Group of who has left. */
const LEFT = '-';
/** From this day on, what is ordered without days is for the school year to come (ours). */
const ORDERS_TURN = '04-01';

export const consumer: Consumer = {
  name: 'readiness',
  streams: ['orders', 'entitlements', 'rosters'],
  types: [
    'OrderSubmitted',
    'OrderPlaced',
    'OrderRefused',
    'OrderLinesChanged',
    'EntitlementGranted',
    'GrantRefused',
    'EntitlementChanged',
    'LearnerJoined',
    'LearnerMoved',
    'LearnerLeft',
    'LearnerForgotten',
    'LearnerKept',
    'LearnersMerged',
    'LearnersMergeUndone',
  ],
  handle,
  onTimer(timer, unit) {
    if (gone.onTimer(timer, unit) || kept.onTimer(timer, unit) || same.onTimer(timer, unit)) return;
    onTimer(timer, unit);
  },
  settle,
};

function handle(record: LogRecord, unit: Unit): void {
  switch (record.type) {
    case 'OrderSubmitted':
      onOrder(record, decoded(record, 'OrderSubmitted'), 'sent', unit);
      break;
    case 'OrderPlaced':
      onOrder(record, decoded(record, 'OrderPlaced'), 'placed', unit);
      break;
    case 'OrderRefused':
      onRefused(decoded(record, 'OrderRefused'), unit);
      break;
    case 'OrderLinesChanged':
      onLinesChanged(decoded(record, 'OrderLinesChanged'), unit);
      break;
    case 'EntitlementGranted':
      onGranted(record, decoded(record, 'EntitlementGranted'), unit);
      break;
    case 'GrantRefused':
      onGrantRefused(record, decoded(record, 'GrantRefused'), unit);
      break;
    case 'EntitlementChanged':
      onChanged(record, decoded(record, 'EntitlementChanged'), unit);
      break;
    case 'LearnerJoined':
      onEnrolled(decoded(record, 'LearnerJoined'), unit);
      break;
    case 'LearnerMoved':
      onEnrolled(decoded(record, 'LearnerMoved'), unit);
      break;
    case 'LearnerLeft':
      onLeft(decoded(record, 'LearnerLeft'), unit);
      break;
    case 'LearnerForgotten':
      onForgotten(decoded(record, 'LearnerForgotten'), unit);
      break;
    case 'LearnerKept':
      onKept(decoded(record, 'LearnerKept'), unit);
      break;
    case 'LearnersMerged':
      onMerged(decoded(record, 'LearnersMerged'), true, unit);
      break;
    case 'LearnersMergeUndone':
      onMerged(decoded(record, 'LearnersMergeUndone'), false, unit);
      break;
  }
}

/** The school year that a day is in: of its letters, since asking the calendar for each of a stream of grants costs more than the rest of it. */
function yearOfDay(day: string): string {
  const first = Number(day.slice(0, 4)) - (day.slice(5) < '08-01' ? 1 : 0);
  return `${first}-${first + 1}`;
}

/** The school year for which something is ordered that names no day. */
function yearOfOrder(ms: number): string {
  const running = schoolYearOf(ms);
  const day = dutchDay(ms);
  const first = Number(day.slice(0, 4));
  return day.slice(5) >= ORDERS_TURN && day.slice(5) < '08-01' ? `${first}-${first + 1}` : running;
}

const lineName = (buyer: string, order: string, line: string): string => `${buyer} ${order} ${line}`;

const holderOf = (learner: string, group: string): string => (learner ? `l:${learner}` : group ? `g:${group}` : '');
const learnerOf = (holder: string): string => (holder.startsWith('l:') ? holder.slice(2) : '');

/** The first that is known of an order, or that it stands: its lines are these. */
function onOrder(
  record: LogRecord,
  {
    orderId,
    schoolOin,
    buyerOin,
    lines,
  }: { orderId: string; schoolOin: string; buyerOin: string; lines: OrderLineEntry[] },
  state: 'sent' | 'placed',
  unit: Unit,
): void {
  if (!orderId || !schoolOin || !buyerOin) return;
  const before = unit.get(orders, buyerOin, orderId);
  if (before?.state === 'placed') return;
  // One that was refused leaves its id free for another.
  if (before) dropLines(before, unit);
  const year = before?.state === 'sent' ? before.asked : yearOfOrder(record.timeMs);
  const row: OrderLines = { buyer: buyerOin, order: orderId, school: schoolOin, year, asked: year, state, lines: {} };
  // Paper needs no licence; what lacks an id is refused.
  const digital = lines.filter(
    ({ terms }) =>
      terms !== undefined && terms.lineId !== '' && terms.productId !== '' && terms.form !== Form.FORM_FOLIO,
  );
  together(digital, ({ terms, learner, group, sellerOin }) => {
    const { lineId, productId, quantity, startsOn, endsOn } = terms!;
    if (Object.hasOwn(row.lines, lineId)) return;
    const holder = holderOf(learner, group);
    const day = [startsOn, endsOn].find(isDay);
    const y = day === undefined ? year : yearOfDay(day);
    if (y > row.year) row.year = y;
    row.lines[lineId] = [isGone(unit, schoolOin, holder) ? NOBODY : holder, productId];
    const cell: LineCell = {
      q: quantity,
      s: state === 'sent' ? 'waiting' : 'placed',
      b: buyerOin,
      e: sellerOin,
      y,
      ...(day !== undefined && { d: 1 }),
      ...(state === 'sent' && { c: 'product.unknown' }),
    };
    change(unit, schoolOin, holder, productId, ({ lines: of, rights }) => ({
      lines: withCell(of, lineName(buyerOin, orderId, lineId), cell),
      rights,
    }));
  });
  unit.put(orders, row);
}

const isGone = (unit: Unit, school: string, holder: string): boolean =>
  learnerOf(holder) !== '' && gone.has(unit, school, learnerOf(holder));

function dropLines({ buyer, order, school, lines }: OrderLines, unit: Unit): void {
  together(Object.entries(lines), ([line, [holder, product]]) => {
    if (holder === NOBODY) return;
    change(unit, school, holder, product, ({ lines: of, rights }) => {
      const others = new Map(of);
      others.delete(lineName(buyer, order, line));
      return { lines: others, rights };
    });
  });
}

function editLine(row: OrderLines, line: string, edit: (cell: LineCell) => LineCell, unit: Unit): void {
  const [holder, product] = row.lines[line] ?? [NOBODY, ''];
  if (holder === NOBODY) return;
  const name = lineName(row.buyer, row.order, line);
  change(unit, row.school, holder, product, ({ lines, rights }) => {
    const cell = lines.get(name);
    return { lines: cell === undefined ? lines : withCell(lines, name, edit(cell)), rights };
  });
}

function onRefused({ orderId, buyerOin, code }: EventOf<'OrderRefused'>, unit: Unit): void {
  const row = unit.get(orders, buyerOin, orderId);
  // Another order was refused, not the one that stands.
  if (row?.state !== 'sent') return;
  together(Object.keys(row.lines), (line) => editLine(row, line, (cell) => ({ ...cell, s: 'refused', c: code }), unit));
  unit.put(orders, { ...row, state: 'refused' });
}

const SAID: Readonly<Record<number, LineCell['s'] | undefined>> = {
  [LineState.LINE_STATE_CONFIRMED]: 'confirmed',
  [LineState.LINE_STATE_DELIVERED]: 'confirmed',
  [LineState.LINE_STATE_REFUSED]: 'declined',
  [LineState.LINE_STATE_CANCELLED]: 'gone',
  [LineState.LINE_STATE_CREDITED]: 'gone',
};

function onLinesChanged({ orderId, buyerOin, outcomes, unchanged }: EventOf<'OrderLinesChanged'>, unit: Unit): void {
  const row = unchanged ? undefined : unit.get(orders, buyerOin, orderId);
  if (!row) return;
  together(outcomes, ({ lineId, state }) => {
    const said = SAID[state];
    if (said !== undefined)
      editLine(
        row,
        lineId,
        ({ c: _, ...cell }) => ({ ...cell, s: said, ...(said === 'declined' && { c: 'peer.refused' }) }),
        unit,
      );
  });
}

function onGranted(
  record: LogRecord,
  { terms: given, schoolOin, holder, byOin, unchanged }: EventOf<'EntitlementGranted'>,
  unit: Unit,
): void {
  if (unchanged || !given) return;
  const { entitlementId, productId, startsOn, endsOn, orderId, lineId, count } = given;
  const y = isDay(startsOn) ? yearOfDay(startsOn) : schoolYearOf(record.timeMs);
  const ends = isDay(endsOn) ? yearOfDay(endsOn) : y;
  const right: RightCell = {
    s: 'granted',
    g: byOin,
    y,
    z: ends > y ? ends : y,
    ...(count > 0 && { n: count }),
    ...(orderId !== '' && lineId !== '' && { l: `${orderId} ${lineId}` }),
  };
  change(unit, schoolOin, holderOf(holder?.learner ?? '', holder?.group ?? ''), productId, ({ lines, rights }) => ({
    lines,
    rights: withCell(rights, entitlementId, right),
  }));
}

function onGrantRefused(
  record: LogRecord,
  { entitlementId, productId, schoolOin, holder, byOin, code }: EventOf<'GrantRefused'>,
  unit: Unit,
): void {
  const y = yearOfOrder(record.timeMs);
  if (!entitlementId || !productId || !schoolOin) return;
  change(unit, schoolOin, holderOf(holder?.learner ?? '', holder?.group ?? ''), productId, ({ lines, rights }) => {
    const standing = rights.get(entitlementId);
    // What stands under the id was not refused: another grant under it was.
    if (standing && standing.s !== 'not_granted') return { lines, rights };
    return { lines, rights: withCell(rights, entitlementId, { s: 'not_granted', g: byOin, y, z: y, c: code }) };
  });
}

const MOVED: ReadonlySet<string> = new Set(['swapped', 'left', 'forgotten']);
const STANDS: Readonly<Record<number, RightCell['s']>> = {
  [EntitlementState.ENTITLEMENT_STATE_GRANTED]: 'granted',
  [EntitlementState.ENTITLEMENT_STATE_PROVISIONED]: 'provisioned',
  [EntitlementState.ENTITLEMENT_STATE_USED]: 'opened',
  [EntitlementState.ENTITLEMENT_STATE_EXPIRED]: 'expired',
  [EntitlementState.ENTITLEMENT_STATE_WITHDRAWN]: 'withdrawn',
  [EntitlementState.ENTITLEMENT_STATE_BLOCKED]: 'blocked',
};

function onChanged(
  record: LogRecord,
  { entitlementId, productId, schoolOin, holder, state, cause, grantedByOin, unchanged }: EventOf<'EntitlementChanged'>,
  unit: Unit,
): void {
  const s = MOVED.has(cause) ? 'moved' : STANDS[state];
  if (unchanged || s === undefined || holder === undefined) return;
  const y = schoolYearOf(record.timeMs);
  change(unit, schoolOin, holderOf(holder.learner, holder.group), productId, ({ lines, rights }) => ({
    lines,
    rights: withCell(rights, entitlementId, { g: grantedByOin, y, z: y, ...rights.get(entitlementId), s }),
  }));
}

type Enrolled = Pick<EventOf<'LearnerJoined'>, 'schoolOin' | 'schoolYear' | 'learner'>;

function onEnrolled({ schoolOin, schoolYear, learner }: Enrolled, unit: Unit): void {
  if (!learner) return;
  unit.cancelTimer(leavingTimer(schoolOin, learner.learner, schoolYear));
  // A forgetting that was undone shows as a learner who is there again.
  if (gone.has(unit, schoolOin, learner.learner) && !kept.isOpen(unit, schoolOin, learner.learner))
    gone.remove(unit, schoolOin, learner.learner);
  place(schoolOin, learner.learner, schoolYear, learner.group, unit);
}

const leavingTimer = (school: string, learner: string, year: string): string => `left:${school}:${learner}:${year}`;

function onLeft({ schoolOin, learner, schoolYear, leftOn }: EventOf<'LearnerLeft'>, unit: Unit): void {
  if (isDay(leftOn) && leftOn > dutchDay(unit.now))
    unit.setTimer({
      id: leavingTimer(schoolOin, learner, schoolYear),
      atMs: startOfDutchDay(leftOn),
      key: learner,
      payload: ['left', schoolOin, learner, schoolYear].join('|'),
    });
  else place(schoolOin, learner, schoolYear, LEFT, unit);
}

const GROUPS = 'groups';
const needPart = (product: string): string => `need ${product}`;

/** Puts a learner into a group of a year, with everything that is counted there. */
function place(school: string, learner: string, year: string, group: string, unit: Unit): void {
  if (gone.has(unit, school, learner)) {
    const held = kept.get<Pupil>(unit, school, learner, GROUPS);
    kept.put(unit, school, learner, GROUPS, { school, learner, years: { ...held?.years, [year]: group } });
    return;
  }
  const before = unit.get(pupils, school, learner)?.years ?? {};
  if (before[year] === group) return;
  const after = { ...before, [year]: group };
  unit.put(pupils, { school, learner, years: after });
  keepYear(unit, school, year);
  const tokens = same.tokensOf(unit, school, learner);
  // A second token is where the first is.
  if (tokens[0] !== learner) return;
  for (const need of needsOf(unit, school, tokens)) {
    add(unit, need, before, -1);
    add(unit, need, after, 1);
  }
}

/**
 * What one person needs, whose tokens these are: by product, everything that is known under any of them. `put`: what this record
 * put, which no list has yet.
 */
function needsOf(
  unit: Unit,
  school: string,
  tokens: readonly string[],
  put: readonly Pick<Need, 'holder' | 'product'>[] = [],
): Need[] {
  const listed = tokens.flatMap((token) => unit.list(needs, { equals: [school, `l:${token}`] }));
  const rows = [...listed, ...put].flatMap(({ holder, product }) => {
    const row = unit.get(needs, school, holder, product);
    return row ? [needOf(row)] : [];
  });
  if (tokens.length < 2) return rows;
  return [...Map.groupBy(rows, ({ product }) => product).values()].map((some) => asOne(some, tokens[0]!));
}

/** What is known of one product under several tokens, as the need of one. */
const asOne = (some: readonly Need[], learner: string): Need => ({
  school: some[0]!.school,
  holder: `l:${learner}`,
  product: some[0]!.product,
  lines: new Map(some.flatMap(({ lines }) => [...lines])),
  rights: new Map(some.flatMap(({ rights }) => [...rights])),
});

const groupsOf = (unit: Unit, school: string, learner: string): Readonly<Record<string, string>> =>
  unit.get(pupils, school, learner)?.years ?? {};

/** Counts, or counts no longer, what people need as it is known at the moment; each is named by all tokens, the first first. */
function countAll(
  unit: Unit,
  school: string,
  people: readonly (readonly string[])[],
  sign: 1 | -1,
  put: readonly Pick<Need, 'holder' | 'product'>[] = [],
): void {
  for (const tokens of people) {
    const groups = groupsOf(unit, school, tokens[0]!);
    together(needsOf(unit, school, tokens, put), (need) => add(unit, need, groups, sign));
  }
}

/** Two tokens are one learner, or two again: what stands under them is counted anew, and stays where it is. */
function onMerged(event: EventOf<'LearnersMerged' | 'LearnersMergeUndone'>, isOne: boolean, unit: Unit): void {
  const { schoolOin: school, winner, loser } = event;
  const first = same.tokensOf(unit, school, winner);
  const wasOne = first.includes(loser);
  const apart = [first.filter((token) => token !== loser), [loser]];
  const one = [[...new Set([...first, loser])]];
  if (isOne) same.add(unit, event);
  else same.remove(unit, event);
  if (isOne === wasOne) return;
  countAll(unit, school, wasOne ? one : apart, -1);
  countAll(unit, school, isOne ? one : apart, 1);
}

function onForgotten({ schoolOin: school, learner, destroyAtMs }: EventOf<'LearnerForgotten'>, unit: Unit): void {
  gone.add(unit, school, learner);
  kept.open(unit, school, learner, Number(destroyAtMs));
  const tokens = same.tokensOf(unit, school, learner);
  countAll(unit, school, [tokens], -1);
  const pupil = unit.get(pupils, school, learner);
  const held = unit.list(needs, { equals: [school, `l:${learner}`] });
  together(held.map(needOf), (need) => {
    kept.put(unit, school, learner, needPart(need.product), needRow(need));
    unit.remove(needs, school, need.holder, need.product);
    nameInOrders(need, NOBODY, unit);
  });
  if (pupil) {
    kept.put(unit, school, learner, GROUPS, pupil);
    unit.remove(pupils, school, learner);
  }
  countAll(unit, school, [tokens], 1);
}

function onKept({ schoolOin: school, learner }: EventOf<'LearnerKept'>, unit: Unit): void {
  gone.remove(unit, school, learner);
  const tokens = same.tokensOf(unit, school, learner);
  countAll(unit, school, [tokens], -1);
  const parts = kept.take<NeedRow | Pupil>(unit, school, learner);
  const pupil = parts.find(({ part }) => part === GROUPS)?.held as Pupil | undefined;
  if (pupil) unit.put(pupils, pupil);
  together(parts, ({ part, held }) => {
    if (part === GROUPS) return;
    const need = needOf(held as NeedRow);
    unit.put(needs, needRow(need));
    nameInOrders(need, need.holder, unit);
  });
  const put = parts.flatMap(({ part, held }) => (part === GROUPS ? [] : [held as NeedRow]));
  countAll(unit, school, [tokens], 1, put);
}

function nameInOrders({ lines, product }: Need, holder: string, unit: Unit): void {
  together([...lines.keys()], (name) => {
    const [buyer = '', order = '', line = ''] = name.split(' ');
    const row = unit.get(orders, buyer, order);
    if (row?.lines[line]) unit.put(orders, { ...row, lines: { ...row.lines, [line]: [holder, product] } });
  });
}

/**
 * Lines, and entitlements, of one need that are looked at: a learner has a handful, a school some of each class. Of a thousand of one
 * learner, the others say nothing more, and a row that grows with each would make each dearer than the one before.
 */
const MOST_OF_LEARNER = 16;
const MOST_OF_MANY = 500;

/** By name, so that a row does not hang on which came first; the first of them, which are the same whatever came first. */
function inOrder<Cell>(cells: ReadonlyMap<string, Cell>, most: number): ReadonlyMap<string, Cell> {
  let last: string | undefined;
  let isSorted = cells.size <= most;
  for (const name of isSorted ? cells.keys() : []) {
    if (last !== undefined && last > name) isSorted = false;
    last = name;
  }
  return isSorted ? cells : new Map([...cells].sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, most));
}

const withCell = <Cell>(cells: ReadonlyMap<string, Cell>, name: string, cell: Cell): ReadonlyMap<string, Cell> =>
  new Map(cells).set(name, cell);

const NOTHING: Facts = { lines: new Map(), rights: new Map() };

/** Edits what is known of a need, and its counts with it. Of who waits to be forgotten it is edited out of sight. */
function change(unit: Unit, school: string, holder: string, product: string, edit: (facts: Facts) => Facts): void {
  const learner = learnerOf(holder);
  const apply = (before: Facts | undefined): Need => {
    const { lines, rights } = edit(before ?? NOTHING);
    const most = learner === '' ? MOST_OF_MANY : MOST_OF_LEARNER;
    return { school, holder, product, lines: inOrder(lines, most), rights: inOrder(rights, most) };
  };
  if (learner !== '' && gone.has(unit, school, learner)) {
    const part = needPart(product);
    const held = kept.get<NeedRow>(unit, school, learner, part);
    kept.put(unit, school, learner, part, needRow(apply(held && needOf(held))));
    return;
  }
  const row = unit.get(needs, school, holder, product);
  const before = row && needOf(row);
  const after = apply(before);
  if (before && isSame(before.lines, after.lines) && isSame(before.rights, after.rights)) return;
  const tokens = same.tokensOf(unit, school, learner);
  const person = tokens[0]!;
  const groups = learner === '' ? {} : groupsOf(unit, school, person);
  const others = tokens.flatMap((token) => {
    const other = token === learner ? undefined : unit.get(needs, school, `l:${token}`, product);
    return other ? [needOf(other)] : [];
  });
  const counted = (need: Need | undefined, sign: 1 | -1): void => {
    const all = need ? [need, ...others] : others;
    if (tokens.length > 1 && all.length > 0) add(unit, asOne(all, person), groups, sign);
    else if (need) add(unit, need, groups, sign);
  };
  counted(before, -1);
  counted(after, 1);
  if (after.lines.size + after.rights.size > 0) unit.put(needs, needRow(after));
  else if (before) unit.remove(needs, school, holder, product);
}

/** Cells are made anew where they change, and stay the same objects where they do not. */
const isSame = <Cell>(before: ReadonlyMap<string, Cell>, after: ReadonlyMap<string, Cell>): boolean => {
  if (before === after) return true;
  if (before.size !== after.size) return false;
  for (const [name, cell] of after) if (before.get(name) !== cell) return false;
  return true;
};

/** A school year of which something is kept has an end, when it goes. */
const keepYear = (unit: Unit, school: string, year: string): void => unit.gather(nameOf(school, year), 1);

/** What is gathered by a name of these parts; no text of a row has what stands between them. */
const nameOf = (...parts: readonly string[]): string => parts.join(BETWEEN);
const BETWEEN = '\0';

/** `groups`: of the learner, by year. `sign`: 1 = counts it, -1 = counts it no longer. */
function add(unit: Unit, need: Need, groups: Readonly<Record<string, string>>, sign: 1 | -1): void {
  const { school, holder, product, lines, rights } = need;
  const isLearner = learnerOf(holder) !== '';
  const years = new Set<string>();
  for (const { year, buyer, seller, counted, state, code, count, drawn } of sharesOf(need, isLearner)) {
    const group = isLearner ? (groups[year] ?? '') : holder.slice(2);
    // Who has left needs nothing here any more.
    if (isLearner && group === LEFT) continue;
    years.add(year);
    for (const of of [
      nameOf(school, year, product, group, buyer, seller),
      nameOf(school, year, product, buyer, seller),
    ]) {
      unit.gather(nameOf(of, `${counted ? 'c' : 'l'} ${state}${code && ` ${code}`}`), sign * count);
      if (drawn) unit.gather(nameOf(of, 'd'), sign * count);
    }
  }
  for (const { y } of lines.values()) years.add(y);
  for (const { y } of rights.values()) years.add(y);
  for (const year of years) keepYear(unit, school, year);
}

/** What a group of records changes in the counts is added to each row once: a bulk of a thousand grants is one row of one product. */
function settle(sums: ReadonlyMap<string, number>, unit: Unit): void {
  const ofYears: string[][] = [];
  const ofCells = new Map<string, Tally>();
  const ofTotals = new Map<string, Tally>();
  for (const [name, n] of sums) {
    const end = name.lastIndexOf(BETWEEN);
    const parts = name.split(BETWEEN);
    // A year, a total, or a cell, which has a group too.
    if (parts.length === 2) ofYears.push(parts);
    else note(parts.length === 6 ? ofTotals : ofCells, name.slice(0, end), name.slice(end + 1), n);
  }
  const today = dutchDay(unit.now);
  together(
    [
      ...ofYears.map(
        ([school = '', year = '']) =>
          () =>
            keepUntilItsEnd(unit, school, year),
      ),
      ...[...ofCells].map(
        ([name, change]) =>
          () =>
            changeCell(unit, name, change),
      ),
      ...[...ofTotals].map(
        ([name, change]) =>
          () =>
            changeTotal(unit, name, change, today),
      ),
    ],
    (write) => write(),
  );
}

function note(into: Map<string, Tally>, name: string, cell: string, n: number): void {
  const tally = into.get(name);
  if (tally) tally[cell] = n;
  else into.set(name, { [cell]: n });
}

function keepUntilItsEnd(unit: Unit, school: string, year: string): void {
  if (unit.get(years, school, year)) return;
  unit.put(years, { school, year });
  const end = terms['RETENTION_RESULT']!.end(startOfDutchDay(`${year.slice(0, 4)}-08-01`));
  setPurge(unit, school, year, 'needs', [], Math.max(end, unit.now + LEAST_KEPT_MS));
}

function changeCell(unit: Unit, name: string, change: Tally): void {
  const [school = '', year = '', product = '', group = '', buyer = '', seller = ''] = name.split(BETWEEN);
  const counts = added(unit.get(cells, school, year, product, group, buyer, seller)?.counts, change);
  if (counts === undefined) return;
  if (Object.keys(counts).length > 0) unit.put(cells, { school, year, product, group, buyer, seller, counts });
  else unit.remove(cells, school, year, product, group, buyer, seller);
}

function changeTotal(unit: Unit, name: string, change: Tally, today: string): void {
  const [school = '', year = '', product = '', buyer = '', seller = ''] = name.split(BETWEEN);
  const before = unit.get(totals, school, year, product, buyer, seller);
  // What came and went again leaves a day on which it stood as before.
  const counts = added(before?.counts, change) ?? before?.counts;
  if (counts !== undefined) keepTotal(unit, { school, year, product, buyer, seller, counts }, before, today);
}

/** A day is written when the next begins, so that what changes a thousand times on one day is one small row all day. */
function keepTotal(unit: Unit, total: Total, before: Readonly<Total> | undefined, today: string): void {
  const { school, year, product, buyer, seller, counts } = total;
  const of = { school, year, product, buyer, seller };
  const earlier = before?.days ?? [];
  const last = before?.day ?? earlier.at(-1)?.[0] ?? today;
  // The clock of whoever read the last record may have been ahead.
  const day = last > today ? last : today;
  const since = before?.since ?? earlier[0]?.[0] ?? day;
  if (day !== last) {
    const known = unit.list(days, { equals: [school, year, product, buyer, seller], limit: MOST_DAYS });
    if (known.length > MOST_DAYS - 2) unit.remove(days, school, year, product, buyer, seller, known[0]!.day);
    unit.put(days, { ...of, day: last, counts: before!.counts });
  }
  for (const [on, stood] of earlier) if (on !== last) unit.put(days, { ...of, day: on, counts: stood });
  // What came and went on one day never stood at the end of one.
  if (Object.keys(counts).length === 0 && since === day) unit.remove(totals, school, year, product, buyer, seller);
  else unit.put(totals, { ...of, counts, day, since });
}

/** Counts after a change, without those that came to nothing; undefined = they are as they were. */
function added(before: Readonly<Tally> | undefined, change: Tally): Tally | undefined {
  const changes = Object.entries(change).filter(([, n]) => n !== 0);
  if (changes.length === 0) return undefined;
  const counts: Tally = { ...before };
  for (const [name, n] of changes) {
    counts[name] = (counts[name] ?? 0) + n;
    if (counts[name] === 0) delete counts[name];
  }
  return Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function setPurge(unit: Unit, school: string, year: string, stage: string, after: readonly string[], atMs: number) {
  const payload = ['purge', school, year, stage, ...after].join('|');
  unit.setTimer({ id: `purge:${school}:${year}`, atMs, key: school, payload });
}

function onTimer(timer: TimerRow, unit: Unit): void {
  const [what, school = '', ...rest] = timer.payload.split('|');
  if (what === 'left') {
    const [learner = '', year = ''] = rest;
    place(school, learner, year, LEFT, unit);
    return;
  }
  const [year = '', stage = '', ...after] = rest;
  const next = purge(school, year, stage, after, unit);
  if (next) setPurge(unit, school, year, next.stage, next.after, unit.now);
  else unit.remove(years, school, year);
}

/** Retention, a page of one table at a time; gives what is next. */
function purge(
  school: string,
  year: string,
  stage: string,
  after: readonly string[],
  unit: Unit,
): { stage: string; after: string[] } | undefined {
  const page = { equals: [school], limit: PAGE, ...(after.length > 0 ? { after } : {}) };
  if (stage === 'needs') {
    const rows = unit.list(needs, page);
    together(rows, ({ holder, product }) =>
      change(unit, school, holder, product, ({ lines, rights }) => ({
        lines: new Map([...lines].filter(([, { y }]) => y > year)),
        rights: new Map([...rights].filter(([, { z }]) => z > year)),
      })),
    );
    const last = rows.at(-1);
    return last && rows.length === PAGE
      ? { stage, after: [last.holder, last.product] }
      : { stage: 'pupils', after: [] };
  }
  if (stage === 'pupils') {
    const rows = unit.list(pupils, page);
    for (const { learner, years: of } of rows) {
      const left = Object.fromEntries(Object.entries(of).filter(([one]) => one > year));
      if (Object.keys(left).length === 0) unit.remove(pupils, school, learner);
      else if (Object.keys(left).length < Object.keys(of).length) unit.put(pupils, { school, learner, years: left });
    }
    const last = rows.at(-1);
    return last && rows.length === PAGE ? { stage, after: [last.learner] } : { stage: 'orders', after: [] };
  }
  const ofYear = { equals: [school, year], limit: PAGE };
  if (stage === 'orders') {
    const rows = unit.list(orders, { ...ofYear, index: 'year' });
    for (const { buyer, order } of rows) unit.remove(orders, buyer, order);
    return rows.length === PAGE ? { stage, after: [] } : { stage: 'totals', after: [] };
  }
  if (stage === 'totals') {
    const rows = unit.list(totals, ofYear);
    for (const { product, buyer, seller } of rows) unit.remove(totals, school, year, product, buyer, seller);
    return { stage: rows.length === PAGE ? stage : 'days', after: [] };
  }
  const rows = unit.list(days, ofYear);
  for (const { product, buyer, seller, day } of rows) unit.remove(days, school, year, product, buyer, seller, day);
  return rows.length === PAGE ? { stage, after: [] } : undefined;
}
