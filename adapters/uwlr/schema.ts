/** Our schemas as the validator takes them: one per namespace that a message's payload stands in. */
import { compileSchema, type Schema } from '#adapters/xml';
import { schemaText } from './wsdl.ts';

const files = (...names: string[]): Record<string, string> =>
  Object.fromEntries(names.map((name) => [`${name}.xsd`, schemaText(name)]));

/** Question and answer of HaalLeerlinggegevens (UWLR 2.2 §3.2, §3.3). */
export const leerlinggegevensSchema: Schema = compileSchema(files('leerlinggegevens'), 'leerlinggegevens.xsd');
/** Request and confirmation of BrengLeerresultaten (UWLR 2.2 §3.6). */
export const leerresultatenSchema: Schema = compileSchema(files('leerresultaten', 'oso'), 'leerresultaten.xsd');
/** The header (UWLR 2.2 §3.1). */
export const autorisatieSchema: Schema = compileSchema(files('autorisatie'), 'autorisatie.xsd');
