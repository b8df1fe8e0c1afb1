/** A party's side of UWLR, 2.2 or 2.3: SOAP 1.1, written by hand and read by a general parser. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { XMLParser } from 'fast-xml-parser';
import type { Settings } from './program.ts';
import { type Message, Refused } from './wire.ts';
import { element as el, text } from './xml.ts';

const SOAP = 'http://schemas.xmlsoap.org/soap/envelope/';
const AUT = 'http://www.edustandaard.nl/leerresultaten/2/autorisatie';
const ASK = 'http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens';
const BRING = 'http://www.edustandaard.nl/leerresultaten/2/leerresultaten';

const many = new Set(['groep', 'samengestelde_groep', 'leerling', 'leerkracht', 'toetsafname', 'resultaat']);
const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  removeNSPrefix: true,
  parseTagValue: false,
  parseAttributeValue: false,
  isArray: (name) => many.has(name),
});

export interface PulledPupil {
  key: string;
  eckId: string;
  groupKey: string;
  yearGroup: string;
  /** Names of all fields that came along, sorted. */
  fields: string[];
}

export interface Pulled {
  schoolYear: string;
  groups: { key: string; name: string }[];
  pupils: PulledPupil[];
  teachers: number;
}

/** HaalLeerlinggegevens. Rejects with `Refused` that carries the gateway's code from the fault. */
export async function pullGroups(settings: Settings, schoolYear: string): Promise<Pulled> {
  const body = el('leerlinggegevens_verzoek', { xmlns: ASK }, [
    el('schooljaar', {}, text(schoolYear)),
    el('brincode', {}, text(brinOf(settings.school))),
    el('xsdversie', {}, text(settings.uwlr!.version)),
  ]);
  const answer = await post(settings, 'leerlinggegevens', 'HaalLeerlinggegevens', body);
  const found = answer['leerlinggegevens_antwoord']?.leerlinggegevens;
  if (!found) return { schoolYear, groups: [], pupils: [], teachers: 0 };
  const { groep = [], samengestelde_groep = [] } = found.groepen ?? {};
  return {
    schoolYear: found.school.schooljaar,
    groups: [...groep, ...samengestelde_groep].map((group: Message) => ({ key: group['@key'], name: group['naam'] })),
    pupils: found.leerlingen.leerling.map(
      (pupil: Message): PulledPupil => ({
        key: pupil['@key'],
        eckId: pupil['@eckid'] ?? '',
        groupKey: pupil['groep']?.[0]['@key'] ?? '',
        yearGroup: pupil['jaargroep'] ?? '',
        fields: Object.keys(pupil).sort(),
      }),
    ),
    teachers: found.leerkrachten?.leerkracht?.length ?? 0,
  };
}

export interface TestResult {
  key: string;
  lasKey: string;
  eckId: string;
  /** YYYY-MM-DD. */
  day: string;
  score: number;
}

/** BrengLeerresultaten: results of one test, one a pupil. The test's code is the product's EAN. */
export async function bringResults(
  settings: Settings,
  test: { code: string; name: string; maxScore: number; schoolYear: string; madeAt: string },
  results: readonly TestResult[],
): Promise<void> {
  const body = el('leerresultaten_verzoek', { xmlns: BRING }, [
    el('school', {}, [
      el('schooljaar', {}, text(test.schoolYear)),
      el('brincode', {}, text(brinOf(settings.school))),
      el('aanmaakdatum', {}, text(test.madeAt)),
      el('auteur', {}, text('Leerplein')),
      el('xsdversie', {}, text(settings.uwlr!.version)),
    ]),
    el(
      'toetsafnames',
      {},
      results.map(({ key, lasKey, eckId, day, score }) =>
        el('toetsafname', {}, [
          el('leerlingid', {}, text(lasKey)),
          el('eckid', {}, text(eckId)),
          el('resultaten', {}, [
            el('resultaat', { key }, [
              el('afnamedatum', {}, text(day)),
              el('toetscode', {}, text(test.code)),
              el('score', {}, text(String(score))),
            ]),
          ]),
        ]),
      ),
    ),
    el('toetsen', {}, [
      el('toets', {}, [
        el('toetscode', {}, text(test.code)),
        el('toetsnaam', {}, text(test.name)),
        el('toetsnormering', {}, [
          norm('nog oefenen', 0, Math.ceil(test.maxScore / 2) - 1),
          norm('beheerst', Math.ceil(test.maxScore / 2), test.maxScore),
        ]),
      ]),
    ]),
  ]);
  const answer = await post(settings, 'leerresultaten', 'BrengLeerresultaten', body);
  if (!('leerresultaten_bevestiging' in answer)) throw new Refused('party.failed', 'The results were not confirmed.');
}

