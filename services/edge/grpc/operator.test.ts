import { expect, test } from 'vitest';
import type { MethodDefinition } from '#kernel';
import { Label } from '#proto/eduk/core/v1/labels';
import { IdentityServiceDefinition } from '#proto/eduk/gateway/v1/identity';
import { RosterServiceDefinition } from '#proto/eduk/gateway/v1/roster';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { VaultServiceDefinition } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { fieldsOf } from '#proto/labels';

const IDENTITY: ReadonlySet<number> = new Set([
  Label.LABEL_NUMBER,
  Label.LABEL_NAME,
  Label.LABEL_CONTACT,
  Label.LABEL_PGN_EQUIVALENT,
]);

/** Fields of a message, and of what it holds, that identify a person. */
function identifying(type: string, path = type, within: readonly string[] = []): string[] {
  if (within.includes(type)) return [];
  expect(fieldsOf[type], `${type} is no message`).toBeDefined();
  return fieldsOf[type]!.flatMap(({ protoName, label, of }) =>
    of === undefined
      ? IDENTITY.has(label)
        ? [`${path}.${protoName}`]
        : []
      : identifying(of, `${path}.${protoName}`, [...within, type]),
  );
}

const answers = ({ fullName, methods }: { fullName: string; methods: object }): string[] =>
  (Object.values(methods) as MethodDefinition[]).map(
    ({ name }) => `${fullName.replace(/\.[^.]+$/, '')}.${name}Response`,
  );

test('no answer to an operator says who a pupil is: nobody looks that up alone, for it takes two', () => {
  const all = answers(OperatorServiceDefinition);
  expect(all.length).toBeGreaterThan(20);
  const told = (type: string) => type.startsWith('eduk.operator.v1.FetchReveal');
  expect(all.filter((type) => !told(type)).flatMap((type) => identifying(type))).toEqual([]);
  // But for the one that it takes two persons to be told by.
  expect(all.filter(told).flatMap((type) => identifying(type)).length).toBeGreaterThan(5);
  // It can see: these do.
  expect(answers(VaultServiceDefinition).flatMap((type) => identifying(type)).length).toBeGreaterThan(5);
  expect(answers(RosterServiceDefinition).flatMap((type) => identifying(type)).length).toBeGreaterThan(0);
  expect(identifying('eduk.gateway.v1.ForgetLearnerRequest').length).toBeGreaterThan(0);
  expect(answers(IdentityServiceDefinition).flatMap((type) => identifying(type))).toEqual([]);
});
