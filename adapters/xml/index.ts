export { closeWorker, makeApart, readXmlApart, type Step, WORKER_BYTES } from './apart.ts';
export { decode, type Encoding } from './decode.ts';
export { openDocuments } from './libxml.ts';
export {
  type Invalid,
  invalidError,
  MAX_ATTRIBUTES,
  MAX_BYTES,
  MAX_DEPTH,
  type ReadOptions,
  readXml,
  validateElement,
  type XmlRead,
} from './read.ts';
export { compileSchema, type Schema } from './schema.ts';
export * from './soap.ts';
export * from './tree.ts';
export { elementToXml, writeFragment, writeXml, type XmlObject, type XmlValue } from './write.ts';
