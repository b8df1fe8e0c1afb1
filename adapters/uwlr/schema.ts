/** Our schemas as the validator takes them: one per namespace that a message's payload stands in. */
import { compileSchema, type Schema } from '#adapters/xml';
import type { Version } from './versions.ts';
import { schemaText } from './wsdl.ts';

const files = (...names: string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [`${name}.xsd`, schemaText(name)]));

/** Questions and answers of the operations that give a roster (UWLR §3.2, §3.3), by version. */
export const leerlinggegevensSchemas: Readonly<Record<Version, Schema>> = {
  '2.2': compileSchema(files('leerlinggegevens'), 'leerlinggegevens.xsd'),
  '2.3': compileSchema(files('leerlinggegevens-2.3'), 'leerlinggegevens-2.3.xsd'),
};
export const leerlinggegevensSchema: Schema = leerlinggegevensSchemas['2.2'];
/** Request and confirmation of BrengLeerresultaten (UWLR 2.2 §3.6). */
export const leerresultatenSchema: Schema = compileSchema(files('leerresultaten', 'oso'), 'leerresultaten.xsd');
/** The header (UWLR 2.2 §3.1). */
export const autorisatieSchema: Schema = compileSchema(files('autorisatie'), 'autorisatie.xsd');
