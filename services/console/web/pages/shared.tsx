import { useEffect, useRef, useState } from 'preact/hooks';
import type { Done, LinkView, ProblemJson, SharedPage } from '../../types.ts';
import { get, Problem, post, readBy, useLive, watchLink } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { Act, Empty, Show, Table, useTold, When, Wrong } from '../ui.tsx';

/** Pages of which a link can be made, as the door has them. */
const SHARED = ['/flow', '/flows', '/readiness', '/preflight', '/launches', '/party'];

const queryOf = ({ query }: SharedPage): URLSearchParams =>
  new URLSearchParams(query.map(({ name, value }): [string, string] => [name, value]));

/** For who has a link and does not sign in: what is behind its # is exchanged for a cookie, and gone from the address at once. */
export function Shared({ children }: { children: (page: SharedPage, query: URLSearchParams) => preact.JSX.Element }) {
  const { say, query } = useFrame();
  const id = query.get('link') ?? '';
  const [page, setPage] = useState<SharedPage>();
  const [problem, setProblem] = useState<ProblemJson>();
  const [isOver, setOver] = useState(false);
  useEffect(() => {
    let unwatch: () => void = () => undefined;
    const open = async () => {
      const secret = location.hash.slice(1);
      unwatch();
      setProblem(undefined);
      setOver(false);
      setPage(undefined);
      if (secret !== '') {
        history.replaceState(null, '', `/shared?link=${encodeURIComponent(id)}`);
        await post('/api/shared/open', { link: id, secret });
      }
      const found = await get<SharedPage>(`/api/shared?link=${encodeURIComponent(id)}`);
      readBy(id);
      unwatch = watchLink(id);
      setPage(found);
    };
    const begin = () =>
      void open().catch((thrown: unknown) => {
        if (!(thrown instanceof Problem)) return;
        if (thrown.said.code === 'party.unknown') setOver(true);
        else setProblem(thrown.said);
      });
    begin();
    // Who pastes a link while this page is open loads nothing anew.
    const pasted = () => location.hash !== '' && begin();
    addEventListener('hashchange', pasted);
    return () => {
      removeEventListener('hashchange', pasted);
      unwatch();
      readBy('');
    };
  }, [id]);
  if (isOver) return <LinkOver />;
  if (problem)
    return (
      <section class="narrow">
        <h1>{say('shared')}</h1>
        <Wrong problem={problem} />
      </section>
    );
  if (!page) return <p role="status">{say('loading')}</p>;
  return (
    <div class="shared">
      <p class="note wait">
        {say('shared_read_only')} <When at={page.ends} />.
      </p>
      {children(page, queryOf(page))}
    </div>
  );
}

/** What is left of a page when its link is over: that, and what to do; nothing of what it showed. */
export function LinkOver() {
  const { say, query } = useFrame();
  const id = query.get('link') ?? '';
  useEffect(() => {
    // Asked once more, so that the browser is told to forget the link.
    void get(`/api/shared?link=${encodeURIComponent(id)}`).catch(() => undefined);
  }, [id]);
  return (
    <section class="narrow" role="alert">
      <h1>{say('link_over')}</h1>
      <p class="lead">{say('link_over_why')}</p>
      <p>{say('link_over_do')}</p>
    </section>
  );
}

const HOURS = ['1', '24', '72', '168', '336'] as const;

/** Makes a link to the page that is shown. */
export function Share() {
  const { say, path, query, duty, token } = useFrame();
  const dialog = useRef<HTMLDialogElement>(null);
  const [hours, setHours] = useState<string>('24');
  const [link, setLink] = useState('');
  const [isCopied, setCopied] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ProblemJson>();
  // A part of a list, and classes, are for who signs in.
  if (duty !== 'operator' || !SHARED.includes(path) || query.has('cursor') || query.has('by')) return null;
  const to = query.size > 0 ? `${path}?${query}` : path;
  const make = () => {
    setBusy(true);
    setProblem(undefined);
    post<Done>('/api/links/make', { to, hours }, token)
      .then(
        (done) => setLink(done.link ?? ''),
        (thrown: unknown) => thrown instanceof Problem && setProblem(thrown.said),
      )
      .finally(() => setBusy(false));
  };
  const begin = () => {
    setLink('');
    setCopied(false);
    setProblem(undefined);
    dialog.current?.showModal();
  };
  return (
    <>
      <button type="button" class="plain" onClick={begin}>
        {say('share')}
      </button>
      <dialog ref={dialog} aria-label={say('share')}>
        <h2>{say('share')}</h2>
        <p>{say('share_how')}</p>
        {problem && <Wrong problem={problem} />}
        {link === '' ? (
          <label class="sharing">
            {say('share_for')}
            <select value={hours} onChange={(event) => setHours(event.currentTarget.value)}>
              {HOURS.map((one) => (
                <option key={one} value={one}>
                  {say(`share_${one}`)}
                </option>
              ))}
            </select>
          </label>
        ) : (
          <label class="sharing">
            {say('share_once')}
            <textarea readOnly rows={4} value={link} onFocus={(event) => event.currentTarget.select()} />
          </label>
        )}
        <div class="row">
          {link === '' ? (
            <button type="button" class="main" disabled={busy} onClick={make}>
              {say('share_make')}
            </button>
          ) : (
            <button
              type="button"
              class="main"
              onClick={() => void navigator.clipboard.writeText(link).then(() => setCopied(true))}
            >
              {say(isCopied ? 'copied' : 'copy')}
            </button>
          )}
          <button type="button" class="plain" onClick={() => dialog.current?.close()}>
            {say('close')}
          </button>
          <Link to="/links">{say('links')}</Link>
        </div>
      </dialog>
    </>
  );
}

/** Links that are not over. */
export function LinksPage() {
  const { say, duty } = useFrame();
  const loaded = useLive<LinkView[]>('links');
  const [note, tell] = useTold();
  const may = duty === 'operator';
  return (
    <>
      <h1>{say('links')}</h1>
      <p class="hint">{say('links_hint')}</p>
      {note}
      <Show loaded={loaded}>
        {(all) =>
          all.length === 0 ? (
            <Empty word="no_links" />
          ) : (
            <Table
              name={say('links')}
              heads={
                may
                  ? ['page', 'link_until', 'made', 'last_opened', 'take_back']
                  : ['page', 'link_until', 'made', 'last_opened']
              }
            >
              {all.map((one) => {
                const asked = queryOf(one);
                const to = asked.size > 0 ? `${one.page}?${asked}` : one.page;
                return (
                  <tr key={one.id}>
                    <td>{one.page === '' ? say('other_key') : <Link to={to}>{to}</Link>}</td>
                    <td>
                      <When at={one.ends} />
                    </td>
                    <td>
                      <When at={one.made} />
                    </td>
                    <td>{one.opened === 0 ? say('never') : <When at={one.opened} />}</td>
                    {may && (
                      <td>
                        <Act
                          word="take_back"
                          sure="take_back_sure"
                          kind="stop"
                          about={one.page === '' ? one.id : to}
                          path="/api/links/end"
                          body={{ link: one.id }}
                          done={() => tell(say('taken_back'))}
                        />
                      </td>
                    )}
                  </tr>
                );
              })}
            </Table>
          )
        }
      </Show>
    </>
  );
}
