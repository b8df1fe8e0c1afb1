import { useEffect, useMemo, useState } from 'preact/hooks';
import { askedIn, pageAsked } from '../../places.ts';
import type { Me, ProblemJson } from '../../types.ts';
import { get, Problem, post } from '../api.ts';
import { useFrame } from '../app.tsx';
import { Wrong } from '../ui.tsx';

/** A link of `eduk console` signs in by itself; what is behind its # never goes to a server in an address. */
export function SignInPage({ ways, signedIn }: { ways: Me['ways']; signedIn: () => void }) {
  const { say, go, path, query } = useFrame();
  const [link, setLink] = useState(() => (path === '/sign-in' ? location.hash.slice(1) : ''));
  const [problem, setProblem] = useState<ProblemJson | undefined>(() => returned(query.get('wrong')));
  const [busy, setBusy] = useState(link !== '');
  // The page that was asked for: this one, the one that a link of `eduk console --to` names, or the last that this tab was at.
  const to = useMemo(
    () =>
      pageAsked(
        path === '/sign-in' ? (query.get('to') ?? sessionStorage.getItem(ASKED)) : `${path}?${query}`,
        location.origin,
      ),
    [path, query],
  );
  // Who pastes a link into this tab loads it anew.
  useEffect(() => sessionStorage.setItem(ASKED, to), [to]);
  useEffect(() => {
    // Who signs in in another tab is in here too.
    const looked = () => document.visibilityState === 'visible' && signedIn();
    document.addEventListener('visibilitychange', looked);
    return () => document.removeEventListener('visibilitychange', looked);
  }, []);
  useEffect(() => {
    // Who pastes a link while this page is open loads nothing anew.
    const pasted = () => setLink(location.hash.slice(1));
    addEventListener('hashchange', pasted);
    return () => removeEventListener('hashchange', pasted);
  }, []);
  useEffect(() => {
    if (link === '') return;
    setBusy(true);
    setProblem(undefined);
    // Gone from the history at once: it works only once, and nobody needs to see it.
    history.replaceState(null, '', '/sign-in');
    post('/api/sign-in', { link })
      .then(
        () => {
          go(to);
          signedIn();
        },
        async (thrown: unknown) => {
          if (!(thrown instanceof Problem)) return;
          // Who opens a spent link again, while the session it gave goes on, only wants to be there.
          const me = await get<Me>('/api/me').catch(() => undefined);
          if (me?.session !== undefined) {
            go(to);
            signedIn();
          } else setProblem(thrown.said.code === 'party.unknown' ? spent : thrown.said);
        },
      )
      .finally(() => setBusy(false));
  }, [link]);
  return (
    <section class="narrow">
      <h1>{say('sign_in')}</h1>
      {busy && <p role="status">{say('signing_in')}</p>}
      {problem && <Wrong problem={problem} />}
      {!busy && ways.provider && (
        <p>
          <a class="button main" href={`/sign-in/provider${askedIn(to, '?')}`}>
            {say('sign_in_provider')}
          </a>
        </p>
      )}
      {!busy && ways.link && (
        <>
          <p>{say('sign_in_how')}</p>
          <pre>
            <code>npx eduk console{PLAIN.test(to) && ` --to '${to}'`}</code>
          </pre>
        </>
      )}
      {!busy && !ways.link && !ways.provider && <p>{say('sign_in_nowhere')}</p>}
    </section>
  );
}

/** What a shell takes as it stands between quotes. */
const PLAIN = /^\/[\w./?=&%:+-]+$/;

/** A link that was used, is over, or is of another gateway. */
const spent: ProblemJson = {
  code: 'party.unknown',
  who: 'us',
  retry: 'never',
  title: {
    nl: 'Deze link is al gebruikt of verlopen; maak een nieuwe.',
    en: 'This link was used before, or is over; make another.',
  },
  told: '',
};

/** Where this tab was going before somebody signed in. */
export const ASKED = 'eduk-console-asked';

/** What the console says of a sign-in that came back from the provider without success. */
function returned(code: string | null): ProblemJson | undefined {
  const known: Record<string, [string, string, string]> = {
    'party.unknown': ['us', 'Deze aanmelding geldt niet; begin opnieuw.', 'This sign-in does not hold; begin anew.'],
    'party.forbidden': ['us', 'Uw organisatie geeft u hier geen rol.', 'Your organisation gives you no role here.'],
    'peer.unavailable': ['peer', 'De aanmelddienst antwoordt niet.', 'The provider does not answer.'],
  };
  const row = code === null ? undefined : known[code];
  if (code === null || row === undefined) return undefined;
  return { code, who: row[0], retry: 'backoff', title: { nl: row[1], en: row[2] }, told: '' };
}
