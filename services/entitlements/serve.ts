/** Answers from the rows. */
import { allOf, type EngineView, type ListOptions, rulingOf, type WaitingRow } from '#bus';
import { type Implementation, implement } from '#kernel';
import {
  type ChangeHold,
  type EntitlementRow as EntitlementMessage,
  EntitlementRow,
  EntitlementsServiceDefinition,
  type GetEntitlementRequest,
  type HeldChange,
  ListEntitlementsRequest,
  type ListEntitlementsResponse,
  type ListProductSchoolsRequest,
  type ListProductSchoolsResponse,
  type ListSubjectsRequest,
  type ListSubjectsResponse,
} from '#proto/eduk/entitlements/v1/entitlements';
import { GrantSubmitted } from '#proto/eduk/events/v1/entitlements';
import { grantScope, holderMessage, NAME, same, termsMessage } from './consume.ts';
import { groupHolder, lacking, learnerHolder, REFUSED } from './entitlement.ts';
import { asksOf, rulesKnown } from './held.ts';
import { type Entitlement, entitlements, fulfilments, type HoldRow, held, holds, productSchools } from './tables.ts';

const DEFAULT_LIMIT = 100;
const MOST = 1000;
/** Rows one call looks at: a filter that few rows pass answers a short page and says where to go on. */
const MOST_EXAMINED = 5000;

export const serve = (engine: EngineView): readonly Implementation[] => [
  implement(EntitlementsServiceDefinition, {
    getEntitlement: (request) => ({ entitlement: getEntitlement(engine, request) }),
    listEntitlements: (request) => listEntitlements(engine, request),
    listSubjects: (request) => listSubjects(engine, request),
    listProductSchools: (request) => listProductSchools(engine, request),
    listChangeHolds: ({ schoolOin, decided }) => {
      const rows = decided
        ? engine.list(holds, { equals: schoolOin === '' ? [] : [schoolOin] })
        : engine.list(holds, { index: 'waiting', equals: schoolOin === '' ? ['waiting'] : ['waiting', schoolOin] });
      return { holds: [...rows].sort((a, b) => a.sinceMs - b.sinceMs).map((row) => holdMessage(engine, row)) };
    },
    listRuleSpent: (request) => rulesKnown.spent(engine, request),
    listHeldChanges: ({ schoolOin, holdId }) => ({ changes: heldChanges(engine, schoolOin, holdId) }),
  }),
];

function heldChanges(engine: EngineView, school: string, holdId: string): HeldChange[] {
  const taking = engine.list(held, { equals: [school, holdId] }).filter(({ takes }) => takes === 1);
  const rows = allOf(taking, ({ entitlement }) => engine.get(entitlements, school, entitlement));
  return taking.map(({ nth, product }, i) => {
    const { learner = '', group = '' } = holderMessage(rows[i]?.holder ?? '') ?? {};
    return { nth, productId: product, learner, group };
  });
}

const holdMessage = (engine: EngineView, row: Readonly<HoldRow>): ChangeHold => ({
  holdId: row.holdId,
  schoolOin: row.school,
  byOin: row.by,
  reason: row.reason,
  state: row.state,
  sinceMs: BigInt(row.sinceMs),
  flowId: row.flow,
  products: row.products.map(({ product, ...counts }) => ({ productId: product, ...counts })),
  part: row.part > 0,
  byClass: row.part === 2,
  approvedOnce: row.approval !== undefined && row.state === 'waiting',
  ruling: rulingOf(engine, rulesKnown, { ...row, asks: asksOf(row) }),
});

function getEntitlement(
  engine: EngineView,
  { schoolOin, entitlementId }: GetEntitlementRequest,
): EntitlementMessage | undefined {
  const row = engine.get(entitlements, schoolOin, entitlementId);
  if (row && row.state !== REFUSED) return message(row);
  // A grant sent again after a refusal may be waiting: that is the newer answer.
  const scope = grantScope(schoolOin, entitlementId);
  const [waiting] = engine.waiting({ consumer: NAME, scope, limit: 1 });
  if (!waiting) return row && message(row);
  return waitingMessage(waiting);
}

