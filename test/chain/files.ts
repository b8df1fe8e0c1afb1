/** Files and messages of standards, as small as a test needs: invented, and bad in one place at a time. */
import { brinOf } from '#kernel';

export interface Pupil {
  key: string;
  eckId?: string;
  name?: string;
  group?: string;
  /** More elements, at the end. */
  extra?: string;
}

export interface EdexmlFile {
  school: string;
  year?: string;
  brin?: string;
  asOf?: string;
  /** Dependancecode; empty = none in the file. */
  site?: string;
  groups?: string[];
  groupName?: string;
  pupils: Pupil[];
}

export function edexml(file: EdexmlFile): string {
  const { school, year = '2026-2027', asOf = '2026-10-01', groups = ['g7'], groupName = 'Zeven', pupils } = file;
  const { site = '00' } = file;
  return `<?xml version="1.0" encoding="UTF-8"?>
<EDEX>
  <school><schooljaar>${year}</schooljaar><peildatum>${asOf}</peildatum><brincode>${file.brin ?? brinOf(school)}</brincode>${site && `<dependancecode>${site}</dependancecode>`}<aanmaakdatum>${asOf}T16:30:00</aanmaakdatum><auteur>De Proef</auteur><xsdversie>2.1</xsdversie></school>
  <groepen>${groups.map((key) => `<groep key="${key}"><naam>${groupName}</naam><jaargroep>7</jaargroep></groep>`).join('')}</groepen>
  <leerlingen>${pupils
    .map(
      ({ key, eckId, name = 'Plooistra', group = 'g7', extra = '' }) =>
        `<leerling key="${key}"${eckId ? ` eckid="${eckId}"` : ''}><achternaam>${name}</achternaam><roepnaam>Zoë</roepnaam><jaargroep>7</jaargroep><groep key="${group}"/>${extra}</leerling>`,
    )
    .join('\n')}</leerlingen>
</EDEX>
`;
}

export interface UwlrAsk {
  sleutel: string;
  klantcode: string;
  klantnaam: string;
  school: string;
  year?: string;
  brin?: string;
  /** Dependancecode; empty = none. */
  site?: string;
}

