import type { PartyList } from '../../types.ts';
import { useLive } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { Empty, Show, State, Table, useNumbers } from '../ui.tsx';
import { isWord } from '../words.ts';
import { Field } from './flows.tsx';

const ROLES = [
  'school',
  'board',
  'administration',
  'distributor',
  'publisher',
  'platform',
  'dashboard',
  'federation',
] as const;

/** Who is in the chain. What is looked for stands in the address, so that a colleague finds the same. */
export function PartiesPage() {
  const { say, query, go } = useFrame();
  const numbers = useNumbers();
  const asked = new URLSearchParams();
  for (const name of ['q', 'role']) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const loaded = useLive<PartyList>('parties', asked.toString());
  const look = (event: SubmitEvent) => {
    event.preventDefault();
    const next = new URLSearchParams();
    for (const [name, value] of new FormData(event.currentTarget as HTMLFormElement))
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(`/parties${next.size > 0 ? `?${next}` : ''}`);
  };
  return (
    <>
      <h1>{say('parties')}</h1>
      <search>
        <form class="search" onSubmit={look} key={asked.toString()}>
          <Field name="q" label={say('party_search')} value={query.get('q') ?? ''} type="search" wide />
          <label>
            {say('role')}
            <select name="role" defaultValue={query.get('role') ?? ''}>
              <option value="">{say('any_role')}</option>
              {ROLES.map((role) => (
                <option key={role} value={role} selected={query.get('role') === role}>
                  {say(`role_${role}`)}
                </option>
              ))}
            </select>
          </label>
          <button type="submit" class="main">
            {say('search_go')}
          </button>
          <p class="hint">{say('parties_hint')}</p>
        </form>
      </search>
      <Show loaded={loaded}>
        {({ parties, all }) =>
          parties.length === 0 ? (
            <Empty word="none_found" />
          ) : (
            <>
              <Table name={say('parties')} heads={['party', 'role', 'health']}>
                {parties.map(({ oin, name, roles, stopped }) => (
                  <tr key={oin}>
                    <td>
                      <Link class="who" to={`/party?oin=${encodeURIComponent(oin)}`}>
                        <b>{name || oin}</b>
                        <code>{oin}</code>
                      </Link>
                    </td>
                    <td>
                      {roles.map((role) => (isWord(`role_${role}`) ? say(`role_${role}` as 'role') : role)).join(', ')}
                    </td>
                    <td>{stopped > 0 ? <State is="stopped" /> : '–'}</td>
                  </tr>
                ))}
              </Table>
              {all > parties.length && (
                <p class="hint">
                  {numbers(parties.length)} {say('shown_of')} {numbers(all)}.
                </p>
              )}
            </>
          )
        }
      </Show>
    </>
  );
}