function waitingMessage(waiting: WaitingRow): EntitlementMessage {
  const { terms, schoolOin: school, holder, byOin, activationCode } = GrantSubmitted.decode(waiting.record.data);
  const need = waiting.what.startsWith('product:') ? 'product' : 'pool';
  return EntitlementRow.fromPartial({
    ...(terms && { terms }),
    schoolOin: school,
    ...(holder && { holder }),
    grantedByOin: byOin,
    activationCode,
    outcome: 'waiting',
    code: lacking[need].code,
    told: waitsFor[need],
    flowId: waiting.record.flowId,
    changedMs: BigInt(waiting.sinceMs),
  });
}

/** While it waits; what is refused when that does not come says something else. */
const waitsFor = {
  product: 'It waits for its product, which no publisher has published yet.',
  pool: 'It waits for the counted entitlement that it is taken from, which is not known yet.',
} as const;

/** Waiting records looked at. */
const WAITING = 100_000;

/** Grants that wait for a product or a count, those that a request names. */
const waitingGrants = (engine: EngineView, request: Asked): EntitlementMessage[] =>
  engine
    .waiting({ consumer: NAME, limit: WAITING })
    .flatMap((row) => (row.record.type === 'GrantSubmitted' && row.what !== '' ? waitingMessage(row) : []))
    .filter(
      ({ schoolOin, terms, holder, grantedByOin }) =>
        (request.schoolOin === '' || schoolOin === request.schoolOin) &&
        (request.orderId === '' || terms?.orderId === request.orderId) &&
        (request.productId === '' || terms?.productId === request.productId) &&
        (request.partyOin === '' || grantedByOin === request.partyOin) &&
        (request.learner === '' ||
          (holder?.learner === '' && (holder.group === '' || request.groups.includes(holder.group))) ||
          request.tokens.includes(holder?.learner ?? '')),
    );

/** `tokens`: of the learner that is asked for. */
type Asked = ListEntitlementsRequest & { tokens: readonly string[] };

function listEntitlements(engine: EngineView, asked: ListEntitlementsRequest): ListEntitlementsResponse {
  const request: Asked = { ...asked, tokens: same.tokensOf(engine, asked.schoolOin, asked.learner) };
  const found: EntitlementMessage[] =
    request.waiting && request.after === '' ? waitingGrants(engine, request).slice(0, MOST) : [];
  const limit = found.length + Math.min(request.limit || DEFAULT_LIMIT, MOST);
  const slash = request.after.indexOf('/');
  const after: Place | undefined =
    slash < 0 ? undefined : [request.after.slice(0, slash), request.after.slice(slash + 1)];
  let examined = 0;
  let last: Readonly<Entitlement> | undefined;
  for (const row of candidates(engine, request, after)) {
    if (found.length === limit || examined === MOST_EXAMINED)
      return { entitlements: found, next: `${last!.school}/${last!.id}` };
    examined++;
    last = row;
    if (matches(row, request)) found.push(message(row));
  }
  return { entitlements: found, next: '' };
}

function listSubjects(engine: EngineView, { schoolOin, learner }: ListSubjectsRequest): ListSubjectsResponse {
  const tokens = same.tokensOf(engine, schoolOin, learner);
  const waiting = waitingGrants(engine, { ...ListEntitlementsRequest.fromPartial({ schoolOin, learner }), tokens })
    .filter(({ holder }) => tokens.includes(holder?.learner ?? ''))
    .map(({ terms }) => terms!.entitlementId);
  const held = allOf(tokens, (token) =>
    engine.list(entitlements, { index: 'holder', equals: [schoolOin, learnerHolder(token)], limit: MOST + 1 }),
  ).flat();
  const ids = new Set([...waiting, ...held.map(({ id }) => id)]);
  return {
    subjects: [...ids].slice(0, MOST).map((subject) => ({ subject, partyOins: [], services: [] })),
    // In the order of their ids: of those behind the last it is not known when they came.
    coveredFromMs: ids.size > MOST ? BigInt(engine.now()) : 0n,
    learners: tokens,
  };
}

/** Days on which licences of one product end at one school, at most as a rule. */
const LAST_DAYS = 16;

function listProductSchools(
  engine: EngineView,
  { productId, limit }: ListProductSchoolsRequest,
): ListProductSchoolsResponse {
  const most = Math.min(limit || DEFAULT_LIMIT, MOST);
  const standing = engine.list(productSchools, { equals: [productId], limit: (most + 1) * LAST_DAYS });
  const waiting = waitingGrants(engine, { ...ListEntitlementsRequest.fromPartial({ productId }), tokens: [] });
  const schools = new Set([...standing.map(({ school }) => school), ...waiting.map(({ schoolOin }) => schoolOin)]);
  return {
    schoolOins: [...schools].sort().slice(0, most),
    more: schools.size > most || standing.length === (most + 1) * LAST_DAYS,
    sinceMs: BigInt(engine.get(productSchools, '', '', '')?.sinceMs ?? 0),
  };
}

