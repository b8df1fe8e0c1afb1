/**
 * The cases for educational applications: one that calls soundly fails none, and one that is wrong in one thing fails the case of
 * that thing and no other. (Those for administrations are tried on our own server: test/chain/conform.test.ts.)
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { readEnvelope } from '#adapters/xml';
import { Clear } from '#kernel';
import { Result } from '#proto/eduk/core/v1/result';
import { headersOf, resultsMessages, writeLeerresultaten, writeQuestion } from '../index.ts';
import { rules } from './case.ts';
import { answerBreaks, confirmationBreaks, questionBreaks, resultsBreaks } from './form.ts';
import {
  BRIN,
  conformancePage,
  type EaAnswer,
  EaRun,
  eaCases,
  htmlReport,
  lasCases,
  markdownReport,
  parts,
} from './index.ts';
import { inventedRoster } from './school.ts';

const MADE = '2026-11-20T08:00:00Z';
const NOW = Date.parse('2026-11-23T08:00:00Z');
const given = {
  klantcode: 'K-9',
  klantnaam: 'Proef',
  autorisatiesleutel: 'geheim-van-deze-proef',
  schooljaar: '2026-2027',
};
const AUT = 'http://www.edustandaard.nl/leerresultaten/2/autorisatie';
const LL = 'http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens';
const LR = 'http://www.edustandaard.nl/leerresultaten/2/leerresultaten';

interface Sent {
  name: string;
  method: string;
  url: string;
  type: string;
  action: string | undefined;
  body: string;
}

const envelope = (body: string) =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header><a:autorisatie xmlns:a="${AUT}"><a:autorisatiesleutel>${given.autorisatiesleutel}</a:autorisatiesleutel><a:klantcode>K-9</a:klantcode><a:klantnaam>Proef</a:klantnaam></a:autorisatie></e:Header><e:Body>${body}</e:Body></e:Envelope>`;

/** Calls of an application that does everything right. */
function calls(version: '2.2' | '2.3'): Sent[] {
  const ask = (name: string, element: string, action: string, more = ''): Sent => ({
    name,
    method: 'POST',
    url: '/leerlinggegevens',
    type: 'text/xml; charset=utf-8',
    action: `"${action}"`,
    body: envelope(
      `<q:${element} xmlns:q="${LL}"><q:schooljaar>2026-2027</q:schooljaar><q:brincode>${BRIN}</q:brincode><q:xsdversie>${version}</q:xsdversie>${more}</q:${element}>`,
    ),
  });
  const staged = (of: string, groups = '') =>
    ask(of, `${of}_verzoek`, `${LL}/${of}_verzoek`, groups && `<q:groepen>${groups}</q:groepen>`);
  const all = '<q:groep key="gr-7a"/><q:groep key="gr-78"/><q:groep/><q:samengestelde_groep key="sg-viool"/>';
  const eck = inventedRoster('2026-2027', MADE).learners[0]!.ref!.eckId;
  const results = (name: string): Sent => ({
    name,
    method: 'POST',
    url: '/leerresultaten',
    type: 'text/xml',
    action: '"BrengLeerresultaten"',
    body: envelope(
      `<r:leerresultaten_verzoek xmlns:r="${LR}"><r:school><r:schooljaar>2026-2027</r:schooljaar><r:brincode>${BRIN}</r:brincode><r:aanmaakdatum>2026-11-23T07:59:00Z</r:aanmaakdatum><r:xsdversie>${version}</r:xsdversie></r:school><r:toetsafnames><r:toetsafname><r:leerlingid>LL-1</r:leerlingid><r:eckid>${eck}</r:eckid><r:resultaten><r:resultaat key="r1"><r:afnamedatum>2026-11-20</r:afnamedatum><r:toetscode>T1</r:toetscode><r:score>8</r:score></r:resultaat><r:resultaat key="r2"><r:afnamedatum>2026-11-20</r:afnamedatum><r:toetscode>T1</r:toetscode><r:toetsonderdeelcode>a</r:toetsonderdeelcode><r:score>3</r:score></r:resultaat></r:resultaten></r:toetsafname></r:toetsafnames><r:toetsen><r:toets><r:toetscode>T1</r:toetscode><r:toetsonderdelen><r:toetsonderdeel><r:toetsonderdeelvolgnummer>1</r:toetsonderdeelvolgnummer><r:toetsonderdeelcode>a</r:toetsonderdeelcode></r:toetsonderdeel></r:toetsonderdelen></r:toets></r:toetsen></r:leerresultaten_verzoek>`,
    ),
  });
  return [
    { ...ask('wsdl', '', ''), method: 'GET', url: '/leerlinggegevens?wsdl', body: '' },
    ask('first', 'leerlinggegevens_verzoek', 'HaalLeerlinggegevens'),
    ask(
      'again',
      'leerlinggegevens_verzoek',
      'HaalLeerlinggegevens',
      `<q:laatstontvangengegevens>${MADE}</q:laatstontvangengegevens>`,
    ),
    staged('structuur'),
    staged('leerlingen', all),
    staged('leerkrachten', all),
    results('results'),
    results('repeat'),
  ];
}

