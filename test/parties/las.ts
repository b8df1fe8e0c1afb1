/**
 * A school administration as suppliers run them: hosts both web services of UWLR 2.2, in one question and in stages, and takes
 * results. It looks at the key of each school, and can be made to fail in many ways. What it says is written here by hand.
 */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';

export interface LasPupil {
  key: string;
  eckId?: string;
  name: string;
  group?: string;
  /** Composite groups. */
  also?: string[];
  /** More elements, after the name. */
  extra?: string;
}

export interface LasSchool {
  sleutel: string;
  year: string;
  /** When it was made, RFC 3339. */
  made: string;
  groups: { key: string; name: string; composite?: boolean }[];
  pupils: LasPupil[];
  staff: { key: string; name: string; groups: string[] }[];
}

/** What it does instead of answering; an object is a fault with these words. */
export type LasFault =
  | 'slow'
  | 'error'
  | 'half'
  | 'garbage'
  | 'busy'
  | 'refuse'
  | 'empty'
  | 'elsewhere'
  | 'silent'
  | 'huge'
  | 'other school'
  | 'other year'
  | 'no pupils'
  | 'nothing'
  | 'unchanged'
  | { faultcode: string; faultstring: string };

export interface LasPeer {
  /** Up to the path of the services: `/leerlinggegevens`, `/getrapt`, `/leerresultaten`. */
  url: string;
  /** By brincode. */
  schools: Map<string, LasSchool>;
  klant: { klantcode: string; klantnaam: string };
  /** A header that it demands. */
  header?: { name: string; value: string };
  fails: (operation: string, brin: string, text: string) => LasFault | 'taken and silent' | undefined;
  /** Operations so far, with brincode, and what was asked since. */
  asked: { operation: string; brin: string; since: string; action: string; schooljaar: string }[];
  /** Results by school and key; a repeat replaces. */
  results: Map<string, Map<string, string>>;
  /** Messages of results that were taken. */
  brought: number;
  /** Every message of results as it came, taken or not. */
  messages: string[];
  close(): Promise<void>;
}

const NS = 'http://www.edustandaard.nl/leerresultaten/2/';
const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
const between = (text: string, name: string): string =>
  new RegExp(`<(?:\\w+:)?${name}(?: [^>]*)?>([^<]*)</`).exec(text)?.[1] ?? '';
const keysIn = (text: string): { key: string; composite: boolean }[] =>
  [...text.matchAll(/<(?:\w+:)?(groep|samengestelde_groep)(?: key="([^"]*)")?\s*\/>/g)].map(([, name, key = '']) => ({
    key,
    composite: name === 'samengestelde_groep',
  }));

const envelope = (body: string): string =>
  `<?xml version="1.0" encoding="utf-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Header/><soapenv:Body>${body}</soapenv:Body></soapenv:Envelope>`;

