import { createHash } from 'node:crypto';

/** Pages without a framework: what is put into one is escaped, unless it is a piece of page itself. */

/** A piece of a page, made by `html` alone. */
export class Html {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  toString(): string {
    return this.#text;
  }
}

type Piece = Html | string | number | undefined | false | readonly Piece[];

const ESCAPED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

const textOf = (piece: Piece): string => {
  if (piece instanceof Html) return piece.toString();
  if (piece === undefined || piece === false) return '';
  if (typeof piece === 'object') return piece.map(textOf).join('');
  // What turns the direction of text, or is not seen, could make one name look like another.
  return String(piece)
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, ' ')
    .replace(/[&<>"'`]/g, (sign) => ESCAPED[sign]!);
};

/** A piece of a page. Attributes stand in double quotes. */
export const html = (parts: TemplateStringsArray, ...pieces: Piece[]): Html =>
  new Html(parts.map((part, i) => (i === 0 ? part : textOf(pieces[i - 1]) + part)).join(''));

/** Colours have a contrast of 4.5 at least on their ground, in both schemes; a target is 24 pixels high at least. */
const STYLE = `
:root{color-scheme:light dark;--ground:#fff;--text:#1b1b1b;--soft:#4a4a4a;--line:#767676;--link:#0b4f9c;--on:#fff;--stop:#a3161d;--box:#f3f5f8}
@media(prefers-color-scheme:dark){:root{--ground:#16181c;--text:#f0f0f0;--soft:#c4c8cf;--line:#8b919a;--link:#8fc1ff;--on:#10161f;--stop:#ff9d9d;--box:#20242b}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:1rem/1.5 system-ui,sans-serif}
header,main,footer{max-width:46rem;margin:0 auto;padding:1rem}
header{display:flex;flex-wrap:wrap;gap:1rem;justify-content:space-between;align-items:center;border-bottom:1px solid var(--line)}
header p{margin:0;font-weight:600}
h1{font-size:1.6rem;line-height:1.25;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin-top:2rem}
h3{font-size:1.05rem;margin:0 0 .25rem;overflow-wrap:anywhere}
a{color:var(--link)}
a,button,input,summary{outline-offset:3px}
:focus-visible{outline:3px solid var(--link)}
.skip{position:absolute;left:-100vw}
.skip:focus{left:1rem;top:1rem;background:var(--ground);padding:.5rem}
.cards{list-style:none;padding:0}
.cards>li,.note{border:1px solid var(--line);border-radius:.5rem;background:var(--box);padding:1rem;margin:0 0 1rem}
.cards p{margin:.25rem 0}
dl{display:grid;grid-template-columns:minmax(8rem,1fr) 2fr;gap:.25rem 1rem;margin:1rem 0}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
@media(max-width:32rem){dl{grid-template-columns:1fr}dd{margin-bottom:.5rem}}
fieldset{border:1px solid var(--line);border-radius:.5rem;margin:1rem 0;padding:.5rem 1rem}
label.check{display:flex;gap:.6rem;align-items:flex-start;min-height:2rem;padding:.25rem 0}
input[type=checkbox]{width:1.4rem;height:1.4rem;flex:none;margin:.1rem 0}
input[type=date]{font:inherit;padding:.5rem;min-height:2.75rem;border:1px solid var(--line);border-radius:.25rem;background:var(--ground);color:var(--text)}
button,.button{display:inline-block;font:inherit;font-weight:600;min-height:2.75rem;padding:.6rem 1.1rem;border:2px solid var(--link);border-radius:.4rem;background:var(--link);color:var(--on);text-decoration:none;cursor:pointer}
button.plain,.button.plain{background:var(--ground);color:var(--link)}
button.stop{background:var(--ground);border-color:var(--stop);color:var(--stop)}
.row{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0;padding:0;list-style:none}
.wrong{border-left:.4rem solid var(--stop)}
footer{color:var(--soft);font-size:.9rem}
`;

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/** What a browser may do with a page of ours: show it, follow its links and send its forms to us; nothing else. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'x-frame-options': 'DENY',
  // Of our own pages it is said where they come from, or their forms would have no Origin.
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};

export interface Page {
  lang: 'nl' | 'en';
  title: string;
  /** Words of the link that leads past the header. */
  skip: string;
  header: Html;
  main: Html;
  footer: string;
}

/** A whole document. */
export const pageOf = ({ lang, title, skip, header, main, footer }: Page): string =>
  html`<!DOCTYPE html>
<html lang="${lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<a class="skip" href="#main">${skip}</a>
<header>${header}</header>
<main id="main">${main}</main>
<footer><p>${footer}</p></footer>
</body>
</html>
`.toString();
