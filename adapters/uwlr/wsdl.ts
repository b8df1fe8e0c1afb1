/**
 * What a caller reads before it calls: our own WSDL 1.1 of each service (SOAP 1.1, document/literal) and the schemas it
 * names, for each version. Names of service, ports, bindings, operations and SOAPActions are those of UWLR §3 “Web services”; a
 * toolkit that was built from the published WSDL calls us unchanged. Schemas stand at `?xsd=NAME` beside the address, without
 * `xs:group`, which some toolkits leave out. `single` is for toolkits that do not follow an import either, and want a message's
 * part to be named as its element: everything in one document.
 */
import { readFileSync } from 'node:fs';
import type { Version } from './versions.ts';
import { NS, type Operation, rosterOperations } from './wire.ts';

export type Service = 'leerlinggegevens' | 'leerresultaten';

interface Described {
  operation: Operation;
  action: string;
  request: { message: string; part: string; element: string };
  answer: { message: string; part: string; element: string };
}

/** A port of a service; one portType and one binding each. */
interface Port {
  port: string;
  binding: string;
  portType: string;
  operations: readonly Described[];
}

interface Facts {
  service: string;
  ports: readonly Port[];
  namespace: string;
  /** Schemas that `?xsd=` answers with, by name. */
  schemas: readonly string[];
}

const message = (name: string, element: string) => ({ message: `msg${name}`, part: `msgp${name}`, element });

function staged(operation: 'HaalStructuur' | 'HaalLeerlingen' | 'HaalLeerkrachten'): Described {
  const { verzoek, antwoord } = rosterOperations[operation];
  const name = operation.slice('Haal'.length);
  return {
    operation,
    action: `${NS.leerlinggegevens}/${verzoek}`,
    // Of these the published parts are named as their messages.
    request: { ...message(`${name}Verzoek`, verzoek), part: `msg${name}Verzoek` },
    answer: { ...message(`${name}Antwoord`, antwoord), part: `msg${name}Antwoord` },
  };
}

const services: Record<Service, Facts> = {
  leerlinggegevens: {
    service: 'LeerlinggegevensService',
    ports: [
      {
        port: 'prtLeerlinggegevensService',
        binding: 'bndLeerlinggegevens',
        portType: 'prtLeerlinggegevens',
        operations: [
          {
            operation: 'HaalLeerlinggegevens',
            action: 'HaalLeerlinggegevens',
            request: message('LeerlinggegevensVerzoek', rosterOperations.HaalLeerlinggegevens.verzoek),
            answer: message('LeerlinggegevensAntwoord', rosterOperations.HaalLeerlinggegevens.antwoord),
          },
        ],
      },
      {
        port: 'prtLeerlinggegevensService-getrapt',
        binding: 'bndLeerlinggegevens-getrapt',
        portType: 'prtGetrapt',
        operations: [staged('HaalStructuur'), staged('HaalLeerlingen'), staged('HaalLeerkrachten')],
      },
    ],
    namespace: NS.leerlinggegevens,
    schemas: ['leerlinggegevens', 'leerlinggegevens-2.3', 'autorisatie'],
  },
  leerresultaten: {
    service: 'LeerresultatenService',
    ports: [
      {
        port: 'prtLeerresultatenService',
        binding: 'bndLeerresultaten',
        portType: 'prtLeerresultaten',
        operations: [
          {
            operation: 'BrengLeerresultaten',
            action: 'BrengLeerresultaten',
            request: {
              message: 'msgLeerresultaten',
              part: 'msgpLeerresultatenVerzoek',
              element: 'leerresultaten_verzoek',
            },
            answer: message('LeerresultatenAntwoord', 'leerresultaten_bevestiging'),
          },
        ],
      },
    ],
    namespace: NS.leerresultaten,
    schemas: ['leerresultaten', 'autorisatie', 'oso'],
  },
};

const attribute = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');

export interface WsdlForm {
  /** Of results there is one schema for all versions. */
  version?: Version;
  /** The schemas stand in the document, and parts are named as their elements. */
  single?: boolean;
}

/** The schema of a service's own namespace in a version. */
const schemaOf = (service: Service, version: Version): string =>
  service === 'leerlinggegevens' && version === '2.3' ? 'leerlinggegevens-2.3' : service;

