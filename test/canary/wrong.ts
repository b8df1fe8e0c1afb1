/**
 * Identities where they do not belong, in every method at the gRPC door: one field at a time in a message that is right
 * otherwise, all fields at once, headers, paths, and bytes that are no message.
 */
import { fieldsOf } from '#proto/labels';
import { school } from '../../docs/grpc/seed.ts';
import { Caller } from './caller.ts';
import { inAscii, type Kind, misplaced } from './identities.ts';
import { asks, contracted, isKnown, operations, tells } from './operations.ts';
import {
  eachField,
  encodedAs,
  isIdentity,
  kindOf,
  Label,
  type Message,
  type Operation,
  type Sowing,
  together,
} from './sowing.ts';
import type { Story } from './story.ts';

const AT_ONCE = 12;
/** What a message is about has an id of its own each time, so that it is new. */
const OWN: Readonly<Record<string, (message: any, fresh: string) => void>> = {
  'OrderService.PlaceOrder': (message, fresh) => {
    message.orderId = fresh;
  },
  'EntitlementService.GrantEntitlements': (message, fresh) => {
    message.terms.entitlementId = fresh;
  },
  'ResultService.ReturnResults': (message, fresh) => {
    message.result.resultId = fresh;
  },
  'RosterService.PushRoster': (message, fresh) => {
    message.rosterId = fresh;
  },
};

/** Every string of a message set by `value`, wherever it does not belong. */
function filled(type: string, value: (path: string) => string, path = '', depth = 0): Message {
  const message: Message = {};
  if (depth > 4) return message;
  for (const field of fieldsOf[type] ?? []) {
    const at = path === '' ? field.protoName : `${path}.${field.protoName}`;
    if (field.kind === 'message' && !field.map) {
      const inner = filled(field.of!, value, at, depth + 1);
      message[field.name] = field.repeated ? [inner] : inner;
    } else if (field.kind === 'string') {
      const one = field.name === 'schoolOin' ? school : value(at);
      message[field.name] = field.repeated ? [one] : one;
    }
  }
  return message;
}

interface Attempt {
  op: Operation;
  by: string;
  bytes: Buffer[];
  may: 'nobody' | 'entitled';
  headers?: Record<string, string | Buffer>;
}

/** Messages that are right, for a method that has a body; for another one that is empty but for its school. */
const rightMessages = (op: Operation, story: Story): { by: string; message: Message } => {
  const found = story.bodies.find(({ body }) => body.operation.name === op.name);
  if (found) return { by: found.body.caller, message: found.messages[0]! };
  const message = op.codec.fromPartial(
    fieldsOf[op.type]?.some(({ name }) => name === 'schoolOin') ? { schoolOin: school } : {},
  );
  return { by: 'operator', message };
};