function play(list: readonly Sent[]): { run: EaRun; answers: (EaAnswer & { name: string })[] } {
  const run = new EaRun(given, MADE, new Set(parts));
  const answers = list.map(({ name, method, url, type, action, body }) => ({
    name,
    ...run.answer(
      {
        method,
        url,
        origin: 'http://127.0.0.1:9',
        contentType: type,
        soapAction: action,
        body: Buffer.from(body),
      },
      NOW,
    ),
  }));
  return { run, answers };
}
const reportOf = (run: EaRun) => run.report('http://127.0.0.1:9', '2026-11-23T08:00:00Z');
const failed = (run: EaRun) =>
  reportOf(run)
    .cases.filter(({ outcome }) => outcome === 'failed')
    .map(({ id }) => id);

describe.each(['2.2', '2.3'] as const)('an application that speaks %s', (version) => {
  test('soundly: nothing is found, everything is met, every call is answered', () => {
    const { run, answers } = play(calls(version));
    expect(failed(run)).toEqual([]);
    const met = reportOf(run).cases.filter(({ outcome }) => outcome === 'passed');
    expect(met.map(({ id }) => id)).toEqual(
      eaCases.filter(({ versions }) => versions.includes(version)).map(({ id }) => id),
    );
    expect(run.isComplete).toBe(true);
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(answers.find(({ name }) => name === 'first')!.body).toContain('Waterkamp');
    expect(answers.find(({ name }) => name === 'again')!.body).toContain('<geenwijzigingen/>');
    expect(answers.find(({ name }) => name === 'leerlingen')!.body.match(/<leerling /g)).toHaveLength(6);
    expect(answers.find(({ name }) => name === 'results')!.body).toContain('leerresultaten_bevestiging');
  });

  test.each(eaCases.filter(({ versions }) => versions.includes(version)).map(({ id }) => id))(
    'wrong in %s alone: that is found, and nothing else',
    (id) => {
      const plant = plants[id];
      if (!plant) throw new Error(`nothing is planted for ${id}`);
      const [of, spoil] = plant;
      let planted = 0;
      const list = calls(version).flatMap((sent) => {
        if (sent.name !== of) return [sent];
        const spoilt = spoil(sent);
        expect(spoilt).not.toEqual([sent]);
        planted++;
        return spoilt;
      });
      expect(planted).toBe(1);
      const { run } = play(list);
      expect(failed(run)).toEqual([id]);
      const report = reportOf(run);
      for (const text of [JSON.stringify(report), markdownReport(report), htmlReport(report)])
        for (const value of [given.autorisatiesleutel, 'Waterkamp', 'LL-1', 'ketenid.nl', '123456782', 'Fenna'])
          expect(text).not.toContain(value);
    },
  );
});

test('everything that is planted is of a case', () => {
  expect(Object.keys(plants).sort()).toEqual(eaCases.map(({ id }) => id).sort());
});

type Plant = readonly [of: string, spoil: (sent: Sent) => Sent[]];
const body =
  (from: string | RegExp, to: string) =>
  (sent: Sent): Sent[] => [{ ...sent, body: sent.body.replace(from, to) }];
const head =
  (change: Partial<Sent>) =>
  (sent: Sent): Sent[] => [{ ...sent, ...change }];

