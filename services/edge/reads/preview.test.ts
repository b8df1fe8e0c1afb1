import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Mandate, MandateState, Party, Role, Service } from '#proto/eduk/core/v1/party';
import type { PreviewedAttribute } from '#proto/eduk/operator/v1/operator';
import { type AttributeName, everything, revealRoster } from '#release';
import type { Caller } from '../caller.ts';
import { Chain } from '../chain.ts';
import { purposeFor } from '../purpose.ts';
import { previewRelease } from './preview.ts';

const [SCHOOL, BOARD, PARTY] = ['0000000700099ZX00000', '00000099100000008000', '00000099100000009000'];
const { MANDATE_STATE_UNCONFIRMED, MANDATE_STATE_ACTIVE, MANDATE_STATE_RUN_OFF, MANDATE_STATE_ENDED } = MandateState;
const states = [MANDATE_STATE_UNCONFIRMED, MANDATE_STATE_ACTIVE, MANDATE_STATE_RUN_OFF, MANDATE_STATE_ENDED];
const services = Object.values(Service).filter((service) => service > 0);
const roles = Object.values(Role).filter((role) => role > 0);
const names: AttributeName[] = [...everything];
const grounds = new Set(['own', 'mandate', 'default']);
const clock = { now: () => Date.parse('2026-11-22T10:00:00Z') };

/** A door that knows one school of a board, one party and these mandates of the two. */
async function doorWith(party: Partial<Party>, given: readonly Partial<Mandate>[]) {
  const mandates = given.map((mandate, i) => ({
    mandate: Mandate.fromPartial({ mandateId: `m${i}`, schoolOin: SCHOOL, partyOin: PARTY, ...mandate }),
    keyDigest: new Uint8Array(0),
  }));
  const parties = [
    { oin: SCHOOL, name: 'De Es', roles: [Role.ROLE_SCHOOL], boardOin: BOARD },
    { oin: BOARD, name: 'Bestuur', roles: [Role.ROLE_BOARD] },
    { oin: PARTY, name: 'Leerplein', ...party },
  ].map((one) => ({ party: Party.fromPartial(one), credentials: undefined }));
  const chain = new Chain(
    { snapshot: async () => ({ version: 1n, parties, mandates, freezes: [], holdRules: [] }) } as never,
    clock,
  );
  await chain.refresh();
  return { chain };
}

/** What a pseudonym is here. */
const OWN = 'pw1';
/** A vault in which everything is known of everybody; it tells a table only to who asks for it. */
const vault = {
  reveal: async ({ wanted, numbers, names, contact, pairwise }: Record<string, unknown>) => ({
    revealed: (wanted as unknown[]).map(() => ({
      known: true,
      ref: numbers ? { eckId: pairwise ? OWN : 'e', lasKey: pairwise ? OWN : 'k' } : undefined,
      person:
        names || contact
          ? {
              familyName: names ? 'f' : '',
              familyNamePrefix: names ? 'p' : '',
              givenNames: names ? 'g' : '',
              initials: names ? 'i' : '',
              callName: names ? 'c' : '',
              birthDate: names ? 'b' : '',
              gender: names ? '2' : '',
              email: contact ? 'm' : '',
              accountName: contact ? (pairwise ? OWN : 'a') : '',
            }
          : undefined,
      forgetting: false,
    })),
  }),
  openTexts: async ({ tokens, keys }: { tokens: string[]; keys: string[] }) => ({
    texts: tokens.map((token) => `text of ${token}`),
    keys: keys.map(() => OWN),
  }),
} as never;

const nobody = new Uint8Array(0);
const entries = {
  sites: [{ site: 's', name: 'sn', description: 'sd', siteCodes: ['01'] }],
  groups: [
    { group: 'g', name: 'gn', description: 'gd', yearGroup: '7', composite: false, siteCodes: ['01'], teachers: [] },
  ],
  learners: [
    {
      learner: 'lt',
      yearGroup: '7',
      group: 'g',
      compositeGroups: ['h'],
      site: 's',
      entersOn: '2026-08-01',
      leavesOn: '2027-07-31',
      nameMark: nobody,
      siteCodes: ['01'],
    },
  ],
  staff: [{ staff: 'st', groups: [], duties: [], nameMark: nobody, siteCodes: [] }],
} as never;

