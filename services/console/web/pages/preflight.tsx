import { useState } from 'preact/hooks';
import type { PreflightView } from '../../types.ts';
import { useRead } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { Empty, Fault, Show, Table, useNumbers, Who } from '../ui.tsx';
import { Field } from './flows.tsx';

/** Lines of orders that will fail in August, with the message for whoever must act. */
export function PreflightPage() {
  const { say, query, go, lang } = useFrame();
  const asked = new URLSearchParams({ lang });
  for (const name of ['school', 'day', 'party', 'cursor']) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const loaded = useRead<PreflightView>('preflight', asked.toString());
  const look = (event: SubmitEvent) => {
    event.preventDefault();
    const next = new URLSearchParams();
    for (const [name, value] of new FormData(event.currentTarget as HTMLFormElement))
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(`/preflight${next.size > 0 ? `?${next}` : ''}`);
  };
  return (
    <>
      <h1>{say('preflight')}</h1>
      <p class="hint">{say('preflight_hint')}</p>
      <search>
        <form class="search" onSubmit={look} key={asked.toString()}>
          <Field name="school" label={say('school_label')} value={query.get('school') ?? ''} />
          <Field name="day" label={say('day')} value={query.get('day') ?? ''} type="date" />
          <Field name="party" label={say('as_party')} value={query.get('party') ?? ''} />
          <button type="submit" class="main">
            {say('search_go')}
          </button>
        </form>
      </search>
      <Show loaded={loaded}>{(seen) => <Lines seen={seen} />}</Show>
    </>
  );
}

function Lines({ seen }: { seen: PreflightView }) {
  const { say, query } = useFrame();
  const numbers = useNumbers();
  const next = new URLSearchParams(query);
  next.set('cursor', seen.cursor);
  return (
    <>
      <p>
        {say('day')} {seen.day}: {numbers(seen.lookedAt)} {say('looked_at', seen.lookedAt)}
      </p>
      {seen.lines.length === 0 ? (
        <Empty word="nothing_fails" />
      ) : (
        <Table name={say('preflight')} heads={['school', 'by_order', 'licence', 'fault', 'to_call']}>
          {seen.lines.map((one) => (
            <tr key={`${one.order} ${one.line} ${one.code}`}>
              <td>
                <Who of={one.school} />
              </td>
              <td>
                <Link to={`/why?order=${encodeURIComponent(one.order)}`}>
                  {one.order}/{one.line}
                </Link>
              </td>
              <td>
                {one.title} <code class="whole">{one.product}</code>
              </td>
              <td>
                <Fault code={one.code} title={one.fault} />
              </td>
              <td>
                <Who of={one.party} />
              </td>
            </tr>
          ))}
        </Table>
      )}
      {seen.cursor !== '' && (
        <p>
          <Link to={`/preflight?${next}`}>{say('more_rows')}</Link>
        </p>
      )}
      {seen.messages.length > 0 && (
        <section>
          <h2>{say('messages_ready')}</h2>
          <ul class="cards">
            {seen.messages.map((one) => (
              <Letter key={one.party.oin} one={one} />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function Letter({ one }: { one: PreflightView['messages'][number] }) {
  const { say } = useFrame();
  const [copied, setCopied] = useState(false);
  return (
    <li>
      <h3>
        <Who of={one.party} />
      </h3>
      <p>
        <b>{one.subject}</b>
      </p>
      <pre>{one.body}</pre>
      <button
        type="button"
        class="plain"
        onClick={() =>
          void navigator.clipboard.writeText(`${one.subject}\n\n${one.body}`).then(
            () => setCopied(true),
            () => setCopied(false),
          )
        }
      >
        {say(copied ? 'copied' : 'copy')}
      </button>
    </li>
  );
}
