/** An element as read: plain data, so that it can cross to another thread. It may be changed; nothing in it is shared. */
export interface XmlElement {
  /** Local name. */
  name: string;
  /** Namespace, '' for none. */
  ns: string;
  /** By local name; an attribute in a namespace as `{namespace}name`. Has no prototype. */
  attrs: Record<string, string>;
  /** The text directly in this element. White space between child elements is left out; nothing else is trimmed. */
  text: string;
  children: XmlElement[];
  /** One-based line in the sender's file. */
  line: number;
}

/** The first child with this local name. */
export function child(element: XmlElement, name: string): XmlElement | undefined {
  for (const it of element.children) if (it.name === name) return it;
  return undefined;
}

/** All children with this local name. */
export const childrenOf = (element: XmlElement, name: string): XmlElement[] =>
  element.children.filter((it) => it.name === name);

/** The text of the first child with this local name. */
export const textOf = (element: XmlElement, name: string): string | undefined => child(element, name)?.text;

/** Every element of a tree with its path, in document order; paths look like `a/b[3]/c`, as in errors. */
export function* withPaths(root: XmlElement, at = root.name): Generator<{ element: XmlElement; path: string }> {
  yield { element: root, path: at };
  const counts = new Map<string, number>();
  for (const it of root.children) counts.set(it.name, (counts.get(it.name) ?? 0) + 1);
  const seen = new Map<string, number>();
  for (const it of root.children) {
    const nth = (seen.get(it.name) ?? 0) + 1;
    seen.set(it.name, nth);
    yield* withPaths(it, `${at}/${it.name}${counts.get(it.name)! > 1 ? `[${nth}]` : ''}`);
  }
}
