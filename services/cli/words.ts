import { MandateState, ProcessingPurpose, Role, Service } from '#proto/eduk/core/v1/party';

/** Enums as the words that a person types: lower case, without their prefix. */
interface Words<E extends number> {
  all: readonly string[];
  /** The word; `unknown` for a number of a newer gateway. */
  word(value: E): string;
  /** The number of one of `all`. */
  value(word: string): E;
}

function words<E extends number>(numbers: Readonly<Record<string, E>>, prefix: string): Words<E> {
  const pairs = Object.entries(numbers)
    .filter(([, value]) => value > 0)
    .map(([name, value]) => [name.slice(prefix.length).toLowerCase(), value] as const);
  const byWord = new Map(pairs);
  const byValue = new Map(pairs.map(([word, value]) => [value, word]));
  return {
    all: [...byWord.keys()],
    word: (value) => byValue.get(value) ?? 'unknown',
    value: (word) => byWord.get(word)!,
  };
}

export const roles = words<Role>(Role, 'ROLE_');
export const services = words<Service>(Service, 'SERVICE_');
export const purposes = words<ProcessingPurpose>(ProcessingPurpose, 'PROCESSING_PURPOSE_');
export const mandateStates = words<MandateState>(MandateState, 'MANDATE_STATE_');

/** Which mailbox; that of one's own mandates needs no service. */
export const mailboxWord = (service: Service): string =>
  service === Service.SERVICE_UNSPECIFIED ? 'mandates' : services.word(service);

const people: Record<string, string> = {
  sender: 'the sender',
  receiver: 'the receiver',
  school: 'the school',
  peer: 'the other party',
  us: 'the operator',
};
/** Who must act, for a person. */
export const whoMustAct = (who: string): string => people[who] ?? who;
