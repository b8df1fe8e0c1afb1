import { expect, test } from 'vitest';
import { answered, connectionError, unwritten } from './codes.ts';

const because = (...chain: object[]): Error =>
  chain.reduceRight(
    (cause, fields) => Object.assign(new Error((fields as { message?: string }).message), fields, { cause }),
    {},
  ) as Error;
const told = (...chain: object[]) => {
  const { code, retriable } = connectionError('b:1', because(...chain));
  return `${code} ${retriable}`;
};

test('a refusal of credentials is one, a connection that ends meanwhile is not', () => {
  const failed = { code: 'PLT_KFK_NETWORK', message: 'Connection to b:1 failed.' };
  const authentication = { code: 'PLT_KFK_AUTHENTICATION', message: 'Cannot find a suitable SASL mechanism.' };
  expect(
    told(
      failed,
      { ...authentication, message: 'SASL authentication failed.' },
      { apiId: 'SASL_AUTHENTICATION_FAILED' },
    ),
  ).toBe('SASL_AUTHENTICATION_FAILED false');
  expect(told(failed, authentication, { apiId: 'UNSUPPORTED_SASL_MECHANISM' })).toBe(
    'UNSUPPORTED_SASL_MECHANISM false',
  );
  expect(told(failed, authentication, { code: 'PLT_KFK_NETWORK', message: 'Connection closed' })).toBe(
    'CONNECTION true',
  );
  expect(told({ name: 'KafkaJSSASLAuthenticationError', message: 'SASL PLAIN authentication failed' })).toBe(
    'SASL_AUTHENTICATION_FAILED false',
  );
});

test('what the system says is told by its name', () => {
  expect(connectionError('b:1', because({}, { code: 'ECONNREFUSED' })).message).toBe(
    'broker b:1: no connection (ECONNREFUSED)',
  );
  expect(told({ code: 'PLT_KFK_NETWORK', message: 'Request timed out' })).toBe('TIMEOUT true');
  expect(told({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })).toBe('TLS false');
  expect(told({ message: 'anything' })).toBe('CONNECTION true');
});

test('a write is unknown unless the broker looked before it appended', () => {
  expect(answered(19, 'x')).toMatchObject({ code: 'NOT_ENOUGH_REPLICAS', retriable: true, written: 'none' });
  expect(answered(6, 'x')).toMatchObject({ code: 'NOT_LEADER_OR_FOLLOWER', retriable: true, written: 'unknown' });
  expect(answered(12345, 'x')).toMatchObject({ code: 'KAFKA_12345', retriable: false, written: 'unknown' });
  expect(unwritten(answered(6, 'x'))).toMatchObject({
    code: 'NOT_LEADER_OR_FOLLOWER',
    retriable: true,
    written: 'none',
  });
});
