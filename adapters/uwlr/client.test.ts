/** The client towards administrations: what it writes is the standard's, what it reads is no more than was asked. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { unveiled } from '#adapters/contract';
import { readEnvelope, validateElement, writeEnvelope, writeFault } from '#adapters/xml';
import { Clear, GatewayError } from '#kernel';
import type { Roster } from '#proto/eduk/core/v1/learner';
import { writeLeerlinggegevens } from './answer.ts';
import { type Dialect, headersOf, type Question, writeQuestion } from './client.ts';
import { type Antwoord, type Gegevens, readAnswer, readConfirmation } from './client-answer.ts';
import { PeerFault, peerFaultOf, peerFaults } from './client-faults.ts';
import { pulledRoster, refuseOthers } from './client-roster.ts';
import { faultcodes } from './faults.ts';
import { rosterAnswer, rosterQuestion } from './mapping.ts';
import { autorisatieSchema, leerlinggegevensSchema } from './schema.ts';
import { roster as anyRoster } from './testing.ts';
import { NS, readRequest, writeBevestiging } from './wire.ts';

const dialect: Dialect = { version: '2.2', schooljaar: 'jaar', soapAction: 'quoted', gegevenssetid: '' };
const header = new Clear({ autorisatiesleutel: 'sleutel-1', klantcode: 'K-1', klantnaam: 'Gateway' });
const question: Question = {
  school: { brincode: '88QP', dependancecode: '01', schoolkey: '' },
  schooljaar: '2026-2027',
  isRunning: true,
  since: '2026-11-20T03:15:00Z',
};
const ours = { schoolOin: '0000000700088QP00000', administration: '' };
const bytes = (text: string) => Buffer.from(text);
const caught = (run: () => unknown): GatewayError => {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
  throw new Error('nothing was thrown');
};
const example = readFileSync(new URL('./examples/30-answer-of-an-administration.xml', import.meta.url), 'utf8');
const read = (text: string, operation: Parameters<typeof readAnswer>[1] = 'HaalLeerlinggegevens'): Antwoord =>
  readAnswer(bytes(text), operation);
const data = (text: string): Gegevens => {
  const answer = read(text);
  if (answer.kind !== 'gegevens') throw new Error(answer.kind);
  return answer;
};

describe('questions', () => {
  test('are the standard’s, and our own server understands them', () => {
    const text = writeQuestion('HaalLeerlinggegevens', question, [], header, {
      ...dialect,
      gegevenssetid: 'Smalle-set',
    });
    const { header: blocks, body } = readEnvelope(bytes(text));
    validateElement(body, leerlinggegevensSchema);
    validateElement(blocks[0]!, autorisatieSchema);
    const request = readRequest(bytes(text));
    if (request.operation !== 'HaalLeerlinggegevens') throw new Error(request.operation);
    expect(rosterQuestion(request.body)).toEqual({
      school: { schoolOin: ours.schoolOin, siteCode: '01', schoolKey: '' },
      schoolYear: '2026-2027',
      changedSince: Date.parse('2026-11-20T03:15:00Z'),
      setName: 'Smalle-set',
      version: '2.2',
    });
    expect(unveiled(request.header)).toEqual(unveiled(header));
  });
  test('a school without BRIN, and the running year left empty', () => {
    const asked = { ...question, since: '', school: { brincode: '', dependancecode: '', schoolkey: 'school & zo' } };
    const text = writeQuestion('HaalLeerlinggegevens', asked, [], header, { ...dialect, schooljaar: 'leeg' });
    expect(text).toContain('<schooljaar/><schoolkey>school &amp; zo</schoolkey><xsdversie>2.2</xsdversie></');
    const request = readRequest(bytes(text));
    expect(request.body).toMatchObject({ schooljaar: undefined, schoolkey: 'school & zo' });
    // Next year's is asked by name, also of those who want the running one left empty.
    expect(
      writeQuestion('HaalStructuur', { ...asked, isRunning: false }, [], header, { ...dialect, schooljaar: 'leeg' }),
    ).toContain('<schooljaar>2026-2027</schooljaar>');
  });
  test('people of groups are asked by key, and those in none without', () => {
    const groups = [
      { key: 'a', samengesteld: false },
      { key: 'b', samengesteld: true },
      { key: '', samengesteld: false },
    ];
    expect(writeQuestion('HaalLeerlingen', question, groups, header, dialect)).toContain(
      '<groepen><groep key="a"/><groep/><samengestelde_groep key="b"/></groepen></leerlingen_verzoek>',
    );
    expect(headersOf('HaalLeerlingen', dialect)['soapaction']).toBe(
      '"http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens/leerlingen_verzoek"',
    );
    expect(headersOf('HaalLeerlinggegevens', { ...dialect, soapAction: 'bare' })['soapaction']).toBe(
      'HaalLeerlinggegevens',
    );
  });
});

describe('answers', () => {
  test('what may not be taken in is counted and left', () => {
    const { roster, losses } = pulledRoster([data(example)], { ...question, since: '' }, ours);
    expect(JSON.stringify(unveiled(roster))).not.toMatch(/1234|foto|dinsdag/);
    expect(Object.fromEntries(losses.map(({ field, count }) => [field, count]))).toEqual({
      'bsn_ondwnr-4': 1,
      fotourl: 1,
      land: 1,
      rolomschrijving: 1,
    });
  });
  test('a whole personal number is refused with its place', () => {
    const error = caught(() =>
      read(example.replace(/<lg:bsn_ondwnr-4>1234<\/lg:bsn_ondwnr-4>/, '<lg:bsn>123456782</lg:bsn>')),
    );
    expect(error.fault).toBe('wire.pgn');
    expect(error.where[0]!.path).toMatch(/leerling\/bsn$/);
    expect(JSON.stringify([error.told, error.where, error.message])).not.toContain('123456782');
  });
  test('of another school, site or year is nobody’s', () => {
    const { school } = data(example);
    expect(() => refuseOthers(school, question)).not.toThrow();
    for (const other of [
      { ...question, schooljaar: '2025-2026' },
      { ...question, school: { ...question.school, brincode: '99XX' } },
      { ...question, school: { ...question.school, dependancecode: '' } },
      { ...question, school: { brincode: '', dependancecode: '', schoolkey: 'X' } },
    ])
      expect(caught(() => pulledRoster([data(example)], other, ours)).fault).toBe('wire.invalid');
  });
  test('cut off anywhere it is no answer', () => {
    const whole = bytes(example);
    for (let at = 0; at < whole.length - 1; at += 97) {
      const error = caught(() => readAnswer(whole.subarray(0, at), 'HaalLeerlinggegevens'));
      expect(error.fault).toMatch(/^wire\./);
    }
    // Well-formed, but with groups that are named and not there.
    const error = caught(() =>
      pulledRoster([data(example.replace(/<lg:groepen>\s*<lg:groep [\s\S]*?<\/lg:groepen>/, ''))], question, ours),
    );
    expect(error.where.map(({ path }) => path)).toEqual([
      'leerlingen/leerling[1]/groep/@key',
      'leerlingen/leerling[1]/samengestelde_groepen',
      'leerkrachten/leerkracht[1]/groepen',
    ]);
  });
  test('nothing, nothing new, and what is no answer', () => {
    const say = (within: object) =>
      writeEnvelope({ leerlinggegevens_antwoord: { '@xmlns': NS.leerlinggegevens, ...within } });
    expect(read(say({ geenwijzigingen: {} }))).toEqual({ kind: 'geenwijzigingen' });
    expect(read(say({ geengegevens: {} }))).toEqual({ kind: 'geengegevens' });
    for (const wrong of [say({}), '<html/>', writeEnvelope({ leerlingen_antwoord: { '@xmlns': NS.leerlinggegevens } })])
      expect(caught(() => read(wrong)).fault).toMatch(/^wire\./);
    expect(
      caught(() => read(example.replaceAll('/leerresultaten/2/leerlinggegevens', '/leerresultaten/1/leerlinggegevens')))
        .fault,
    ).toBe('wire.version');
  });
  test('answers to a staged pull are one roster; a key for two is refused', () => {
    const structure = data(example);
    const [pupil] = structure.leerlingen;
    const part = (leerlingen: Gegevens['leerlingen']): Gegevens => ({
      ...structure,
      groepen: [],
      vestigingen: [],
      leerkrachten: [],
      leerlingen,
      left: new Map(),
    });
    const shell = { ...structure, leerlingen: [], left: new Map() };
    const { roster } = pulledRoster(
      [shell, part([{ ...pupil!, samengestelde_groepen: [] }]), part([{ ...pupil!, groep: '' }])],
      question,
      ours,
    );
    expect(unveiled(roster).learners).toHaveLength(1);
    expect(unveiled(roster).learners[0]).toMatchObject({ groupKey: 'gr-5b', compositeGroupKeys: ['sg-viool'] });
    const another = { ...pupil!, roepnaam: 'Sterre' };
    expect(caught(() => pulledRoster([shell, part([pupil!]), part([another])], question, ours)).fault).toBe(
      'wire.invalid',
    );
  });
  test('whatever our own server answers is read back', () => {
    fc.assert(
      fc.property(anyRoster(), (given) => {
        // White space at the ends of a key means nothing, so a key of nothing else names no group, and two may become one.
        const named = new Set(given.groups.map(({ key }) => key.trim()).filter((key) => key !== ''));
        fc.pre(given.learners.length > 0 && named.size === given.groups.length);
        const text = writeLeerlinggegevens(
          rosterAnswer({ kind: 'roster', roster: new Clear(given), schoolKey: 's-1' }),
        );
        const answer = data(text);
        const { brincode, dependancecode, schoolkey } = answer.school;
        const asked: Question = {
          school: { brincode, dependancecode, schoolkey },
          schooljaar: given.schoolYear,
          isRunning: false,
          since: '',
        };
        const back = unveiled(pulledRoster([answer], asked, { schoolOin: given.schoolOin, administration: '' }).roster);
        const keys = (of: Roster) =>
          of.learners.map(({ ref, groupKey, compositeGroupKeys }) => [
            ref,
            groupKey.trim(),
            compositeGroupKeys.map((key) => key.trim()),
          ]);
        expect(keys(back)).toEqual(keys(given));
        expect(back.groups.map(({ key, composite }) => [key, composite]).sort()).toEqual(
          given.groups.map(({ key, composite }) => [key.trim(), composite]).sort(),
        );
      }),
      { numRuns: 60 },
    );
  });
});

describe('faults', () => {
  test('each of the standard has a row: whose it is and how far it reaches', () => {
    const own = new Set(Object.values(faultcodes));
    for (const code of own) expect(peerFaultOf(code!).faultcode).toBe(code);
    for (const row of peerFaults) {
      const error = caught(() =>
        read(writeFault({ faultcode: `soap:${row.faultcode}`, faultstring: 'Sterre Zomerdijk' })),
      );
      expect(error).toBeInstanceOf(PeerFault);
      expect((error as PeerFault).of).toBe(row);
      expect(error.fault).toBe(row.fault);
      expect(JSON.stringify([error.message, error.told, error.where])).not.toContain('Sterre');
    }
    expect(peerFaultOf('SOAP-ENV:Client').faultcode).toBe('Client');
    expect(peerFaultOf('a:InternalServiceFault').faultcode).toBe('Server');
  });
  test('a confirmation is that element and nothing else, whatever its prefix; a fault is one', () => {
    readConfirmation(bytes(writeBevestiging()));
    const envelope = (body: string) =>
      bytes(`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>${body}</e:Body></e:Envelope>`);
    readConfirmation(envelope(`<n:leerresultaten_bevestiging xmlns:n="${NS.leerresultaten}"/>`));
    const refused = writeFault({ faultcode: 'Client.ScoreOngeldig', faultstring: 'Sterre' });
    expect(caught(() => readConfirmation(bytes(refused)))).toBeInstanceOf(PeerFault);
    for (const other of [bytes(example), envelope(''), envelope('<p>Sterre</p>'), bytes('<html/>'), bytes('')]) {
      const error = caught(() => readConfirmation(other));
      expect(error.fault).toMatch(/^wire\./);
      expect(JSON.stringify([error.message, error.told, error.where])).not.toContain('Sterre');
    }
  });
});