type Place = [school: string, id: string];

/** Rows in the order of school and id, strictly after a place, by the narrowest way there is. */
function* candidates(
  engine: EngineView,
  { orderId, schoolOin, learner, tokens, groups }: Asked,
  after: Place | undefined,
): Generator<Readonly<Entitlement>> {
  if (orderId) {
    const granted = ({ school, id }: { school: string; id: string }) => engine.get(entitlements, school, id);
    const of = { equals: [orderId] };
    for (const one of pages(engine, fulfilments, of, after, ({ school, id }) => [school, id], granted)) {
      const row = granted(one);
      if (row) yield row;
    }
  } else if (schoolOin && learner) {
    const holders = [...tokens.map(learnerHolder), ...groups.map(groupHolder), ''];
    yield* merged(
      holders.map((holder) =>
        pages(engine, entitlements, { index: 'holder', equals: [schoolOin, holder] }, after && [after[1]], ({ id }) => [
          id,
        ]),
      ),
    );
  } else if (schoolOin)
    yield* pages(engine, entitlements, { equals: [schoolOin] }, after && [after[1]], ({ id }) => [id]);
  else yield* pages(engine, entitlements, { equals: [] }, after, ({ school, id }) => [school, id]);
}

function* pages<Row extends object>(
  engine: EngineView,
  table: Parameters<typeof engine.list<Row>>[0],
  options: Pick<ListOptions, 'index' | 'equals'>,
  start: string[] | undefined,
  placeOf: (row: Readonly<Row>) => string[],
  /** What is asked of each; it is there then. */
  ahead?: (row: Readonly<Row>) => unknown,
): Generator<Readonly<Row>> {
  for (let after = start; ; ) {
    const rows = engine.list(table, { ...options, ...(after && { after }), limit: DEFAULT_LIMIT });
    if (ahead) allOf(rows, ahead);
    yield* rows;
    if (rows.length < DEFAULT_LIMIT) return;
    after = placeOf(rows.at(-1)!);
  }
}

/** Several lists, each in the order of ids, as one. */
function* merged(lists: Generator<Readonly<Entitlement>>[]): Generator<Readonly<Entitlement>> {
  const heads = lists.map((list) => ({ list, row: list.next().value as Readonly<Entitlement> | undefined }));
  for (;;) {
    let first: (typeof heads)[number] | undefined;
    for (const head of heads)
      if (head.row && (!first || Buffer.compare(Buffer.from(head.row.id), Buffer.from(first.row!.id)) < 0))
        first = head;
    if (!first) return;
    yield first.row!;
    first.row = first.list.next().value as Readonly<Entitlement> | undefined;
  }
}

function matches(
  row: Readonly<Entitlement>,
  { schoolOin, learner, tokens, groups, productId, partyOin, orderId }: Asked,
): boolean {
  if (schoolOin && row.school !== schoolOin) return false;
  if (
    learner &&
    !tokens.some((token) => row.holder === learnerHolder(token)) &&
    row.holder !== '' &&
    !groups.some((group) => row.holder === groupHolder(group))
  )
    return false;
  if (productId && row.product !== productId) return false;
  if (orderId && row.more.order !== orderId) return false;
  return !partyOin || row.granter === partyOin || row.publisher === partyOin || row.platform === partyOin;
}

function message(row: Readonly<Entitlement>): EntitlementMessage {
  const { more } = row;
  return {
    terms: termsMessage(row),
    schoolOin: row.school,
    holder: holderMessage(row.holder),
    state: row.state,
    taken: more.taken ?? 0,
    activationCode: Buffer.from(more.sealed ?? '', 'base64'),
    grantedByOin: row.granter,
    publisherOin: row.publisher,
    platformOin: row.platform,
    outcome: row.state === REFUSED ? 'refused' : 'granted',
    code: more.code ?? '',
    told: more.told ?? '',
    flowId: row.flow,
    firstUsedOn: more.used ?? '',
    changedMs: BigInt(row.changed),
    provisionedBy: more.ready ?? [],
    cause: more.cause ?? '',
  };
}