/** The attributes that a receiver can tell from what it is sent; undefined = it is sent nothing. */
async function releasedTo(
  door: Awaited<ReturnType<typeof doorWith>>,
  caller: Caller,
  service: Service,
): Promise<{ names: AttributeName[]; pseudonyms: AttributeName[] } | undefined> {
  let purpose: ReturnType<typeof purposeFor>;
  try {
    purpose = purposeFor(door, caller, SCHOOL, service);
  } catch {
    return undefined;
  }
  const roster = await revealRoster(vault, purpose, { schoolYear: '2026-2027', asOf: '', madeAt: '' }, entries);
  return roster.reveal(({ learners, groups, sites, staff }) => {
    const { ref, person, ...row } = learners[0]!;
    const seen: Record<AttributeName, unknown> = {
      eck_id: ref!.eckId,
      las_key: ref!.lasKey,
      call_name: person?.callName,
      family_name: person?.familyName,
      given_names: person?.givenNames,
      initials: person?.initials,
      birth_date: person?.birthDate,
      gender: person?.gender,
      email: person?.email,
      account_name: person?.accountName,
      year_group: row.yearGroup,
      groups: groups[0] && row.groupKey && row.compositeGroupKeys[0],
      sites: sites[0] && row.siteKey && row.siteCodes[0],
      period: row.entersOn && row.leavesOn,
      staff: staff[0]?.person?.familyName,
    };
    const keys: Partial<Record<AttributeName, unknown>> = { ...seen, groups: row.groupKey, sites: row.siteKey };
    return {
      names: names.filter((name) => seen[name]),
      pseudonyms: names.filter((name) => keys[name] === OWN),
    };
  });
}

const request = (more: object = {}) => ({
  partyOin: PARTY,
  schoolOin: SCHOOL,
  service: Service.SERVICE_UNSPECIFIED,
  lang: '',
  ...more,
});

test('a preview says what a release gives, whoever it is for and whatever was agreed', async () => {
  const someNames = fc.oneof(fc.constant<AttributeName[]>([]), fc.subarray(names, { minLength: 1 }));
  const mandate = fc.record({
    services: fc.subarray(services, { minLength: 1 }),
    narrowed: fc.oneof({ weight: 3, arbitrary: fc.constant<Service[]>([]) }, fc.subarray(services, { maxLength: 2 })),
    attributes: someNames,
    state: fc.constantFrom(MANDATE_STATE_ACTIVE, ...states),
    validFrom: fc.constantFrom('', '2026-11-22', '2026-11-23'),
    validUntil: fc.constantFrom('', '2026-11-22', '2026-11-21'),
    runOffUntil: fc.constantFrom('2026-11-22', '2026-11-21'),
    pairwise: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.subarray(roles, { minLength: 1, maxLength: 3 }),
      someNames,
      fc.array(mandate, { maxLength: 3 }),
      async (has, attributes, given) => {
        const door = await doorWith({ roles: has, attributes }, given);
        const caller: Caller = { kind: 'party', oin: PARTY, roles: new Set(has) };
        for (const service of services) {
          const [preview] = previewRelease(door, request({ service }));
          const released = await releasedTo(door, caller, service);
          expect(preview!.code === '').toBe(released !== undefined);
          const told = (which: (one: PreviewedAttribute) => boolean) =>
            preview!.attributes.filter(which).map(({ name }) => name);
          const said = { names: told(({ given }) => given), pseudonyms: told(({ pairwise }) => pairwise) };
          expect(said).toEqual(released ?? { names: [], pseudonyms: [] });
          const unexplained = preview!.attributes.filter(
            ({ given, reasons, told }) =>
              told === '' || reasons.length === 0 || given !== reasons.every((reason) => grounds.has(reason)),
          );
          expect(unexplained).toEqual([]);
        }
      },
    ),
    { numRuns: 80 },
  );
});

