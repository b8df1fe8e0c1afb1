import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dutchDay, isDay } from '#kernel';
import { Product } from '#proto/eduk/core/v1/product';
import { basisPoints, dayOf, hasCheckDigit, momentOf, olderRates, outcomeOf } from './mapping.ts';
import { type Entry, readText } from './wire.ts';

const base: Entry = { ProductId: 'getij-1', Publisher: 'Uitgeverij Zilvermeeuw', Title: 'Getij', IsLicensed: true };
function mapped(more: Entry): Product {
  const outcome = outcomeOf({
    index: 0,
    path: 'Entry',
    line: 1,
    lines: {},
    problems: [],
    lacks: [],
    entry: { ...base, ...more },
  });
  expect(outcome.refusal).toBeUndefined();
  return outcome.product!;
}

const cents = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });
const points = fc.integer({ min: 0, max: 10_000 });
/** The same percentage, written in one of the ways a decimal can be. */
const written = (hundredths: number, zeros: number, plus: boolean): string => {
  const whole = Math.floor(hundredths / 100);
  const rest = String(hundredths % 100)
    .padStart(2, '0')
    .replace(/0+$/, '');
  const fraction = rest + '0'.repeat(zeros);
  return (plus ? '+' : '') + whole + (fraction === '' ? '' : `.${fraction}`);
};
const days = fc
  .date({ min: new Date('1901-01-01T00:00:00Z'), max: new Date('2400-01-01T00:00:00Z'), noInvalidDate: true })
  .map((it) => it.toISOString().slice(0, 10));
const zones = fc.constantFrom('Z', '+00:00', '+01:00', '+02:00', '-05:00', '+14:00');

describe('prices', () => {
  test('a rate is the same however it is written', () => {
    fc.assert(
      fc.property(
        points,
        fc.nat(6),
        fc.boolean(),
        (hundredths, zeros, plus) => basisPoints(written(hundredths, zeros, plus)) === hundredths,
      ),
    );
  });

  test('a rate finer than a hundredth of a percent is rounded', () => {
    expect(['9.004', '9.005', '.5', '9.', '0.0', '99.999'].map(basisPoints)).toEqual([900, 901, 50, 900, 0, 10_000]);
  });

  test('amounts arrive to the cent, and survive the wire of the core', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(cents, points), { minLength: 1, maxLength: 4 }), cents, (given, consumer) => {
        const Price = given.map(([amount, hundredths]) => ({ Amount: amount, VAT: written(hundredths, 0, false) }));
        const product = mapped({ Prices: { Currency: 'EUR', Consumerprice: consumer, Price } });
        expect(product.prices).toEqual(
          given.map(([amountCents, vatBasisPoints]) => ({
            amountCents,
            vatBasisPoints,
            consumerCents: given.length === 1 ? consumer : 0n,
          })),
        );
        expect(Product.decode(Product.encode(product).finish())).toEqual(product);
        expect(Product.fromJSON(JSON.parse(JSON.stringify(Product.toJSON(product))))).toEqual(product);
      }),
    );
  });

  test('the older two count only when there are no newer', () => {
    fc.assert(
      fc.property(
        fc.option(cents, { nil: undefined }),
        fc.option(cents, { nil: undefined }),
        (PriceVATHigh, PriceVATLow) => {
          const older = { Currency: 'EURO', PriceVATHigh, PriceVATLow };
          const expected = [
            ...(PriceVATHigh === undefined
              ? []
              : [{ amountCents: PriceVATHigh, vatBasisPoints: olderRates.PriceVATHigh, consumerCents: 0n }]),
            ...(PriceVATLow === undefined
              ? []
              : [{ amountCents: PriceVATLow, vatBasisPoints: olderRates.PriceVATLow, consumerCents: 0n }]),
          ];
          expect(mapped(older).prices).toEqual(expected);
          const newer = { Prices: { Currency: 'EUR', Price: [{ Amount: 7n, VAT: '9.0' }] } };
          expect(mapped({ ...older, ...newer }).prices).toEqual([
            { amountCents: 7n, vatBasisPoints: 900, consumerCents: 0n },
          ]);
        },
      ),
    );
  });

  test('a consumer price agrees with its amount and its rate in what is seen', () => {
    const [price] = mapped({
      Prices: { Currency: 'EUR', Consumerprice: 3050n, Price: [{ Amount: 2798n, VAT: '9.0' }] },
    }).prices;
    expect(Math.round((Number(price!.amountCents) * (10_000 + price!.vatBasisPoints)) / 10_000)).toBe(
      Number(price!.consumerCents),
    );
  });
});

