import { useEffect, useState } from 'preact/hooks';
import type { FreezePreview, FreezeView, FrozenView } from '../../types.ts';
import { get, useAsk, useLive } from '../api.ts';
import { useFrame } from '../app.tsx';
import { Act, Empty, Show, State, useNumbers, useTold, When, Who } from '../ui.tsx';
import type { Word } from '../words.ts';
import { Field } from './flows.tsx';

const DAY_MS = 86_400_000;

/** Times in which nothing is taken away or disturbed: which hold, set one, end one early. */
export function FreezesPage() {
  const { say, query, go, duty } = useFrame();
  const asked = new URLSearchParams();
  for (const name of ['school', 'party', 'past']) {
    const value = query.get(name)?.trim();
    if (value) asked.set(name, value);
  }
  const loaded = useLive<FreezeView[]>('freezes', asked.toString());
  const [note, tell] = useTold();
  const isPast = asked.get('past') === 'yes';
  const at = (next: URLSearchParams) => `/freezes${next.size > 0 ? `?${next}` : ''}`;
  const search = (event: SubmitEvent) => {
    event.preventDefault();
    const next = new URLSearchParams(isPast ? { past: 'yes' } : {});
    for (const [name, value] of new FormData(event.currentTarget as HTMLFormElement))
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(at(next));
  };
  const turnPast = () => {
    const next = new URLSearchParams(asked);
    if (isPast) next.delete('past');
    else next.set('past', 'yes');
    go(at(next), true);
  };
  const isNarrow = asked.has('school') || asked.has('party');
  return (
    <>
      <h1>{say('freezes')}</h1>
      <p>{say('freezes_intro')}</p>
      {note}
      <search>
        <form class="search" onSubmit={search} key={asked.toString()}>
          <Field name="school" label={say('school_label')} value={query.get('school') ?? ''} />
          <Field name="party" label={say('freeze_party')} value={query.get('party') ?? ''} />
          <button type="submit" class="main">
            {say('search_go')}
          </button>
        </form>
      </search>
      <label class="choice">
        <input type="checkbox" checked={isPast} onChange={turnPast} />
        {say('freeze_past')}
      </label>
      <Show loaded={loaded}>
        {(all) =>
          all.length === 0 ? (
            <Empty word={isNarrow ? 'no_freezes_of' : 'no_freezes'} />
          ) : (
            <ul class="cards">
              {all.map((one) => (
                <One key={one.id} of={one} told={tell} />
              ))}
            </ul>
          )
        }
      </Show>
      {duty === 'operator' && <New told={tell} />}
    </>
  );
}

type Scope = Pick<FreezeView, 'school' | 'party'>;

/** Of whom. */
export function Whose({ of: { school, party } }: { of: Scope }) {
  const { say } = useFrame();
  if (!school && !party) return <>{say('freeze_of_all')}</>;
  return (
    <>
      {school && <Who of={school} />}
      {school && party && ', '}
      {party && <Who of={party} />}
    </>
  );
}

/** The same in words, for who hears a button alone. */
const nameOf = ({ school, party }: Scope, all: string): string =>
  [school, party].flatMap((one) => (one ? [one.name || one.oin] : [])).join(', ') || all;

