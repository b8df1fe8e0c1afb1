/** Results in core words and back: whole, or with what is left out told. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { compileSchema, readEnvelope, type Schema, validateElement } from '#adapters/xml';
import { Clear } from '#kernel';
import { ResultKind, ResultPayload } from '#proto/eduk/core/v1/ordering';
import { Result } from '#proto/eduk/core/v1/result';
import uwlr, { type ResultsMessages, resultsMessages, type SentResult, writeLeerresultaten } from './index.ts';
import { leerresultatenSchema } from './schema.ts';

const { leerresultaten } = uwlr.exchanges;
const supplier = '00000001000000000001';
const open = (name: string): Buffer => readFileSync(new URL(`./examples/${name}`, import.meta.url));
const header = { autorisatiesleutel: 's', klantcode: 'k', klantnaam: 'n' };
const school = { schoolOin: '0000000700088QP00000', siteCode: '', schoolKey: '' };

/** The published schema of results, wherever it is present. */
const folder = fileURLToPath(new URL('../../../shared/standards/uwlr/v2.2/Schemas/', import.meta.url));
const present = existsSync(`${folder}UWLR_Leerresultaten_v2p2.xsd`);
if (!present)
  console.warn(`SKIPPED: the published schema of UWLR results is not at ${folder}; messages pass ours alone.`);
const published: Schema | undefined = present
  ? compileSchema(
      Object.fromEntries(
        readdirSync(folder)
          .filter((name) => name.endsWith('.xsd'))
          .map((name) => [name, readFileSync(folder + name, 'utf8')]),
      ),
      'UWLR_Leerresultaten_v2p2.xsd',
    )
  : undefined;

const messagesOf = (results: readonly Result[], more: { atMost?: number; fromOin?: string } = {}): ResultsMessages =>
  resultsMessages({
    school,
    schoolYear: '2026-2027',
    madeAt: '2026-11-22T10:00:00Z',
    results: new Clear(
      results.map((result): SentResult => ({ fromOin: more.fromOin ?? supplier, result, day: '2026-11-20' })),
    ),
    ...(more.atMost === undefined ? {} : { atMost: more.atMost }),
  });

/** Writes, has the schemas judge it, and reads it again as whoever gets it would. */
function received({ messages }: ResultsMessages): Result[][] {
  return messages.map(({ wire }) => {
    const bytes = Buffer.from(writeLeerresultaten(header, unveiled(wire)));
    for (const schema of [leerresultatenSchema, ...(published ? [published] : [])])
      validateElement(readEnvelope(bytes).body, schema);
    return unveiled(leerresultaten.toCore(leerresultaten.read(bytes)).results);
  });
}

const result = (payload: Partial<ResultPayload> = {}, more: Partial<Result> = {}): Result =>
  Result.fromPartial({
    resultId: 'r1',
    learner: { lasKey: 'L1' },
    kind: ResultKind.RESULT_KIND_FINAL,
    payload: { activityId: 'T', score: 7, takenAt: '2026-11-19', ...payload } as never,
    ...more,
  });
const word = (value: string, vocabulary = '', vocabularyLocation = '') => ({ value, vocabulary, vocabularyLocation });

/** A result as it is once it went through UWLR: what only the message says is the message's. */
const passed = (one: Result, fromOin = supplier) => ({
  ...one,
  resultId: `${fromOin}.${one.resultId}`,
  statedAt: '2026-11-22T10:00:00Z',
});

test('what of each result has no place is counted by itself, and of all together; the version is the receiver’s', () => {
  const of = (version: '2.2' | '2.3') =>
    resultsMessages({
      school,
      schoolYear: '2026-2027',
      madeAt: '2026-11-22T10:00:00Z',
      version,
      results: new Clear(
        [
          result(),
          result({ donePercent: 40, goals: [word('F1')] }, { resultId: 'r2', productId: 'P' }),
          result({}, { resultId: 'r3', withdrawn: true }),
          result({ donePercent: 10 }, { resultId: 'r4' }),
        ].map((one): SentResult => ({ fromOin: supplier, result: one, day: '2026-11-20' })),
      ),
    });
  const said = of('2.3');
  expect(said.dropped.map(({ of: at, losses }) => [at, losses.map(({ field, count }) => [field, count])])).toEqual([
    [
      1,
      [
        ['product_id', 1],
        ['goals', 1],
        ['done_percent', 1],
      ],
    ],
    [3, [['done_percent', 1]]],
  ]);
  expect(said.losses.find(({ field }) => field === 'done_percent')!.count).toBe(2);
  expect(said.left).toEqual([{ of: 2, field: 'withdrawn' }]);
  for (const version of ['2.2', '2.3'] as const)
    expect(unveiled(of(version).messages[0]!.wire).school.xsdversie).toBe(version);
});