describe('a preview', () => {
  const why = (preview: ReturnType<typeof previewRelease>) =>
    Object.fromEntries(preview[0]!.attributes.map(({ name, given, reasons }) => [name, given ? 'given' : reasons]));
  const roster = { services: [Service.SERVICE_ROSTER], state: MANDATE_STATE_ACTIVE };

  test('says why: not named, not declared, not for this role', async () => {
    const door = await doorWith({ roles: [Role.ROLE_PUBLISHER], attributes: ['eck_id', 'call_name', 'birth_date'] }, [
      { ...roster, attributes: ['eck_id', 'birth_date', 'year_group'] },
    ]);
    const [preview] = previewRelease(door, request());
    expect(preview).toMatchObject({ service: Service.SERVICE_ROSTER, code: '', mandateIds: ['m0'] });
    expect(preview!.told).toBe('By mandate m0.');
    expect(why([preview!])).toMatchObject({
      eck_id: 'given',
      birth_date: ['role'],
      year_group: ['not_declared'],
      call_name: ['not_in_mandate'],
      gender: ['not_in_mandate', 'not_declared', 'role'],
    });
  });

  test('of a party that declared nothing holds the default of the service against the mandate', async () => {
    const door = await doorWith({ roles: [Role.ROLE_PLATFORM] }, [{ ...roster, attributes: ['eck_id', 'email'] }]);
    expect(why(previewRelease(door, request()))).toMatchObject({ eck_id: 'given', email: ['not_declared'] });
  });

  test('says what a mandate that nobody confirmed, or that ended, would have released', async () => {
    for (const [state, code] of [
      [MANDATE_STATE_UNCONFIRMED, 'mandate.unconfirmed'],
      [MANDATE_STATE_ENDED, 'mandate.ended'],
    ] as const) {
      const door = await doorWith({ roles: [Role.ROLE_PLATFORM] }, [{ ...roster, state }]);
      const preview = previewRelease(door, request({ lang: 'nl' }));
      expect(preview).toMatchObject([{ code, told: expect.stringMatching(/^Niets\. .*\(m0\)$/) }]);
      expect(why(preview)).toMatchObject({ eck_id: [code], gender: [code, 'not_in_mandate', 'not_declared'] });
    }
  });

  test('without a mandate has no service to tell of, and of one that is asked says that it is missing', async () => {
    const door = await doorWith({ roles: [Role.ROLE_PLATFORM] }, []);
    expect(previewRelease(door, request())).toEqual([]);
    const preview = previewRelease(door, request({ service: Service.SERVICE_ORDER }));
    expect(preview).toMatchObject([{ code: 'mandate.missing', mandateIds: [] }]);
    expect(why(preview)).toMatchObject({ eck_id: ['mandate.missing'] });
  });

  test('of the school itself and of its board is everything', async () => {
    const door = await doorWith({ roles: [Role.ROLE_PLATFORM] }, []);
    for (const partyOin of [SCHOOL, BOARD]) {
      const previews = previewRelease(door, request({ partyOin }));
      expect(previews).toHaveLength(services.length);
      for (const preview of previews) expect(preview.attributes.every(({ given }) => given)).toBe(true);
    }
  });

  test('of who or what nobody knows is refused', async () => {
    const door = await doorWith({ roles: [Role.ROLE_PLATFORM] }, []);
    for (const [more, fault] of [
      [{ partyOin: '00000099100000001000' }, 'state.missing'],
      [{ schoolOin: '0000000700099ZZ00000' }, 'state.missing'],
      [{ partyOin: 'x' }, 'wire.invalid'],
      [{ schoolOin: '' }, 'wire.invalid'],
      [{ lang: 'fr' }, 'wire.invalid'],
    ] as const)
      expect(() => previewRelease(door, request(more))).toThrow(expect.objectContaining({ fault }));
  });
});