/** The WSDL of a service as it answers at `address` (UWLR §3 “Web services”). `address` is absolute, without query. */
export function wsdl(service: Service, address: string, { version = '2.2', single = false }: WsdlForm = {}): string {
  const it = services[service];
  const at = attribute(address);
  const own = schemaOf(service, version);
  const operations = it.ports.flatMap((port) => port.operations);
  const header = single ? 'autorisatie' : 'msgpHeader';
  const part = (of: { part: string; element: string }) => (single ? of.element : of.part);
  const types = single
    ? [own, ...it.schemas.filter((name) => !name.startsWith(service))].map(inline).join('\n')
    : `    <xs:schema>
      <xs:import namespace="${it.namespace}" schemaLocation="${at}?xsd=${own}"/>
      <xs:import namespace="${NS.autorisatie}" schemaLocation="${at}?xsd=autorisatie"/>
    </xs:schema>`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
  xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="${it.namespace}" xmlns:aut="${NS.autorisatie}"
  name="${it.service}" targetNamespace="${it.namespace}">
  <wsdl:types>
${types}
  </wsdl:types>
  <wsdl:message name="msgHeader"><wsdl:part name="${header}" element="aut:autorisatie"/></wsdl:message>
${operations
  .flatMap(({ request, answer }) => [request, answer])
  .map(
    (one) =>
      `  <wsdl:message name="${one.message}"><wsdl:part name="${part(one)}" element="t:${one.element}"/></wsdl:message>`,
  )
  .join('\n')}
${it.ports
  .map(
    (port) => `  <wsdl:portType name="${port.portType}">
${port.operations
  .map(
    ({ operation, request, answer }) => `    <wsdl:operation name="${operation}">
      <wsdl:input message="t:${request.message}"/>
      <wsdl:output message="t:${answer.message}"/>
    </wsdl:operation>`,
  )
  .join('\n')}
  </wsdl:portType>`,
  )
  .join('\n')}
${it.ports
  .map(
    (port) => `  <wsdl:binding name="${port.binding}" type="t:${port.portType}">
    <soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
${port.operations
  .map(
    ({ operation, action }) => `    <wsdl:operation name="${operation}">
      <soap:operation soapAction="${action}"/>
      <wsdl:input>
        <soap:header message="t:msgHeader" part="${header}" use="literal"/>
        <soap:body use="literal"/>
      </wsdl:input>
      <wsdl:output><soap:body use="literal"/></wsdl:output>
    </wsdl:operation>`,
  )
  .join('\n')}
  </wsdl:binding>`,
  )
  .join('\n')}
  <wsdl:service name="${it.service}">
${it.ports
  .map(
    ({ port, binding }) =>
      `    <wsdl:port name="${port}" binding="t:${binding}"><soap:address location="${at}"/></wsdl:port>`,
  )
  .join('\n')}
  </wsdl:service>
</wsdl:definitions>
`;
}

/** A schema to stand in a WSDL: without declaration, and without a place for what it imports, which stands beside it. */
const inline = (name: string): string =>
  schemaText(name)
    .replace(/^<\?xml[^>]*\?>\s*/, '')
    .replace(/ schemaLocation="[^"]*"/g, '');

/**
 * What 2.3 has otherwise than 2.2, as text of the schema; each stands there once. A pupil with an ECK iD is named by that, so the
 * key is no longer demanded of all; and there is one more role.
 */
const changes: readonly (readonly [from: string, to: string])[] = [
  ['version="2.2"', 'version="2.3"'],
  ['UWLR 2.2 (also 2.2.1), the four', 'UWLR 2.3, the four'],
  [
    '<xs:element name="mutatiedatum" type="xs:dateTime" minOccurs="0"/>\n    </xs:sequence>\n    <xs:attribute name="key" type="lg:Tekst256" use="required"/>\n    <xs:attribute name="eckid" type="lg:Tekst256"/>\n  </xs:complexType>\n\n  <xs:complexType name="Leerkracht">',
    '<xs:element name="mutatiedatum" type="xs:dateTime" minOccurs="0"/>\n    </xs:sequence>\n    <xs:attribute name="key" type="lg:Tekst256"/>\n    <xs:attribute name="eckid" type="lg:Tekst256"/>\n  </xs:complexType>\n\n  <xs:complexType name="Leerkracht">',
  ],
  [
    '<xs:key name="leerling"><xs:selector xpath="lg:leerlingen/lg:leerling"/><xs:field xpath="@key"/></xs:key>',
    '<xs:unique name="leerling"><xs:selector xpath="lg:leerlingen/lg:leerling"/><xs:field xpath="@key"/></xs:unique>',
  ],
  ['<xs:enumeration value="STA"/>', '<xs:enumeration value="STA"/><xs:enumeration value="TAL"/>'],
];

const texts = new Map<string, string>();

/** The text of one of our schemas: as it stands in `schemas/`, or of 2.3, made of it. */
export function schemaText(name: string): string {
  let text = texts.get(name);
  if (text === undefined) {
    text =
      name === 'leerlinggegevens-2.3'
        ? changes.reduce((before, [from, to]) => {
            if (before.split(from).length !== 2) throw new Error(`schema of 2.3: ${from.slice(0, 40)} stands not once`);
            return before.replace(from, to);
          }, schemaText('leerlinggegevens'))
        : readFileSync(new URL(`./schemas/${name}.xsd`, import.meta.url), 'utf8');
    texts.set(name, text);
  }
  return text;
}

/**
 * The schema that `?xsd=NAME` answers with; undefined when the service has none of that name. With the service's `address`,
 * imports inside are absolute, which every toolkit resolves; without it they are relative to the schema's own address.
 */
export function xsd(service: Service, name: string, address = ''): string | undefined {
  if (!services[service].schemas.includes(name)) return undefined;
  return schemaText(name).replace(
    /schemaLocation="(\w+)\.xsd"/g,
    `schemaLocation="${attribute(address).replaceAll('$', '$$$$')}?xsd=$1"`,
  );
}