describe('there and back', () => {
  test.each(['10-results.xml', '12-results-in-full.xml'])('%s is the same, but for what UWLR cannot say', (file) => {
    const before = unveiled(leerresultaten.toCore(leerresultaten.read(open(file))).results);
    const sent = messagesOf(before);
    expect(sent.left.map(({ field }) => field)).toEqual(file.startsWith('12') ? ['own_kind'] : []);
    expect(sent.losses).toEqual([]);
    const kept = before.filter((_, i) => !sent.left.some(({ of }) => of === i));
    expect(received(sent)).toEqual([kept.map((one) => passed(one))]);
  });

  test('a score with decimals, a word and half a scale are not bent into what UWLR can say', () => {
    const before = unveiled(
      leerresultaten.toCore(leerresultaten.read(open('11-results-of-a-liberal-client.xml'))).results,
    );
    expect(messagesOf(before)).toEqual({
      messages: [],
      left: [
        { of: 0, field: 'score' },
        { of: 1, field: 'score' },
      ],
      dropped: [],
      losses: [],
    });
  });

  const text = (max: number) =>
    fc
      .string({ unit: fc.constantFrom(...'abcXYZ019 -.,&<>"\'/éÄß☃😀'.match(/./gu)!), minLength: 1, maxLength: max })
      .filter((it) => it.trim() === it && it !== '""' && it.length <= max);
  const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
  const list = fc.record({
    vocabulary: fc.constantFrom('', 'http://purl.edustandaard.nl/concept/328cc12a-87b2', 'urn:lijst'),
    vocabularyLocation: fc.constantFrom('', 'https://lijst.example/vdex.xml?versie=2#top'),
  });
  const term = fc.tuple(text(30), list).map(([value, of]) => ({ value, ...of }));
  const points = fc.nat(100);
  const amount = fc.integer({ min: -99_999, max: 99_999 }).map((n) => n / 100);
  const measure = fc.oneof(amount, fc.constantFrom(0.1 + 0.2, 1_234_567_890.5, -999_999_999_999_999, 0.000000125));
  const norming = fc.record({
    category: maybe(term),
    level: maybe(term),
    weight: maybe(amount),
    norms: fc.array(
      fc.record({
        term: text(20),
        description: fc.oneof(fc.constant(''), text(40)),
        from: points,
        to: points,
        colour: maybe(
          fc.record({ red: fc.nat(255), green: fc.nat(255), blue: fc.nat(255), opacity: fc.constantFrom(0, 0.25, 1) }),
        ),
        markFrom: maybe(fc.constantFrom(1, 5.5, 10)),
        markTo: maybe(fc.constantFrom(1, 9.99, 10)),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    vocabulary: fc.constantFrom('', 'urn:normen'),
    vocabularyLocation: fc.constantFrom('', 'https://lijst.example/normen'),
  });
  /** A test of which results are told: its description, and the codes of its parts. */
  const testOf = (code: string) =>
    fc.record({
      name: fc.oneof(fc.constant(''), text(40)),
      subject: maybe(term),
      definition: fc.record({
        code: list.map((of) => ({ value: code, ...of })),
        version: maybe(term),
        year: maybe(term),
        norming: maybe(norming),
        hierarchy: fc.array(fc.record({ level: fc.integer({ min: -3, max: 9 }), term }), { maxLength: 3 }),
        parts: fc
          .tuple(fc.subarray(['a', 'b', 'c']), fc.array(maybe(norming), { minLength: 3, maxLength: 3 }), list)
          .map(([codes, scales, of]) =>
            codes.map((part, i) => ({ number: i + 1, code: { value: part, ...of }, name: '', norming: scales[i] })),
          ),
      }),
    });
  const monitor = fc.record({
    items: maybe(points),
    correct: maybe(points),
    wrong: maybe(points),
    read: maybe(points),
    time: maybe(fc.nat(9_999).map((n) => n / 10)),
    ability: maybe(measure),
    abilityScale: fc.oneof(fc.constant(''), text(10)),
    interval: maybe(fc.tuple(measure, measure)),
    references: fc.array(
      fc.record({
        code: text(9),
        comparisonGroup: text(9),
        value: text(9),
        qualification: fc.constantFrom('', 'hoog'),
      }),
      { maxLength: 3 },
    ),
  });
  const everything = fc
    .tuple(testOf('T1'), testOf('T2'))
    .chain(([one, two]) =>
      fc.array(
        fc.record({
          which: fc.constantFrom(['T1', one] as const, ['T2', two] as const),
          part: fc.nat(3),
          learner: fc.constantFrom('L1', 'L2'),
          version: maybe(term),
          outcome: fc.oneof(points, monitor),
        }),
        { minLength: 1, maxLength: 12 },
      ),
    )
    .map((list) =>
      list.map(({ which: [code, { name, subject, definition }], part, learner, version, outcome }, i) => {
        const own = definition.parts[part];
        const norms = own ? own.norming : definition.norming;
        const isPoints = typeof outcome === 'number';
        const { interval, ...said } = isPoints ? ({} as never) : outcome;
        const { norms: covering = [] } = norms ?? {};
        const spoken = version ?? definition.version;
        return Result.fromPartial({
          resultId: `r${i}`,
          learner: { lasKey: learner },
          kind: own ? ResultKind.RESULT_KIND_INTERIM : ResultKind.RESULT_KIND_FINAL,
          payload: {
            activityId: code,
            activityName: name,
            partId: own?.code.value ?? '',
            takenAt: '2026-11-19',
            definition: spoken ? `${code}@${spoken.value}` : code,
            subject,
            version,
            test: { ...definition, parts: own ? [own] : definition.parts },
            ...(isPoints
              ? {
                  score: outcome,
                  grade: covering.find(({ from, to }) => from <= outcome && outcome <= to)?.term ?? '',
                }
              : {
                  monitor: { ...said, abilityLow: interval?.[0], abilityHigh: interval?.[1] },
                  grade: said.references[0]?.value ?? '',
                  score: said.ability ?? said.correct,
                  scoreMax: said.ability === undefined && said.correct !== undefined ? said.items : undefined,
                  exercisesTotal: said.items,
                  exercisesDone:
                    said.correct !== undefined && said.wrong !== undefined ? said.correct + said.wrong : undefined,
                  secondsSpent: said.time === undefined ? undefined : BigInt(Math.round(said.time)),
                }),
          } as never,
        });
      }),
    );
  /** A description that says no more than its code is none. */
  const plain = (one: Result): Result => {
    const it = Result.decode(Result.encode(one).finish());
    const { test } = it.payload!;
    const saysNothing =
      test !== undefined &&
      !test.code!.vocabulary &&
      !test.code!.vocabularyLocation &&
      !test.version &&
      !test.year &&
      !test.norming &&
      test.hierarchy.length + test.parts.length === 0;
    if (saysNothing) it.payload!.test = undefined;
    return it;
  };
  test('whatever a test and its results say, all of it arrives, and both schemas take it', () => {
    fc.assert(
      fc.property(everything, (results) => {
        const sent = messagesOf(results);
        expect([sent.left, sent.losses]).toEqual([[], []]);
        const all = received(sent);
        const byId = new Map(all.flat().map((one) => [one.resultId, one]));
        expect(byId.size).toBe(results.length);
        for (const one of results) {
          const arrived = byId.get(`${supplier}.${one.resultId}`)!;
          const { test: theirs, ...rest } = plain(arrived).payload!;
          const { test: ours, ...wanted } = plain(one).payload!;
          expect(rest).toEqual(wanted);
          // Beside a result of the whole test stands what other results of the message say of its parts, too.
          expect({ ...theirs, parts: [] }).toEqual({ ...(ours ?? theirs), parts: [] });
          for (const part of ours?.parts ?? []) expect(theirs!.parts).toContainEqual(part);
        }
      }),
      { numRuns: 150 },
    );
  });
});

describe('what goes into one message', () => {
  const keys = ({ messages }: ResultsMessages) =>
    messages.map(({ wire }) =>
      unveiled(wire).toetsafnames.flatMap(({ resultaten }) => resultaten.map(({ key }) => key.slice(21))),
    );
  test('two versions of a test, and two contents under a key, stand in messages of their own, later last', () => {
    const of = (resultId: string, version: string, score: number) =>
      result({ score, test: { version: word(version), hierarchy: [], parts: [] } as never }, { resultId });
    const sent = messagesOf([of('a', '1', 1), of('b', '2', 2), of('a', '1', 3), of('c', '1', 4), of('a', '2', 5)]);
    const order = sent.messages.flatMap(({ of }, at) => of.map((one) => [one, at] as const));
    const at = new Map(order);
    expect(at.get(0)! < at.get(2)! && at.get(2)! < at.get(4)!).toBe(true);
    expect(at.get(0)).not.toBe(at.get(1));
    expect(received(sent).flat()).toHaveLength(5);
  });
  test('no more results than the receiver takes, in the order of coming', () => {
    const sent = messagesOf(
      Array.from({ length: 7 }, (_, i) => result({}, { resultId: `r${i}` })),
      { atMost: 3 },
    );
    expect(keys(sent)).toEqual([['r0', 'r1', 'r2'], ['r3', 'r4', 'r5'], ['r6']]);
    expect(sent.messages.map(({ of }) => of)).toEqual([[0, 1, 2], [3, 4, 5], [6]]);
  });
  test('two suppliers with the same id do not meet; a repeat is the same message', () => {
    const [one, two] = [supplier, '00000001000000000002'].map((fromOin) => messagesOf([result()], { fromOin }));
    const texts = [one!, two!, messagesOf([result()])].map(({ messages }) =>
      writeLeerresultaten(header, unveiled(messages[0]!.wire)),
    );
    expect(texts[0]).toContain(`key="${supplier}.r1"`);
    expect(texts[1]).toContain('key="00000001000000000002.r1"');
    expect(texts[2]).toBe(texts[0]);
  });
  test('a school without BRIN goes by its key; without school, year or moment nothing goes', () => {
    const core = { schoolYear: '2026-2027', madeAt: '2026-11-22T10:00:00Z', results: new Clear([]) };
    const only = (of: Parameters<typeof resultsMessages>[0]) => resultsMessages(of).messages;
    expect(only({ ...core, school: { schoolOin: '', siteCode: '', schoolKey: 'K' } })).toEqual([]);
    for (const wrong of [
      { ...core, school: { schoolOin: '', siteCode: '', schoolKey: '' } },
      { ...core, school, schoolYear: '2026' },
      { ...core, school, madeAt: '' },
    ])
      expect(() => only(wrong)).toThrow(expect.objectContaining({ fault: 'gateway.bug' }));
  });
});

describe('what UWLR has no words for', () => {
  test.each([
    ['withdrawn', result({}, { withdrawn: true, payload: undefined } as never)],
    ['learner', result({}, { learner: { eckId: '', lasKey: '' } })],
    ['activity_id', result({ activityId: 'x'.repeat(257) })],
    ['activity_id', result({ activityId: ' T' })],
    ['part_id', result({ partId: 'x'.repeat(257) })],
    ['own_kind', result({ ownKind: 'Eigen', score: undefined, grade: 'V' })],
    ['score', result({ score: 7.5 })],
    ['score', result({ score: -1 })],
    ['score', result({ score: undefined, grade: '7,5' })],
    ['score', result({ score: undefined })],
    ['score', result({ score: undefined, donePercent: 40 })],
  ])('%s: the result is left out, and told of', (field, one) => {
    expect(messagesOf([one])).toEqual({ messages: [], left: [{ of: 0, field }], dropped: [], losses: [] });
  });
  test.each([
    [['product_id'], result({}, { productId: 'p' })],
    [['group_key'], result({}, { groupKey: '7a' })],
    [['kind'], result({}, { kind: ResultKind.RESULT_KIND_PROGRESS })],
    [['goals', 'done_percent'], result({ goals: [word('G')], donePercent: 40 })],
    [
      ['score_max', 'exercises', 'seconds_spent', 'grade'],
      result({ scoreMax: 10, exercisesDone: 3, secondsSpent: 5n, grade: 'V' }),
    ],
    [['exercises'], result({ score: undefined, exercisesTotal: 10, exercisesDone: 3 })],
    [['vocabulary'], result({ subject: word('Rekenen', 'geen uri\u0000 <') })],
    [['text'], result({ activityName: 'n'.repeat(129) })],
  ])('%j is dropped, and counted', (fields, one) => {
    const sent = messagesOf([one]);
    expect(sent.left).toEqual([]);
    expect(sent.losses.map(({ field }) => field).sort()).toEqual([...fields].sort());
    expect(received(sent).flat()).toHaveLength(1);
  });
  test('who may have no key of the pupil gets the stand-in, and the ECK iD', () => {
    const eckId = `https://ketenid.nl/pilot/${'a'.repeat(128)}`;
    const [[one]] = received(messagesOf([result({}, { learner: { eckId, lasKey: '' } })])) as [[Result]];
    expect(one.learner).toEqual({ eckId, lasKey: `#${eckId}` });
  });

  /** Payloads as any supplier may send them over gRPC. */
  const any = fc.string({ unit: 'binary', maxLength: 300 });
  const number = fc.option(fc.double({ noNaN: true, min: -1e15, max: 1e15 }), { nil: undefined });
  const term = fc.option(fc.record({ value: any, vocabulary: any, vocabularyLocation: any }), { nil: undefined });
  const scale = fc.option(
    fc.record({
      category: term,
      level: term,
      weight: number,
      norms: fc.array(
        fc.record({
          term: any,
          description: any,
          from: number,
          to: number,
          colour: fc.option(
            fc.record({ red: fc.nat(300), green: fc.nat(300), blue: fc.nat(300), opacity: fc.double() }),
            { nil: undefined },
          ),
          markFrom: number,
          markTo: number,
        }),
        { maxLength: 2 },
      ),
      vocabulary: any,
      vocabularyLocation: any,
    }),
    { nil: undefined },
  );
  const wild = fc.record({
    activityId: fc.oneof(any, fc.constantFrom('T1', 'T2')),
    activityName: any,
    partId: fc.oneof(any, fc.constantFrom('', 'a')),
    donePercent: number,
    exercisesDone: fc.option(fc.nat(), { nil: undefined }),
    exercisesTotal: fc.option(fc.nat(999_999_999), { nil: undefined }),
    secondsSpent: fc.option(fc.nat(999_999_999).map(BigInt), { nil: undefined }),
    score: fc.option(fc.oneof(fc.nat(1e9), fc.double({ noNaN: true, min: -1e9, max: 1e9 })), { nil: undefined }),
    scoreMax: number,
    grade: fc.constantFrom('', 'V'),
    takenAt: fc.constantFrom('', '2026-11-19', '2026-11-19T23:30:00Z'),
    definition: fc.oneof(any, fc.constant('T1@2')),
    subject: term,
    goals: fc.constant([]),
    version: term,
    monitor: fc.option(
      fc.record({
        items: fc.option(fc.nat(), { nil: undefined }),
        time: number,
        ability: number,
        abilityScale: any,
        abilityLow: number,
        abilityHigh: number,
        references: fc.array(fc.record({ code: any, comparisonGroup: any, value: any, qualification: any }), {
          maxLength: 2,
        }),
      }),
      { nil: undefined },
    ),
    test: fc.option(
      fc.record({
        code: term,
        version: term,
        year: term,
        norming: scale,
        hierarchy: fc.array(fc.record({ level: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), term }), {
          maxLength: 2,
        }),
        parts: fc.array(
          fc.record({ number: fc.constantFrom(0, 1, 2, 4_294_967_295), code: term, name: any, norming: scale }),
          { maxLength: 3 },
        ),
      }),
      { nil: undefined },
    ),
    ownKind: fc.constant(''),
  });
  test('whatever a supplier sends, what we write is taken by both schemas and read again, one for one', () => {
    let told = 0;
    fc.assert(
      fc.property(fc.array(wild, { minLength: 1, maxLength: 6 }), (payloads) => {
        const results = payloads.map((payload, i) =>
          result({}, { resultId: `r${i}`, payload: ResultPayload.fromPartial(payload as never) }),
        );
        const sent = messagesOf(results);
        const all = received(sent).flat();
        told += all.length;
        expect(all.length + sent.left.length).toBe(results.length);
        for (const { resultId, payload } of all) {
          const before = payloads[Number(resultId.slice(22))]!;
          expect(payload!.activityId).toBe(before.activityId);
          if (before.monitor === undefined && before.score !== undefined) expect(payload!.score).toBe(before.score);
        }
      }),
      { numRuns: 300 },
    );
    expect(told).toBeGreaterThan(100);
  });
});
