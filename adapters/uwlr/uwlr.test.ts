import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { readEnvelope, validateElement } from '#adapters/xml';
import { Clear, type Fault, faults, GatewayError } from '#kernel';
import { Roster } from '#proto/eduk/core/v1/learner';
import { Result } from '#proto/eduk/core/v1/result';
import { differences } from './differences.ts';
import { faultcodes, faultcodesByPlace } from './faults.ts';
import uwlr, {
  type AnswerForm,
  faultcode,
  isEan13,
  type RosterOperation,
  RosterWriter,
  readRequest,
  requestOf,
  rosterAnswer,
  rosterOperations,
  writeAnswer,
  wsdl,
  xsd,
} from './index.ts';
import { resultLosses, resultsDropped, resultsUnsaid } from './results.ts';
import { autorisatieSchema, leerlinggegevensSchema, leerlinggegevensSchemas, leerresultatenSchema } from './schema.ts';
import { roster } from './testing.ts';

const { leerlinggegevens, structuur, leerlingen, leerkrachten, leerresultaten } = uwlr.exchanges;
const open = (file: string): Buffer => readFileSync(new URL(`./examples/${file}`, import.meta.url));
const core = (file: string): unknown => JSON.parse(open(file.replace(/\.xml$/, '.core.json')).toString());
const text = (file: string): string => open(file).toString();
const caught = (use: () => unknown): GatewayError => {
  try {
    use();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};
/** Time that this thread had of a processor, milliseconds: what else the machine does is not counted. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

const refused = (document: string) => caught(() => readRequest(Buffer.from(document)));
const paths = (error: GatewayError) => error.where.map((w) => w.path);
const answerIn = (it: Roster, form: AnswerForm): string =>
  leerlinggegevens.write(rosterAnswer({ kind: 'roster', roster: new Clear(it) }, form));
const answerOf = (it: Roster): string =>
  leerlinggegevens.write(rosterAnswer({ kind: 'roster', roster: new Clear(it) }));

describe('questions for a roster', () => {
  for (const { file, shows } of leerlinggegevens.examples)
    test(shows, () => {
      const read = leerlinggegevens.read(open(file));
      expect(JSON.parse(JSON.stringify(leerlinggegevens.toCore(read)))).toEqual(core(file));
      expect(unveiled(read.header)).toEqual({
        autorisatiesleutel: 'sleutel-van-de-berkenhof',
        klantcode: 'K-4711',
        klantnaam: 'Leerplein',
      });
    });

  test('the header refuses to be printed', () => {
    const read = readRequest(open('01-question.xml'));
    for (const printed of [inspect(read, { depth: 9 }), JSON.stringify(read), String(read.header)])
      expect(printed).not.toContain('berkenhof');
  });

  const question = text('01-question.xml');
  const refusals: [string, string, Fault, string, string[]][] = [
    ...['2.0', '2.1', '2.4', 'Fenna'].map((version): [string, string, Fault, string, string[]] => [
      `version ${version}`,
      question.replace('>2.2<', `>${version}<`),
      'wire.version',
      'Client.XsdVersieOngeldig',
      ['leerlinggegevens_verzoek/xsdversie'],
    ]),
    [
      'version 1.0',
      question.replaceAll('leerresultaten/2/', 'leerresultaten/1/'),
      'wire.version',
      'Client.XsdVersieOngeldig',
      ['Envelope/Body/leerlinggegevens_verzoek'],
    ],
    [
      'no header',
      question.replace(/<env:Header>.*<\/env:Header>/s, ''),
      'party.unknown',
      'Client.AutorisatieOngeldig',
      ['Envelope/Header/autorisatie'],
    ],
    [
      'an empty key',
      question.replace('sleutel-van-de-berkenhof', ' '),
      'party.unknown',
      'Client.AutorisatieOngeldig',
      ['Envelope/Header/autorisatie/autorisatiesleutel'],
    ],
    [
      'no school',
      question.replace(/<q:brincode>.*<\/q:brincode>/, ''),
      'wire.invalid',
      'Client.OngeldigBericht',
      ['leerlinggegevens_verzoek/brincode'],
    ],
    [
      'a wrong BRIN',
      question.replace('88QP', '8QPX'),
      'wire.invalid',
      'Client.OngeldigBericht',
      ['leerlinggegevens_verzoek/brincode'],
    ],
    [
      'years that do not follow each other',
      question.replace('2024-2025', '2024-2026'),
      'wire.invalid',
      'Client.OngeldigBericht',
      ['leerlinggegevens_verzoek/schooljaar'],
    ],
    [
      'two schools',
      question.replace('<q:xsdversie>', '<q:brincode>88QR</q:brincode><q:xsdversie>'),
      'wire.invalid',
      'Client.OngeldigBericht',
      ['leerlinggegevens_verzoek/brincode[2]'],
    ],
    [
      'another body',
      question.replaceAll('leerlinggegevens_verzoek', 'leerling_Fenna'),
      'wire.invalid',
      'Client.OngeldigBericht',
      ['Envelope/Body/*'],
    ],
    [
      'an empty body',
      question.replace(/<q:leer.*zoek>/s, ''),
      'wire.invalid',
      'Client.OngeldigBericht',
      ['Envelope/Body'],
    ],
    ['no SOAP', '<hallo/>', 'wire.invalid', 'Client.OngeldigBericht', ['']],
    ['no XML', 'hallo', 'wire.unreadable', 'Client.OngeldigBericht', ['']],
  ];
  for (const [shows, document, fault, code, where] of refusals)
    test(`refuses ${shows}`, () => {
      const error = refused(document);
      expect({ fault: error.fault, code: faultcode(error), where: paths(error) }).toEqual({ fault, code, where });
    });

  test('a caller of a version of the past is told which it speaks, and which to speak', () => {
    const toldOf = (document: string) => uwlr.sayFault(refused(document));
    expect(toldOf(question.replace('>2.2<', '>2.1<'))).toContain(
      '<told>This is UWLR 2.1, which is recognised but no longer spoken here: UWLR 2.2 and 2.3 are.</told>',
    );
    const old = question
      .replaceAll('leerresultaten/2/', 'leerresultaten/1/')
      .replaceAll('leerlinggegevens_verzoek', 'leerlinggegevensverzoek');
    expect(paths(refused(old))).toEqual(['Envelope/Body/leerlinggegevensverzoek']);
    expect(toldOf(old)).toContain('This is UWLR 1.0, which');
    expect(toldOf(old)).toContain(
      '<faultstring>UWLR 1.0 wordt hier niet meer gesproken; 2.2 en 2.3 wel.</faultstring>',
    );
    expect(toldOf(question.replace('>2.2<', '>Fenna<'))).toContain(
      '<told>Only UWLR 2.2 and 2.3 are spoken here.</told>',
    );
  });

  test('takes 2.2.1, 2.3 and no version at all', () => {
    const means = (document: string) => leerlinggegevens.toCore(leerlinggegevens.read(Buffer.from(document))).version;
    expect(means(question.replace('>2.2<', '>2.2.1<'))).toBe('2.2');
    expect(means(question.replace('>2.2<', '>2.3<'))).toBe('2.3');
    expect(readRequest(Buffer.from(question.replace('>2.2<', '>2.2.1<'))).body).toMatchObject({ xsdversie: '2.2.1' });
    expect(readRequest(Buffer.from(question.replace(/<q:xsdversie>.*<\/q:xsdversie>/, ''))).operation).toBe(
      'HaalLeerlinggegevens',
    );
  });

  test('keeps the name of a set only where it is a name: anything else that was written there is let go of', () => {
    const named = (name: string): string => {
      const asked = question.replace('</q:xsdversie>', `</q:xsdversie><q:gegevenssetid>${name}</q:gegevenssetid>`);
      expect(asked).not.toBe(question);
      return leerlinggegevens.toCore(leerlinggegevens.read(Buffer.from(asked))).setName;
    };
    expect(named('Smalle-set_2.2')).toBe('Smalle-set_2.2');
    for (const text of ['Van der Beuk', '<![CDATA[Beukstraat 12 bis]]>', 'noor@school.example'])
      expect(named(text)).toBe('');
  });

  for (const [exchange, file] of [
    [structuur, '04-structure.xml'],
    [leerlingen, '05-learners-of-groups.xml'],
    [leerkrachten, '06-staff-of-groups.xml'],
  ] as const)
    test(exchange.examples[0]!.shows, () => {
      const { groups, ...means } = exchange.toCore(exchange.read(open(file)));
      expect(JSON.parse(JSON.stringify({ ...means, ...(groups && { groups: unveiled(groups) }) }))).toEqual(core(file));
      if (groups) expect(inspect(groups, { depth: 9 })).not.toContain('gr-');
    });

  test('groups: none at all ask for nobody; a key too long is no key', () => {
    const asked = text('05-learners-of-groups.xml');
    expect(paths(refused(asked.replace(/<q:groepen>.*<\/q:groepen>/s, '')))).toEqual(['leerlingen_verzoek/groepen']);
    expect(paths(refused(asked.replace(/<q:groepen>.*<\/q:groepen>/s, '<q:groepen/>')))).toEqual([
      'leerlingen_verzoek/groepen',
    ]);
    expect(paths(refused(asked.replace('gr-5b', 'x'.repeat(257))))).toEqual(['leerlingen_verzoek/groepen/groep/@key']);
    const empty = leerlingen.toCore(leerlingen.read(Buffer.from(asked.replace('gr-5b', ' '))));
    expect(unveiled(empty.groups!)[0]).toEqual({ key: '', composite: false });
  });

  test('a request at the wrong service is refused', () => {
    expect(caught(() => leerresultaten.read(open('01-question.xml'))).fault).toBe('wire.invalid');
    expect(caught(() => leerlinggegevens.read(open('10-results.xml'))).fault).toBe('wire.invalid');
  });
});

describe('answers', () => {
  test('the example means what it says', () => {
    const it = Roster.fromJSON(core('20-answer.xml'));
    expect(`${answerOf(it)}\n`).toBe(text('20-answer.xml'));
  });

  test('nothing changed, nothing there, no pupils', () => {
    expect(leerlinggegevens.write(rosterAnswer({ kind: 'unchanged' }))).toContain('<geenwijzigingen/>');
    expect(leerlinggegevens.write(rosterAnswer({ kind: 'nothing' }))).toContain('<geengegevens/>');
    expect(answerOf(Roster.fromJSON({ schoolYear: '2026-2027' }))).toContain('<geengegevens/>');
    for (const kind of ['unchanged', 'nothing'] as const)
      validateElement(
        readEnvelope(Buffer.from(leerlinggegevens.write(rosterAnswer({ kind })))).body,
        leerlinggegevensSchema,
      );
  });

  const forms: AnswerForm[] = (['2.2', '2.3'] as const).flatMap((version) =>
    (['smalle', 'lvs', 'whole'] as const).map((fields) => ({ version, fields })),
  );
  const operations = Object.keys(rosterOperations) as RosterOperation[];

  test('any roster becomes a document that our schema accepts: every operation, version and set', () => {
    fc.assert(
      fc.property(roster(), fc.constantFrom(...forms), fc.constantFrom(...operations), (it, form, operation) => {
        const answer = writeAnswer(operation, rosterAnswer({ kind: 'roster', roster: new Clear(it) }, form));
        expect(answer).toContain(
          `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><${rosterOperations[operation].antwoord} xmlns=`,
        );
        validateElement(readEnvelope(Buffer.from(answer)).body, leerlinggegevensSchemas[form.version]);
      }),
      { numRuns: 600, seed: 20261122 },
    );
  });

  test('the pieces of an answer are the answer, however it is parted', () => {
    fc.assert(
      fc.property(
        roster(),
        fc.constantFrom(...forms),
        fc.constantFrom(...operations),
        fc.integer({ min: 1, max: 4 }),
        (it, form, operation, size) => {
          const whole = rosterAnswer({ kind: 'roster', roster: new Clear(it) }, form);
          fc.pre('leerlinggegevens' in whole);
          const writer = new RosterWriter(operation, form);
          const page = (some: Partial<Roster>) => new Clear({ ...it, learners: [], staff: [], ...some });
          let pieces = writer.open(page({}));
          for (let i = 0; i < it.learners.length; i += size)
            pieces += writer.learners(page({ learners: it.learners.slice(i, i + size) }));
          pieces += writer.close(page({ staff: it.staff }));
          expect(pieces).toBe(writeAnswer(operation, whole));
        },
      ),
      { numRuns: 200, seed: 1 },
    );
  });

  test('a key that was in an earlier page is found in a later one', () => {
    const it = Roster.fromJSON(core('20-answer.xml'));
    const writer = new RosterWriter('HaalLeerlingen', { version: '2.3', fields: 'smalle' });
    writer.open(new Clear(it));
    writer.learners(new Clear(it));
    expect(paths(caught(() => writer.learners(new Clear({ ...it, learners: [it.learners[1]!] }))))).toContain(
      `learners[${it.learners.length}].ref`,
    );
  });

  test('each set has its fields and no others, in each version', () => {
    const it = Roster.fromJSON(core('20-answer.xml'));
    const [first] = it.learners;
    Object.assign(first!.person!, {
      givenNames: 'Jörn Aart',
      initials: 'J.A.B.C.',
      gender: '1',
      email: 'j@x.example',
      accountName: 'jorn',
      birthDate: '2016-02-29',
    });
    Object.assign(first!, { entersOn: '2020-08-01', leavesOn: '2027-07-31', siteKey: 's' });
    it.sites = [{ key: 's', name: 'Zuid', description: 'bij het park' }];
    it.staff[0]!.duties = ['IB', 'TAL'];
    const fieldsIn = (form: AnswerForm): string[] => {
      const answer = writeAnswer('HaalLeerlinggegevens', rosterAnswer({ kind: 'roster', roster: new Clear(it) }, form));
      const special =
        /<(geboortedatum|geslacht|voornamen|voorletters-1|vestiging|vestigingen|gebruikersnaam|emailadres|instroomdatum|uitstroomdatum)\b/g;
      const [pupils = ''] = /<leerlingen>.*<\/leerlingen>/s.exec(answer) ?? [];
      return [...new Set([...pupils.matchAll(special)].map(([, name]) => name!))];
    };
    expect(fieldsIn({ version: '2.2', fields: 'smalle' })).toEqual(['geboortedatum']);
    expect(fieldsIn({ version: '2.3', fields: 'smalle' })).toEqual([]);
    expect(fieldsIn({ version: '2.2', fields: 'lvs' })).toEqual(['voorletters-1', 'geboortedatum', 'geslacht']);
    expect(fieldsIn({ version: '2.3', fields: 'lvs' })).toEqual(['geboortedatum', 'geslacht']);
    const whole = answerIn(it, { version: '2.3', fields: 'whole' });
    expect(fieldsIn({ version: '2.3', fields: 'whole' })).toHaveLength(9);
    expect(whole).toContain(
      '<vestigingen><vestiging key="s"><naam>Zuid</naam><omschrijving>bij het park</omschrijving>',
    );
    expect(whole).toContain('<voorletters-1>JABC</voorletters-1>');
    expect(whole).toContain('<rol>IB</rol><rol>TAL</rol>');
    expect(answerIn(it, { version: '2.2', fields: 'whole' })).toContain(
      '<rol>IB</rol><rolomschrijving>TAL</rolomschrijving>',
    );
  });

  test('in 2.3 the ECK iD stands alone, or beside the key; in 2.2 a key is made of it', () => {
    const it = Roster.fromJSON({
      schoolOin: '0000000700088QP00000',
      schoolYear: '2026-2027',
      learners: [
        { ref: { eckId: 'https://ketenid.nl/pilot/aa' } },
        { ref: { eckId: 'https://ketenid.nl/pilot/bb', lasKey: 'L2' } },
        { ref: { lasKey: 'L3' } },
      ],
    });
    expect(answerIn(it, { version: '2.3', fields: 'smalle' })).toMatch(
      /<leerling eckid="https:\/\/ketenid.nl\/pilot\/aa">.*<leerling key="L2" eckid="https:\/\/ketenid.nl\/pilot\/bb">.*<leerling key="L3">/,
    );
    expect(answerIn(it, { version: '2.2', fields: 'smalle' })).toContain(
      '<leerling key="#https://ketenid.nl/pilot/aa"',
    );
  });

  const good = core('20-answer.xml') as {
    learners: { ref: object; groupKey: string }[];
    groups: object[];
    staff: { groups: object[] }[];
  };
  const broken: [string, (it: Roster) => void, string][] = [
    [
      'a key given twice',
      (it) => it.learners.push({ ...it.learners[0]!, ref: { lasKey: 'LAS-301', eckId: '' } }),
      'learners[2].ref',
    ],
    [
      'an ECK iD given twice',
      (it) => it.learners.push({ ...it.learners[0]!, ref: { ...it.learners[0]!.ref!, lasKey: 'x' } }),
      'learners[2].ref.eck_id',
    ],
    ['a pupil without any key', (it) => (it.learners[0]!.ref = undefined), 'learners[0].ref'],
    ['a group that is not there', (it) => (it.learners[1]!.groupKey = 'gr-99'), 'learners[1].group_key'],
    ['a composite group as base group', (it) => (it.learners[1]!.groupKey = 'sg-viool'), 'learners[1].group_key'],
    [
      'a base group as composite group',
      (it) => it.learners[1]!.compositeGroupKeys.push('gr-56'),
      'learners[1].composite_group_keys[0]',
    ],
    ['a key for two groups', (it) => it.groups.push({ ...it.groups[0]!, composite: true }), 'groups[3].key'],
    [
      'a teacher of a group that is not there',
      (it) => it.staff[0]!.groups.push({ key: 'gr-98', duties: [] }),
      'staff[0].groups[2].key',
    ],
  ];
  for (const [shows, spoil, path] of broken)
    test(`never leaves with ${shows}`, () => {
      const it = Roster.fromJSON(good);
      spoil(it);
      const error = caught(() => answerOf(it));
      expect(error.fault).toBe('gateway.bug');
      expect(paths(error)).toEqual([path]);
      expect(faultcode(error)).toBe('Server.InterneFout');
    });

  test('a receiver that may have no names and no keys still gets a valid answer', () => {
    const answer = answerOf(
      Roster.fromJSON({
        schoolOin: '0000000700088QP00000',
        schoolYear: '2026-2027',
        learners: [{ ref: { eckId: 'https://ketenid.nl/pilot/aa' } }],
      }),
    );
    expect(answer).toContain(
      '<leerling key="#https://ketenid.nl/pilot/aa" eckid="https://ketenid.nl/pilot/aa"><roepnaam>-</roepnaam></leerling>',
    );
  });

  test('a large school within reason', () => {
    const it = Roster.fromJSON(good);
    it.learners = Array.from({ length: 2000 }, (_, i) => ({
      ...it.learners[0]!,
      ref: { lasKey: `L${i}`, eckId: `https://ketenid.nl/pilot/${i}` },
    }));
    answerOf(it);
    const from = cpuMs();
    answerOf(it);
    expect(cpuMs() - from).toBeLessThan(500); // Some 40 ms on two cores.
  });
});

describe('results', () => {
  for (const { file, shows } of leerresultaten.examples)
    test(shows, () => {
      const { results, ...rest } = leerresultaten.toCore(leerresultaten.read(open(file)));
      expect({ ...rest, results: unveiled(results).map((it) => Result.toJSON(it)) }).toEqual(core(file));
    });

  test('examples that are strict pass our schemas', () => {
    for (const file of ['01-question.xml', '03-question-by-schoolkey.xml', '10-results.xml']) {
      const { header, body } = readEnvelope(open(file));
      validateElement(header[0]!, autorisatieSchema);
      validateElement(body, file.startsWith('1') ? leerresultatenSchema : leerlinggegevensSchema);
    }
    validateElement(readEnvelope(open('20-answer.xml')).body, leerlinggegevensSchema);
    validateElement(readEnvelope(Buffer.from(leerresultaten.write())).body, leerresultatenSchema);
  });

  test('the confirmation is the empty element, without prefix', () => {
    expect(leerresultaten.write()).toContain(
      '<s:Body><leerresultaten_bevestiging xmlns="http://www.edustandaard.nl/leerresultaten/2/leerresultaten"/></s:Body>',
    );
  });

  test('the product comes from the door, else from a toetscode that is an EAN', () => {
    const read = leerresultaten.read(open('10-results.xml'));
    expect(unveiled(leerresultaten.toCore(read).results).map((r) => r.productId)).toEqual([
      '9789000000012',
      '9789000000012',
      '',
    ]);
    expect(isEan13('9789000000012')).toBe(true);
    expect(isEan13('9789000000013')).toBe(false);
  });

  const results = text('10-results.xml');
  const top = 'leerresultaten_verzoek';
  const first = `${top}/toetsafnames/toetsafname[1]/resultaten/resultaat[1]`;
  const third = `${top}/toetsafnames/toetsafname[2]/resultaten/resultaat`;
  const refusals: [string, string, string, string[]][] = [
    [
      'a result key given twice',
      results.replace('lp:2025:0003', 'lp:2025:0001'),
      'Client.OngeldigBericht',
      [`${third}/@key`],
    ],
    ['a result without key', results.replace(' key="lp:2025:0003"', ''), 'Client.OngeldigBericht', [`${third}/@key`]],
    [
      'a test that is not described',
      results.replace('<r:toets><r:toetscode>LEZEN-E5', '<r:toets><r:toetscode>LEZEN-M5'),
      'Client.OngeldigBericht',
      [`${third}/toetscode`],
    ],
    [
      'a part that its test lacks',
      results.replace(
        '<r:toetsonderdeelcode>breuken</r:toetsonderdeelcode>\n              <r:score>',
        '<r:toetsonderdeelcode>klok</r:toetsonderdeelcode><r:score>',
      ),
      'Client.OngeldigBericht',
      [`${top}/toetsafnames/toetsafname[1]/resultaten/resultaat[2]/toetsonderdeelcode`],
    ],
    [
      'one test described twice',
      results.replace(
        '<r:toets><r:toetscode>LEZEN-E5',
        '<r:toets><r:toetscode>9789000000012</r:toetscode></r:toets><r:toets><r:toetscode>LEZEN-E5',
      ),
      'Client.OngeldigBericht',
      [`${top}/toetsen/toets[2]/toetscode`],
    ],
    [
      'a private kind of result',
      results.replace(
        '<r:score>18</r:score>',
        '<r:anderresultaat xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="eigen"/>',
      ),
      'Client.OngeldigBericht',
      [`${first}/anderresultaat`],
    ],
    ['no score', results.replace('<r:score>18</r:score>', '<r:score/>'), 'Client.ScoreOngeldig', [`${first}/score`]],
    ['a negative score', results.replace('>18<', '>-18<'), 'Client.ScoreOngeldig', [`${first}/score`]],
    [
      'a remark as score',
      results.replace('>18<', '>was ziek en kon de toets niet helemaal maken<'),
      'Client.ScoreOngeldig',
      [`${first}/score`],
    ],
    [
      'a score next to an OSO result',
      results.replace('<r:score>18</r:score>', '<r:score>18</r:score><r:osoresultaat/>'),
      'Client.OngeldigBericht',
      [first],
    ],
    [
      'an OSO count that is no count',
      results.replace('<d:aantalgoed>19', '<d:aantalgoed>veel'),
      'Client.EldResultaatOngeldig',
      [`${third}/osoresultaat/toetsscore/aantalgoed`],
    ],
    [
      'an ability that would be rounded',
      results.replace(/<d:vaardigheidsscore>[^<]*/, '<d:vaardigheidsscore>1234567890123456'),
      'Client.EldResultaatOngeldig',
      [`${third}/osoresultaat/toetsscore/vaardigheidsscore`],
    ],
    [
      'a word that is none',
      results.replace(/<r:vakgebied([^>]*)>[^<]*/, `<r:vakgebied$1>${'x'.repeat(257)}`),
      'Client.VocabulaireTermOngeldig',
      [`${top}/toetsen/toets[1]/vakgebied`],
    ],
    [
      'the name of a list that is none',
      results.replace(/<r:vakgebied[^>]*>/, `<r:vakgebied vocabulaire="urn:${'x'.repeat(1_000)}">`),
      'Client.VocabulaireTermOngeldig',
      [`${top}/toetsen/toets[1]/vakgebied/@vocabulaire`],
    ],
    [
      'two scales of one test',
      results.replace(/(<r:toetsnormering[\s\S]*?<\/r:toetsnormering>)/, '$1$1'),
      'Client.ToetsNormeringOngeldig',
      [`${top}/toetsen/toets[1]/toetsnormering[2]`],
    ],
    [
      'a day that does not exist',
      results.replace('2025-01-30', '2025-02-30'),
      'Client.OngeldigBericht',
      [`${third}/afnamedatum`],
    ],
    [
      'no pupil',
      results.replace('<r:leerlingid>LAS-302</r:leerlingid>', ''),
      'Client.LeerlingOngeldig',
      [`${top}/toetsafnames/toetsafname[2]/leerlingid`],
    ],
    [
      'no results',
      results.replace(/<r:toetsafnames>.*<\/r:toetsafnames>/s, ''),
      'Client.OngeldigBericht',
      [`${top}/toetsafnames/toetsafname`],
    ],
    ['no school', results.replace(/<r:school>.*<\/r:school>/s, ''), 'Client.OngeldigBericht', [`${top}/school`]],
  ];
  test.each(['1234567890.5', '-999999999999999', '0.30000000000000004', '.5', '7.', '+3,25'])(
    'takes an ability of %s as it is',
    (written) => {
      const document = results.replace(/<d:vaardigheidsscore>[^<]*/, `<d:vaardigheidsscore>${written}`);
      const { body } = readRequest(Buffer.from(document)) as { body: any };
      const found = body.toetsafnames[1]!.resultaten[0]!.osoresultaat!.toetsscore!.vaardigheidsscore;
      expect(found).toBe(Number(written.replace(',', '.')));
    },
  );

  for (const [shows, document, code, where] of refusals)
    test(`refuses ${shows}`, () => {
      expect(document).not.toBe(results);
      const error = refused(document);
      expect({ fault: error.fault, code: faultcode(error), where: paths(error) }).toEqual({
        fault: 'wire.invalid',
        code,
        where,
      });
    });
});