const plants: Readonly<Record<string, Plant>> = {
  'ea.http.post': ['wsdl', (sent) => [sent, { ...sent, method: 'GET', url: '/leerlinggegevens' }]],
  'ea.http.type': ['first', head({ type: 'application/soap+xml' })],
  'ea.soap.envelope': ['first', (sent) => [sent, { ...sent, body: 'Fenna' }]],
  'ea.soap.operation': [
    'first',
    (sent) => [sent, { ...sent, body: sent.body.replaceAll('leerlinggegevens_verzoek', 'fotos_van_Fenna') }],
  ],
  'ea.soap.address': ['structuur', head({ url: '/leerresultaten' })],
  'ea.action.present': ['first', head({ action: undefined })],
  'ea.action.quoted': ['first', head({ action: 'HaalLeerlinggegevens' })],
  'ea.action.value': ['first', head({ action: '"urn:Fenna"' })],
  'ea.header.present': [
    'structuur',
    (sent) => [...body(/<a:klantnaam>.*<\/a:klantnaam>/, '<a:klantnaam/>')(sent), sent],
  ],
  'ea.header.namespace': ['first', body(/<(\/?)a:klantcode>/g, '<$1klantcode>')],
  'ea.header.form': ['first', body(/(<a:klantcode>.*<\/a:klantcode>)(<a:klantnaam>.*<\/a:klantnaam>)/, '$2$1')],
  'ea.header.values': ['structuur', (sent) => [...body('K-9', 'K-Fenna')(sent), sent]],
  'ea.numbers': ['results', body('<r:score>8', '<r:bsn>123456782</r:bsn><r:score>8')],
  'ea.version': ['first', (sent) => [...body(/<q:xsdversie>[^<]*/, '<q:xsdversie>2.1')(sent), sent]],
  'ea.year': ['structuur', (sent) => [...body('2026-2027', '2026-2028')(sent), sent]],
  'ea.school.choice': ['first', body('</q:brincode>', '</q:brincode><q:schoolkey>Fenna</q:schoolkey>')],
  'ea.school.own': ['structuur', (sent) => [...body(BRIN, '99ZZ')(sent), sent]],
  'ea.question.form': ['first', body('</q:xsdversie>', '</q:xsdversie><q:wens>Fenna</q:wens>')],
  'ea.since.named': ['again', body(/<q:laatst.*gegevens>/, '')],
  'ea.since.received': ['again', body(MADE, '2027-11-20T08:00:00Z')],
  'ea.staged.first': ['first', (sent) => [calls('2.2').find(({ name }) => name === 'leerkrachten')!, sent]],
  'ea.staged.groups': ['leerlingen', body('<q:groep/>', '<q:groep/><q:groep key="Fenna"/>')],
  'ea.staged.all': ['leerlingen', body('<q:groep/>', '')],
  'ea.results.form': ['results', body('</r:xsdversie>', '</r:xsdversie><r:wens>Fenna</r:wens>')],
  'ea.results.made': ['results', body(/<r:aanmaakdatum>[^<]*/, '<r:aanmaakdatum>gisteren')],
  'ea.results.pupil': [
    'results',
    (sent) => [...body('>LL-1<', '>Fenna<')({ ...sent, body: unkeyed(sent.body) }), sent],
  ],
  'ea.results.eckid': ['results', body(/<r:eckid>.*<\/r:eckid>/, '')],
  'ea.results.same': ['results', body(/<r:eckid>.*<\/r:eckid>/, '<r:eckid>https://ketenid.nl/pilot/Fenna</r:eckid>')],
  'ea.results.keys': ['results', body(/(<r:resultaat key="r1">.*?<\/r:resultaat>)/, '$1$1')],
  'ea.results.tests': ['results', body('<r:toets><r:toetscode>T1', '<r:toets><r:toetscode>T2')],
  'ea.results.parts': [
    'results',
    body(
      '<r:toetsonderdeelvolgnummer>1</r:toetsonderdeelvolgnummer><r:toetsonderdeelcode>a',
      '<r:toetsonderdeelvolgnummer>1</r:toetsonderdeelvolgnummer><r:toetsonderdeelcode>b',
    ),
  ],
  'ea.results.score': ['results', body('<r:score>8', '<r:score>X')],
  'ea.results.repeat': [
    'repeat',
    body('<r:leerlingid>LL-1</r:leerlingid><r:eckid>', '<r:leerlingid>LL-6</r:leerlingid><r:eckid>'),
  ],
};
/** Results of their own, so that their keys stand for nothing else later. */
function unkeyed(text: string): string {
  return text.replace(/key="r/g, 'key="andere-').replace(/<r:eckid>.*<\/r:eckid>/, '');
}

describe('our own client', () => {
  const header = new Clear(given);
  const dialect = { version: '2.3', schooljaar: 'jaar', soapAction: 'quoted', gegevenssetid: 'Smalle-set' } as const;
  const question = {
    school: { brincode: BRIN, dependancecode: '', schoolkey: '' },
    schooljaar: '2026-2027',
    isRunning: true,
    since: '',
  };
  const sent = (operation: Parameters<typeof headersOf>[0], text: string, url = '/leerlinggegevens'): Sent => {
    const headers = headersOf(operation, dialect);
    return {
      name: operation,
      method: 'POST',
      url,
      type: headers['content-type']!,
      action: headers['soapaction'],
      body: text,
    };
  };
  test('asks for rosters, and delivers results, as the cases have it', () => {
    const groups = [
      { key: 'gr-7a', samengesteld: false },
      { key: 'gr-78', samengesteld: false },
      { key: '', samengesteld: false },
      { key: 'sg-viool', samengesteld: true },
    ];
    const [learner] = inventedRoster('2026-2027', MADE).learners;
    const { messages } = resultsMessages({
      school: { schoolOin: '0000000700099ED00000', siteCode: '', schoolKey: '' },
      schoolYear: '2026-2027',
      madeAt: '2026-11-22T10:00:00Z',
      results: new Clear([
        {
          fromOin: '00000001000000000001',
          day: '2026-11-20',
          result: Result.fromPartial({
            resultId: 'r1',
            learner: learner!.ref!,
            payload: { activityId: 'T', score: 7, takenAt: '2026-11-19' },
          }),
        },
      ]),
    });
    const { run, answers } = play([
      sent('HaalStructuur', writeQuestion('HaalStructuur', question, [], header, dialect)),
      sent('HaalLeerlingen', writeQuestion('HaalLeerlingen', question, groups, header, dialect)),
      sent('HaalLeerkrachten', writeQuestion('HaalLeerkrachten', question, groups, header, dialect)),
      sent('HaalLeerlinggegevens', writeQuestion('HaalLeerlinggegevens', question, [], header, dialect)),
      sent(
        'HaalLeerlinggegevens',
        writeQuestion('HaalLeerlinggegevens', { ...question, since: MADE }, [], header, dialect),
      ),
      ...messages.map(
        ({ wire }): Sent => ({
          name: 'results',
          method: 'POST',
          url: '/leerresultaten',
          type: 'text/xml',
          action: '"BrengLeerresultaten"',
          body: writeLeerresultaten(given, unveiled(wire)),
        }),
      ),
    ]);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(reportOf(run).cases.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
    expect(run.calls).toBe(6);
  });
});

/** The published examples, wherever they are present: what the standard allows is no finding. */
const published = fileURLToPath(new URL('../../../../shared/standards/uwlr/v2.2/', import.meta.url));
const present = existsSync(`${published}examples`);
if (!present)
  console.warn(`SKIPPED: the published examples of UWLR are not at ${published}; no case is tried on them.`);

describe.skipIf(!present)('published examples and captured requests', () => {
  const files = present
    ? ['examples', 'client-captures'].flatMap((folder) =>
        readdirSync(published + folder)
          .filter((name) => name.endsWith('.xml'))
          .map((name) => `${folder}/${name}`),
      )
    : [];
  test.each(files)('%s breaks no form', (file) => {
    const { body } = readEnvelope(readFileSync(published + file));
    if (/_antwoord$/.test(body.name)) expect(answerBreaks(body, '2.2')).toEqual([]);
    else if (body.name === 'leerresultaten_verzoek') expect(resultsBreaks(body)).toEqual([]);
    else if (body.name === 'leerresultaten_bevestiging') expect(confirmationBreaks(body)).toEqual([]);
    else if (body.name !== 'Fault') expect(questionBreaks(body)).toEqual([]);
  });

  test('fields that only the whole schema has break no form, wherever they stand in their order', () => {
    const name = files.find((file) => /02-leerlinggegevens-antwoord/.test(file))!;
    const text = readFileSync(published + name, 'utf8');
    const more = text.replace(
      /(<(?:\w+:)?jaargroep>[^<]*<\/(?:\w+:)?jaargroep>)(?![\s\S]*<(?:\w+:)?leerlingen>)/,
      '$1<toevoegingen xmlns="http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens"/>',
    );
    expect(more).not.toBe(text);
    expect(answerBreaks(readEnvelope(Buffer.from(more)).body, '2.2')).toEqual([]);
  });
});

describe('the lists', () => {
  const all = [...lasCases, ...eaCases];
  test('each case has an id of its own, a rule that is used, and words', () => {
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(new Set(all.map(({ rule }) => rule))).toEqual(new Set(Object.keys(rules)));
    for (const { id, sends, must, remedy } of all) {
      expect(id).toMatch(/^(las|ea)(\.[a-z0-9-]+){1,3}$/);
      expect(sends).not.toBe('');
      expect(must).toMatch(/\.$/);
      expect(remedy).toMatch(/^The (administration|application): .*\.$/);
    }
  });
  test('docs/conformance.md has them all', () => {
    expect(readFileSync(new URL('../../../docs/conformance.md', import.meta.url), 'utf8')).toBe(conformancePage());
    for (const { id } of all) expect(conformancePage()).toContain(`\`${id}\``);
  });
});