function One({ of, told }: { of: FreezeView; told: (of: { text: string; flow: string }) => void }) {
  const { say, duty, isLocal } = useFrame();
  const isOpen = of.state === 'holds' || of.state === 'to_come';
  // Elsewhere another person signs in and ends it.
  const second = of.endAsked && isLocal;
  return (
    <li id={of.id} class={of.state === 'holds' ? 'wait' : undefined}>
      <h2>
        {of.reason} <State is={`freeze_state_${of.state}`} />
      </h2>
      <p>
        <Whose of={of} />
      </p>
      <dl>
        <dt>{say('freeze_from')}</dt>
        <dd>
          <When at={of.from} />
        </dd>
        <dt>{say('freeze_to')}</dt>
        <dd>
          <When at={of.ended > 0 ? Math.min(of.ended, of.until) : of.until} />
        </dd>
        <dt>{say('freeze_by')}</dt>
        <dd>
          <Who of={of.by} /> {of.person !== '' && <code>{of.person}</code>} · <When at={of.set} />
        </dd>
      </dl>
      {of.endAsked && isOpen && <p class="hint">{say('freeze_end_asked')}</p>}
      {isOpen && duty === 'operator' && (
        <div class="row">
          <Act
            word={second ? 'freeze_end_second' : 'freeze_end'}
            sure={second ? 'freeze_end_second_sure' : 'freeze_end_sure'}
            kind="stop"
            about={`${of.reason}: ${nameOf(of, say('freeze_of_all'))}`}
            path="/api/freezes/end"
            body={{ freeze: of.id, second }}
            first={<Ends freeze={of.id} />}
            done={({ flow, decided, waits }) =>
              told({ text: say(waits ? 'freeze_end_asked' : decided ? 'freeze_ended' : 'decided_later'), flow })
            }
          />
        </div>
      )}
    </li>
  );
}

/** What waits for it, or would, one a line. */
function Works({ of }: { of: readonly FrozenView[] }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  return (
    <ul class="plain-list">
      {of.map(({ kind, id, school, to, day, party, count, since, waitsOn, about }) => (
        <li key={`${kind}${id}`}>
          <b>{say(`freeze_work_${kind}` as Word)}</b>: {party && <Who of={party} />}
          {party && school && ', '}
          {school && <Who of={school} />}
          {to && (
            <>
              {' → '}
              <Who of={to} />
            </>
          )}
          {day !== '' && `, ${day}`}
          {count > 0 &&
            `, ${about ? `${say('freeze_about')} ` : ''}${numbers(count)} ${say(`freeze_count_${kind}` as Word, count)}`}
          {since > 0 && (
            <>
              , {say('freeze_since')} <When at={since} />
            </>
          )}
          {waitsOn && ` (${say('freeze_waits_on')})`}
        </li>
      ))}
    </ul>
  );
}

/** What goes on when it ends now, beside the question whether it should. */
function Ends({ freeze }: { freeze: string }) {
  const { say } = useFrame();
  const { loaded, ask } = useAsk<FrozenView[]>();
  useEffect(
    () => ask(() => get<FrozenView[]>(`/api/freezes/end/preview?${new URLSearchParams({ freeze })}`)),
    [freeze],
  );
  if (!loaded) return null;
  return (
    <Show loaded={loaded}>
      {(works) => {
        const [waitsOn, goesOn] = [works.filter((one) => one.waitsOn), works.filter((one) => !one.waitsOn)];
        return (
          <>
            <p>{say(goesOn.length > 0 ? 'freeze_lets_go' : 'freeze_lets_none')}</p>
            {works.length > 0 && <Works of={[...goesOn, ...waitsOn]} />}
          </>
        );
      }}
    </Show>
  );
}

const NAMES = ['school', 'party', 'from', 'until', 'reason'] as const;
type Wanted = Record<(typeof NAMES)[number], string> & { all: boolean };

