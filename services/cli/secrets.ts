import type { AddPartyResponse } from '#proto/eduk/operator/v1/operator';

type Told = Pick<AddPartyResponse, 'serviceWebhookSecrets'>;

/** Secrets of webhooks of one service each, by their standards; absent = none is told. */
export const secretsJson = ({ serviceWebhookSecrets: all }: Told) =>
  all.length === 0
    ? {}
    : { serviceWebhookSecrets: Object.fromEntries(all.map(({ standard, secret }) => [standard, secret])) };

export const secretRows = ({ serviceWebhookSecrets: all }: Told): [string, string][] =>
  all.map(({ standard, secret }) => [`${standard} secret`, secret]);
