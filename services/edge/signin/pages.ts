import { brinOf, dutchDay } from '#kernel';
import { type Mandate, MandateState } from '#proto/eduk/core/v1/party';
import { attributes as attributeTable } from '#release';
import type { Gate } from '../gate.ts';
import { type Html, html, pageOf } from './html.ts';
import { actionsOf, attributesOf, type Item, isAsked } from './mandates.ts';
import type { Session } from './sessions.ts';
import { type Action, type Lang, say, sayDay, sayPurpose, sayService, sayState, type Word } from './words.ts';

/** The pages themselves: what they show is given, and they decide nothing. */

/** Who looks, and in which language. */
export interface Viewer {
  gate: Gate;
  lang: Lang;
  /** Undefined = nobody is signed in. */
  session: Session | undefined;
}

const nameOf = ({ gate }: Viewer, oin: string): string => gate.door.chain.party(oin)?.name || oin;

function page(viewer: Viewer, title: string, main: Html): string {
  const { lang, session } = viewer;
  return pageOf({
    lang,
    title: `${title} – ${say('product', lang)}`,
    skip: say('skip', lang),
    header: session
      ? html`<p>${say('signed_in_for', lang)} ${nameOf(viewer, session.caller.oin)}</p>
<form method="post" action="/oidc/sign-out"><input type="hidden" name="token" value="${session.token}"><button class="plain">${say('sign_out', lang)}</button></form>`
      : html`<p>${say('product', lang)}</p>`,
    main,
    footer: say('footer', lang),
  });
}

export function welcomePage(viewer: Viewer): string {
  const { lang } = viewer;
  const title = say('welcome', lang);
  return page(
    viewer,
    title,
    html`<h1>${title}</h1><p>${say('welcome_how', lang)}</p><p>${say('welcome_what', lang)}</p>
<p><a class="button" href="${viewer.gate.schools?.provider.start}">${say('sign_in', lang)}</a></p>`,
  );
}

/** Why something did not work, in words of ours. */
export function wrongPage(viewer: Viewer, word: Word, back: string): string {
  const { lang, session } = viewer;
  const title = say('wrong', lang);
  return page(
    viewer,
    title,
    html`<h1>${title}</h1><div class="note wrong" role="alert"><p>${say(word, lang)}</p></div>
<p><a class="button" href="${back}">${session ? say('back_one', lang) : say('sign_in', lang)}</a></p>`,
  );
}

/** Items on one page. */
const MOST = 50;

export function listPage(viewer: Viewer, items: readonly Item[], from: number): string {
  const { lang } = viewer;
  const shown = items.slice(from, from + MOST);
  const waiting = shown.filter(isAsked);
  const rest = shown.filter((item) => !isAsked(item));
  const standing = rest.filter(({ state }) => state !== MandateState.MANDATE_STATE_ENDED);
  const ended = rest.filter(({ state }) => state === MandateState.MANDATE_STATE_ENDED);
  const section = (word: Word, some: readonly Item[]) =>
    some.length > 0 &&
    html`<section aria-labelledby="${word}"><h2 id="${word}">${say(word, lang)}</h2><ul class="cards">${some.map((item) => card(viewer, item))}</ul></section>`;
  const title = say('product', lang);
  return page(
    viewer,
    title,
    html`<h1>${title}</h1>
${items.length === 0 && html`<p>${say('none', lang)}</p>`}
${items.length > 0 && from === 0 && waiting.length === 0 && html`<p>${say('none_pending', lang)}</p>`}
${section('pending', waiting)}${section('standing', standing)}${section('ended', ended)}
${from + MOST < items.length && html`<p><a class="button plain" href="/school?from=${from + MOST}">${say('more', lang)}</a></p>`}`,
  );
}

function card(viewer: Viewer, item: Item): Html {
  const { lang } = viewer;
  const [mandate] = item.parts;
  const name = nameOf(viewer, mandate.partyOin);
  return html`<li><h3><a href="/school/mandate?id=${encodeURIComponent(item.id)}">${name}</a></h3>
<p>${say('for_school', lang)}: ${forWhom(viewer, item)}</p>
<p>${servicesOf(mandate, lang).join('; ')}</p>
<p>${stateOf(item, lang)}</p></li>`;
}

