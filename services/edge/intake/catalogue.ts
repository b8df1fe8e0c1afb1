import { GatewayError } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import { PublishProductsRequest } from '#proto/eduk/gateway/v1/catalogue';
import type { Intake } from '../submission.ts';
import { event } from '../submission.ts';

export const publishProducts: Intake<PublishProductsRequest> = {
  method: 'CatalogueService/PublishProducts',
  type: 'eduk.gateway.v1.PublishProductsRequest',
  codec: PublishProductsRequest,
  roles: [Role.ROLE_PUBLISHER],
  remember: 35,
  reference: (request) => request.reference,
  school: () => '',
  check: ({ product }) => {
    if (!product) throw new GatewayError('wire.invalid', 'There is no product in the message.', { where: 'product' });
    if (!product.productId)
      throw new GatewayError('wire.invalid', 'A product needs an id.', { where: 'product.product_id' });
    if (!product.title.trim())
      throw new GatewayError('wire.invalid', 'A product needs a title.', { where: 'product.title' });
  },
  events: ({ product }, _found, { caller }) => [
    event(
      'ProductSubmitted',
      {
        product: { ...product!, publisherOin: caller.oin, platformOin: product!.platformOin || caller.oin },
        byOin: caller.oin,
      },
      product!.productId,
    ),
  ],
  about: ({ product }) => ({ productId: product?.productId ?? '' }),
};
