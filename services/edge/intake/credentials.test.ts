import { expect, test } from 'vitest';
import { setSignIn } from './credentials.ts';

const OIN = '00000099100000005000';
/** A copy that knows one party, with or without secrets. */
const door = (clientId: string) => ({
  chain: {
    party: (oin: string) => (oin === OIN ? { oin } : undefined),
    credentials: (oin: string) => (oin === OIN ? { clientId } : undefined),
    refresh: async () => {},
  },
});
const locate = async (oin: string, clientId: string) =>
  setSignIn().locate!({ oin, numbers: [] } as never, door(clientId) as never, {} as never);

test('a party without secrets is told what to do, and one that nobody knows that it is not registered', async () => {
  await expect(locate(OIN, '')).rejects.toMatchObject({
    fault: 'state.missing',
    message: expect.stringContaining('eduk party add'),
  });
  await expect(locate('00000099100000006000', '')).rejects.toMatchObject({
    fault: 'state.missing',
    message: expect.stringContaining('No party is registered under this OIN.'),
  });
  await expect(locate(OIN, 'eduk-1')).resolves.toBeUndefined();
});
