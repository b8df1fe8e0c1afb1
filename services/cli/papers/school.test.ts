import { expect, test } from 'vitest';
import { Mandate, MandateState, Party, Role, Service } from '#proto/eduk/core/v1/party';
import { ProcessedService, Processor, ShowProcessingResponse } from '#proto/eduk/operator/v1/operator';
import { schoolPapers } from './school.ts';
import { dutchNumber, kept, keptPlain, purposes, roles } from './words.ts';

const SCHOOL = '0000000700099ZZ00000';
const NOW = BigInt(Date.UTC(2026, 10, 22, 11));
const { MANDATE_STATE_ACTIVE, MANDATE_STATE_UNCONFIRMED, MANDATE_STATE_ENDED } = MandateState;

const mandate = (mandateId: string, state: MandateState, more: Partial<Mandate> = {}): Mandate =>
  Mandate.fromPartial({
    mandateId,
    schoolOin: SCHOOL,
    partyOin: '00000003123456780000',
    services: [Service.SERVICE_ROSTER],
    state,
    agreement: 'vwo-2026/1.2',
    ...more,
  });
const service = (more: Partial<ProcessedService> = {}): ProcessedService =>
  ProcessedService.fromPartial({
    service: Service.SERVICE_ROSTER,
    mandateIds: ['m-1'],
    attributes: ['eck_id', 'call_name'],
    ...more,
  });
const facts = (more: Partial<ShowProcessingResponse> = {}): ShowProcessingResponse =>
  ShowProcessingResponse.fromPartial({
    atMs: NOW,
    school: Party.fromPartial({ oin: SCHOOL, name: 'De Wilgenhof', roles: [Role.ROLE_SCHOOL] }),
    retention: [
      { retention: 'VAULT', leavesOn: '' },
      { retention: 'RETENTION_AUDIT', leavesOn: '2029-11-24' },
    ],
    attributes: [
      { name: 'eck_id', about: 'Ketenidentificatie van de leerling.', restsIn: 'numbers' },
      { name: 'call_name', about: 'Roepnaam.', restsIn: 'names' },
    ],
    countedSince: '2026-09-01',
    revealsPerHour: 100n,
    schoolYears: ['2026-2027'],
    parties: [
      {
        oin: '00000003123456780000',
        name: 'Leerplein',
        roles: [Role.ROLE_PLATFORM],
        mandates: [mandate('m-1', MANDATE_STATE_ACTIVE)],
        services: [service()],
        endpoints: [],
      },
    ],
    ...more,
  });
const papers = (it: ShowProcessingResponse): Record<string, string> =>
  Object.fromEntries(schoolPapers(it).map(({ file, text }) => [file, text]));
const files = ['verwerkingsregister.md', 'bijlage-1.md', 'dpia-invoer.md', 'ouders.html'];
const party = (more: object) => facts({ parties: [{ ...facts().parties[0]!, ...more }] });

test('the same facts give the same four papers, of the day they were asked', () => {
  const first = papers(facts());
  expect(Object.keys(first)).toEqual(files);
  expect(papers(facts())).toEqual(first);
  for (const text of Object.values(first)) {
    expect(text).toContain('22 november 2026');
    expect(text).toContain('Leerplein');
    expect(text).toMatch(/roepnaam/i);
  }
  expect(first['ouders.html']).not.toMatch(/https?:|<script|<link|<img/);
});

test('a mandate that says otherwise changes each paper', () => {
  const before = papers(facts());
  const after = papers(party({ services: [service({ attributes: ['eck_id'] })] }));
  for (const file of files) {
    expect(after[file], file).not.toBe(before[file]);
    expect(after[file]!.split('## Wat de gateway niet weet')[0], file).not.toMatch(/roepnaam/i);
  }
});

test('version, sites and purposes of an agreement are told where it names them', () => {
  const named = mandate('m-1', MANDATE_STATE_ACTIVE, { agreementVersion: '4', siteCodes: ['01'] });
  const told = papers(party({ mandates: [named], services: [service({ purposesTold: 'onderwijs geven en volgen' })] }));
  for (const file of ['verwerkingsregister.md', 'bijlage-1.md']) {
    expect(told[file], file).toContain('vwo-2026/1.2, versie 4, alleen vestiging 01');
    expect(told[file], file).toContain('Volgens de afspraak: onderwijs geven en volgen.');
  }
});

test.each([
  ['unconfirmed', [mandate('m-1', MANDATE_STATE_UNCONFIRMED)], 'mandate.unconfirmed', 'niet bevestigd: werkt niet'],
  [
    'of a party that is stopped',
    [mandate('m-1', MANDATE_STATE_ACTIVE, { partyStopped: true })],
    'mandate.ended',
    'stilgezet',
  ],
])('a mandate that is %s is not told as running', (_name, mandates, code, words) => {
  const told = papers(party({ mandates, services: [service({ code, attributes: [] })] }));
  for (const file of files.slice(0, 3)) {
    expect(told[file], file).toContain(words);
    expect(told[file], file).not.toContain('Roepnaam');
  }
  expect(told['bijlage-1.md']).toContain('Ontvangers die nu iets krijgen: geen.');
  // A parent reads what happens, not what might.
  expect(told['ouders.html']).not.toContain('Leerplein');
  expect(told['ouders.html']).toContain('aan niemand gegevens');
});

