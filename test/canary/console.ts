/** Every page of the operator's console, read as somebody who may see all that an operator may; and identities put into each. */
import { makeConsoleLink } from '#kernel';
import { PAGES, PATHS } from '#services/console';
import { Browser } from '../chain/console.ts';
import { type Kind, misplaced } from './identities.ts';
import { operation } from './operations.ts';
import type { Sowing } from './sowing.ts';

/** How many of what happened are opened one by one. */
const OPENED = { brief: 5, quick: 10, whole: 50 } as const;

/** What is read is looked at; what is put in may come back from nowhere. */
export async function readConsole(sowing: Sowing): Promise<void> {
  const { subject, looking, problems } = sowing;
  const opened = OPENED[sowing.size];
  const one = new Browser(subject.console);
  const read = async (path: string): Promise<any> => {
    const { status, text, body, headers } = await one.get(path);
    looking.at('pages of the console', `${JSON.stringify(headers)}\n${text}`);
    sowing.hear(`console ${path.split('?')[0]}`, {
      code: status < 400 ? '' : (body?.code ?? String(status)),
      messages: [],
      words: [],
    });
    return body;
  };
  try {
    await one.post('/api/sign-in', { link: makeConsoleLink(subject.operatorKey, Date.now()) });
    const me = await read('/api/me');
    if (me?.session === undefined) return void problems.push('nobody can sign in to the console');
    one.token = me.session.token;
    let turn = 0;
    const planted = (path: string, place: string): string =>
      sowing.plant(misplaced[turn++ % misplaced.length] as Kind, `console ${path}`, place).value;
    const query = (path: string): string =>
      [
        'q',
        'id',
        'oin',
        'party',
        'reference',
        'school',
        'state',
        'before',
        'of',
        'wrong',
        'code',
        'learner',
        'to',
        'until',
      ]
        .map((name) => `${name}=${encodeURIComponent(planted(path, `query ${name}`))}`)
        .join('&');
    for (const path of [...PAGES, ...PATHS]) {
      if (path === '/api/sign-out') continue;
      await read(path === '/api/live' ? '/api/live?of=nothing' : path);
      await read(`${path}?${query(path)}`);
      const body = Object.fromEntries(
        [
          'link',
          'school',
          'order',
          'product',
          'hold',
          'party',
          'key',
          'consumer',
          'stream',
          'replay',
          'about',
          'other',
          'freeze',
          'rule',
          'kinds',
          'years',
          'reason',
          'until',
        ].map((name) => [name, planted(path, `body ${name}`)]),
      );
      const { text } = await one.post(path, { ...body, approve: true }, one.token);
      looking.at('pages of the console', text);
    }
    // The same by a link, by somebody who does not sign in.
    const outsider = new Browser(subject.console);
    for (const to of [
      '/readiness',
      '/flows',
      '/launches',
      '/preflight',
      `/flow?id=${planted('/shared', 'id of a flow')}`,
    ]) {
      const { body, text } = await one.post('/api/links/make', { to, hours: '1' }, one.token);
      if (body?.link === undefined) {
        looking.at('pages of the console', text);
        continue;
      }
      const shared = new URL(body.link);
      const link = shared.searchParams.get('link')!;
      await outsider.post('/api/shared/open', { link, secret: shared.hash.slice(1) });
      for (const path of ['/api/shared', '/api/shared/read']) {
        const seen = await outsider.get(`${path}?link=${link}&${query(path)}`);
        looking.at('pages of the console', `${JSON.stringify(seen.headers)}\n${seen.text}`);
        if (to === '/flows' && seen.status !== 200) problems.push('a link to a page of the console does not open it');
      }
    }
    // What a page is about: messages, what is held, what is stranded.
    for (const state of ['', 'held', 'parked', 'refused', 'waiting', 'decided']) {
      const { flows } = await read(`/api/flows?state=${state}`);
      for (const { id } of flows.slice(0, opened)) await read(`/api/flow?id=${id}`);
    }
    const seen = await read('/api/overview');
    const dead = await read('/api/dead');
    await read('/api/holds?decided=yes');
    if (!(seen.parties.length > 0)) problems.push('the overview of the console shows no party');
    for (const { oin } of seen.parties.slice(0, opened)) await read(`/api/party?oin=${oin}`);
    const list = await read('/api/parties');
    if (!(list.parties.length > 0)) problems.push('the console shows no party');
    if (!(dead.rows.length > 0)) problems.push('the console shows no dead letter');
    for (const what of ['overview', 'flows', 'holds', 'holds/rules', 'dead', 'replays', 'freezes']) {
      const stream = one.stream(`/api/live?of=${what}`);
      const { value } = await stream.next();
      looking.at('pages of the console', JSON.stringify(value));
      await stream.return(undefined);
    }
    // A learner is asked for by what names them: it goes in, and does not come back.
    const { messages } = await sowing.call(operation('OperatorService.ListParties'), 'operator', [Buffer.alloc(0)]);
    looking.at('pages of the console', Buffer.concat(messages));
    for (const kind of ['ECK iD', 'key of the administration', 'family name'] as const) {
      const learner = sowing.plant(kind, 'console /api/why, /api/flows/of-learner', 'body learner').value;
      for (const path of ['/api/why', '/api/flows/of-learner']) {
        const { text } = await one.post(path, { school: '99ZX', learner }, one.token);
        looking.at('pages of the console', text);
      }
    }
    await one.post('/api/sign-out', {}, one.token);
  } catch (thrown) {
    problems.push(`the console was not read to its end (${thrown instanceof Error ? thrown.message : typeof thrown})`);
  }
}
