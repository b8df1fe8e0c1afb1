/**
 * Two gateways to which the same happens make no key, secret, token or salt that is the same: what one knows opens nothing of
 * the other, and nobody can compare what two of them keep.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll, describe, expect, test } from 'vitest';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { eckId, sendAll, startTestGateway, type TestGateway } from '../chain/gateway.ts';
import { Receiver } from '../chain/receiver.ts';

const SCHOOL = '0000000700099ZX00000';
const BOOK = '9789000000019';
const OIN = { las: '00000099200000001000', publisher: '00000099200000002000', platform: '00000099200000003000' };

interface Made {
  /** What was told to others, by what it is. */
  told: Record<string, string>;
  /** Files of keys. */
  files: Record<string, string>;
  /** Cells of the vault that only it can make: by table and column. */
  cells: Map<string, Set<string>>;
}

/** The same story, in a gateway that is new. */
async function story(at: TestGateway, hook: Receiver): Promise<Record<string, string>> {
  const told: Record<string, string> = {};
  const party = async (name: keyof typeof OIN, role: Role, endpoints: { standard: string; url: string }[] = []) => {
    const added = await at.operator.addParty({ party: { oin: OIN[name], name, roles: [role], endpoints } });
    Object.assign(told, { [`API key of ${name}`]: added.apiKey, [`client secret of ${name}`]: added.clientSecret });
    if (added.webhookSecret) told[`webhook secret of ${name}`] = hook.secret = added.webhookSecret;
    const { autorisatiesleutel } = await at.operator.grantMandate({
      mandate: {
        schoolOin: SCHOOL,
        partyOin: OIN[name],
        services: [Service.SERVICE_ROSTER, Service.SERVICE_ORDER, Service.SERVICE_ENTITLEMENT, Service.SERVICE_ACCESS],
      },
      confirm: true,
    });
    told[`autorisatiesleutel of ${name}`] = autorisatiesleutel;
    return { ...at.as(`Bearer ${added.apiKey}`), added };
  };
  const las = await party('las', Role.ROLE_ADMINISTRATION);
  const publisher = await party('publisher', Role.ROLE_PUBLISHER);
  const platform = await party('platform', Role.ROLE_PLATFORM, [{ standard: 'webhook', url: hook.url }]);
  await sendAll(publisher.catalogue.publishProducts(), [
    {
      reference: 'p',
      product: { productId: BOOK, title: 'Taal', platformOin: OIN.platform, licence: { licensed: true } },
    },
  ]);
  const person = { callName: 'Noor', familyName: 'Beuk', birthDate: '2015-02-11', email: 'noor@school.example' };
  const [pushed] = await sendAll(las.rosters.pushRoster(), [
    {
      reference: 'r',
      rosterId: 'r',
      last: true,
      roster: {
        schoolOin: SCHOOL,
        schoolYear: '2026-2027',
        groups: [{ key: '7a', name: 'Groep 7A' }],
        learners: [{ ref: { eckId: eckId(1), lasKey: 'l1' }, person, groupKey: '7a' }],
      },
    },
  ]);
  const learner = { eckId: eckId(1) };
  const [granted] = await sendAll(publisher.entitlements.grantEntitlements(), [
    {
      reference: 'g',
      schoolOin: SCHOOL,
      holder: { learner },
      terms: { entitlementId: 'e', productId: BOOK },
      activationCode: 'CODE-1',
    },
  ]);
  for (const { refusals } of [pushed!, granted!]) expect(refusals).toEqual([]);
  const placed = await las.orders.placeOrder({
    reference: 'o',
    orderId: 'o',
    schoolOin: SCHOOL,
    lines: [{ terms: { lineId: '1', productId: BOOK, quantity: 1 }, learner }],
    waitMs: 5000n,
  });
  told['leaf of a receipt'] = Buffer.from(placed.receipt!.leaf).toString('base64');
  told['salt of a receipt'] = Buffer.from(placed.receipt!.salt).toString('base64');
  const launch = await platform.access.createLaunch({ reference: 'l', schoolOin: SCHOOL, learner, productId: BOOK });
  told['ticket'] = launch.ticket;
  const { clientId, clientSecret } = platform.added;
  const token = await fetch(`${at.http}/oauth2/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  });
  told['access token'] = ((await token.json()) as { access_token: string }).access_token;
  await hook.until(1);
  told['key of an order of events'] = hook.first[0]!.partitionkey;
  const { watchCursor } = await las.orders.listOrders({ limit: 1 });
  told['cursor'] = watchCursor;
  return told;
}

/** Cells of the vault: bytes and texts long enough to be no number, date or name of ours. */
function cellsOf(file: string): Map<string, Set<string>> {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    const cells = new Map<string, Set<string>>();
    const tables = db
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      .all() as { name: string }[];
    for (const { name } of tables)
      for (const row of db.prepare(`SELECT * FROM "${name}"`).all())
        for (const [column, cell] of Object.entries(row)) {
          const text =
            cell instanceof Uint8Array ? Buffer.from(cell).toString('hex') : typeof cell === 'string' ? cell : '';
          if (text.length < 20 || text === SCHOOL || Object.values(OIN).includes(text)) continue;
          const place = `${name}.${column}`;
          cells.set(place, (cells.get(place) ?? new Set()).add(text));
        }
    return cells;
  } finally {
    db.close();
  }
}

let made: [Made, Made];

beforeAll(async () => {
  const both: Made[] = [];
  let port = 0;
  for (let i = 0; i < 2; i++) {
    const at = await startTestGateway();
    // The same address for both, because a secret of a webhook is made of it.
    const hook = await Receiver.open(port);
    port = Number(new URL(hook.url).port);
    try {
      const told = await story(at, hook);
      const around = dirname(at.folder);
      const files = Object.fromEntries(
        [at.folder, around]
          .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
          .filter((path) => /\.key$/.test(path))
          .map((path) => [path.slice(around.length + 1), readFileSync(path, 'utf8').trim()]),
      );
      // While it runs its vault is locked.
      await at.gateway.stop();
      both.push({ told, files, cells: cellsOf(join(at.folder, 'vault.db')) });
    } finally {
      await at.stop();
      await hook.close();
    }
  }
  made = both as [Made, Made];
}, 300_000);

describe('two gateways to which the same happened', () => {
  test('told nobody the same secret', () => {
    const [one, other] = made;
    expect(Object.keys(one.told).sort()).toEqual(Object.keys(other.told).sort());
    expect(Object.keys(one.told).length).toBeGreaterThan(14);
    for (const [what, secret] of Object.entries(one.told)) {
      expect([what, secret.length >= 20]).toEqual([what, true]);
      expect([what, Object.values(other.told).includes(secret)]).toEqual([what, false]);
    }
  });

  test('made other keys for themselves, and no two of one are the same', () => {
    const [one, other] = made;
    expect(Object.keys(one.files).sort()).toEqual(['data.dev.key', 'data/log.key', 'data/operator.key']);
    const all = [...Object.values(one.files), ...Object.values(other.files)];
    expect(new Set(all).size).toBe(all.length);
    for (const key of all) expect(key.length).toBeGreaterThanOrEqual(43);
    const secrets = [...Object.values(one.told), ...Object.values(other.told), ...all];
    expect(new Set(secrets).size).toBe(secrets.length);
  });

  test('keep nothing in the vault that is the same: no token, index, nonce, wrapped key or sealed value', () => {
    const [one, other] = made;
    expect([...one.cells.keys()].sort()).toEqual([...other.cells.keys()].sort());
    // Tokens, hashes by which they are found, sealed values, keys.
    expect(one.cells.size).toBeGreaterThan(5);
    for (const [place, cells] of one.cells)
      for (const cell of cells) expect([place, other.cells.get(place)!.has(cell)]).toEqual([place, false]);
  });

  test('derive no key from what both know: a digest of a name, number or OIN stands nowhere', () => {
    const known = [
      'Noor',
      'Beuk',
      '2015-02-11',
      'noor@school.example',
      eckId(1),
      'l1',
      '7a',
      'CODE-1',
      SCHOOL,
      ...Object.values(OIN),
    ];
    const digests = known.flatMap((text) =>
      ['md5', 'sha1', 'sha256', 'sha512'].map((of) => createHash(of).update(text).digest('hex')),
    );
    for (const { cells } of made)
      for (const [place, some] of cells)
        for (const cell of some)
          expect([place, digests.some((digest) => cell.includes(digest))]).toEqual([place, false]);
  });
});
