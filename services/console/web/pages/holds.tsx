import { useState } from 'preact/hooks';
import type { Hold } from '../../types.ts';
import { useLive } from '../api.ts';
import { Link, useFrame } from '../app.tsx';
import { type Chosen, KINDS, lostBy, NOTHING, stands, turned } from '../part.ts';
import { Act, Count, Empty, FlowLink, Show, useNumbers, useTold, When, Who } from '../ui.tsx';
import { isWord } from '../words.ts';
import { HoldRules, Ruling } from './hold-rules.tsx';

export function HoldsPage() {
  const { say, query, go } = useFrame();
  const decided = query.get('decided') === 'yes';
  const loaded = useLive<Hold[]>('holds', decided ? 'decided=yes' : '');
  const [note, tell] = useTold();
  return (
    <>
      <h1>{say('holds')}</h1>
      <p>{say('holds_intro')}</p>
      {note}
      <label class="choice">
        <input type="checkbox" checked={decided} onChange={() => go(decided ? '/holds' : '/holds?decided=yes', true)} />
        {say('decided_too')}
      </label>
      <Show loaded={loaded}>
        {(holds) =>
          holds.length === 0 ? (
            <Empty word="no_holds" />
          ) : (
            <ul class="cards">
              {holds.map((hold) => (
                <One key={hold.id} hold={hold} told={tell} />
              ))}
            </ul>
          )
        }
      </Show>
      <HoldRules told={tell} />
    </>
  );
}

/** Withdrawals name no class; a class of the roster is told by its year, and by the end of its key where there are more. */
const WITHOUT_CLASS = 'without-class';

function useClassNames(groups: Hold['groups']): (of: Hold['groups'][number]) => string {
  const { say } = useFrame();
  return ({ group, yearGroup, loses }) => {
    if (group === WITHOUT_CLASS) return say('without_class');
    const isAlone = loses.length === 0 || groups.filter((one) => one.yearGroup === yearGroup).length === 1;
    return `${say('group_of_year')} ${yearGroup || '–'}${isAlone ? '' : ` (…${group.slice(-4)})`}`;
  };
}

/** What one class loses, by product. */
function Losses({ of, products }: { of: Hold['groups'][number]; products: Hold['products'] }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  return (
    <>
      {of.loses.map(({ product, learners, licences }, i) => (
        <span key={product}>
          {i > 0 && ', '}
          {(learners.kind !== 'told' || learners.count > 0) && (
            <>
              <strong>
                <Count of={learners} />
              </strong>{' '}
            </>
          )}
          {products.find(({ id }) => id === product)?.title || product}
          {licences > 0 && ` (${numbers(licences)} ${say('of_no_learner')})`}
        </span>
      ))}
    </>
  );
}

/** Ticks by which a part is meant. */
function Part({ hold, chosen, choose }: { hold: Hold; chosen: Chosen; choose: (chosen: Chosen) => void }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  const { difference, groups, products } = hold;
  const classOf = useClassNames(groups);
  return (
    <details>
      <summary>{say('part_of')}</summary>
      <p class="hint">{say('part_hint')}</p>
      {products.length > 1 && (
        <fieldset>
          <legend>{say('part_products')}</legend>
          {products.map(({ id, title }) => (
            <label class="choice" key={id}>
              <input
                type="checkbox"
                checked={chosen.products.includes(id)}
                onChange={() => choose({ ...chosen, products: turned(chosen.products, id) })}
              />
              {title || id}
            </label>
          ))}
        </fieldset>
      )}
      {difference && (
        <fieldset>
          <legend>{say('part_kinds')}</legend>
          {KINDS.filter(([kind]) => difference && difference[kind] > 0).map(([kind, word]) => (
            <label class="choice" key={kind}>
              <input
                type="checkbox"
                checked={chosen.kinds.includes(kind)}
                onChange={() => choose({ ...chosen, kinds: turned(chosen.kinds, kind) })}
              />
              {numbers(difference![kind])} {say(word)}
            </label>
          ))}
        </fieldset>
      )}
      {groups.length > 1 && (
        <fieldset>
          <legend>{say('part_groups')}</legend>
          {groups.map((of) => (
            <label class="choice" key={of.group}>
              <input
                type="checkbox"
                checked={chosen.groups.includes(of.group)}
                onChange={() => choose({ ...chosen, groups: turned(chosen.groups, of.group) })}
              />
              <span>
                {classOf(of)}: <Losses of={of} products={products} />
                {(['left', 'joined', 'moved', 'renamed'] as const)
                  .filter((kind) => of[kind] > 0)
                  .map((kind) => `${numbers(of[kind])} ${say(kind)}`)
                  .join(', ')}
              </span>
            </label>
          ))}
        </fieldset>
      )}
    </details>
  );
}

