import { HmacKey } from '#kernel';

/** Leaf of a receipt (proto eduk.core.v1.Receipt): HMAC-SHA-256 of the message as read, under its salt. */
export const leafOf = (salt: Uint8Array, message: Uint8Array): Uint8Array => new HmacKey(salt).digest(message);
