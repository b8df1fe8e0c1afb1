/** Messages against the published schemas of UWLR, and the reconstructed ones of 2.3, where these are present. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  XmlBufferInputProvider,
  XmlDocument,
  XmlValidateError,
  XsdValidator,
  xmlCleanupInputProvider,
  xmlRegisterInputProvider,
} from 'libxml2-wasm';

const at = (path: string): string => fileURLToPath(new URL(`../../../shared/standards/uwlr/${path}`, import.meta.url));
const places = {
  '2.2': { folder: at('v2.2/Schemas/'), main: 'UWLR_Leerresultaten_v2p2.xsd' },
  '2.3': { folder: at('v2.3-reconstructed/'), main: 'UWLR_Leerresultaten.xsd' },
} as const;

/** The published description of the service of results; undefined where it is not here. */
export const publishedWsdl = existsSync(at('v2.2/wsdl/UWLR_Leerresultaten_v2p2.wsdl'))
  ? at('v2.2/wsdl/UWLR_Leerresultaten_v2p2.wsdl')
  : undefined;

/** What the schema of a version says against a `leerresultaten_verzoek` in its envelope; undefined where it is not here. */
export function complaintsOf(version: '2.2' | '2.3', envelope: string): string[] | undefined {
  const { folder, main } = places[version];
  if (!existsSync(folder + main)) return undefined;
  const names = readdirSync(folder).filter((name) => name.endsWith('.xsd'));
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(folder + name)]));
  xmlRegisterInputProvider(new XmlBufferInputProvider(files));
  let validator: XsdValidator;
  try {
    using doc = XmlDocument.fromBuffer(files[main]!, { url: main });
    validator = XsdValidator.fromDoc(doc);
  } finally {
    xmlCleanupInputProvider();
  }
  using whole = XmlDocument.fromString(envelope);
  const body = whole.get('/*/*[local-name()="Body"]/*')!;
  using message = XmlDocument.fromString((body as unknown as { toString(): string }).toString());
  try {
    validator.validate(message);
    return [];
  } catch (thrown) {
    if (!(thrown instanceof XmlValidateError)) throw thrown;
    return thrown.details.map(({ message: said }) => said);
  } finally {
    validator.dispose();
  }
}