describe('days', () => {
  test('a day is itself, with any zone, at UTC midnight and to its last minute', () => {
    fc.assert(
      fc.property(days, zones, (day, zone) => {
        for (const text of [
          day,
          day + zone,
          `${day}T00:00:00`,
          `${day}T00:00:00.000Z`,
          `${day}T12:00:00Z`,
          `${day}T23:59:59`,
          `${day}T23:59:59.999${zone}`,
        ])
          expect(dayOf(text)).toBe(day);
      }),
    );
  });

  test('a moment is on its Dutch day', () => {
    fc.assert(
      fc.property(days, fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 58 }), (day, hour, minute) => {
        const text = `${day}T${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}:00Z`;
        expect(dayOf(text)).toBe(dutchDay(Date.parse(text)));
      }),
    );
    expect(
      ['2026-07-31T22:00:00Z', '2026-01-31T22:30:00Z', '2026-06-30T24:00:00', '2026-06-30T24:00:00+02:00'].map(dayOf),
    ).toEqual(['2026-08-01', '2026-01-31', '2026-07-01', '2026-07-01']);
  });

  test('a moment with a zone is that moment', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date('1901-01-01'), max: new Date('2400-01-01'), noInvalidDate: true }), (at) => {
        expect(momentOf(at.toISOString())).toBe(at.toISOString());
      }),
    );
    expect(momentOf('2026-11-02T10:15:30.1234567+01:00')).toBe('2026-11-02T09:15:30.123Z');
  });

  test('a moment without a zone is Dutch, also where the clock jumps', () => {
    expect(
      [
        '2026-07-14T09:00:00',
        '2026-12-14T09:00:00',
        '2026-07-14',
        '2026-12-14+01:00',
        '2026-10-25T02:30:00',
        '2026-03-29T02:30:00',
        '2026-07-14T24:00:00',
      ].map(momentOf),
    ).toEqual([
      '2026-07-14T07:00:00.000Z',
      '2026-12-14T08:00:00.000Z',
      '2026-07-13T22:00:00.000Z',
      '2026-12-13T23:00:00.000Z',
      '2026-10-25T00:30:00.000Z',
      '2026-03-29T01:30:00.000Z',
      '2026-07-14T22:00:00.000Z',
    ]);
  });

  test('stand in the product as days', () => {
    const product = mapped({
      FirstPublishedDate: '2020-09-01T00:00:00.000Z',
      EndOfLifeDate: '2051-11-11',
      LicenseStartDate: '2026-08-01',
      LicenseEndDate: '9999-12-31T23:59:59Z',
    });
    expect(product).toMatchObject({
      availableFrom: '2020-09-01',
      availableUntil: '2051-11-11',
      licence: { startsOn: '2026-08-01', endsOn: '9999-12-31' },
    });
  });
});

test('whatever moment can be written, the product has days or the record is refused', () => {
  const two = (least: number, most: number) =>
    fc.integer({ min: least, max: most }).map((it) => String(it).padStart(2, '0'));
  const moments = fc
    .tuple(
      fc.integer({ min: 1, max: 9999 }).map((it) => String(it).padStart(4, '0')),
      two(1, 12),
      two(1, 31),
      fc.option(fc.tuple(two(0, 24), two(0, 59), two(0, 59), fc.constantFrom('', '.5', '.1234567890')), {
        nil: undefined,
      }),
      fc.constantFrom('', 'Z', '+02:00', '-14:00', '+14:00'),
    )
    .map(
      ([year, month, day, time, zone]) =>
        `${year}-${month}-${day}${time ? `T${time[0]}:${time[1]}:${time[2]}${time[3]}` : ''}${zone}`,
    )
    .filter((it) => readText(it, 'moment') !== undefined);
  fc.assert(
    fc.property(moments, (it) => {
      const entry = { ...base, EndOfLifeDate: it, LastModifiedDate: it, LicenseStartDate: it };
      const { product } = outcomeOf({ index: 0, path: 'Entry', line: 1, lines: {}, problems: [], lacks: [], entry });
      if (product === undefined) return;
      for (const day of [product.availableUntil, product.licence!.startsOn])
        expect(day === '' || isDay(day)).toBe(true);
      expect(product.modifiedAt === '' || !Number.isNaN(Date.parse(product.modifiedAt))).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

describe('classification', () => {
  test('the two ways of 2.5 together, each word once', () => {
    const product = mapped({
      DEPSectors: { DEPSector: ['VO', 'MBO, HBO'] },
      DEPCourses: { DEPCourse: ['Natuurkunde'] },
      DEPLevels: { DEPLevel: ['HAVO', 'nvt'] },
      DEPYears: { DEPYear: ['jaar 4'] },
      DEPSubjects: { DEPSubject: ['Licht'] },
      CurriculumInfo: {
        Sector: 'VO',
        Courses: { Course: ['Natuurkunde'] },
        Levels: { Level: ['HAVO', 'VWO'] },
        Years: { Year: ['jaar 4', 'jaar 5'] },
        Subjects: { Subject: ['Licht', 'Geluid'] },
      },
    });
    expect(product).toMatchObject({
      sectors: ['vo', 'mbo', 'ho'],
      levels: ['HAVO', 'VWO'],
      years: ['jaar 4', 'jaar 5'],
      subjects: ['Natuurkunde', 'Licht', 'Geluid'],
    });
  });

  test('one way suffices', () => {
    expect(mapped({ CurriculumInfo: { Sector: 'BVE' } })).toMatchObject({ sectors: ['mbo'], levels: [] });
    expect(mapped({ DEPSectors: { DEPSector: ['wo'] } }).sectors).toEqual(['wo']);
    expect(mapped({ Sectors: { Sector: ['PO', 'SO'] } }).sectors).toEqual(['po', 'so']);
  });

  test('no subject makes a product sensitive', () => {
    fc.assert(fc.property(fc.array(fc.string()), (Subject) => mapped({ Subjects: { Subject } }).sensitive === false));
  });
});

test('any id of the gateway is kept letter by letter', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[A-Za-z0-9._:/@+#-]{1,64}$/), (ProductId) => {
      expect(mapped({ ProductId })).toMatchObject({ productId: ProductId, publisherOin: '' });
    }),
  );
});

test('of thirteen digits one last digit is right', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^\d{12}$/), (start) => {
      expect(Array.from({ length: 10 }, (_, digit) => hasCheckDigit(start + digit)).filter(Boolean)).toHaveLength(1);
    }),
  );
  expect(hasCheckDigit('4006381333931')).toBe(true);
});
