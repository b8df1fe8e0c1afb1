/** Who learners are, outside of any delivery: two persons who sign in, one answer, and what is left of it. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { logTo } from '#kernel';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { edexml } from './files.ts';
import { eckId, type Fault, newSchool, startTestGateway, type TestGateway, type TestParty, wire } from './gateway.ts';
import { type StandInProvider, startProvider } from './provider.ts';

let provider: StandInProvider;
let at: TestGateway;
let las: TestParty;
const [school, other] = [newSchool(), newSchool()];
const lines: string[] = [];

beforeAll(async () => {
  logTo((line) => lines.push(line), 'info');
  provider = await startProvider();
  at = await startTestGateway({
    EDUK_OIDC_ISSUER: provider.issuer,
    EDUK_OIDC_AUDIENCE: 'eduk',
    EDUK_OIDC_ROLES: 'operator=admins,privacy=officers,read=helpdesk',
  });
  las = await at.party('De Leerlijst', [Role.ROLE_ADMINISTRATION]);
  for (const schoolOin of [school, other]) {
    await at.mandate(schoolOin, las.oin, [Service.SERVICE_ROSTER, Service.SERVICE_ORDER]);
    const pupils = [1, 2, 3].map((n) => ({ key: `k${n}`, eckId: eckId(n), name: `Esdoorn${n}` }));
    await at.operator.importRoster([{ schoolOin, chunk: Buffer.from(edexml({ school: schoolOin, pupils })) }]);
  }
});
afterAll(async () => {
  await at?.stop();
  provider?.stop();
  logTo((line) => process.stderr.write(`${line}\n`), 'error');
});

/** A person, as the provider knows them. */
const as = async (sub: string, roles: readonly string[], more: JWTPayload = {}) =>
  wire(
    OperatorServiceDefinition,
    at.channel,
    `Bearer ${await provider.signed({
      iss: provider.issuer,
      aud: 'eduk',
      sub,
      exp: Math.floor(Date.now() / 1000) + 300,
      roles,
      ...more,
    })}`,
  );
const anne = () => as('anne@officers', ['officers']);
const bram = () => as('bram@officers', ['officers']);
const code = (answer: Promise<unknown>): Promise<string> =>
  answer.then(
    () => '',
    (thrown: Fault) => thrown.code,
  );
let orders = 0;
/** An order for these pupils; its flow. */
const ordered = async (pupils: readonly number[], schoolOin = school): Promise<string> => {
  const orderId = `reveal-${++orders}`;
  const { flowId } = await at.as(`Bearer ${las.apiKey}`).orders.placeOrder({
    reference: orderId,
    orderId,
    schoolOin,
    lines: pupils.map((n) => ({
      terms: { lineId: String(n), productId: 'onbekend', quantity: 1 },
      learner: { eckId: eckId(n) },
    })),
    waitMs: 1000n,
  });
  return flowId;
};