function One({ hold, told }: { hold: Hold; told: (of: { text: string; flow: string }) => void }) {
  const { say, duty, isLocal } = useFrame();
  const numbers = useNumbers();
  const reason = `reason_${hold.reason}`;
  const state = `hold_state_${hold.state}`;
  const isOpen = hold.state === 'held' || hold.state === 'waiting';
  const name = `${hold.school.name || hold.school.oin} ${hold.schoolYear}`;
  const { difference } = hold;
  const [chosen, choose] = useState<Chosen>(NOTHING);
  const classOf = useClassNames(hold.groups);
  const canPart =
    isOpen &&
    duty === 'operator' &&
    (difference !== undefined || hold.products.length > 1 || (hold.products.length > 0 && hold.groups.length > 1)) &&
    hold.reason !== 'school_change';
  // Elsewhere another person signs in and approves it.
  const second = hold.approvedOnce && isLocal;
  const isThere = stands(hold, chosen);
  const lost = lostBy(hold, chosen);
  const part = [
    ...hold.products.filter(({ id }) => chosen.products.includes(id)).map(({ id, title }) => title || id),
    ...KINDS.filter(([kind]) => chosen.kinds.includes(kind)).map(([, word]) => say(word)),
    ...hold.groups.filter(({ group }) => chosen.groups.includes(group)).map(classOf),
  ];
  const amount = (count: number, atLeast: boolean): string =>
    !atLeast ? numbers(count) : count === 0 ? say('some_left') : `${numbers(count)}+`;
  // What is decided, in words: who says yes sees which part, and of withdrawals how many.
  const what = `${name}: ${part.length === 0 ? say('all_of_it') : part.join(', ')}${hold.products.length > 0 ? ` (${amount(lost.count, lost.kind === 'at_least')} ${say('entitlements_lost', lost.count)})` : ''}`;
  const most = difference ? Math.max(1, difference.before, difference.after) : 1;
  return (
    <li id={hold.id}>
      <h2>
        <Who of={hold.school} />
      </h2>
      <p>
        {say('held_because')} <b>{isWord(reason) ? say(reason) : hold.reason}</b>
        {!isOpen && <> · {isWord(state) ? say(state) : hold.state}</>}
      </p>
      {hold.forgets > 0 && (
        <p>
          <strong>{numbers(hold.forgets)}</strong> {say('forgets', hold.forgets)}
        </p>
      )}
      {hold.products.length > 0 && (
        <ul class="changes">
          {hold.products.map(({ id, title, entitlements, learners, atLeast }) => (
            <li key={id} class="takes">
              <strong>{amount(entitlements, atLeast)}</strong> {say('entitlements_lost', atLeast ? 2 : entitlements)}:{' '}
              {title || id}
              {learners > 0 && !atLeast && ` (${numbers(learners)} ${say('of_one_learner')})`}
            </li>
          ))}
        </ul>
      )}
      {hold.products.length > 0 && hold.groups.length > 0 && (
        <>
          <h3>{say('lost_by_class')}</h3>
          <ul class="changes">
            {hold.groups.map((of) => (
              <li key={of.group} class="takes">
                {classOf(of)}: <Losses of={of} products={hold.products} />
              </li>
            ))}
          </ul>
          <p class="hint">{say('classes_elsewhere')}</p>
        </>
      )}
      {difference && (
        <div class="difference">
          <h3>{say('difference')}</h3>
          <svg
            class="two"
            viewBox="0 0 300 44"
            preserveAspectRatio="none"
            role="img"
            aria-label={`${say('learners_before_after')}: ${difference.before}, ${difference.after}`}
          >
            <rect x="0" y="2" height="18" width={(difference.before / most) * 300} class="before" />
            <rect x="0" y="24" height="18" width={(difference.after / most) * 300} class="after" />
          </svg>
          <p>
            {say('learners_before_after')}: <strong>{numbers(difference.before)}</strong> →{' '}
            <strong>{numbers(difference.after)}</strong>
          </p>
          <ul class="changes">
            {KINDS.filter(([kind]) => difference[kind] > 0).map(([kind, word, takes]) => (
              <li key={kind} class={takes ? 'takes' : undefined}>
                <strong>{numbers(difference[kind])}</strong> {say(word, difference[kind])}
              </li>
            ))}
          </ul>
          {difference.groupsClosed > 0 && <p class="hint">{say('names_elsewhere')}</p>}
        </div>
      )}
      <dl>
        {hold.schoolYear !== '' && (
          <>
            <dt>{say('year')}</dt>
            <dd>{hold.schoolYear}</dd>
          </>
        )}
        {hold.site !== '' && (
          <>
            <dt>{say('site')}</dt>
            <dd>{hold.site}</dd>
          </>
        )}
        {hold.administration !== '' && (
          <>
            <dt>{say('administration')}</dt>
            <dd>{hold.administration}</dd>
          </>
        )}
        <dt>{say('from')}</dt>
        <dd>
          <Who of={hold.by} />
        </dd>
        <dt>{say('since')}</dt>
        <dd>
          <When at={hold.since} />
        </dd>
      </dl>
      <Ruling rule={hold.rule} near={isOpen ? hold.near : undefined} />
      {hold.part && isOpen && <p class="hint">{say('hold_part')}</p>}
      {hold.products.some(({ atLeast }) => atLeast) && <p class="hint">{say('rest_at_least')}</p>}
      {hold.approvedOnce && <p class="hint">{say('approved_once')}</p>}
      {canPart && <Part hold={hold} chosen={chosen} choose={choose} />}
      {!isThere && (
        <div class="note wait" role="status">
          <p>{say('hold_changed')}</p>
          <button type="button" class="plain" onClick={() => choose(NOTHING)}>
            {say('choose_anew')}
          </button>
        </div>
      )}
      <div class="row">
        {isOpen && isThere && duty === 'operator' && (
          <>
            <Act
              word={second ? 'approve_second' : 'approve'}
              sure={
                second
                  ? 'second_sure'
                  : hold.forgets > 0
                    ? 'forget_sure'
                    : hold.products.length > 0
                      ? 'withdraw_sure'
                      : 'approve_sure'
              }
              kind="main"
              about={what}
              path="/api/holds/decide"
              body={{ hold: hold.id, approve: true, second, ...chosen }}
              done={({ flow, decided, waits }) => {
                if (!waits) choose(NOTHING);
                told({ text: say(waits ? 'approved_once' : decided ? 'approved_done' : 'decided_later'), flow });
              }}
            />
            <Act
              word="reject"
              sure="reject_sure"
              kind="stop"
              about={what}
              path="/api/holds/decide"
              body={{ hold: hold.id, approve: false, ...chosen }}
              done={({ flow, decided }) => {
                choose(NOTHING);
                told({ text: say(decided ? 'rejected_done' : 'decided_later'), flow });
              }}
            />
          </>
        )}
        {hold.reason === 'freeze' && <Link to="/freezes">{say('freezes_see')}</Link>}
        <FlowLink id={hold.flow} />
      </div>
    </li>
  );
}
