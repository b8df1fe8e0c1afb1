/** Writes the schema of one version from the table in `entry.ts`. */
import {
  entryFields,
  type Field,
  type Fields,
  inVersion,
  type Kind,
  namespaceStart,
  requiredIn,
  type Version,
} from './entry.ts';

/** The XML Schema type of each kind of value. */
const types: Record<Kind, string> = {
  text: 'xs:string',
  name: 'Name',
  link: 'xs:anyURI',
  flag: 'xs:boolean',
  count: 'xs:nonNegativeInteger',
  cents: 'Cents',
  percentage: 'Percentage',
  moment: 'Moment',
  duration: 'Duration',
};

const simpleTypes = `
  <xs:simpleType name="Name">
    <xs:annotation><xs:documentation>Something is written, not only blanks.</xs:documentation></xs:annotation>
    <xs:restriction base="xs:token"><xs:minLength value="1"/></xs:restriction>
  </xs:simpleType>
  <xs:simpleType name="Cents">
    <xs:annotation><xs:documentation>Whole eurocents.</xs:documentation></xs:annotation>
    <xs:restriction base="xs:nonNegativeInteger"/>
  </xs:simpleType>
  <xs:simpleType name="Percentage">
    <xs:restriction base="xs:decimal"><xs:minInclusive value="0"/><xs:maxInclusive value="100"/></xs:restriction>
  </xs:simpleType>
  <xs:simpleType name="Moment">
    <xs:annotation><xs:documentation>A day, or a day with a time.</xs:documentation></xs:annotation>
    <xs:union memberTypes="xs:date xs:dateTime"/>
  </xs:simpleType>
  <xs:simpleType name="Duration">
    <xs:annotation><xs:documentation>How long something runs; never backwards.</xs:documentation></xs:annotation>
    <xs:restriction base="xs:duration"><xs:pattern value="P.*"/></xs:restriction>
  </xs:simpleType>
`;

const wrapper = { any: 'all', sequence: 'sequence', choice: 'choice' } as const;

function element(name: string, field: Field, version: Version, indent: string, choice: boolean): string {
  const min = choice || requiredIn(name, field, version) ? '' : ' minOccurs="0"';
  const max = field.many ? ' maxOccurs="unbounded"' : '';
  if (field.fields === undefined)
    return `${indent}<xs:element name="${name}" type="${types[field.kind!]}"${min}${max}/>\n`;
  return `${indent}<xs:element name="${name}"${min}${max}><xs:complexType>\n${group(field.fields, field.order!, version, indent + '  ')}${indent}</xs:complexType></xs:element>\n`;
}

function group(fields: Fields, order: 'any' | 'sequence' | 'choice', version: Version, indent: string): string {
  const tag = `xs:${wrapper[order]}`;
  let inside = '';
  for (const [name, field] of Object.entries(fields))
    if (inVersion(field, version)) inside += element(name, field, version, indent + '  ', order === 'choice');
  return `${indent}<${tag}>\n${inside}${indent}</${tag}>\n`;
}

/** ECK DT §1.4, §1.5: `Entry`, `ReadCatalog` and `ReadCatalogResult` of one version. */
export function catalogServiceXsd(version: Version, fields: Fields = entryFields): string {
  const namespace = namespaceStart + version;
  return `<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by adapters/eckdt/schemas/xsd.ts from entry.ts; not to be edited. The gateway's own schema of the ECK DT
     CatalogService, version ${version}, from what is publicly known of it; it is not the schema of its owner. -->
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="${namespace}" targetNamespace="${namespace}" elementFormDefault="qualified" version="${version}">
${simpleTypes}
  <xs:element name="Entry"><xs:complexType>
${group(fields, 'any', version, '    ')}  </xs:complexType></xs:element>

  <xs:element name="ReadCatalog"><xs:complexType><xs:all>
    <xs:element name="firstEntry" type="xs:nonNegativeInteger" minOccurs="0"/>
    <xs:element name="Amount" type="xs:nonNegativeInteger" minOccurs="0"/>
    <xs:element name="Since" type="Moment" minOccurs="0"/>
  </xs:all></xs:complexType></xs:element>

  <xs:element name="ReadCatalogResult"><xs:complexType><xs:all>
    <xs:element name="Entries"><xs:complexType><xs:sequence>
      <xs:element ref="Entry" minOccurs="0" maxOccurs="unbounded"/>
    </xs:sequence></xs:complexType></xs:element>
    <xs:element name="numEntries" type="xs:nonNegativeInteger"/>
    <xs:element name="firstEntry" type="xs:nonNegativeInteger"/>
  </xs:all></xs:complexType></xs:element>
</xs:schema>
`;
}
