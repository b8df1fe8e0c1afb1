/** The frame around all pages: who is signed in, where one can go, and which language is spoken. */
import { createContext } from 'preact';
import { useCallback, useContext, useEffect, useState } from 'preact/hooks';
import type { Duty, Lang, Me } from '../types.ts';
import { get, post, whenEnded } from './api.ts';
import { AccessPage } from './pages/access.tsx';
import { AuditPage } from './pages/audit.tsx';
import { DeadPage } from './pages/dead.tsx';
import { FlowPage } from './pages/flow.tsx';
import { FlowsPage } from './pages/flows.tsx';
import { FreezesPage } from './pages/freezes.tsx';
import { HoldsPage } from './pages/holds.tsx';
import { LaunchesPage } from './pages/launches.tsx';
import { OverviewPage } from './pages/overview.tsx';
import { PartiesPage } from './pages/parties.tsx';
import { PartyPage } from './pages/party.tsx';
import { PreflightPage } from './pages/preflight.tsx';
import { ReadinessPage } from './pages/readiness.tsx';
import { ReconciledPage } from './pages/reconciled.tsx';
import { ReplayPage } from './pages/replay.tsx';
import { SettingsPage } from './pages/settings.tsx';
import { LinkOver, LinksPage, Share, Shared } from './pages/shared.tsx';
import { ASKED, SignInPage } from './pages/sign-in.tsx';
import { WhyPage } from './pages/why.tsx';
import { ones, type Word, words } from './words.ts';

interface Place {
  path: string;
  query: URLSearchParams;
}

interface Frame extends Place {
  lang: Lang;
  /** `after`: the number that it stands after. */
  say: (word: Word, after?: number) => string;
  duty: Duty;
  token: string;
  /** Signed in on the gateway's own machine: one may stand in for a second person. */
  isLocal: boolean;
  /** `isTurn`: something on the page was turned on or off; the focus stays on it. */
  go: (to: string, isTurn?: boolean) => void;
  /** Somebody looks by a link at this page alone. */
  isShared: boolean;
}

const FrameContext = createContext<Frame>(undefined as never);
export const useFrame = (): Frame => useContext(FrameContext);

/** Where the keyboard goes on once what had the focus is gone: to the beginning of the page, without moving it. */
export const toMain = (): void => document.getElementById('main')?.focus({ preventScroll: true });

const here = (): Place => ({ path: location.pathname, query: new URLSearchParams(location.search) });

const LANG = 'eduk-console-lang';
const langNow = (): Lang => {
  const kept = localStorage.getItem(LANG);
  if (kept === 'nl' || kept === 'en') return kept;
  return navigator.language.toLowerCase().startsWith('nl') ? 'nl' : 'en';
};

/** Path, name, and the key that leads there after `g`. */
const MENU: readonly [string, Word, string][] = [
  ['/', 'overview', 'o'],
  ['/launches', 'launches', 'l'],
  ['/readiness', 'readiness', 'k'],
  ['/preflight', 'preflight', 'j'],
  ['/flows', 'flows', 'f'],
  ['/why', 'why', 'w'],
  ['/holds', 'holds', 'h'],
  ['/freezes', 'freezes', 'z'],
  ['/dead', 'dead', 'd'],
  ['/parties', 'parties', 'p'],
  ['/replay', 'replay', 'r'],
  ['/reconciled', 'reconciled', 'c'],
  ['/access', 'access', 'a'],
  ['/audit', 'audit', 'u'],
  ['/links', 'links', 'i'],
  ['/settings', 'settings', 's'],
];

/** Pages of one thing, and the page of all. */
const UNDER: Readonly<Record<string, string>> = { '/party': '/parties', '/flow': '/flows' };

const PAGE: Readonly<Record<string, { word: Word; page: () => preact.JSX.Element }>> = {
  '/': { word: 'overview', page: () => <OverviewPage /> },
  '/launches': { word: 'launches', page: () => <LaunchesPage /> },
  '/readiness': { word: 'readiness', page: () => <ReadinessPage /> },
  '/preflight': { word: 'preflight', page: () => <PreflightPage /> },
  '/flows': { word: 'flows', page: () => <FlowsPage /> },
  '/flow': { word: 'flow', page: () => <FlowPage /> },
  '/why': { word: 'why', page: () => <WhyPage /> },
  '/holds': { word: 'holds', page: () => <HoldsPage /> },
  '/freezes': { word: 'freezes', page: () => <FreezesPage /> },
  '/dead': { word: 'dead', page: () => <DeadPage /> },
  '/parties': { word: 'parties', page: () => <PartiesPage /> },
  '/party': { word: 'party', page: () => <PartyPage /> },
  '/replay': { word: 'replay', page: () => <ReplayPage /> },
  '/reconciled': { word: 'reconciled', page: () => <ReconciledPage /> },
  '/access': { word: 'access', page: () => <AccessPage /> },
  '/audit': { word: 'audit', page: () => <AuditPage /> },
  '/links': { word: 'links', page: () => <LinksPage /> },
  '/settings': { word: 'settings', page: () => <SettingsPage /> },
};