export async function openLas(
  settings: { tls?: { cert: string; key: string; ca: string }; header?: { name: string; value: string } } = {},
): Promise<LasPeer> {
  const { tls } = settings;
  const peer: LasPeer = {
    url: '',
    schools: new Map(),
    klant: { klantcode: 'GW-7', klantnaam: 'Schakel' },
    ...(settings.header ? { header: settings.header } : {}),
    fails: () => undefined,
    asked: [],
    results: new Map(),
    brought: 0,
    messages: [],
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };

  const answer: RequestListener = (request, response) => {
    void (async () => {
      const text = await bodyOf(request);
      const operation = /<(?:\w+:)?(\w+)_verzoek/.exec(text)?.[1] ?? '';
      const brin = between(text, 'brincode');
      peer.asked.push({
        operation,
        brin,
        since: between(text, 'laatstontvangengegevens'),
        action: String(request.headers['soapaction'] ?? ''),
        schooljaar: between(text, 'schooljaar'),
      });
      if (operation === 'leerresultaten') peer.messages.push(text);
      if (tls && !(request.socket as TLSSocket).authorized) return void response.writeHead(403).end();
      if (peer.header && request.headers[peer.header.name.toLowerCase()] !== peer.header.value)
        return void response.writeHead(401).end();
      const school = peer.schools.get(brin);
      const fault = peer.fails(operation, brin, text);
      if (typeof fault === 'object') return refuse(response, fault.faultcode, fault.faultstring);
      if (fault && fault !== 'taken and silent' && !(fault in twisted)) return fail(fault, response);
      if (between(text, 'klantcode') !== peer.klant.klantcode || between(text, 'klantnaam') !== peer.klant.klantnaam)
        return refuse(response, 'Client.OngeldigeKlantIdentificatie', 'Onbekende klant');
      if (!school || between(text, 'autorisatiesleutel') !== school.sleutel)
        return refuse(response, 'Client.AutorisatieOngeldig', 'Geen toegang');
      if (operation === 'leerresultaten') return take(text, brin, response, fault === 'taken and silent');
      const since = between(text, 'laatstontvangengegevens');
      const says = (within: string) =>
        say(response, `<${operation}_antwoord xmlns="${NS}leerlinggegevens">${within}</${operation}_antwoord>`);
      if (fault === 'nothing') return says('<geengegevens/>');
      if (fault === 'unchanged' || (since !== '' && Date.parse(since) >= Date.parse(school.made)))
        return says('<geenwijzigingen/>');
      const it = twist(school, fault === 'taken and silent' ? undefined : fault);
      const named = fault === 'other school' ? '99YY' : brin;
      const site = between(text, 'dependancecode');
      const head = `<school><schooljaar>${it.year}</schooljaar><brincode>${named}</brincode>${site && `<dependancecode>${site}</dependancecode>`}<aanmaakdatum>${it.made}</aanmaakdatum><xsdversie>2.2</xsdversie></school>`;
      if (operation === 'leerlinggegevens')
        return says(`<leerlinggegevens>${head}${groups(it)}${pupils(it.pupils)}${staff(it.staff)}</leerlinggegevens>`);
      if (operation === 'structuur')
        return says(`<leerlinggegevens-structuur>${head}${groups(it)}</leerlinggegevens-structuur>`);
      const wanted = keysIn(text);
      const isIn = (key: string | undefined) => wanted.some((one) => one.key === key);
      if (operation === 'leerlingen') {
        const some = it.pupils.filter(({ group, also = [] }) =>
          group === undefined && also.length === 0 ? isIn('') : isIn(group ?? '-') || also.some(isIn),
        );
        return says(
          some.length === 0
            ? '<geengegevens/>'
            : `<leerlinggegevens-leerlingen>${head}${pupils(some)}</leerlinggegevens-leerlingen>`,
        );
      }
      const some = it.staff.filter((one) => (one.groups.length === 0 ? isIn('') : one.groups.some(isIn)));
      return says(
        some.length === 0
          ? '<geengegevens/>'
          : `<leerlinggegevens-leerkrachten>${head}${staff(some)}</leerlinggegevens-leerkrachten>`,
      );
    })();
  };

  function take(text: string, brin: string, response: ServerResponse, isSilent: boolean): void {
    const own = peer.results.get(brin) ?? new Map<string, string>();
    for (const [, who, within] of text.matchAll(/<toetsafname><leerlingid>([^<]*)<\/leerlingid>(.*?)<\/toetsafname>/gs))
      for (const [, key, score = ''] of within!.matchAll(
        /<resultaat key="([^"]*)">.*?(?:<score>(\d+)<\/score>)?<\/resultaat>/gs,
      ))
        own.set(key!, `${who}=${/<score>(\d+)/.exec(within!.slice(within!.indexOf(`"${key}"`)))?.[1] ?? score}`);
    peer.results.set(brin, own);
    peer.brought += 1;
    if (isSilent) return;
    say(response, `<leerresultaten_bevestiging xmlns="${NS}leerresultaten"/>`);
  }

  const server = tls
    ? createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: false }, answer)
    : createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  peer.url = `${tls ? 'https://localhost' : 'http://127.0.0.1'}:${(server.address() as AddressInfo).port}`;
  return peer;
}

