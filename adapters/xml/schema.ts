import { createHash } from 'node:crypto';
import { type CompiledSchema, compile } from './libxml.ts';

/** A schema: the text of its files and which one to start from. Plain data; each thread compiles it once, on first use. */
export interface Schema {
  readonly id: string;
  readonly files: Readonly<Record<string, string>>;
  readonly main: string;
}

/** Names the schema's files; `include` and `import` find each other among them by `schemaLocation`, and nothing else. */
export function compileSchema(files: Readonly<Record<string, string>>, main: string): Schema {
  if (!Object.hasOwn(files, main)) throw new Error(`no schema file ${main}`);
  const hash = createHash('sha256').update(main);
  for (const [name, text] of Object.entries(files)) hash.update(`\0${name}\0${text}`);
  return { id: hash.digest('hex'), files, main };
}

export interface Compiled {
  schema: CompiledSchema;
  /** Every name the schema declares: the only names that may stand in an error. */
  names: ReadonlySet<string>;
}

const compiled = new Map<string, Compiled>();

/** The schema compiled in this thread. Throws when the schema itself is wrong, which is our bug. */
export function compiledIn(schema: Schema): Compiled {
  let it = compiled.get(schema.id);
  if (!it) {
    const names = new Set<string>();
    for (const text of Object.values(schema.files))
      for (const [, name] of text.matchAll(/<(?:\w+:)?(?:element|attribute)\s[^>]*?\bname="([^"]+)"/g))
        names.add(name!);
    it = { schema: compile(schema.files, schema.main), names };
    compiled.set(schema.id, it);
  }
  return it;
}