describe('personal numbers', () => {
  const results = text('10-results.xml');
  const number = '123456782';
  const planted: [string, string][] = [
    ['<r:leerlingid>LAS-302</r:leerlingid>', `<r:leerlingid>LAS-302</r:leerlingid><r:bsn>${number}</r:bsn>`],
    ['<r:leerlingid>LAS-302</r:leerlingid>', `<r:leerlingid bsn="${number}">LAS-302</r:leerlingid>`],
    [
      '<r:leerlingid>LAS-302</r:leerlingid>',
      `<r:leerlingid>LAS-302</r:leerlingid><x xmlns="urn:x"><Onderwijs-Nummer>${number}</Onderwijs-Nummer></x>`,
    ],
    [
      '<r:leerlingid>LAS-302</r:leerlingid>',
      '<r:leerlingid>LAS-302</r:leerlingid><r:bsn_ondwnr-4>6782</r:bsn_ondwnr-4>',
    ],
    ['week 6', `leerling met BSN: ${number}`],
    ['week 6', `pgn is 1234 56 782`],
  ];
  for (const [from, to] of planted)
    test(`refused: ${to.replaceAll(/\d/g, '9')}`, () => {
      const error = refused(results.replace(from, to));
      expect(error.fault).toBe('wire.pgn');
      expect(error.where).toHaveLength(1);
      expect(faultcode(error)).toBe('Client.OngeldigBericht');
      expect(uwlr.sayFault(error)).not.toMatch(/12345|6782|1234 56/);
    });
  test('in the header too, with places and lines', () => {
    const error = refused(results.replace('<h:klantcode>', `<h:sofinummer>${number}</h:sofinummer><h:klantcode>`));
    expect(error.where).toEqual([{ path: 'Envelope/Header/autorisatie/sofinummer', line: 9 }]);
  });
  test('an empty element of such a name holds no number', () => {
    expect(
      readRequest(Buffer.from(results.replace('<r:leerlingid>LAS-302', '<r:bsn/><r:leerlingid>LAS-302'))).operation,
    ).toBe('BrengLeerresultaten');
  });
});