export async function sowWrong(sowing: Sowing, story: Story): Promise<void> {
  const attempts: Attempt[] = [];
  let turn = 0;
  for (const op of operations) {
    const { by, message } = rightMessages(op, story);
    const changed = (change: (copy: Message) => void, headers?: Record<string, string | Buffer>): void => {
      const copy = structuredClone(message);
      if ('reference' in copy) copy['reference'] = sowing.fresh('canary');
      if ('waitMs' in copy) copy['waitMs'] = 0n;
      OWN[op.name]?.(copy, sowing.fresh('own'));
      change(copy);
      attempts.push({
        op,
        by,
        bytes: [encodedAs(op, copy)],
        may: tells(op) ? 'entitled' : 'nobody',
        ...(headers ? { headers } : {}),
      });
    };
    // One place at a time. A mandate that is withdrawn or a learner that is forgotten would end the rest.
    const places: { path: string; label: number; protoName: string }[] = [];
    eachField(op.type, structuredClone(message), (_holder, { label, protoName }, path) => {
      if (!places.some((one) => one.path === path)) places.push({ path, label, protoName });
    });
    for (const { path, label, protoName } of places) {
      if (label === Label.CATALOGUE && !asks(op)) continue;
      const own = kindOf({ protoName, label });
      const belongs = isIdentity(label) && label !== Label.PGN_EQUIVALENT;
      const strange: Kind[] = belongs ? [own ?? 'family name'] : [...misplaced];
      // In its own place also what is taken for it.
      if (label === Label.SCHOOL_TEXT) strange.push('address', 'e-mail address', 'BSN');
      if (label === Label.NUMBER) strange.push('hashed PGN', 'stampseudonym', 'BSN');
      const some =
        sowing.isWhole || (belongs && sowing.size === 'quick')
          ? strange
          : [
              strange[turn++ % strange.length]!,
              ...(sowing.size === 'quick' ? [strange[turn++ % strange.length]!] : []),
            ];
      for (const kind of some) {
        const canary = sowing.plant(kind, op.name, path, belongs);
        canary.asked = label === Label.CATALOGUE;
        changed((copy) =>
          eachField(op.type, copy, (holder, field, at) => {
            if (at !== path) return;
            holder[field.name] = field.repeated ? [canary.value] : canary.value;
          }),
        );
      }
    }
    // Headers of a message that is taken.
    const plain = inAscii(sowing.plant('account name', op.name, 'header of a message that is taken').value);
    changed(() => undefined, {
      traceparent: plain,
      tracestate: `leerling=${plain}`,
      baggage: `leerling=${encodeURIComponent(plain)}`,
      'x-leerling': plain,
      'x-leerling-bin': Buffer.from(plain),
      'x-request-id': plain,
      cookie: `naam=${plain}`,
    });
    // All places at once, as parties that may call it and as one that may not.
    for (const who of sowing.isWhole ? ['administration', 'publisher', 'platform', 'operator'] : [by])
      for (const kind of sowing.isWhole ? misplaced : [misplaced[turn++ % misplaced.length]!]) {
        const { value } = sowing.plant(kind, op.name, 'every field at once');
        attempts.push({
          op,
          by: who,
          bytes: [encodedAs(op, op.codec.fromPartial(filled(op.type, () => value)))],
          may: 'nobody',
        });
      }
    if (sowing.size === 'brief') continue;
    // Bytes that are no message of this type.
    const unread = sowing.plant('address', op.name, 'bytes that are no message');
    // Some of them can be read after all, as the words of a question.
    unread.asked = places.some(({ label }) => label === Label.CATALOGUE) && asks(op);
    const text = Buffer.from(unread.value);
    const right = encodedAs(op, message);
    for (const bytes of [
      // A field that no contract knows; a length that lies; text; a message that is cut off; text that is no UTF-8.
      Buffer.concat([right, Buffer.from([0xfa, 0x07, text.length]), text]),
      Buffer.concat([Buffer.from([0x0a, 0xff, 0xff, 0x03]), text]),
      text,
      Buffer.concat([right.subarray(0, right.length - 3), text]),
      Buffer.concat([Buffer.from([0x0a, text.length + 2]), text, Buffer.from([0xff, 0xfe])]),
    ])
      attempts.push({ op, by, bytes: [bytes], may: tells(op) ? 'entitled' : 'nobody' });
    // Who calls is nobody.
    attempts.push({
      op,
      by,
      bytes: [right],
      may: 'nobody',
      headers: {
        authorization: `Bearer ${inAscii(sowing.plant(misplaced[turn++ % misplaced.length]!, op.name, 'header authorization').value)}`,
      },
    });
  }
  // What the school takes back, and what forgets, goes last: after it most is refused for that alone.
  const last =
    /WithdrawMandate|RefuseMandate|GrantMandate|ForgetLearner|ChangeMandate|DecideHold|AnswerReview|StopParty|ResumeParty/;
  for (const isLast of [false, true])
    await together(
      attempts.filter(({ op }) => last.test(op.name) === isLast),
      AT_ONCE,
      async ({ op, by, bytes, may, headers }) => {
        await sowing.call(op, by, bytes, { may, ...(headers ? { headers } : {}) });
      },
    );
  await strangePaths(sowing);
  await unknownServices(sowing);
  for (const { name } of operations)
    if (
      !sowing.tried.some(
        ({ operation, calls, planted }) =>
          operation === name && calls > (sowing.size === 'brief' ? 0 : 3) && planted > 0,
      )
    )
      sowing.problems.push(`${name} was not tried`);
}

async function strangePaths(sowing: Sowing): Promise<void> {
  const unary = { requestStream: false, responseStream: false };
  const word = (place: string): string => inAscii(sowing.plant('address', 'gRPC', place).value, /[\x21-\x7e]/, '_');
  for (const path of [
    `/eduk.gateway.v1.OrderService/${word('name of a method')}`,
    `/${word('name of a service')}/PlaceOrder`,
  ]) {
    const answer = await sowing.caller.call(path, unary, [Buffer.alloc(0)], {
      authorization: `Bearer ${sowing.keys.get('platform')}`,
    });
    // That it quotes the caller's own path is gRPC's own way; it may rest nowhere.
    sowing.hear('gRPC', { ...answer, words: [] });
  }
  const elsewhere = new Caller(
    sowing.subject.grpc,
    inAscii(sowing.plant('family name', 'gRPC', 'authority').value, /\w/),
  );
  try {
    sowing.hear('gRPC', await elsewhere.call('/eduk.gateway.v1.FlowService/GetFlow', unary, [Buffer.alloc(0)], {}));
  } finally {
    elsewhere.close();
  }
}

/** A service that answers at the door and is not among those above would be one that nobody tries. */
async function unknownServices(sowing: Sowing): Promise<void> {
  for (const { service, method } of contracted()) {
    if (isKnown(service)) continue;
    const answer = await sowing.caller.call(
      `/${service}/${method}`,
      { requestStream: false, responseStream: false },
      [Buffer.alloc(0)],
      {},
    );
    if (answer.code !== 'grpc 12')
      sowing.problems.push(`${service} answers at the door, and the suite does not know it`);
  }
}
