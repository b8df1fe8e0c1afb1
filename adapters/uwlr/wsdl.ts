/**
 * What a caller reads before it calls: our own WSDL 1.1 of each service (SOAP 1.1, document/literal) and the schemas it
 * names. Names of service, port, binding, operation and SOAPAction are those of UWLR 2.2 §3 “Web services”; a toolkit that was
 * built from the published WSDL calls us unchanged. Schemas stand at `?xsd=NAME` beside the address, without `xs:group`,
 * which some toolkits leave out.
 */
import { readFileSync } from 'node:fs';
import { NS } from './wire.ts';

export type Service = 'leerlinggegevens' | 'leerresultaten';

interface Facts {
  service: string;
  port: string;
  binding: string;
  portType: string;
  operation: string;
  request: { message: string; part: string; element: string };
  answer: { message: string; part: string; element: string };
  namespace: string;
  /** Schemas that `?xsd=` answers with, by name; each is `schemas/NAME.xsd`. */
  schemas: readonly string[];
}

const services: Record<Service, Facts> = {
  leerlinggegevens: {
    service: 'LeerlinggegevensService',
    port: 'prtLeerlinggegevensService',
    binding: 'bndLeerlinggegevens',
    portType: 'prtLeerlinggegevens',
    operation: 'HaalLeerlinggegevens',
    request: {
      message: 'msgLeerlinggegevensVerzoek',
      part: 'msgpLeerlinggegevensVerzoek',
      element: 'leerlinggegevens_verzoek',
    },
    answer: {
      message: 'msgLeerlinggegevensAntwoord',
      part: 'msgpLeerlinggegevensAntwoord',
      element: 'leerlinggegevens_antwoord',
    },
    namespace: NS.leerlinggegevens,
    schemas: ['leerlinggegevens', 'autorisatie'],
  },
  leerresultaten: {
    service: 'LeerresultatenService',
    port: 'prtLeerresultatenService',
    binding: 'bndLeerresultaten',
    portType: 'prtLeerresultaten',
    operation: 'BrengLeerresultaten',
    request: { message: 'msgLeerresultaten', part: 'msgpLeerresultatenVerzoek', element: 'leerresultaten_verzoek' },
    answer: {
      message: 'msgLeerresultatenAntwoord',
      part: 'msgpLeerresultatenAntwoord',
      element: 'leerresultaten_bevestiging',
    },
    namespace: NS.leerresultaten,
    schemas: ['leerresultaten', 'autorisatie', 'oso'],
  },
};

const attribute = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');

/** The WSDL of a service as it answers at `address` (UWLR 2.2 §3 “Web services”). `address` is absolute, without query. */
export function wsdl(service: Service, address: string): string {
  const it = services[service];
  const at = attribute(address);
  return `<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
  xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="${it.namespace}" xmlns:aut="${NS.autorisatie}"
  name="${it.service}" targetNamespace="${it.namespace}">
  <wsdl:types>
    <xs:schema>
      <xs:import namespace="${it.namespace}" schemaLocation="${at}?xsd=${service}"/>
      <xs:import namespace="${NS.autorisatie}" schemaLocation="${at}?xsd=autorisatie"/>
    </xs:schema>
  </wsdl:types>
  <wsdl:message name="msgHeader"><wsdl:part name="msgpHeader" element="aut:autorisatie"/></wsdl:message>
  <wsdl:message name="${it.request.message}"><wsdl:part name="${it.request.part}" element="t:${it.request.element}"/></wsdl:message>
  <wsdl:message name="${it.answer.message}"><wsdl:part name="${it.answer.part}" element="t:${it.answer.element}"/></wsdl:message>
  <wsdl:portType name="${it.portType}">
    <wsdl:operation name="${it.operation}">
      <wsdl:input message="t:${it.request.message}"/>
      <wsdl:output message="t:${it.answer.message}"/>
    </wsdl:operation>
  </wsdl:portType>
  <wsdl:binding name="${it.binding}" type="t:${it.portType}">
    <soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="${it.operation}">
      <soap:operation soapAction="${it.operation}"/>
      <wsdl:input>
        <soap:header message="t:msgHeader" part="msgpHeader" use="literal"/>
        <soap:body use="literal"/>
      </wsdl:input>
      <wsdl:output><soap:body use="literal"/></wsdl:output>
    </wsdl:operation>
  </wsdl:binding>
  <wsdl:service name="${it.service}">
    <wsdl:port name="${it.port}" binding="t:${it.binding}"><soap:address location="${at}"/></wsdl:port>
  </wsdl:service>
</wsdl:definitions>
`;
}

const texts = new Map<string, string>();

/** The text of one of our schemas, as it stands in `schemas/`. */
export function schemaText(name: string): string {
  let text = texts.get(name);
  if (text === undefined) {
    text = readFileSync(new URL(`./schemas/${name}.xsd`, import.meta.url), 'utf8');
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
