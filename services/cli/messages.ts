/** Messages of the public contract as files: what a receipt commits to. */
import { type Codec, encoded, HmacKey, type MethodDefinition } from '#kernel';
import { Problem } from './problem.ts';

/** What of a message is on its way only, and no part of what is committed to. */
const TRANSPORT = 'waitMs';

type Message = Codec<object> & { fromJSON(json: unknown): object };

/** The request of a write method (`OrderService/PlaceOrder`); undefined = no method of the public contract is called so. */
async function requestOf(method: string): Promise<Message | undefined> {
  const [service, name] = method.split('/');
  const modules = await Promise.all([
    import('#proto/eduk/gateway/v1/access'),
    import('#proto/eduk/gateway/v1/catalogue'),
    import('#proto/eduk/gateway/v1/entitlement'),
    import('#proto/eduk/gateway/v1/order'),
    import('#proto/eduk/gateway/v1/party'),
    import('#proto/eduk/gateway/v1/result'),
    import('#proto/eduk/gateway/v1/roster'),
    import('#proto/eduk/gateway/v1/identity'),
  ]);
  const definition = modules
    .flatMap((module) => Object.entries(module))
    .find(([exported]) => exported === `${service}Definition`)?.[1] as
    | { methods: Record<string, MethodDefinition> }
    | undefined;
  return Object.values(definition?.methods ?? {}).find((one) => one.name === name)?.requestType as Message | undefined;
}

/**
 * Whether a file holds the message that a leaf commits to: encoded as the contract has it, or as JSON in its lowerCamelCase. Throws `Problem`
 * where it is no message of that method, without a word of what is in it.
 */
export async function isOfMessage(
  file: Uint8Array,
  { method, salt, leaf }: { method: string; salt: Uint8Array; leaf: Uint8Array },
): Promise<boolean> {
  const type = await requestOf(method);
  if (type === undefined)
    throw new Problem('wire.invalid', `${method} has no message of its own in the contract that could be compared.`);
  let message: object;
  try {
    const text = Buffer.from(file).toString('utf8').trim();
    message = text.startsWith('{') ? type.fromJSON(JSON.parse(text)) : type.decode(file);
  } catch {
    // What the parser says may quote the file.
    throw new Problem('wire.unreadable', `The file of --message holds no message of ${method}, as JSON or encoded.`);
  }
  const bytes = encoded(type, TRANSPORT in message ? { ...message, [TRANSPORT]: 0n } : message);
  return new HmacKey(salt).digest(bytes).equals(leaf);
}