const norm = (term: string, from: number, to: number): string =>
  el('norm', {}, [
    el('term', {}, text(term)),
    el('beginnormwaarde', {}, text(String(from))),
    el('eindnormwaarde', {}, text(String(to))),
  ]);

/** The OIN of a school holds its BRIN. */
const brinOf = (oin: string): string => oin.slice(11, 15);

async function post(settings: Settings, service: string, action: string, body: string): Promise<Message> {
  const { klantcode, klantnaam, autorisatiesleutel } = settings.uwlr!;
  const envelope = `<?xml version="1.0" encoding="UTF-8"?>\n${el('s:Envelope', { 'xmlns:s': SOAP }, [
    el('s:Header', {}, [
      el('a:autorisatie', { 'xmlns:a': AUT }, [
        el('a:autorisatiesleutel', {}, text(autorisatiesleutel)),
        el('a:klantcode', {}, text(klantcode)),
        el('a:klantnaam', {}, text(klantnaam)),
      ]),
    ]),
    el('s:Body', {}, [body]),
  ])}`;
  const response = await fetch(`${settings.http}/soap/uwlr/v2/${service}`, {
    method: 'POST',
    headers: { 'content-type': 'text/xml; charset=utf-8', soapaction: `"${action}"` },
    body: envelope,
  });
  const answered = parser.parse(await response.text())?.Envelope?.Body as Message | undefined;
  if (!answered) throw new Refused('party.failed', `The answer is not SOAP (HTTP ${response.status}).`);
  const fault = answered['Fault'];
  if (fault)
    throw new Refused(codeIn(fault['detail']) ?? fault['faultcode'], `${fault['faultcode']}: ${fault['faultstring']}`);
  return answered;
}

/** The gateway's stable code stands in the fault's detail. */
function codeIn(detail: unknown): string | undefined {
  if (typeof detail !== 'object' || detail === null) return undefined;
  for (const [name, value] of Object.entries(detail)) {
    if (/^code$/i.test(name) && typeof value === 'string') return value;
    const deeper = codeIn(value);
    if (deeper) return deeper;
  }
  return undefined;
}

/** A result as it came over UWLR. */
export interface Brought {
  /** Who returned it, and its id there: the key is `OIN.ID`. */
  fromOin: string;
  resultId: string;
  eckId: string;
  code: string;
  /** Points, or what a monitoring system says instead. */
  outcome: string;
}

/**
 * Listens on a free port for BrengLeerresultaten in one version; `told` gets each key at its first coming. What is of another
 * version, or without `key`, is refused.
 */
export async function openResults(
  version: string,
  key: string,
  told: (result: Brought) => void,
): Promise<{ url: string }> {
  const seen = new Set<string>();
  const server = createServer(async (request, response) => {
    const say = (status: number, body: string): void =>
      void response
        .writeHead(status, { 'content-type': 'text/xml; charset=utf-8' })
        .end(el('s:Envelope', { 'xmlns:s': SOAP }, [el('s:Body', {}, [body])]));
    const refuse = (code: string): void =>
      say(500, el('s:Fault', {}, [el('faultcode', {}, text(code)), el('faultstring', {}, text('Niet genomen'))]));
    try {
      const { Header, Body } = parser.parse(await textOf(request))['Envelope'] as Message;
      const brought = Body['leerresultaten_verzoek'] as Message;
      if (Header['autorisatie'].autorisatiesleutel !== key) return refuse('Client.AutorisatieOngeldig');
      if (brought['school'].xsdversie !== version) return refuse('Client.XsdVersieOngeldig');
      for (const { eckid, resultaten } of brought['toetsafnames'].toetsafname as Message[])
        for (const result of resultaten.resultaat as Message[]) {
          if (seen.has(result['@key'])) continue;
          seen.add(result['@key']);
          // The sender's own key stands before what tells its results apart.
          const [fromOin = '', known = ''] = (result['@key'] as string).split(/\.(.*)/);
          const [resultId = ''] = known.split('~');
          const time = result['osoresultaat']?.toetsscore?.tijd;
          const outcome = result['score'] ?? `${time} s`;
          told({ fromOin, resultId, eckId: eckid ?? '', code: result['toetscode'], outcome });
        }
      say(200, el('leerresultaten_bevestiging', { xmlns: BRING }, []));
    } catch {
      refuse('Client.OngeldigBericht');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/uwlr/leerresultaten` };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** As a ledger has it. */
export const broughtItem = ({ resultId, eckId, code, fromOin, outcome }: Brought): string =>
  `${resultId} ${eckId} ${code} ${fromOin} ${outcome}`;
