/** Just enough to write XML by hand. */
const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

export const text = (value: string): string => value.replace(/[&<>"]/g, (sign) => escapes[sign]!);

/** Content is XML already; `text` makes it of words. */
export function element(
  name: string,
  attributes: Record<string, string>,
  content: string | readonly string[] = '',
): string {
  const inside = typeof content === 'string' ? content : content.join('');
  const given = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${text(value)}"`)
    .join('');
  return inside === '' ? `<${name}${given}/>` : `<${name}${given}>${inside}</${name}>`;
}
