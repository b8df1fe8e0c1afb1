import { describe, expect, test } from 'vitest';
import { Age } from '#proto/eduk/bus/v1/bus';
import { Mandate, MandateState } from '#proto/eduk/core/v1/party';
import { Alert, DiskForecast, EndpointStatus, Reconciliation } from '#proto/eduk/delivery/v1/delivery';
import { RegisterRun } from '#proto/eduk/parties/v1/parties';
import { ShowKeysResponse } from '#proto/eduk/pseudonyms/v1/pseudonyms';
import { Pull } from '#proto/eduk/rosters/v1/rosters';
import { textOf } from './channels.ts';
import { endingMandates } from './ending.ts';
import { judge, type Looked, restsOn } from './judge.ts';
import { alertKinds } from './words.ts';

const nowMs = Date.parse('2026-08-24T06:30:00Z');
const DAY = 86_400_000;
const PARTY = '00000001000000000002';
const SCHOOL = '0000000700012AB00000';

/** A place whose disk is full in so many days. */
function filling(place: string, days: number | undefined): DiskForecast {
  const full = days === undefined ? {} : { fullMs: BigInt(nowMs + days * DAY) };
  return DiskForecast.fromPartial({ use: { place, disk: 'data' }, growsBytes: 1n, ...full });
}

/** All answers, of a gateway at which nothing is wrong. */
const well: Looked = {
  nowMs,
  missing: [],
  log: { ages: [Age.fromPartial({ consumer: 'flows', stream: 'orders' })], freeDiskBytes: 9e10, parkedKeys: 0 },
  disks: [filling('state', 8), filling('vault', undefined)],
  endpoints: [EndpointStatus.fromPartial({ partyOin: PARTY, standard: 'webhook', state: 'up' })],
  holds: [],
  rules: [],
  reveals: { tooMany: [] },
  keys: ShowKeysResponse.fromPartial({}),
  certificates: [{ partyOin: PARTY, name: '', notAfterMs: nowMs + 31 * DAY }],
  ending: new Map(),
  registers: [RegisterRun.fromPartial({ register: 'osr', outcome: 'applied' })],
  pulls: [],
  reconciliations: [],
  silent: [],
  launches: [{ platform: PARTY, publisher: PARTY, state: 'usual', whose: '', party: '' }],
};
const told = (more: Partial<Looked>) =>
  judge({ ...well, ...more }).alerts.map(({ code, grade, partyOin, schoolOin, subject, count }) =>
    [code, grade, partyOin, schoolOin, subject, count === 0n ? '' : String(count)].filter(Boolean).join(' '),
  );
const mandate = (more: Partial<Mandate>) =>
  Mandate.fromPartial({ schoolOin: SCHOOL, partyOin: PARTY, state: MandateState.MANDATE_STATE_ACTIVE, ...more });

test('where nothing is wrong nobody is told anything', () => {
  expect(judge(well)).toEqual({ alerts: [], unknown: [], over: [] });
});

test('of a school only the last mandate ends, and of many others have their turn between', async () => {
  const some = [
    mandate({ validUntil: '2026-09-07' }),
    mandate({ schoolOin: 'b', state: MandateState.MANDATE_STATE_RUN_OFF, runOffUntil: '2026-08-24' }),
    mandate({ schoolOin: 'c', validUntil: '2026-08-30' }),
    mandate({ schoolOin: 'c' }),
    mandate({ schoolOin: 'd', validUntil: '2026-09-08' }),
    mandate({ schoolOin: 'e', state: MandateState.MANDATE_STATE_ENDED, validUntil: '2026-08-25' }),
  ];
  expect(await endingMandates(some, nowMs)).toEqual(new Map([[PARTY, 2n]]));
  const many = Array.from({ length: 20_000 }, (_, i) => mandate({ schoolOin: `s${i}`, validUntil: '2026-08-30' }));
  let turns = 0;
  const others = setInterval(() => turns++, 0);
  expect(await endingMandates(many, nowMs)).toEqual(new Map([[PARTY, 20_000n]]));
  clearInterval(others);
  expect(turns).toBeGreaterThan(0);
});

test('of a certificate that ends it is over when its party shows another one', () => {
  const standing = ['1', '2', '3'].map((end) =>
    Alert.fromPartial({ code: 'certificate.ends', partyOin: `0000000100000000000${end}` }),
  );
  const certificates = [
    { partyOin: standing[0]!.partyOin, name: '', notAfterMs: nowMs + 31 * DAY },
    { partyOin: standing[1]!.partyOin, name: '', notAfterMs: nowMs + DAY },
  ];
  // The third was not seen here.
  expect(judge({ ...well, certificates, standing }).over).toEqual([standing[0]]);
});

