/** What the pages ask the console, and how they keep up with what changes. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Me, ProblemJson } from '../types.ts';

/** A fault, as the console tells it; without an answer it is one of ours. */
export class Problem extends Error {
  readonly said: ProblemJson;
  constructor(said: ProblemJson) {
    super(said.code);
    this.said = said;
  }
}

const away: ProblemJson = {
  code: 'peer.unavailable',
  who: 'us',
  retry: 'backoff',
  title: { nl: 'De console antwoordt niet.', en: 'The console does not answer.' },
  told: '',
};

async function answerOf<T>(asked: Promise<Response>): Promise<T> {
  let response: Response;
  try {
    response = await asked;
  } catch {
    throw new Problem(away);
  }
  const body = (await response.json().catch(() => undefined)) as unknown;
  if (response.ok && body !== undefined) return body as T;
  throw new Problem((body as ProblemJson | undefined)?.code ? (body as ProblemJson) : away);
}

export const get = <T>(path: string): Promise<T> =>
  answerOf<T>(fetch(path, { headers: { accept: 'application/json' } }));

/** `token`: of the session; none for signing in. */
export const post = <T>(path: string, body: object, token = ''): Promise<T> =>
  answerOf<T>(
    fetch(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token === '' ? {} : { 'x-eduk-token': token }) },
      body: JSON.stringify(body),
    }),
  );

/** Link to one page by which everything is read; empty = as who signed in. */
let byLink = '';
export const readBy = (link: string): void => void (byLink = link);
/** Where a read is asked: of a link the gateway knows itself which page and query it is for. */
const readAt = (of: string, query: string): string => {
  if (byLink === '') return `/api/${of}${query === '' ? '' : `?${query}`}`;
  const lang = new URLSearchParams(query).get('lang');
  return `/api/shared/read?link=${byLink}${lang === null ? '' : `&lang=${lang}`}`;
};
const liveAt = (of: string, query: string): string =>
  byLink === '' ? `/api/live?of=${of}${query === '' ? '' : `&${query}`}` : `/api/shared/live?link=${byLink}`;

export type Loaded<T> =
  | { state: 'loading' }
  | { state: 'there'; value: T; isStale: boolean }
  | { state: 'wrong'; problem: ProblemJson };

/** Calls it when the session is over. */
let onEnded: () => void = () => undefined;
export const whenEnded = (listener: () => void): void => void (onEnded = listener);

/**
 * What was answered to `asked`, and to nothing else: as soon as something else is asked it is loading, in the very drawing that asks it. An
 * effect that cleared it would come after a drawing of the old answer under the new address.
 */
function useAnswer<T>(asked: string | undefined) {
  const [held, setHeld] = useState<{ to: string | undefined; loaded: Loaded<T> }>();
  const of = (it: typeof held): Loaded<T> => (it !== undefined && it.to === asked ? it.loaded : { state: 'loading' });
  return {
    loaded: of(held),
    setLoaded: (next: (before: Loaded<T>) => Loaded<T>) =>
      setHeld((before) => ({ to: asked, loaded: next(of(before)) })),
  };
}

/**
 * What `of` reads, kept up to date: `path` and query as of /api/…; undefined = nothing is asked. What was there stays, marked as stale, while
 * the console does not answer.
 */
export function useLive<T>(of: string | undefined, query = ''): Loaded<T> {
  const asked = of === undefined ? undefined : `${of}?${query}`;
  const { loaded, setLoaded } = useAnswer<T>(asked);
  useEffect(() => {
    if (of === undefined) return;
    const source = new EventSource(liveAt(of, query));
    const wrong = (problem: ProblemJson) =>
      setLoaded((before) => (before.state === 'there' ? { ...before, isStale: true } : { state: 'wrong', problem }));
    source.addEventListener('now', (event) =>
      setLoaded(() => ({ state: 'there', value: JSON.parse(event.data) as T, isStale: false })),
    );
    source.addEventListener('fault', (event) => {
      const problem = JSON.parse(event.data) as ProblemJson;
      if (problem.code === 'party.unknown') onEnded();
      // What is not there is not there any more, whatever was seen before.
      if (problem.code === 'state.missing' || problem.code === 'wire.invalid')
        setLoaded(() => ({ state: 'wrong', problem }));
      else wrong(problem);
    });
    source.addEventListener('ended', () => {
      source.close();
      onEnded();
    });
    source.onerror = () => {
      wrong(away);
      // A browser does not come back by itself after an answer that is no stream.
      if (source.readyState !== EventSource.CLOSED) return;
      if (byLink !== '') get(`/api/shared?link=${byLink}`).catch(problemOf);
      else
        get<Me>('/api/me').then(
          (me) => me.session === undefined && onEnded(),
          () => undefined,
        );
    };
    return () => source.close();
  }, [asked]);
  return loaded;
}

/** Calls what hears that a session is over, when this link is: of a page that is read once, too. Gives what stops it. */
export function watchLink(link: string): () => void {
  const source = new EventSource(`/api/shared/live?link=${link}&only=end`);
  source.addEventListener('ended', () => {
    source.close();
    onEnded();
  });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) get(`/api/shared?link=${link}`).catch(problemOf);
  };
  return () => source.close();
}

/** What `of` reads, once for each address: what costs too much to be read each second. */
export function useRead<T>(of: string, query: string): Loaded<T> {
  const { loaded, setLoaded } = useAnswer<T>(`${of}?${query}`);
  useEffect(() => {
    let isOver = false;
    get<T>(readAt(of, query)).then(
      (value) => isOver || setLoaded(() => ({ state: 'there', value, isStale: false })),
      (thrown: unknown) => {
        if (isOver) return;
        const problem = problemOf(thrown);
        setLoaded(() => ({ state: 'wrong', problem }));
      },
    );
    return () => void (isOver = true);
  }, [of, query]);
  return loaded;
}

/** What was thrown, as the console tells it; whose session is over goes to the door. */
function problemOf(thrown: unknown): ProblemJson {
  const problem = thrown instanceof Problem ? thrown.said : away;
  if (problem.code === 'party.unknown') onEnded();
  return problem;
}

/** One question at a time, with what came of it. */
export function useAsk<T>(): {
  loaded: Loaded<T> | undefined;
  ask: (question: () => Promise<T>) => void;
  forget: () => void;
} {
  const [loaded, setLoaded] = useState<Loaded<T>>();
  const turn = useRef(0);
  return {
    loaded,
    ask(question) {
      const mine = ++turn.current;
      setLoaded({ state: 'loading' });
      question().then(
        (value) => mine === turn.current && setLoaded({ state: 'there', value, isStale: false }),
        (thrown: unknown) => {
          if (mine !== turn.current) return;
          setLoaded({ state: 'wrong', problem: problemOf(thrown) });
        },
      );
    },
    forget() {
      turn.current += 1;
      setLoaded(undefined);
    },
  };
}