describe('faults', () => {
  const values = [...text('10-results.xml').matchAll(/>([^<>\s][^<>]*)</g)]
    .map((m) => m[1]!)
    .filter((v) => v.length > 3);

  test('no refusal repeats a value of the message', () => {
    const document = text('10-results.xml');
    let refusals = 0;
    for (const m of document.matchAll(/<(r|d|h):[\w-]+( [^>]*)?>[^<]+<\/[^>]+>/g))
      for (const put of [
        '',
        m[0].repeat(2),
        m[0].replace(/>[^<]+</, '>-1 Fenna Waterkamp 1999<'),
        m[0].replaceAll(/(r|d|h):[\w-]+/g, '$1:Fenna'),
      ]) {
        let error: GatewayError | undefined;
        try {
          readRequest(Buffer.from(document.slice(0, m.index) + put + document.slice(m.index + m[0].length)));
        } catch (it) {
          error = it as GatewayError;
        }
        if (!error) continue;
        expect(error).toBeInstanceOf(GatewayError);
        refusals++;
        const said = uwlr.sayFault(error) + error.message;
        for (const value of [...values, 'Fenna'])
          if (!/^(breuken|goed|week 6|2024-2025)$/.test(value) || value === 'Fenna') expect(said).not.toContain(value);
      }
    expect(refusals).toBeGreaterThan(60);
  });

  test('every fault of the gateway has words of the standard', () => {
    for (const fault of Object.keys(faults) as Fault[]) {
      const said = uwlr.sayFault(new GatewayError(fault, 'told', { where: 'a/b' }));
      expect(said).toMatch(
        /<s:Fault><faultcode>(Client|Server)\.[A-Z]\w+<\/faultcode><faultstring>[^<]+<\/faultstring><detail>/,
      );
      expect(said).toContain(`<code>${fault}</code>`);
    }
    expect(faultcode(new GatewayError('gateway.overloaded'))).toBe('Server.TijdelijkNietBeschikbaar');
    expect(faultcode(new GatewayError('gateway.bug'))).toBe('Server.InterneFout');
    expect(faultcode(new GatewayError('mandate.ended'))).toBe('Client.AutorisatieOngeldig');
    expect(faultcode(new GatewayError('party.unknown'))).toBe('Client.OngeldigeKlantIdentificatie');
    expect(faultcode(new GatewayError('learner.unknown'))).toBe('Client.LeerlingOngeldig');
  });
});