const envelope = ({ sleutel, klantcode, klantnaam }: UwlrAsk, body: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>
<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/" xmlns:h="http://www.edustandaard.nl/leerresultaten/2/autorisatie"><env:Header><h:autorisatie><h:autorisatiesleutel>${sleutel}</h:autorisatiesleutel><h:klantcode>${klantcode}</h:klantcode><h:klantnaam>${klantnaam}</h:klantnaam></h:autorisatie></env:Header>
<env:Body>${body}</env:Body></env:Envelope>`;

const siteOf = ({ site = '00' }: UwlrAsk): string => site && `<q:dependancecode>${site}</q:dependancecode>`;

export const uwlrQuestion = (ask: UwlrAsk, extra = ''): string =>
  envelope(
    ask,
    `<q:leerlinggegevens_verzoek xmlns:q="http://www.edustandaard.nl/leerresultaten/2/leerlinggegevens"><q:schooljaar>${ask.year ?? '2026-2027'}</q:schooljaar><q:brincode>${ask.brin ?? brinOf(ask.school)}</q:brincode>${siteOf(ask)}<q:xsdversie>2.2</q:xsdversie>${extra}</q:leerlinggegevens_verzoek>`,
  );

export interface UwlrResult {
  key: string;
  leerlingid: string;
  toetscode?: string;
  score?: string;
  day?: string;
  extra?: string;
}

export const uwlrResults = (ask: UwlrAsk, results: UwlrResult[]): string =>
  envelope(
    ask,
    `<r:leerresultaten_verzoek xmlns:r="http://www.edustandaard.nl/leerresultaten/2/leerresultaten"><r:school><r:schooljaar>${ask.year ?? '2026-2027'}</r:schooljaar><r:brincode>${ask.brin ?? brinOf(ask.school)}</r:brincode><r:dependancecode>00</r:dependancecode><r:aanmaakdatum>2026-11-03T16:20:00+01:00</r:aanmaakdatum><r:auteur>De Proef</r:auteur><r:xsdversie>2.2</r:xsdversie></r:school><r:toetsafnames>${results
      .map(
        ({ key, leerlingid, toetscode = '9789000000019', score = '8', day = '2026-11-02', extra = '' }) =>
          `<r:toetsafname><r:leerlingid>${leerlingid}</r:leerlingid>${extra}<r:resultaten><r:resultaat key="${key}"><r:afnamedatum>${day}</r:afnamedatum><r:toetscode>${toetscode}</r:toetscode><r:score>${score}</r:score></r:resultaat></r:resultaten></r:toetsafname>`,
      )
      .join(
        '',
      )}</r:toetsafnames><r:toetsen>${[...new Set(results.map(({ toetscode = '9789000000019' }) => toetscode))].map((code) => `<r:toets><r:toetscode>${code}</r:toetscode></r:toets>`).join('')}</r:toetsen></r:leerresultaten_verzoek>`,
  );

/** Ways in which bytes are no document, whatever was meant. Each keeps what the document held. */
export function unreadableForms(
  text: string,
): { how: string; bytes: Buffer; code: 'wire.unreadable' | 'wire.invalid' }[] {
  const body = text.replace(/^<\?xml[^>]*\?>\s*/, '');
  const root = /^<([\w:]+)/.exec(body)![1]!;
  const doc = (doctype: string, content = body) => `<?xml version="1.0" encoding="UTF-8"?>\n${doctype}\n${content}`;
  const utf8 = (how: string, content: string, code: 'wire.unreadable' | 'wire.invalid' = 'wire.unreadable') => ({
    how,
    bytes: Buffer.from(content),
    code,
  });
  const deep = (depth: number) => body.replace(`</${root}>`, `${'<d>'.repeat(depth)}${'</d>'.repeat(depth)}</${root}>`);
  return [
    utf8('not XML', `{"leerlingen": ${JSON.stringify(body)}}`),
    utf8('empty', ''),
    utf8('only spaces', '  \n '),
    utf8('cut in the middle', text.slice(0, text.length * 0.7)),
    utf8('cut at its last character', text.trimEnd().slice(0, -1)),
    utf8('two roots', text + body),
    utf8('another root', `<Rooster>${body}</Rooster>`, 'wire.invalid'),
    utf8('an entity that is not defined', text.replace('De Proef', '&proef;').replace('2026-2027', '&jaar;')),
    utf8('a DOCTYPE', doc(`<!DOCTYPE ${root}>`)),
    utf8('a DOCTYPE in small letters', doc(`<!doctype ${root}>`)),
    utf8(
      'an entity bomb',
      doc(
        `<!DOCTYPE ${root} [<!ENTITY a "${'ha'.repeat(50)}">${'bcdefghij'
          .split('')
          .map((name, i) => `<!ENTITY ${name} "${`&${'abcdefghi'[i]};`.repeat(10)}">`)
          .join('')}]>`,
        body.replace('2026-2027', '&j;'),
      ),
    ),
    utf8(
      'an external entity',
      doc(`<!DOCTYPE ${root} [<!ENTITY x SYSTEM "file:///etc/passwd">]>`, body.replace('2026-2027', '&x;')),
    ),
    utf8('an external subset', doc(`<!DOCTYPE ${root} SYSTEM "http://127.0.0.1:9/edex.dtd">`)),
    utf8('a parameter entity', doc(`<!DOCTYPE ${root} [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p"> %p;]>`)),
    utf8('nested 200 deep', deep(200)),
    utf8('nested 20,000 deep', deep(20_000)),
    utf8('an encoding that is not read', text.replace('UTF-8', 'KOI8-R')),
    utf8('UTF-16 in name only', text.replace('UTF-8', 'UTF-16')),
    {
      how: 'latin-1 that says UTF-8',
      bytes: Buffer.from(text.replace('?>', '?><!-- é -->'), 'latin1'),
      code: 'wire.unreadable',
    },
    {
      how: 'a byte order mark of UTF-16 before UTF-8',
      bytes: Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from(text)]),
      code: 'wire.unreadable',
    },
    {
      how: 'UTF-16 without a byte order mark',
      bytes: Buffer.from(text.replace('UTF-8', 'UTF-16'), 'utf16le'),
      code: 'wire.unreadable',
    },
    {
      how: 'a NUL byte',
      bytes: Buffer.from(text.replace('De Proef', 'De\0Proef').replace('2026-2027', '2026\0')),
      code: 'wire.unreadable',
    },
    { how: 'compressed bytes', bytes: Buffer.from('1f8b0800000000000003', 'hex'), code: 'wire.unreadable' },
  ];
}