export function App() {
  const [place, setPlace] = useState(here);
  const [lang, setLang] = useState(langNow);
  const [me, setMe] = useState<Me>();
  /** The link by which this page was opened is over. */
  const [isOver, setOver] = useState(false);
  const say = useCallback(
    (word: Word, after?: number) => ((after === 1 && ones[word]) || words[word])[lang === 'nl' ? 0 : 1],
    [lang],
  );
  const go = useCallback((to: string, isTurn = false) => {
    history.pushState(null, '', to);
    setPlace(here());
    if (isTurn) return;
    scrollTo(0, 0);
    toMain();
  }, []);
  const look = useCallback(() => {
    get<Me>('/api/me').then(setMe, () => setMe({ ways: { link: false, provider: false } }));
  }, []);

  useEffect(() => {
    look();
    whenEnded(() => {
      setOver(true);
      setMe((before) => ({ ways: before?.ways ?? { link: false, provider: false } }));
    });
    const back = () => {
      setPlace(here());
      toMain();
    };
    addEventListener('popstate', back);
    return () => removeEventListener('popstate', back);
  }, []);
  const isShared = place.path === '/shared';
  const isIn = me?.session !== undefined && place.path !== '/sign-in' && !isShared;
  useEffect(() => {
    document.documentElement.lang = lang;
    const page = PAGE[place.path]?.word ?? (place.path === '/sign-in' ? 'sign_in' : 'no_page');
    const word = place.path === '/shared' ? 'shared' : me !== undefined && !isIn ? 'sign_in' : page;
    document.title = `${say(word)} – ${say('product')}`;
  }, [lang, place, isIn, me]);
  useEffect(() => {
    // Who is in was led where they were going.
    if (me?.session !== undefined) sessionStorage.removeItem(ASKED);
  }, [me]);
  useKeys(place.path === '/shared' ? undefined : go);

  const choose = (one: Lang) => {
    localStorage.setItem(LANG, one);
    setLang(one);
  };
  const frame: Frame = {
    ...place,
    lang,
    say,
    go,
    duty: me?.session?.duty ?? 'read',
    token: me?.session?.token ?? '',
    isLocal: me?.session?.isLocal ?? false,
    isShared: false,
  };
  return (
    <FrameContext.Provider value={frame}>
      <a class="skip" href="#main">
        {say('skip')}
      </a>
      <header>
        <p class="brand">Edu-K</p>
        <div class="tools">
          <button
            type="button"
            class="plain"
            lang={lang === 'nl' ? 'en' : 'nl'}
            onClick={() => choose(lang === 'nl' ? 'en' : 'nl')}
          >
            {lang === 'nl' ? 'English' : 'Nederlands'}
          </button>
          {isIn && <Share />}
          {isIn && (
            <button
              type="button"
              class="plain"
              onClick={() => void post('/api/sign-out', {}, frame.token).then(look, look)}
            >
              {say('sign_out')}
            </button>
          )}
        </div>
        {isIn && (
          <nav aria-label={say('menu')}>
            {MENU.map(([path, word, key]) => (
              <Link
                key={path}
                to={path}
                class={place.path === path || UNDER[place.path] === path ? 'here' : undefined}
                current={place.path === path}
                hint={`g ${key}`}
              >
                {say(word)}
              </Link>
            ))}
          </nav>
        )}
      </header>
      <main id="main" tabIndex={-1}>
        {isShared ? (
          isOver ? (
            <LinkOver />
          ) : (
            <Shared>
              {({ page }, query) => (
                <FrameContext.Provider
                  value={{ ...frame, path: page, query, duty: 'read', token: '', isShared, go: () => undefined }}
                >
                  {PAGE[page]?.page() ?? <h1>{say('no_page')}</h1>}
                </FrameContext.Provider>
              )}
            </Shared>
          )
        ) : me === undefined ? (
          <p role="status">{say('loading')}</p>
        ) : isIn ? (
          (PAGE[place.path]?.page() ?? <h1>{say('no_page')}</h1>)
        ) : (
          <SignInPage ways={me.ways} signedIn={look} />
        )}
      </main>
      {isIn && (
        <footer>
          <p>
            {say(`duty_${frame.duty}`)} · {say('keys')}: <kbd>/</kbd> {say('search')},{' '}
            {MENU.map(([, word, key]) => (
              <span key={key}>
                <kbd>g</kbd> <kbd>{key}</kbd> {say(word)}{' '}
              </span>
            ))}
          </p>
        </footer>
      )}
    </FrameContext.Provider>
  );
}

/** Within the console, without loading it anew; a click with a key held opens it as any link. */
export function Link({
  to,
  children,
  class: name,
  current,
  hint,
}: {
  to: string;
  children: preact.ComponentChildren;
  class?: string | undefined;
  current?: boolean;
  hint?: string;
}) {
  const { go, isShared } = useFrame();
  if (isShared) return <span class={name}>{children}</span>;
  return (
    <a
      href={to}
      class={name}
      title={hint}
      aria-current={current ? 'page' : undefined}
      onClick={(event: MouseEvent) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0) return;
        event.preventDefault();
        go(to);
      }}
    >
      {children}
    </a>
  );
}

/** `/` searches, `g` and a letter goes; not where somebody writes, or is asked something. */
function useKeys(go: ((to: string) => void) | undefined): void {
  useEffect(() => {
    if (go === undefined) return;
    let wasG = 0;
    const listener = (event: KeyboardEvent) => {
      const at = event.target as HTMLElement;
      if (event.metaKey || event.ctrlKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName)) return;
      // A question that is asked is answered first.
      if (at.closest('dialog[open]')) return;
      if (event.key === '/') {
        event.preventDefault();
        const field = document.querySelector<HTMLInputElement>('input[type=search]');
        if (field) field.focus();
        else {
          go('/flows');
          // There once it is drawn, in this very turn: what is typed next is written.
          queueMicrotask(() => document.querySelector<HTMLInputElement>('input[type=search]')?.focus());
        }
      } else if (event.key === 'g') {
        wasG = event.timeStamp;
        return;
      } else if (event.timeStamp - wasG < 1_500) {
        const found = MENU.find(([, , key]) => key === event.key);
        if (found) go(found[0]);
      }
      wasG = 0;
    };
    addEventListener('keydown', listener);
    return () => removeEventListener('keydown', listener);
  }, [go]);
}
