import { createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { HmacKey } from './hmac.ts';

test('is HMAC-SHA-256, for any key of ours and any message in parts', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      fc.uint8Array({ maxLength: 500 }),
      fc.string(),
      (key, bytes, text) => {
        const ours = new HmacKey(key);
        expect(ours.digest(text, bytes)).toEqual(createHmac('sha256', key).update(text).update(bytes).digest());
        expect(ours.digest(bytes)).toEqual(createHmac('sha256', key).update(bytes).digest());
      },
    ),
  );
});
