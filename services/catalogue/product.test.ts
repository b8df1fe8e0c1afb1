import { describe, expect, test } from 'vitest';
import { LicenceTerms, Price, Product, ProductState } from '#proto/eduk/core/v1/product';
import { decideProduct } from './product.ts';

const PUBLISHER = '00000003222222220000';
const OTHER = '00000003333333330000';
const {
  PRODUCT_STATE_ANNOUNCED: ANNOUNCED,
  PRODUCT_STATE_AVAILABLE: AVAILABLE,
  PRODUCT_STATE_WITHDRAWN: WITHDRAWN,
} = ProductState;

const product = (more: Partial<Product> = {}) =>
  Product.fromPartial({ productId: '9789000000005', title: 'Getallen', ...more });
const offer = (more: Partial<Product> = {}, byOin = PUBLISHER) => ({ product: product(more), byOin });
const price = (more: Partial<Price>) => [Price.fromPartial({ amountCents: 100n, vatBasisPoints: 900, ...more })];
const licence = (more: Partial<LicenceTerms>) => LicenceTerms.fromPartial({ licensed: true, ...more });
const known = product({ publisherOin: PUBLISHER, state: AVAILABLE });

describe('a product', () => {
  test('is published under the party that offers it', () => {
    expect(decideProduct(undefined, offer())).toEqual({
      type: 'ProductPublished',
      value: { product: known, unchanged: false },
    });
  });

  test('again is unchanged, whatever the moment of change says', () => {
    expect(decideProduct(known, offer({ modifiedAt: '2026-11-22T10:00:00Z' }))).toEqual({
      type: 'ProductPublished',
      value: { product: known, unchanged: true },
    });
  });

  test('with another description is changed', () => {
    for (const more of [
      { title: 'Getallen 2' },
      { authors: ['A. Auteur'] },
      { prices: price({}) },
      { licence: licence({}) },
      { sensitive: true },
      { state: WITHDRAWN },
    ])
      expect(decideProduct(known, offer(more))).toMatchObject({
        type: 'ProductPublished',
        value: { unchanged: false, product: more },
      });
  });

  const refused: [string, string, Partial<Product>][] = [
    ['no id', 'wire.invalid', { productId: '' }],
    ['no title', 'wire.invalid', { title: ' ' }],
    ['a day that is none', 'wire.invalid', { availableFrom: '2026-13-01' }],
    ['available until before from', 'wire.invalid', { availableFrom: '2026-09-01', availableUntil: '2026-08-31' }],
    [
      'a licence that ends before it starts',
      'wire.invalid',
      { licence: licence({ startsOn: '2026-09-01', endsOn: '2026-08-01' }) },
    ],
    ['a wrong last day of activation', 'wire.invalid', { licence: licence({ activateBefore: 'soon' }) }],
    ['a wrong duration', 'wire.invalid', { licence: licence({ duration: '1 year' }) }],
    ['a negative price', 'wire.invalid', { prices: price({ amountCents: -1n }) }],
    ['a negative consumer price', 'wire.invalid', { prices: price({ consumerCents: -1n }) }],
    ['VAT over all', 'wire.invalid', { prices: price({ vatBasisPoints: 10_001 }) }],
    ['a state that is none', 'wire.invalid', { state: 9 as ProductState }],
    ['itself as a part', 'wire.invalid', { partProductIds: ['9789000000005'] }],
    ['another publisher named', 'party.forbidden', { publisherOin: OTHER }],
  ];
  test.each(refused)('with %s: refused as %s', (_, code, more) => {
    expect(decideProduct(undefined, offer(more))).toMatchObject({ type: 'ProductRefused', value: { code } });
  });

  test('of another publisher is refused, whatever it says', () => {
    expect(decideProduct(known, offer({}, OTHER))).toMatchObject({
      type: 'ProductRefused',
      value: { code: 'state.conflict', productId: '9789000000005' },
    });
  });

  test.each([
    [ANNOUNCED, AVAILABLE, true],
    [ANNOUNCED, WITHDRAWN, true],
    [AVAILABLE, WITHDRAWN, true],
    [WITHDRAWN, AVAILABLE, true],
    [AVAILABLE, ANNOUNCED, false],
    [WITHDRAWN, ANNOUNCED, false],
  ])('from state %i to %i: %s', (from, to, fine) => {
    expect(decideProduct({ ...known, state: from }, offer({ state: to })).type).toBe(
      fine ? 'ProductPublished' : 'ProductRefused',
    );
  });

  test('without a state keeps the one it has', () => {
    expect(decideProduct({ ...known, state: WITHDRAWN }, offer())).toMatchObject({
      value: { unchanged: true, product: { state: WITHDRAWN } },
    });
  });

  test('durations of every form are taken', () => {
    for (const duration of ['P1Y', 'P6M', 'P2W', 'P365D', 'P1Y6M', 'PT12H'])
      expect(decideProduct(undefined, offer({ licence: licence({ duration }) })).type).toBe('ProductPublished');
    for (const duration of ['P', 'PT', 'P1', 'Y1', 'P1YT'])
      expect(decideProduct(undefined, offer({ licence: licence({ duration }) })).type).toBe('ProductRefused');
  });

  test('an id of thirteen digits that is no EAN is an id of the publisher’s own', () => {
    for (const productId of ['9789000000001', 'abc-1', 'urn:x:9789000000001'])
      expect(decideProduct(undefined, offer({ productId })).type).toBe('ProductPublished');
  });
});
