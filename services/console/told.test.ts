import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allInDutch, inDutch, toldInEnglish } from './web/told.ts';

const services = join(import.meta.dirname, '..');

test('what stands here in Dutch is what the gateway says', () => {
  const source = globSync('{console,edge,flows,kernel,entitlements,rosters,orders,delivery}/**/*.ts', { cwd: services })
    .filter((path) => !path.endsWith('.test.ts') && !path.includes('/web/'))
    .map((path) => readFileSync(join(services, path), 'utf8'))
    .join('\n');
  const words = (text: string): string => text.replaceAll(/\s+/g, ' ');
  const whole = words(source);
  // Between values, and beside words that a count changes.
  const pieces = toldInEnglish.flatMap((en) =>
    en
      .split(
        /\{\}|<>|\[\]|[,;:.]|\b(?:messages?|events?|entitlements?|attempts?|waits?|times?|licences?|causes?|open|active|There)\b/,
      )
      .map((one) => one.trim())
      .filter((one) => one.length > 9),
  );
  expect(pieces.length).toBeGreaterThan(50);
  expect(pieces.filter((piece) => !whole.includes(piece))).toEqual([]);
});

test.each([
  ['It waits for approval.', 'Wacht op goedkeuring.'],
  [
    'webhook: attempt 3 was answered 503, the next after 2026-11-23T10:00:00.000Z',
    'webhook: poging 3 werd beantwoord met 503, de volgende na 2026-11-23T10:00:00.000Z',
  ],
  ['webhook: attempt 1 was answered 200', 'webhook: poging 1 werd beantwoord met 200'],
  [
    'A roster of 2026-2027 of site 02 waits for approval: it is empty.',
    'Een lijst van 2026-2027 van vestiging 02 wacht op goedkeuring: ze is leeg.',
  ],
  [
    'A roster of 2026-2027 waits: freeze exams-2027, set by operator on 2027-05-10 09:00, holds until 2027-05-28 18:00.',
    'Een lijst van 2026-2027 wacht: bevriezing exams-2027, door de beheerder gezet op 2027-05-10 09:00, geldt tot 2027-05-28 18:00.',
  ],
  [
    'Withdrawals of entitlements wait for approval: they take much away at once.',
    'Het intrekken van licenties wacht op goedkeuring: er wordt veel tegelijk weggenomen.',
  ],
  [
    'Withdrawals of entitlements wait: freeze exams-2027, set by operator on 2027-05-10 09:00, holds until 2027-05-28 18:00.',
    'Het intrekken van licenties wacht: bevriezing exams-2027, door de beheerder gezet op 2027-05-10 09:00, geldt tot 2027-05-28 18:00.',
  ],
  [
    '1 message of this waits for Leerplein: its webhook answered 422 to attempt 1.',
    '1 bericht hiervan wacht voor Leerplein: webhook antwoordde 422 op poging 1.',
  ],
  [
    'Leerplein may not have entitlement of this school: No mandate. It has a mandate for roster.',
    'Leerplein mag licenties van deze school niet hebben: Geen mandaat. Wel een mandaat voor leerlinggegevens.',
  ],
  // A name of two words lends none of them to what follows it.
  [
    'The webhook of Groot Leerplein answered 503; it is tried again after 2026-11-23T10:00:00.000Z.',
    'Het adres voor webhook van Groot Leerplein antwoordde 503; na 2026-11-23T10:00:00.000Z wordt het weer geprobeerd.',
  ],
  ['No mandate.', 'Geen mandaat.'],
  [
    'Released by rule r-1 (year-end-2027), set by operator, until 2027-08-01 00:00.',
    'Vrijgegeven door regel r-1 (year-end-2027), door de beheerder gezet, tot 2027-08-01 00:00.',
  ],
  // A phrase that does not stand here: then all of it is told as it came, and not half of it.
  ['A roster of 2026-2027 waits for approval: it is upside down.', undefined],
  ['Something else.', undefined],
  ['', undefined],
])('%s', (en, nl) => {
  expect(inDutch(en, { en: 'No mandate.', nl: 'Geen mandaat.' })).toBe(nl);
});

test('a value is said as it is, whatever it holds', () => {
  expect(inDutch('It starts on {} <> $1 $& \\.')).toBe('De licentie begint op {} <> $1 $& \\.');
});

test('whatever is refused of freezes and rules, and of who is not known, is said in Dutch', () => {
  const told = ['grpc/freezes.ts', 'grpc/hold-rules.ts', 'reads/known.ts', 'stages/authorise.ts', 'labels.ts']
    .map((path) => readFileSync(join(services, 'edge', path), 'utf8'))
    .flatMap((source) => [
      ...source.matchAll(/(?:\bwrong\(|'wire\.invalid',|'state\.missing',|_UNKNOWN =)\s*(['`])(.+?)\1(?=[,;)\n])/gs),
    ])
    .map(([, , words]) => words!.replaceAll(/\$\{.+?\}(?=[\s.]|$)/gs, '5'));
  expect(told.length).toBeGreaterThan(20);
  expect(told.filter((words) => inDutch(words) === undefined)).toEqual(['Name the school.']);
});

test('whatever the console itself refuses is said in Dutch', () => {
  const told = globSync('console/*.ts', { cwd: services })
    .filter((path) => !path.endsWith('.test.ts'))
    .map((path) => readFileSync(join(services, path), 'utf8'))
    .flatMap((source) => [...source.matchAll(/new GatewayError\(\s*'[\w.]+',\s*'([^']+)'/g)])
    .map(([, words]) => words!);
  expect(told.length).toBeGreaterThan(40);
  expect(told.filter((words) => inDutch(words) === undefined)).toEqual([]);
});

const first = {
  told: 'It starts on 2026-12-13.',
  title: { en: 'The entitlement has not started.', nl: 'De licentie is nog niet begonnen.' },
  remedy: 'Wait for the first day.',
};
test.each([
  [
    'It starts on 2026-12-13. Dr. Wilg must act: Wait for the first day.',
    'De licentie begint op 2026-12-13. Dr. Wilg moet iets doen: Wacht af.',
  ],
  [
    '1 licence is active. It starts on 2026-12-13. We must act: Wait for the first day. There is one more cause.',
    '1 licentie is actief. De licentie begint op 2026-12-13. Wij moeten iets doen: Wacht af. Er is nog één oorzaak.',
  ],
  [
    '20 licences are active. It starts on 2026-12-13. The sender must act: Wait for the first day. There are 3 more causes.',
    '20 licenties zijn actief. De licentie begint op 2026-12-13. De afzender moet iets doen: Wacht af. Er zijn nog 3 oorzaken.',
  ],
  [
    'The learner has 3 active licences and can open 2 of them. It starts on 2026-12-13. We must act: Wait for the first day. There is more than could be looked at: ask by order or by learner.',
    'De leerling heeft 3 actieve licenties, waarvan er 2 te openen zijn. De licentie begint op 2026-12-13. Wij moeten iets doen: Wacht af. Er is meer dan bekeken kon worden: vraag naar een bestelling of een leerling.',
  ],
  // Of another cause: as it came, and not half of it.
  ['It ended. We must act: Wait for the first day.', undefined],
])('%s', (en, nl) => {
  expect(allInDutch(en, first, 'Wacht af.')).toBe(nl);
});

test('where nothing blocks, that is said in all', () => {
  const nothing = 'Nothing was ordered or granted under this.';
  expect(allInDutch(nothing, undefined, undefined)).toBe('Hieronder is niets besteld of gegeven.');
  expect(allInDutch(nothing, first, undefined)).toBeUndefined();
});