const servicesOf = ({ services, narrowed }: Mandate, lang: Lang): string[] =>
  (services.length > 0 ? services : narrowed).map((service) => sayService(service, lang));

const forWhom = (viewer: Viewer, { whole, parts }: Item): string => {
  const { lang } = viewer;
  if (whole) return `${say('all_schools', lang)} (${parts.length})`;
  return schoolName(viewer, parts[0].schoolOin);
};

const schoolName = (viewer: Viewer, oin: string): string => {
  const brin = brinOf(oin);
  const name = nameOf(viewer, oin);
  return brin === undefined || name === oin ? (brin ?? name) : `${name} (${brin})`;
};

function stateOf(item: Item, lang: Lang): string {
  const [mandate] = item.parts;
  if (item.state === MandateState.MANDATE_STATE_UNCONFIRMED && !isAsked(item)) return say('waits_for_party', lang);
  const until = item.state === MandateState.MANDATE_STATE_RUN_OFF ? mandate.runOffUntil : '';
  return `${sayState(item.state, lang)}${until ? ` ${say('until', lang)} ${sayDay(until, lang)}` : ''}`;
}

/** What a mandate says, as names and values. Exported for its test. */
export function factsOf(viewer: Viewer, item: Item): [Word, string | readonly string[]][] {
  const { lang } = viewer;
  const [mandate] = item.parts;
  const { agreementVersion, purposes, siteCodes } = mandate;
  const enteredBy = mandate.enteredBy === 'operator' ? say('operator', lang) : nameOf(viewer, mandate.enteredBy);
  const days = [
    mandate.validFrom && `${say('from', lang)} ${sayDay(mandate.validFrom, lang)}`,
    mandate.validUntil ? `${say('until', lang)} ${sayDay(mandate.validUntil, lang)}` : say('no_end', lang),
  ];
  const version = agreementVersion ? `, ${say('version', lang)} ${agreementVersion}` : '';
  const named = attributesOf({
    attributes: mandate.attributes,
    services: mandate.services.length > 0 ? mandate.services : mandate.narrowed,
  }).map((name) => attributeWords(name, lang));
  const facts: [Word, string | readonly string[] | undefined][] = [
    ['who', `${nameOf(viewer, mandate.partyOin)} (OIN ${mandate.partyOin})`],
    ['for_school', forWhom(viewer, item)],
    ['services', servicesOf(mandate, lang)],
    ['purpose', purposes.length > 0 ? purposes.map((purpose) => sayPurpose(purpose, lang)) : undefined],
    ['attributes', named.length > 0 ? named : say('nothing_of_persons', lang)],
    ['pairwise', mandate.pairwise ? say('pairwise_yes', lang) : undefined],
    ['sites', siteCodes.length > 0 ? siteCodes.join(', ') : undefined],
    ['agreement', mandate.agreement ? `${mandate.agreement}${version}` : say('no_agreement', lang)],
    ['valid', days.filter((day) => day !== '').join(' ')],
    ['of_board', mandate.boardOin ? nameOf(viewer, mandate.boardOin) : undefined],
    ['entered_by', mandate.enteredBy ? enteredBy : undefined],
    ['state', stateOf(item, lang)],
    ['number', item.id],
  ];
  return facts.filter((fact): fact is [Word, string | readonly string[]] => fact[1] !== undefined);
}

function attributeWords(name: string, lang: Lang): string {
  const row = Object.hasOwn(attributeTable, name) ? attributeTable[name as keyof typeof attributeTable] : undefined;
  // The table has sentences.
  return (row === undefined ? name : lang === 'nl' ? row.nl : row.about).replace(/\.$/, '');
}

const facts = (viewer: Viewer, item: Item): Html =>
  html`<dl>${factsOf(viewer, item).map(
    ([word, value]) =>
      html`<dt>${say(word, viewer.lang)}</dt>${(typeof value === 'string' ? [value] : value).map((one) => html`<dd>${one}</dd>`)}`,
  )}</dl>`;