describe('description of the services', () => {
  test('names what the standard names, at our address', () => {
    const it = wsdl('leerlinggegevens', 'http://127.0.0.1:1/soap/uwlr/v2/leerlinggegevens');
    for (const name of [
      'LeerlinggegevensService',
      'prtLeerlinggegevensService',
      'bndLeerlinggegevens',
      'soapAction="HaalLeerlinggegevens"',
      '?xsd=autorisatie',
    ])
      expect(it).toContain(name);
    expect(wsdl('leerresultaten', 'http://x/?a&b')).toContain('location="http://x/?a&amp;b"');
    for (const name of ['HaalStructuur', 'HaalLeerlingen', 'HaalLeerkrachten', 'prtLeerlinggegevensService-getrapt'])
      expect(it).toContain(`name="${name}"`);
    expect(it).toContain('soapAction="http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens/structuur_verzoek"');
    expect(wsdl('leerlinggegevens', 'http://x', { version: '2.3' })).toContain('?xsd=leerlinggegevens-2.3"');
  });
  test('in one document, nothing is imported from elsewhere and no group is referred to', () => {
    for (const service of ['leerlinggegevens', 'leerresultaten'] as const)
      for (const version of ['2.2', '2.3'] as const) {
        const it = wsdl(service, 'http://x', { version, single: true });
        expect(it).not.toMatch(/schemaLocation|<xs:group/);
        expect(it.split('targetNamespace="').length - 1).toBe(service === 'leerresultaten' ? 4 : 3);
        expect(it).toContain(`name="${service}_verzoek" element="t:${service}_verzoek"`);
      }
  });
  test('every schema it names is there, and no other', () => {
    expect(xsd('leerresultaten', 'leerresultaten')).toContain('schemaLocation="?xsd=oso"');
    expect(xsd('leerresultaten', 'leerresultaten', 'http://h/p')).toContain('schemaLocation="http://h/p?xsd=oso"');
    expect(xsd('leerresultaten', 'oso')).toBeDefined();
    expect(xsd('leerlinggegevens', 'oso')).toBeUndefined();
    expect(xsd('leerlinggegevens', '../package')).toBeUndefined();
  });
});

test('a document read elsewhere is read the same', async () => {
  const { readXmlApart } = await import('#adapters/xml');
  const { root } = await readXmlApart(open('10-results.xml'));
  expect(requestOf(root).body).toEqual(readRequest(open('10-results.xml')).body);
});

test('the tables of the read-me are those of the code', () => {
  const readme = readFileSync(new URL('./README.md', import.meta.url), 'utf8').replaceAll(/ +/g, ' ');
  const rows = [
    ...[resultLosses, resultsUnsaid, resultsDropped]
      .flatMap((table) => Object.entries(table))
      .map(([field, why]) => [`\`${field}\``, why]),
    ...Object.entries(faultcodes).map(([fault, code]) => [`\`${fault}\``, `\`${code}\``]),
    ...faultcodesByPlace.map(({ fault, words, code }) => [`\`${fault}\`, ${words}`, `\`${code}\``]),
    ...differences.map(({ name, refusedBy, why }) => [`${name} (refused by ${refusedBy})`, why]),
  ];
  expect(rows.map((row) => `| ${row.join(' | ')} |`).filter((row) => !readme.includes(row))).toEqual([]);
});
