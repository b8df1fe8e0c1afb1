import type { ReconciledView } from '../../types.ts';
import { useLive } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { Act, Empty, Fault, Show, State, Table, useNumbers, useTold, When, Who } from '../ui.tsx';
import { isWord } from '../words.ts';
import { Field } from './flows.tsx';

/** What parties say that they have, beside what stands here. To mend it is to send it again: counted first, on the page of that. */
export function ReconciledPage() {
  const { say, query, go } = useFrame();
  const asked = new URLSearchParams();
  for (const name of ['party', 'school']) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const loaded = useLive<ReconciledView>('reconciled', asked.toString());
  const [note, tell] = useTold();
  const search = (event: SubmitEvent) => {
    event.preventDefault();
    const next = new URLSearchParams();
    for (const [name, value] of new FormData(event.currentTarget as HTMLFormElement))
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(`/reconciled${next.size > 0 ? `?${next}` : ''}`);
  };
  return (
    <>
      <h1>{say('reconciled')}</h1>
      <p>{say('reconciled_intro')}</p>
      {note}
      <search>
        <form class="search" onSubmit={search} key={asked.toString()}>
          <Field name="party" label={say('replay_party')} value={query.get('party') ?? ''} />
          <Field name="school" label={say('school_label')} value={query.get('school') ?? ''} />
          <button type="submit" class="main">
            {say('search_go')}
          </button>
        </form>
      </search>
      <Show loaded={loaded}>
        {(seen) =>
          seen.lines.length === 0 ? (
            <Empty word={asked.size === 0 ? 'reconciled_none' : 'none_found'} />
          ) : (
            <>
              <Lines seen={seen} told={tell} />
              {asked.has('party') && asked.has('school') && <Differences seen={seen} />}
            </>
          )
        }
      </Show>
    </>
  );
}

const COUNTS = ['missing', 'differs', 'surplus', 'same'] as const;

function Lines({ seen, told }: { seen: ReconciledView; told: (text: string) => void }) {
  const { say, duty, go } = useFrame();
  const numbers = useNumbers();
  const may = duty === 'operator';
  return (
    <>
      <Table
        name={say('reconciled')}
        heads={[
          'party',
          'school',
          'state',
          'what_missing',
          'what_differs',
          'what_surplus',
          'what_same',
          'compared',
          ...(may ? (['actions'] as const) : []),
        ]}
      >
        {seen.lines.map((one) => {
          const name = `${one.party.name || one.party.oin} · ${one.school.name || one.school.oin}`;
          const body = { party: one.party.oin, school: one.school.oin };
          const difference = one.missing + one.surplus + one.differs;
          return (
            <tr key={name}>
              <td>
                <Who of={one.party} />
              </td>
              <td>
                <Who of={one.school} />
              </td>
              <td>
                <State is={`reconciled_${one.state}`} />
                <Fault code={one.code} title={one.title} />
              </td>
              {COUNTS.map((what) => (
                <td class="number" key={what}>
                  {one.at === 0 ? '–' : numbers(one[what])}
                </td>
              ))}
              <td>
                <When at={one.at} />
                {one.source !== '' && <div>{say(one.source === 'asked' ? 'compared_asked' : 'compared_stated')}</div>}
                {one.due > 0 && (
                  <div class="soft">
                    {say('compared_next')} <When at={one.due} short />
                  </div>
                )}
              </td>
              {may && (
                <td>
                  <div class="row">
                    {one.canBeAsked && (
                      <Act
                        word="compare"
                        sure="compare_sure"
                        about={name}
                        path="/api/reconciled/ask"
                        body={body}
                        done={() => told(`${say('compare_done')} ${name}.`)}
                      />
                    )}
                    {one.missing + one.differs > 0 && (
                      <Act
                        word="mend"
                        sure="mend_sure"
                        kind="main"
                        about={name}
                        path="/api/replays/preview"
                        body={{ ...body, reconciled: 'entitlement' }}
                        done={() => go('/replay')}
                      />
                    )}
                    {difference > 0 && seen.lines.length > 1 && (
                      <Link to={`/reconciled?${new URLSearchParams(body)}`}>{say('see_differences')}</Link>
                    )}
                  </div>
                </td>
              )}
            </tr>
          );
        })}
      </Table>
      {seen.all > seen.lines.length && (
        <p class="hint">
          {numbers(seen.lines.length)} {say('shown_of')} {numbers(seen.all)}.
        </p>
      )}
    </>
  );
}

function Differences({ seen }: { seen: ReconciledView }) {
  const { say } = useFrame();
  if (seen.differences.length === 0) return null;
  return (
    <section>
      <h2>{say('differences')}</h2>
      <Table name={say('differences')} heads={['licence', 'what', 'here_is', 'there_is', 'since']}>
        {seen.differences.map((one) => {
          const what = `what_${one.what}`;
          return (
            <tr key={one.key}>
              <td>
                <Link to={`/flows?${new URLSearchParams({ q: one.key })}`}>{one.key}</Link>
              </td>
              <td>{isWord(what) ? say(what) : one.what}</td>
              <td>{one.ours || '–'}</td>
              <td>{one.theirs || '–'}</td>
              <td>
                <When at={one.since} />
              </td>
            </tr>
          );
        })}
      </Table>
      {seen.more && <p class="hint">{say('differences_more')}</p>}
    </section>
  );
}