/** What is asked for stands in no address of a page: a link never sets anything. */
function New({ told }: { told: (of: { text: string; flow: string }) => void }) {
  const { say } = useFrame();
  const { loaded, ask, forget } = useAsk<{ wanted: Wanted; seen: FreezePreview }>();
  // Set, the form begins anew.
  const [turn, setTurn] = useState(0);
  const look = (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const texts = Object.fromEntries(NAMES.map((name) => [name, String(given.get(name) ?? '').trim()]));
    const wanted = { ...texts, all: given.get('all') !== null } as Wanted;
    const query = new URLSearchParams(wanted.all ? { all: 'yes' } : {});
    // Its name is not looked at, so it is in no address.
    for (const name of NAMES) if (name !== 'reason' && wanted[name] !== '') query.set(name, wanted[name]);
    ask(async () => ({ wanted, seen: await get<FreezePreview>(`/api/freezes/preview?${query}`) }));
  };
  return (
    <section aria-labelledby="new">
      <h2 id="new">{say('freeze_new')}</h2>
      <p class="hint">{say('freeze_new_hint')}</p>
      <form class="search roomy" onSubmit={look} onInput={forget} key={turn}>
        <Field name="school" label={say('school_label')} value="" />
        <Field name="party" label={say('freeze_party')} value="" />
        <Field name="from" label={say('freeze_from_label')} hint="2027-05-10" value="" most={16} />
        <Field name="until" label={say('freeze_until_label')} hint="2027-05-28" value="" most={16} required />
        <Field
          name="reason"
          label={say('freeze_reason_label')}
          hint={say('freeze_reason_hint')}
          value=""
          most={64}
          required
        />
        <label class="choice wide">
          <input type="checkbox" name="all" />
          {say('freeze_all')}
        </label>
        <button type="submit" class="main" disabled={loaded?.state === 'loading'}>
          {say('freeze_look')}
        </button>
      </form>
      {loaded && (
        <Show loaded={loaded}>
          {({ wanted, seen }) => (
            <Preview
              wanted={wanted}
              seen={seen}
              done={(text, flow) => {
                forget();
                setTurn(turn + 1);
                told({ text, flow });
              }}
            />
          )}
        </Show>
      )}
    </section>
  );
}

/** What it would come to; only from here it is set. */
function Preview({
  wanted,
  seen,
  done,
}: {
  wanted: Wanted;
  seen: FreezePreview;
  done: (text: string, flow: string) => void;
}) {
  const { say } = useFrame();
  const numbers = useNumbers();
  const days = Math.round((seen.until - seen.from) / DAY_MS);
  return (
    <section class="note wait" aria-label={say('freeze_would')} aria-live="polite">
      <h3>{say('freeze_would')}</h3>
      <dl>
        <dt>{say('freeze_of')}</dt>
        <dd>
          <Whose of={seen} />
        </dd>
        <dt>{say('freeze_from')}</dt>
        <dd>
          <When at={seen.from} />
        </dd>
        <dt>{say('freeze_to')}</dt>
        <dd>
          <When at={seen.until} /> (
          {days === 0 ? say('freeze_under_day') : `${numbers(days)} ${say('freeze_days', days)}`})
        </dd>
        <dt>{say('freeze_waits')}</dt>
        <dd>{say('freeze_waits_list')}</dd>
        <dt>{say('freeze_refused')}</dt>
        <dd>{say('freeze_refused_list')}</dd>
        <dt>{say('freeze_passes')}</dt>
        <dd>{say('freeze_passes_list')}</dd>
        {seen.beside.length > 0 && (
          <>
            <dt>{say('freeze_beside')}</dt>
            <dd>
              <ul class="plain-list">
                {seen.beside.map((one) => (
                  <li key={one.id}>
                    <b>{one.reason}</b>: <Whose of={one} />, <When at={one.from} /> – <When at={one.until} />
                  </li>
                ))}
              </ul>
              {seen.goesOn > seen.until && (
                <p>
                  {say('freeze_goes_on')} <When at={seen.goesOn} />.
                </p>
              )}
            </dd>
          </>
        )}
        {seen.works.length > 0 && (
          <>
            <dt>{say('freeze_stops')}</dt>
            <dd>
              <Works of={seen.works} />
            </dd>
          </>
        )}
      </dl>
      {seen.works.length === 0 && <p class="hint">{say('freeze_now_none')}</p>}
      <div class="row">
        <Act
          word="freeze_set"
          sure="freeze_set_sure"
          kind="main"
          about={`${wanted.reason}: ${nameOf(seen, say('freeze_of_all'))}`}
          path="/api/freezes/set"
          body={wanted}
          done={({ flow, decided, stood }) =>
            done(say(stood ? 'freeze_stood' : decided ? 'freeze_was_set' : 'decided_later'), flow)
          }
        />
      </div>
    </section>
  );
}