const twisted: Readonly<Record<string, true>> = {
  'other school': true,
  'other year': true,
  'no pupils': true,
  nothing: true,
  unchanged: true,
};
function twist(school: LasSchool, fault: LasFault | undefined): LasSchool {
  if (fault === 'other year') return { ...school, year: '2019-2020' };
  return fault === 'no pupils' ? { ...school, pupils: [], staff: [] } : school;
}

const groups = ({ groups: list }: LasSchool): string =>
  list.length === 0
    ? ''
    : `<groepen>${list
        .map(({ key, name, composite }) =>
          composite
            ? `<samengestelde_groep key="${escaped(key)}"><naam>${escaped(name)}</naam></samengestelde_groep>`
            : `<groep key="${escaped(key)}"><naam>${escaped(name)}</naam><jaargroep>7</jaargroep></groep>`,
        )
        .join('')}</groepen>`;
const pupils = (list: readonly LasPupil[]): string =>
  `<leerlingen>${list
    .map(
      ({ key, eckId, name, group, also = [], extra = '' }) =>
        `<leerling key="${escaped(key)}"${eckId ? ` eckid="${escaped(eckId)}"` : ''}><achternaam>${escaped(name)}</achternaam><roepnaam>Zoë</roepnaam>${extra}<jaargroep>7</jaargroep>${group ? `<groep key="${escaped(group)}"/>` : ''}${also.length > 0 ? `<samengestelde_groepen>${also.map((one) => `<samengestelde_groep key="${escaped(one)}"/>`).join('')}</samengestelde_groepen>` : ''}</leerling>`,
    )
    .join('')}</leerlingen>`;
const staff = (list: LasSchool['staff']): string =>
  list.length === 0
    ? ''
    : `<leerkrachten>${list
        .map(
          ({ key, name, groups: of }) =>
            `<leerkracht key="${escaped(key)}"><achternaam>${escaped(name)}</achternaam>${of.length > 0 ? `<groepen>${of.map((one) => `<groep key="${escaped(one)}"/>`).join('')}</groepen>` : ''}</leerkracht>`,
        )
        .join('')}</leerkrachten>`;

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

const XML = { 'content-type': 'text/xml; charset=utf-8' };
const say = (response: ServerResponse, body: string): void => void response.writeHead(200, XML).end(envelope(body));
const refuse = (response: ServerResponse, faultcode: string, faultstring: string): void =>
  void response
    .writeHead(500, XML)
    .end(
      envelope(
        `<soapenv:Fault><faultcode>${faultcode}</faultcode><faultstring>${escaped(faultstring)}</faultstring></soapenv:Fault>`,
      ),
    );

function fail(fault: Extract<LasFault, string>, response: ServerResponse): void {
  switch (fault) {
    case 'slow':
      return; // Never, as far as anybody waits.
    case 'error':
      return void response.writeHead(500).end('<html>Er ging iets mis</html>');
    case 'busy':
      return void response.writeHead(503, { 'retry-after': '7' }).end();
    case 'refuse':
      return void response.writeHead(403).end();
    case 'half':
      response.writeHead(200, { ...XML, 'content-length': '5000' });
      response.write('<?xml version="1.0"?><s:Envelope');
      setTimeout(() => response.destroy(), 5);
      return;
    case 'garbage':
      return void response.writeHead(200, XML).end('<html>Onderhoud</html>');
    case 'empty':
      return void response.writeHead(200, XML).end();
    case 'elsewhere':
      return void response.writeHead(302, { location: 'http://169.254.169.254/' }).end();
    case 'huge': {
      // More than anybody takes, as fast as it is read.
      const piece = Buffer.alloc(1 << 20, 32);
      response.writeHead(200, XML);
      const go = (): void => {
        while (!response.destroyed && response.write(piece));
        if (!response.destroyed) response.once('drain', go);
      };
      go();
      return;
    }
    default:
      return void response.destroy();
  }
}