describe('two persons', () => {
  test('the officer who asked is told once what was asked, and nobody else anything', async () => {
    const [asks, decides, admin] = [await anne(), await bram(), await as('root', ['admins'])];
    const flowId = await ordered([1, 2]);
    const { asked } = await asks.askReveal({ schoolOin: school, reason: 'case-11', flowId });
    expect(asked).toMatchObject({ mine: true, asked: { state: 'asked', learners: 2, reason: 'case-11', flowId } });
    const { requestId, tokens } = asked!.asked!;
    expect(await code(asks.fetchReveal({ requestId }))).toBe('state.conflict');
    // Whoever it is, and by whichever of their tokens.
    expect(await code(asks.decideReveal({ requestId, approve: true }))).toBe('party.forbidden');
    const again = await as('anne@officers', ['admins', 'officers'], { jti: 'another' });
    expect(await code(again.decideReveal({ requestId, approve: true }))).toBe('party.forbidden');
    expect((await decides.decideReveal({ requestId, approve: true })).asked).toMatchObject({
      mine: false,
      asked: { state: 'approved', tokens },
    });
    for (const another of [decides, admin, at.operator])
      expect(await code(another.fetchReveal({ requestId }))).toBe('party.forbidden');
    const told = await again.fetchReveal({ requestId });
    expect(told.learners.map(({ token }) => token)).toEqual(tokens);
    expect(told.learners.map(({ known, ref, person }) => [known, ref!.lasKey, ref!.eckId, person!.familyName])).toEqual(
      [
        [true, 'k1', '', 'Esdoorn1'],
        [true, 'k2', '', 'Esdoorn2'],
      ],
    );
    expect(told.asked).toMatchObject({ mine: true, asked: { state: 'taken', shown: 2 } });
    expect(await code(again.fetchReveal({ requestId }))).toBe('state.conflict');
    const { reveals } = await admin.listReveals({ schoolOin: school });
    expect(reveals.find(({ asked }) => asked!.requestId === requestId)).toMatchObject({
      mine: false,
      asked: { state: 'taken', tokens: [], shown: 2 },
    });
  });

  test('by tokens and attributes; of another school they are nobody; refused is refused; it goes on after a restart', async () => {
    const [asks, decides] = [await anne(), await as('cas', ['admins'])];
    const first = await asks.askReveal({ schoolOin: school, reason: 'case-12', flowId: await ordered([3]) });
    const { tokens, requestId: refused } = first.asked!.asked!;
    expect((await decides.decideReveal({ requestId: refused, approve: false })).asked!.asked!.state).toBe('refused');
    expect(await code(asks.fetchReveal({ requestId: refused }))).toBe('state.conflict');
    expect(await code(asks.askReveal({ schoolOin: other, reason: 'case-12', tokens }))).toBe('learner.unknown');
    const asked = { schoolOin: school, reason: 'case-12', tokens, attributes: ['eck_id'] };
    const { requestId } = (await asks.askReveal(asked)).asked!.asked!;
    await at.restart();
    await (await as('cas', ['admins'])).decideReveal({ requestId, approve: true });
    await at.restart();
    const { learners } = await (await anne()).fetchReveal({ requestId });
    expect(learners).toMatchObject([{ known: true, ref: { eckId: eckId(3), lasKey: '' }, person: undefined }]);
    await at.restart();
    expect(await code((await anne()).fetchReveal({ requestId }))).toBe('state.conflict');
  });

  test('what cannot be asked', async () => {
    const asks = await anne();
    const tokens = ['lt_aaaa'];
    const ask = (more: object) => code(asks.askReveal({ schoolOin: school, reason: 'case-13', ...more }));
    expect(await ask({})).toBe('wire.invalid');
    expect(await ask({ tokens, flowId: 'f' })).toBe('wire.invalid');
    expect(await ask({ tokens, attributes: ['groups'] })).toBe('wire.invalid');
    expect(await ask({ tokens, attributes: ['staff'] })).toBe('wire.invalid');
    expect(await ask({ tokens, reason: '' })).toBe('wire.invalid');
    expect(await ask({ tokens, reason: 'the case of Esdoorn' })).toBe('wire.invalid');
    expect(await ask({ tokens, schoolOin: newSchool() })).toBe('state.missing');
    expect(await ask({ tokens, schoolOin: '' })).toBe('wire.invalid');
    expect(await ask({ tokens })).toBe('learner.unknown');
    expect(await ask({ tokens: Array.from({ length: 51 }, (_, i) => `lt_${'b'.repeat(i + 1)}`) })).toBe(
      'wire.too_large',
    );
    expect(await ask({ flowId: await ordered([1], other) })).toBe('state.missing');
    expect(await ask({ flowId: 'none' })).toBe('state.missing');
  });

  test('who may: an officer asks, an officer or operator decides, the operator’s key does neither, and is told what to configure', async () => {
    const [admin, helpdesk, asks] = [await as('root', ['admins']), await as('help', ['helpdesk']), await anne()];
    const asked = { schoolOin: school, reason: 'case-14', flowId: await ordered([1]) };
    expect(await code(admin.askReveal(asked))).toBe('party.forbidden');
    expect(await code(helpdesk.askReveal(asked))).toBe('party.forbidden');
    const { requestId } = (await asks.askReveal(asked)).asked!.asked!;
    expect(await code(helpdesk.decideReveal({ requestId, approve: true }))).toBe('party.forbidden');
    expect(await code(helpdesk.listReveals({}))).toBe('party.forbidden');
    for (const call of [
      at.operator.askReveal(asked),
      at.operator.decideReveal({ requestId, approve: true }),
      at.operator.fetchReveal({ requestId }),
    ]) {
      const fault = await call.then(
        () => undefined,
        (thrown: Fault) => thrown,
      );
      expect(fault!.code).toBe('party.forbidden');
      for (const setting of ['EDUK_OIDC_ISSUER', 'EDUK_OIDC_AUDIENCE', 'EDUK_OIDC_ROLES'])
        expect(fault!.details).toContain(setting);
    }
    expect((await admin.decideReveal({ requestId, approve: true })).asked!.asked!.state).toBe('approved');
    expect((await (await anne()).fetchReveal({ requestId })).learners).toHaveLength(1);
  });
});