test('pseudonyms are of the pair: while any mandate that holds says so, for each of its services', async () => {
  const plain = { services: [Service.SERVICE_ROSTER], state: MANDATE_STATE_ACTIVE };
  const said = { services: [Service.SERVICE_ORDER], state: MANDATE_STATE_ACTIVE, pairwise: true };
  const caller: Caller = { kind: 'party', oin: PARTY, roles: new Set([Role.ROLE_PLATFORM]) };
  const isPairwise = async (...mandates: Partial<Mandate>[]) =>
    purposeFor(await doorWith({ roles: [Role.ROLE_PLATFORM] }, mandates), caller, SCHOOL, Service.SERVICE_ROSTER)
      .pairwise;
  expect(await isPairwise(plain)).toBe(false);
  expect(await isPairwise(plain, said)).toBe(true);
  expect(await isPairwise(plain, { ...said, state: MANDATE_STATE_RUN_OFF, runOffUntil: '2026-11-22' })).toBe(true);
  expect(await isPairwise(plain, { ...said, state: MANDATE_STATE_UNCONFIRMED })).toBe(false);
  expect(await isPairwise(plain, { ...said, state: MANDATE_STATE_ENDED })).toBe(false);
  const door = await doorWith({ roles: [Role.ROLE_PLATFORM] }, [plain, said]);
  for (const own of [SCHOOL, BOARD]) {
    const roles = new Set([own === BOARD ? Role.ROLE_BOARD : Role.ROLE_SCHOOL]);
    expect(purposeFor(door, { kind: 'party', oin: own, roles }, SCHOOL, Service.SERVICE_ROSTER).pairwise).toBe(false);
  }
});

test('what pseudonyms can be linked by: what says who it is, what does so together, ids, and what was had before', async () => {
  const linked = async (
    attributes: string[],
    service: Service = Service.SERVICE_ROSTER,
    ...more: Partial<Mandate>[]
  ) => {
    const mandate = { services: [service], state: MANDATE_STATE_ACTIVE, attributes, pairwise: true };
    const door = await doorWith({ roles: [Role.ROLE_PLATFORM], attributes: names }, [mandate, ...more]);
    return previewRelease(door, request({ service }))[0]!.linkableBy;
  };
  expect(await linked(['eck_id', 'las_key', 'account_name', 'groups'])).toEqual([]);
  expect(await linked(['eck_id', 'email'])).toEqual(['email']);
  expect(await linked(['eck_id', 'call_name', 'groups'])).toEqual(['call_name', 'groups']);
  expect(await linked(['eck_id'], Service.SERVICE_ENTITLEMENT)).toEqual(['entitlement_id', 'order_id']);
  const before = { services: [Service.SERVICE_USAGE], state: MANDATE_STATE_ENDED };
  expect(await linked(['eck_id'], Service.SERVICE_ROSTER, before)).toEqual(['earlier']);
});

test('what several mandates of a pair name adds up, whichever a door heard of first', async () => {
  const given = [
    { services: [Service.SERVICE_ROSTER], state: MANDATE_STATE_ACTIVE, attributes: ['eck_id'] },
    { services: [Service.SERVICE_ROSTER], state: MANDATE_STATE_ACTIVE, attributes: ['year_group'] },
  ];
  const caller: Caller = { kind: 'party', oin: PARTY, roles: new Set([Role.ROLE_PLATFORM]) };
  for (const mandates of [given, [...given].reverse()]) {
    const door = await doorWith({ roles: [Role.ROLE_PLATFORM] }, mandates);
    const { released } = purposeFor(door, caller, SCHOOL, Service.SERVICE_ROSTER);
    expect([...released]).toEqual(['eck_id', 'year_group']);
  }
});
