import type { AccessList } from '../../types.ts';
import { useLive } from '../api.ts';
import { useFrame } from '../app.tsx';
import { Empty, Show, Table, useNumbers, useServices, Who } from '../ui.tsx';
import { Field } from './flows.tsx';

/** Who was given data of a school's people. What is asked stands in the address, so that a colleague sees the same. */
export function AccessPage() {
  const { say, query, go } = useFrame();
  const services = useServices();
  const numbers = useNumbers();
  const asked = new URLSearchParams();
  for (const name of ['school', 'from', 'to']) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const loaded = useLive<AccessList>('access', asked.toString());
  const look = (event: SubmitEvent) => {
    event.preventDefault();
    const next = new URLSearchParams();
    for (const [name, value] of new FormData(event.currentTarget as HTMLFormElement))
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(`/access${next.size > 0 ? `?${next}` : ''}`);
  };
  return (
    <>
      <h1>{say('access')}</h1>
      <p class="hint">{say('access_hint')}</p>
      <search>
        <form class="search" onSubmit={look} key={asked.toString()}>
          <Field name="school" label={say('school_label')} value={query.get('school') ?? ''} required />
          <Field name="from" label={say('from_day')} value={query.get('from') ?? ''} type="date" />
          <Field name="to" label={say('to_day')} value={query.get('to') ?? ''} type="date" />
          <button type="submit" class="main">
            {say('search_go')}
          </button>
        </form>
      </search>
      <Show loaded={loaded}>
        {({ school, rows }) =>
          school.oin === '' ? null : (
            <>
              <p>
                <Who of={school} />
              </p>
              {rows.length === 0 ? (
                <Empty word="access_none" />
              ) : (
                <Table
                  name={say('access')}
                  heads={['day', 'party', 'purpose', 'attributes', 'times', 'people', 'leaf']}
                >
                  {rows.map((row) => (
                    <tr key={`${row.day}${row.party.oin}${row.purpose}`}>
                      <td>{row.day}</td>
                      <td>
                        <Who of={row.party} />
                      </td>
                      <td>{services(row.purpose)}</td>
                      <td>{row.attributes.join(', ')}</td>
                      <td class="number">{numbers(row.times)}</td>
                      <td class="number">{numbers(row.people)}</td>
                      <td class="number">{numbers(row.leaf)}</td>
                    </tr>
                  ))}
                </Table>
              )}
            </>
          )
        }
      </Show>
    </>
  );
}