test('a mandate that waits is told apart also where its party gets something by another', () => {
  const both = [mandate('m-1', MANDATE_STATE_ACTIVE), mandate('m-2', MANDATE_STATE_UNCONFIRMED)];
  const told = papers(party({ mandates: both }));
  for (const file of files.slice(0, 3)) {
    expect(told[file], file).toContain(
      '| Leerplein | m-2 | leerlinggegevens | ingevoerd, niet bevestigd: werkt niet |',
    );
    expect(told[file], file).not.toContain('| Leerplein | m-1 |');
  }
});

test('a mandate that the school confirmed and the party did not accept is told so', () => {
  const waits = mandate('m-1', MANDATE_STATE_UNCONFIRMED, { requiresAcceptance: true, confirmedBy: SCHOOL });
  const told = papers(
    party({ mandates: [waits], services: [service({ code: 'mandate.unaccepted', attributes: [] })] }),
  );
  expect(told['bijlage-1.md']).toContain('bevestigd, nog niet aanvaard door de partij: werkt niet');
});

test('an ended mandate is in no paper', () => {
  const told = papers(
    party({
      mandates: [mandate('m-1', MANDATE_STATE_ENDED)],
      services: [service({ code: 'mandate.ended', attributes: [] })],
    }),
  );
  for (const file of files) expect(told[file], file).not.toContain('Leerplein');
});

test('who processes is said as it is declared, and that nobody said it where nobody did', () => {
  const none = papers(facts());
  expect(none['verwerkingsregister.md']).toContain('EDUK_PROCESSING_FILE');
  expect(none['bijlage-1.md']).toContain('heeft niet opgegeven of er subverwerkers zijn');
  expect(none['ouders.html']).toContain('heeft nog niet gezegd');
  const told = papers(
    facts({
      operator: Processor.fromPartial({ name: 'Ketenbeheer BV', contact: 'privacy@ketenbeheer.example' }),
      processorFor: 'Leerlijst Groep',
      subprocessors: [Processor.fromPartial({ name: 'Rekencentrum', does: 'servers', country: 'Nederland' })],
      subprocessorsKnown: true,
    }),
  );
  for (const file of files) expect(told[file], file).toContain('Rekencentrum');
  expect(told['verwerkingsregister.md']).toContain('Verwerker: Leerlijst Groep.');
  expect(told['verwerkingsregister.md']).toContain('Subverwerker die de gateway beheert: Ketenbeheer BV');
  expect(papers(facts({ subprocessorsKnown: true }))['bijlage-1.md']).toContain('geen subverwerkers');
});

test('use, terms and pseudonyms are those of the gateway', () => {
  const unused = papers(facts());
  expect(unused['verwerkingsregister.md']).toContain('niet gebruikt sinds 1 september 2026');
  expect(unused['verwerkingsregister.md']).toContain('na 24 november 2029 weg');
  const used = papers(
    party({ services: [service({ lastUsedOn: '2026-11-20', pairwise: true, linkableTold: 'Te koppelen via x.' })] }),
  );
  expect(used['verwerkingsregister.md']).toContain('laatst gebruikt op 20 november 2026');
  expect(used['dpia-invoer.md']).toContain('Te koppelen via x.');
  expect(used['ouders.html']).toContain('schuilnaam');
});