test.each<[string, Partial<Looked>, string[]]>([
  ['a part that is away', { missing: ['vault'] }, ['part.missing page vault']],
  [
    'a number that is missing',
    { log: { ...well.log!, ages: [Age.fromPartial({ consumer: 'orders', stream: 'orders', gap: true })] } },
    ['log.gap page orders/orders'],
  ],
  [
    'a consumer that is behind',
    {
      log: {
        ...well.log!,
        ages: [
          Age.fromPartial({ consumer: 'flows', stream: 'orders', oldestUnreadMs: 60_001n, unread: 12n }),
          Age.fromPartial({ consumer: 'flows', stream: 'results', oldestUnreadMs: 60_000n, unread: 12n }),
        ],
      },
    },
    ['consumer.behind page flows/orders 12'],
  ],
  ['keys set aside', { log: { ...well.log!, parkedKeys: 2 } }, ['consumer.parked warn 2']],
  ['little disk', { log: { ...well.log!, freeDiskBytes: 1.9e9 } }, ['disk.little warn']],
  ['a disk that fills', { disks: [filling('state', 6.5), filling('vault', 6.5)] }, ['disk.filling warn data 6']],
  ['a disk that is full tomorrow', { disks: [filling('state', 0.5)] }, ['disk.filling page data']],
  ['no disk', { log: { ...well.log!, freeDiskBytes: 1e8 } }, ['disk.little page']],
  [
    'an endpoint that rests, with mail that it refused',
    {
      endpoints: [
        EndpointStatus.fromPartial({ partyOin: PARTY, standard: 'webhook', state: 'resting', parkedKeys: 4 }),
      ],
    },
    [`endpoint.failing warn ${PARTY} webhook`, `endpoint.parked warn ${PARTY} webhook 4`],
  ],
  [
    'a roster that is held',
    { holds: [{ holdId: 'hold-1', schoolOin: SCHOOL, sinceMs: 1n }] },
    [`hold.pending warn ${SCHOOL} hold-1`],
  ],
  [
    'a rule that ends, and one that is nearly used up at three schools',
    {
      rules: [
        { ruleId: 'r', schoolOin: SCHOOL, endsInDays: 5, fullAt: 0 },
        { ruleId: 's', schoolOin: '', fullAt: 3 },
      ],
    },
    [`rule.ends warn ${SCHOOL} r 5`, 'rule.used warn s 3'],
  ],
  [
    'many reveals, in two hours, of one party',
    {
      reveals: {
        tooMany: [
          { partyOin: PARTY, hourMs: 0n, learners: 120_000n },
          { partyOin: PARTY, hourMs: 1n, learners: 180_000n },
        ],
      },
    },
    [`reveals.many page ${PARTY} 180000`],
  ],
  [
    'a key holder that is away, and the vault closed by it',
    { keys: ShowKeysResponse.fromPartial({ masterAwayMs: 5n, masterClosed: true }) },
    ['vault.closed page master'],
  ],
  [
    'a key holder that is away',
    { keys: ShowKeysResponse.fromPartial({ masterAwayMs: 5n }) },
    ['vault.closed warn master'],
  ],
  [
    'certificates that end',
    {
      certificates: [
        { partyOin: PARTY, name: '', notAfterMs: nowMs + 30 * DAY },
        { partyOin: '', name: 'EDUK_TLS_CERT', notAfterMs: nowMs - DAY },
      ],
    },
    [`certificate.ends warn ${PARTY} 30`, 'certificate.ends page EDUK_TLS_CERT'],
  ],
  ['mandates that end', { ending: new Map([[PARTY, 2n]]) }, [`mandate.ends warn ${PARTY} 2`]],
  [
    'a register that failed',
    { registers: [RegisterRun.fromPartial({ register: 'osr', outcome: 'failed' })] },
    ['register.failing warn osr'],
  ],
  [
    'an administration that gives nothing',
    {
      pulls: [
        Pull.fromPartial({ partyOin: PARTY, outcome: 'failed' }),
        Pull.fromPartial({ partyOin: PARTY, schoolOin: SCHOOL, outcome: 'failed' }),
      ],
    },
    [`roster.unanswered warn ${PARTY} 1`],
  ],
  [
    'a party that has other things than stand here, and does not say so of another school',
    {
      reconciliations: [
        Reconciliation.fromPartial({ partyOin: PARTY, counts: { missing: 2n, surplus: 1n, differs: 3n, moving: 9n } }),
        Reconciliation.fromPartial({ partyOin: PARTY, failures: 1, code: 'peer.refused' }),
      ],
    },
    [`holdings.differ warn ${PARTY} 6`, `holdings.unanswered warn ${PARTY} 1`],
  ],
  [
    'a platform that lets nobody in',
    { launches: [{ platform: PARTY, publisher: 'p', state: 'low', whose: 'them', party: '' }] },
    [`launches.theirs page ${PARTY} ${PARTY}/p`],
  ],
  [
    'platforms that let nobody in, and it is us',
    { launches: ['a', 'b'].map((platform) => ({ platform, publisher: 'p', state: 'none', whose: 'us', party: '' })) },
    ['launches.ours page 2'],
  ],
  ['a party that is silent', { silent: [{ partyOin: PARTY, method: 'm' }] }, [`traffic.silent warn ${PARTY} m`]],
])('%s is told', (_what, more, expected) => expect(told(more)).toEqual(expected));

describe('every code', () => {
  test('has a test above, and is unknown where what it rests on could not be asked', () => {
    const source = new URL(import.meta.url).pathname;
    expect(source).toContain('judge.test.ts');
    for (const [code, on] of Object.entries(restsOn)) {
      expect(Object.keys(alertKinds)).toContain(code);
      expect(judge({ ...well, [on]: undefined }).unknown).toContain(code);
    }
    expect(Object.keys(restsOn).sort()).toEqual(Object.keys(alertKinds).sort());
  });
  test.each(Object.keys(alertKinds))('%s is told in words', (code) => {
    const alert = {
      code,
      partyOin: PARTY,
      schoolOin: '',
      subject: '',
      grade: 'warn',
      count: 3n,
      sinceMs: 0n,
      patienceMs: 0n,
    };
    const text = textOf({
      gateway: 'https://g.example',
      news: [{ alert, what: 'opened', openedMs: 1n }],
      nameOf: () => 'Leerplein',
    });
    expect(text).toContain(alertKinds[code as keyof typeof alertKinds].nl);
    expect(text).toContain(`Leerplein (${PARTY})`);
    expect(text).toContain(alertKinds[code as keyof typeof alertKinds].see);
  });
});