/** What an action is called: what was never confirmed is not stopped but declined. */
const actionWord = (action: Action, item: Item): Word => (action === 'stop' && isAsked(item) ? 'decline' : action);

/** `done`: flow of what was decided a moment ago. */
export function mandatePage(viewer: Viewer, item: Item, done?: { flowId: string; decided: boolean }): string {
  const { lang, session, gate } = viewer;
  const [mandate] = item.parts;
  const caller = session!.caller;
  const actions = actionsOf(gate, caller, item);
  const isOthers = isAsked(item) && mandate.boardOin !== '' && mandate.boardOin !== caller.oin;
  const title = nameOf(viewer, mandate.partyOin);
  return page(
    viewer,
    title,
    html`${done && html`<div class="note" role="status"><p>${say(done.decided ? 'done' : 'done_waits', lang)}</p><p>${say('receipt', lang)} <code>${done.flowId}</code></p></div>`}
<h1>${title}</h1>${facts(viewer, item)}
${isOthers && html`<p>${say('board_confirms', lang)}</p>`}
${
  item.whole &&
  html`<h2>${say('schools', lang)}</h2><p>${say('narrow_by_school', lang)}</p><ul>${item.parts.map(
    (part) =>
      html`<li><a href="/school/mandate?id=${encodeURIComponent(part.mandateId)}">${schoolName(viewer, part.schoolOin)}</a>: ${sayState(part.state, lang)}</li>`,
  )}</ul>`
}
${
  actions.length > 0 &&
  html`<ul class="row">${actions.map(
    (action) =>
      html`<li><a class="button${action === 'confirm' ? '' : ' plain'}" href="/school/change?id=${encodeURIComponent(item.id)}&amp;do=${action}">${say(actionWord(action, item), lang)}</a></li>`,
  )}</ul>`
}
<p><a href="/school">${say('back', lang)}</a></p>`,
  );
}

/** The form of one action. `wrong`: what was not right with what was sent. */
export function changePage(
  viewer: Viewer,
  item: Item,
  action: Action,
  { reference, wrong, runOffUntil = '' }: { reference: string; wrong?: Word | undefined; runOffUntil?: string },
): string {
  const { lang, gate, session } = viewer;
  const [mandate] = item.parts;
  const word = actionWord(action, item);
  const title = `${say(word, lang)}: ${nameOf(viewer, mandate.partyOin)}`;
  return page(
    viewer,
    title,
    html`<h1>${title}</h1>
${wrong && html`<div class="note wrong" role="alert" id="wrong"><p>${say(wrong, lang)}</p></div>`}
<p>${say(`${action}_means`, lang)}</p>
${facts(viewer, item)}
<form method="post" action="/school/change">
<input type="hidden" name="token" value="${session!.token}">
<input type="hidden" name="id" value="${item.id}">
<input type="hidden" name="do" value="${action}">
<input type="hidden" name="reference" value="${reference}">
${
  action === 'narrow' &&
  html`<fieldset><legend>${say('services', lang)}</legend>${mandate.services.map((service) => box('service', String(service), sayService(service, lang)))}</fieldset>
<fieldset><legend>${say('attributes', lang)}</legend>${attributesOf(mandate).map((name) => box('attribute', name, attributeWords(name, lang)))}</fieldset>`
}
${
  action === 'run_off' &&
  html`<p><label for="day">${say('last_day', lang)}</label><br><input id="day" type="date" name="day" required min="${dutchDay(gate.door.clock.now())}" value="${runOffUntil}"${wrong === 'wrong_day' && html` aria-invalid="true" aria-describedby="wrong"`}></p>`
}
<label class="check"><input type="checkbox" name="sure" value="yes" required${wrong === 'wrong_sure' && html` aria-invalid="true" aria-describedby="wrong"`}> <span>${say('sure', lang)}</span></label>
<p><button${action === 'stop' && html` class="stop"`}>${say(word, lang)}</button></p>
</form>
<p><a href="/school/mandate?id=${encodeURIComponent(item.id)}">${say('back_one', lang)}</a></p>`,
  );
}

const box = (name: string, value: string, words: string): Html =>
  html`<label class="check"><input type="checkbox" name="${name}" value="${value}" checked> <span>${words}</span></label>`;