describe('afterwards', () => {
  test('the log of what was done says who asked and who approved, as digests, why, and how many', async () => {
    const asks = await anne();
    const flowId = await ordered([1, 2, 3]);
    const { requestId } = (await asks.askReveal({ schoolOin: school, reason: 'case-15', flowId })).asked!.asked!;
    const { asked } = await (await bram()).decideReveal({ requestId, approve: true });
    await asks.fetchReveal({ requestId });
    const records = async () => {
      const { leaves } = await at.operator.readAuditLog({ limit: 2000 });
      return leaves
        .map(({ record }) => AuditRecord.decode(record))
        .filter(({ reason }) => reason === 'case-15')
        .map(({ kind, method, code: said, people, purpose, askedBy, decidedBy, attributes }) => ({
          kind,
          method: method.split('/')[1],
          said,
          people,
          purpose,
          askedBy: Buffer.from(askedBy ?? []).toString('hex'),
          decidedBy: Buffer.from(decidedBy ?? []).toString('hex'),
          attributes: attributes.length,
        }));
    };
    await expect.poll(async () => (await records()).length, { interval: 200 }).toBe(3);
    const [first, second] = [asked!.asked!.askedBy, asked!.asked!.decidedBy].map((one) =>
      Buffer.from(one).toString('hex'),
    );
    const base = { people: 3n, askedBy: first, attributes: 3 };
    expect(await records()).toEqual(
      expect.arrayContaining([
        { ...base, kind: AuditKind.AUDIT_KIND_OPERATOR, method: 'AskReveal', said: '', purpose: '', decidedBy: '' },
        {
          ...base,
          kind: AuditKind.AUDIT_KIND_OPERATOR,
          method: 'DecideReveal',
          said: 'approved',
          purpose: '',
          decidedBy: second,
        },
        {
          ...base,
          kind: AuditKind.AUDIT_KIND_REVEALED,
          method: 'FetchReveal',
          said: '',
          purpose: 'reveal',
          decidedBy: second,
        },
      ]),
    );
    expect(first).not.toBe(second);
    // The school is answered that somebody was shown its pupils.
    const { rows } = await at.operator.listAccess({ schoolOin: school });
    expect(rows.filter(({ purpose }) => purpose === 'reveal').map(({ partyOin }) => partyOin)).toContain('operator');
  });

  test('no line, file, metric or answer to another has a name, and none has who the persons are', async () => {
    const metrics = await (await fetch(`${at.http}/metrics`)).text();
    const { reveals } = await at.operator.listReveals({});
    expect(reveals.length).toBeGreaterThan(3);
    const words = JSON.stringify(reveals, (_, value) => (typeof value === 'bigint' ? String(value) : value));
    const at1 = readdirSync(at.folder, { recursive: true, encoding: 'utf8' })
      .map((name) => join(at.folder, name))
      .filter((name) => statSync(name).isFile())
      .map((name) => readFileSync(name).toString('latin1'));
    for (const value of ['Esdoorn', 'anne@officers', 'bram@officers', eckId(3).slice(-40)])
      for (const text of [lines.join('\n'), metrics, words, ...at1]) expect(text.includes(value)).toBe(false);
  });
});
