/** What becomes of a product that a publisher offers: pure, so that every rule is one test. */
import { type Fault, isDay } from '#kernel';
import { Product, ProductState } from '#proto/eduk/core/v1/product';
import type { ProductSubmitted } from '#proto/eduk/events/v1/catalogue';
import type { EventOf } from '#proto/events';

/** What this service says on the log. */
export type ProductEvent = { [N in 'ProductPublished' | 'ProductRefused']: { type: N; value: EventOf<N> } }[
  | 'ProductPublished'
  | 'ProductRefused'];

const { PRODUCT_STATE_UNSPECIFIED, PRODUCT_STATE_ANNOUNCED, PRODUCT_STATE_AVAILABLE, PRODUCT_STATE_WITHDRAWN } =
  ProductState;

/** Where a product may go from where it is; staying is always allowed. A withdrawn title may come back. */
const LIFE_CYCLE: Readonly<Record<number, readonly ProductState[]>> = {
  [PRODUCT_STATE_ANNOUNCED]: [PRODUCT_STATE_AVAILABLE, PRODUCT_STATE_WITHDRAWN],
  [PRODUCT_STATE_AVAILABLE]: [PRODUCT_STATE_WITHDRAWN],
  [PRODUCT_STATE_WITHDRAWN]: [PRODUCT_STATE_AVAILABLE],
};

/**
 * Decides about an offered product, given what the catalogue holds under its id. The publisher is the party that offers;
 * a product without a state keeps the one it has, and is available where it is new.
 */
export function decideProduct(known: Product | undefined, submitted: ProductSubmitted): ProductEvent {
  const given = submitted.product ?? Product.fromPartial({});
  const no = (code: Fault, told: string): ProductEvent => ({
    type: 'ProductRefused',
    value: { productId: given.productId, code, told },
  });
  if (given.productId === '') return no('wire.invalid', 'A product needs an id.');
  if (given.publisherOin !== '' && given.publisherOin !== submitted.byOin)
    return no('party.forbidden', 'A publisher offers its own products only.');
  if (known && known.publisherOin !== submitted.byOin)
    return no('state.conflict', 'Another publisher offers a product under this id.');
  const told = whatIsWrong(given);
  if (told) return no('wire.invalid', told);
  const offered: Product = {
    ...given,
    publisherOin: submitted.byOin,
    state: given.state === PRODUCT_STATE_UNSPECIFIED ? (known?.state ?? PRODUCT_STATE_AVAILABLE) : given.state,
  };
  if (known && offered.state !== known.state && !LIFE_CYCLE[known.state]?.includes(offered.state))
    return no('state.conflict', 'A product does not go back to being announced.');
  const unchanged = known !== undefined && sameContent(known, offered);
  return { type: 'ProductPublished', value: { product: unchanged ? known : offered, unchanged } };
}

/** Whether two descriptions say the same, by their encoding; the moment of change itself is no content. */
export function sameContent(a: Product, b: Product): boolean {
  const bytes = (product: Product) => Product.encode({ ...product, modifiedAt: '' }).finish();
  return Buffer.compare(bytes(a), bytes(b)) === 0;
}

function whatIsWrong(product: Product): string | undefined {
  if (product.title.trim() === '') return 'A product needs a title.';
  const { licence } = product;
  const days = [
    product.availableFrom,
    product.availableUntil,
    licence?.startsOn,
    licence?.endsOn,
    licence?.activateBefore,
  ];
  if (days.some((day) => day && !isDay(day))) return 'A date must be a day that exists, YYYY-MM-DD.';
  if (product.availableFrom && product.availableUntil && product.availableUntil < product.availableFrom)
    return 'It is available until before it is available from.';
  if (licence?.startsOn && licence.endsOn && licence.endsOn < licence.startsOn)
    return 'The licence ends before it starts.';
  if (licence?.duration && !isDuration(licence.duration)) return 'A duration must be ISO 8601, such as P1Y.';
  for (const price of product.prices) {
    if (price.amountCents < 0n || price.consumerCents < 0n) return 'A price is negative.';
    if (price.vatBasisPoints < 0 || price.vatBasisPoints > 10_000)
      return 'VAT is from 0 to 10,000 hundredths of a percent.';
  }
  if (!Object.values(ProductState).includes(product.state) || product.state === ProductState.UNRECOGNIZED)
    return 'The state is not on the list.';
  if (product.followupProductId === product.productId || product.partProductIds.includes(product.productId))
    return 'A product is no part or successor of itself.';
  return undefined;
}

const isDuration = (text: string): boolean =>
  /^P(?=\d|T\d)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?$/.test(text);
