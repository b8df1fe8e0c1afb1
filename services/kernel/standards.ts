/**
 * Standards of endpoints that mail is sent to. A party chooses for each of its mailboxes: one named after a service takes that mailbox,
 * `webhook` takes what no other does.
 */
export const WEBHOOK = 'webhook';
/** News of a party's own mandates. */
export const MANDATES_WEBHOOK = 'webhook-mandates';
/** Results only. */
export const UWLR = 'uwlr';

/** Mailboxes that are sent, by their services. */
const SERVICES = ['roster', 'order', 'entitlement', 'result'];
export const webhookOf = (service: string): string => `${WEBHOOK}-${service}`;

/** Those of one service each. */
export const SERVICE_WEBHOOKS: readonly string[] = SERVICES.map(webhookOf);
/** All that are sent to as docs/webhooks.md says. */
export const WEBHOOKS: readonly string[] = [WEBHOOK, ...SERVICE_WEBHOOKS, MANDATES_WEBHOOK];
export const isWebhook = (standard: string): boolean => WEBHOOKS.includes(standard);
/** All that mail is sent by. */
export const SENT_BY: readonly string[] = [...WEBHOOKS, UWLR];

/** In the place of an address, of a webhook of one service: that mailbox is not sent, whatever `webhook` takes; it is watched. */
export const NOT_SENT = 'none';