test('what a party calls itself breaks neither a table nor a page', () => {
  const told = papers(party({ name: 'A|B <script>x</script>\n| y ![p](https://x.example/p.png)' }));
  expect(told['ouders.html']).not.toContain('<script');
  for (const file of files.slice(0, 3)) expect(told[file], file).not.toMatch(/<script|\n\| y|!\[p/);
});

test('a parent reads a sentence for every service', () => {
  const every = Object.values(purposes).map(({ plain }) => plain);
  expect(every.filter((plain) => !/(^| )te \w/.test(plain))).toEqual([]);
  const told = papers(party({ services: [service({ service: Service.SERVICE_ORDER })] }));
  expect(told['ouders.html']).toContain('Om leermateriaal te bestellen: ');
});

const {
  SERVICE_ACT,
  SERVICE_ACCESS,
  SERVICE_ENTITLEMENT,
  SERVICE_ORDER,
  SERVICE_PROGRESS,
  SERVICE_RESULT,
  SERVICE_USAGE,
} = Service;

test.each([
  [SERVICE_RESULT, /leer- en toetsresultaten .*voortgang en tijdsbesteding/, /cijfers en scores/],
  [SERVICE_PROGRESS, /voortgang, tijdsbesteding/, /hoeveel werk af is/],
  [SERVICE_ORDER, /bestelde leermiddelen/, /leermateriaal voor uw kind is besteld/],
  [SERVICE_ENTITLEMENT, /toegekende licenties/, /mag gebruiken/],
  [SERVICE_USAGE, /gebruik van een licentie/, /op welke dagen/],
  [SERVICE_ACCESS, /tijdstip van starten/, /opent en wanneer/],
])('of service %s each paper names the data that go with it', (of, words, plain) => {
  const told = papers(party({ services: [service({ service: of, attributes: ['eck_id'] })] }));
  const row = (file: string) =>
    told[file]!.split('\n').find((line) => line.includes('Ketenidentificatie') && /^\|/.test(line));
  expect(row('verwerkingsregister.md')).toMatch(words);
  expect(row('bijlage-1.md')).toMatch(words);
  expect(told['verwerkingsregister.md']!.split('## Categorieën')[1]!.split('##')[0]).toMatch(words);
  expect(told['dpia-invoer.md']!.split('## Omvang')[1]!.split('##')[0]).toMatch(words);
  expect(told['ouders.html']).toMatch(plain);
});

test('every service but acting says what goes with it, and every term how a parent reads it', () => {
  for (const [of, { carries, plainCarries }] of Object.entries(purposes)) {
    expect(carries === '', of).toBe(Number(of) === SERVICE_ACT);
    expect(plainCarries === '', of).toBe(Number(of) === SERVICE_ACT);
  }
  expect(Object.keys(keptPlain)).toEqual(Object.keys(kept));
});

test('a parent reads plainly how long, without what only we say', () => {
  const page = papers(
    facts({ retention: Object.keys(kept).map((retention) => ({ retention, leavesOn: '2029-11-24' })) }),
  )['ouders.html']!.split('Hoe lang blijven')[1]!;
  expect(page).toContain('De cijfers en het werk van uw kind: tot en met 24 november 2029.');
  expect(page).toContain('niet meer bij dat het om uw kind gaat): tot en met');
  expect(page).not.toMatch(/pseudoniem|versleuteld|identificerend|verantwoording|vastgelegd/i);
});

test('of what was opened the time goes first, and the day with the school year', () => {
  const told = papers(facts({ retention: [{ retention: 'RETENTION_ACCESS', leavesOn: '2026-12-22' }] }));
  for (const file of files) {
    expect(told[file], file).toContain('de dag blijft tot 1 oktober na het schooljaar');
    expect(told[file], file).toContain('22 december 2026');
  }
});

test('who acts for a school is no receiver, and nowhere compares learners', () => {
  const told = papers(party({ services: [service({ service: SERVICE_ACT, attributes: ['eck_id'] })] }));
  const dpia = told['dpia-invoer.md']!;
  expect(dpia.split('naast elkaar kunnen leggen')[1]!.split('##')[0]!.trim()).toBe(
    '- Nergens: geen ontvanger krijgt gegevens over wie iemand is.',
  );
  expect(dpia).toContain('Ontvangers die nu iets krijgen: 0.');
  for (const text of Object.values(told)) expect(text).not.toMatch(/Ketenidentificatie|alleen voor leermateriaal is/);
});

test.each([[[service()]], [[service({ pairwise: true })]], [[]]])('no paper has an empty line too many', (services) => {
  for (const [file, text] of Object.entries(papers(party({ services })))) expect(text, file).not.toMatch(/\n\n\n/);
});

test('a receiver that declared nothing is told of, nobody is “zij”, and thousands have a point', () => {
  const told = papers(facts({ revealsPerHour: 100_000n }));
  for (const file of ['verwerkingsregister.md', 'dpia-invoer.md']) {
    expect(told[file], file).toContain('Heeft de ontvanger niets opgegeven');
    expect(told[file], file).toContain('meer dan 100.000 leerlingen');
    expect(told[file], file).not.toMatch(/\b(zij|haar)\b/);
  }
  expect([0, 999, 1000, 1_234_567].map(dutchNumber)).toEqual(['0', '999', '1.000', '1.234.567']);
});

test('there are words for every role, service and term', () => {
  const numbers = (of: object): number[] => Object.values(of).filter((one): one is number => Number(one) > 0);
  expect(Object.keys(roles).map(Number).sort()).toEqual(numbers(Role).sort());
  expect(Object.keys(purposes).map(Number).sort()).toEqual(numbers(Service).sort());
  expect(Object.keys(kept).length).toBeGreaterThan(8);
});

test('of a school whose names are asked when they are needed, every paper says that they are not kept', () => {
  const told = papers(facts({ identity: 'on-demand', retention: [{ retention: 'VAULT_NO_NAMES', leavesOn: '' }] }));
  for (const file of ['verwerkingsregister.md', 'dpia-invoer.md'])
    expect(told[file], file).toMatch(/Namen, geboortedatum en contactgegevens worden voor deze school niet bewaard/);
  expect(told['verwerkingsregister.md']).toContain('namen, geboortedatum en contactgegevens worden niet bewaard');
  const parents = Object.entries(told).find(([file]) => file.endsWith('.html'))![1];
  expect(parents).toContain('De naam van uw kind wordt niet bewaard.');
  expect(parents).not.toMatch(/op slot bewaard|contactgegevens van uw kind/);
});
