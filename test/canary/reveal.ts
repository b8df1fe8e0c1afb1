/** The one answer of the operator's that may hold identity: to the officer who asked, after another person approved. */
import { school } from '../../docs/grpc/seed.ts';
import { operation } from './operations.ts';
import { encodedAs, type Sowing } from './sowing.ts';
import type { Story } from './story.ts';

const ATTRIBUTES = ['eck_id', 'las_key', 'call_name', 'family_name', 'birth_date', 'email', 'account_name'];

/** Persons, as their provider knows them. */
const PERSONS = { officer: ['officers'], colleague: ['officers'], admin: ['admins'], helpdesk: ['helpdesk'] } as const;

/** Must run while the pupils of the order are known. */
export async function reveal(sowing: Sowing, { orderFlow }: Story): Promise<void> {
  const { provider } = sowing.subject;
  for (const [name, roles] of Object.entries(PERSONS)) {
    // Who a person is at the provider is kept nowhere either.
    const sub = sowing.plant('account name', 'operators’ provider', `sub of ${name}`).value;
    const exp = Math.floor(Date.now() / 1000) + 3600;
    const token = await provider.signed({ iss: provider.issuer, aud: 'eduk', sub, exp, roles: [...roles] });
    sowing.keys.set(name, token);
  }
  const call = async (method: string, by: string, request: object, may: 'nobody' | 'entitled' = 'nobody') => {
    const op = operation(`OperatorService.${method}`);
    const answer = await sowing.call(op, by, [encodedAs(op, op.codec.fromPartial(request))], { may });
    const said = answer.messages.map((one) => op.method.responseType.decode(one))[0] as Record<string, any> | undefined;
    return { code: answer.code, said };
  };
  const asked = await call('AskReveal', 'officer', {
    schoolOin: school,
    reason: 'canary-case',
    flowId: orderFlow,
    attributes: ATTRIBUTES,
  });
  const requestId: string = asked.said?.['asked'].asked.requestId ?? '';
  if (requestId === '') sowing.problems.push(`an officer asked who learners are, and was answered ${asked.code}`);
  const must = (what: string, { code }: { code: string }, refused: boolean): void => {
    if ((code !== '') !== refused) sowing.problems.push(`${what} was answered ${code || 'with what was asked'}`);
  };
  must('who fetched before approval', await call('FetchReveal', 'officer', { requestId }), true);
  for (const by of ['officer', 'helpdesk', 'operator'])
    must(`${by}, who approved`, await call('DecideReveal', by, { requestId, approve: true }), true);
  must('another officer who approved', await call('DecideReveal', 'colleague', { requestId, approve: true }), false);
  for (const by of ['colleague', 'admin', 'helpdesk', 'operator'])
    must(`${by}, who fetched what another asked`, await call('FetchReveal', by, { requestId }), true);
  for (const by of ['colleague', 'admin', 'operator'])
    must(`${by}, who listed`, await call('ListReveals', by, {}), false);
  // Looked at like any answer to somebody entitled; and it must hold what was planted, or there was nothing to find.
  const { code, said } = await call('FetchReveal', 'officer', { requestId }, 'entitled');
  const names = ((said?.['learners'] ?? []) as { person?: { familyName: string } }[]).map(
    ({ person }) => person?.familyName ?? '',
  );
  const planted = new Set(sowing.identities.all.filter(({ belongs }) => belongs).map(({ value }) => value));
  if (names.length === 0 || !names.every((name) => planted.has(name)))
    sowing.problems.push(
      `the officer who may know was not told who the learners are: ${code || 'an answer without them'}`,
    );
  must('who fetched twice', await call('FetchReveal', 'officer', { requestId }), true);
}
