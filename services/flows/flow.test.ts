import { expect, test } from 'vitest';
import { type AnswerFact, type AskedFact, begun, stateOf, withAnswer, withAsked } from './flow.ts';

const asked: AskedFact = {
  type: 'ProvisionSubmitted',
  method: 'AccessService/ProvisionAccess',
  party: 'p',
  subject: 's',
  school: 'x',
  key: 'k',
  atMs: 1,
};
const answer = (type: AnswerFact['type'], to: AnswerFact['to'], says: AnswerFact['says']): AnswerFact => ({
  type,
  to,
  says,
  partial: false,
  code: '',
  told: '',
  school: 'x',
  key: 'k',
  atMs: 2,
});
const followed = answer('EntitlementChanged', ['GrantSubmitted'], 'decided');
const done = answer('AccessProvisioned', ['ProvisionSubmitted'], 'done');
const answers = (outcome: string): boolean => outcome === 'AccessProvisioned';

test('a flow says the same whichever came first: its question, its answer, or what followed', () => {
  const inOrder = withAnswer(withAnswer(withAsked(begun('f', 0), asked, answers), done), followed);
  const late = withAsked(withAnswer(withAnswer(begun('f', 0), followed), done), asked, answers);
  expect(stateOf(inOrder)).toBe('done');
  expect(late.says).toBe(inOrder.says);
  expect(stateOf(late)).toBe('done');
  expect(late.steps).toEqual(inOrder.steps);
});
