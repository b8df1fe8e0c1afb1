import { useState } from 'preact/hooks';
import type { HoldRule, RuledHold, RulePreview } from '../../types.ts';
import { get, useAsk, useLive } from '../api.ts';
import { useFrame } from '../app.tsx';
import { Act, Show, State, useNumbers, When, Who } from '../ui.tsx';
import { isWord, type Word } from '../words.ts';
import { Field } from './flows.tsx';

type Tell = (of: { text: string; flow: string }) => void;

/** What a rule may let go, as the form asks for it. */
const KINDS = ['leavers', 'groups', 'renames', 'withdrawals'] as const;

/** A word of the gateway in the language of the page; one that is none here is said as it came. */
function useWord(): (prefix: string, word: string) => string {
  const { say } = useFrame();
  return (prefix, word) => {
    const name = `${prefix}_${word}`;
    return isWord(name) ? say(name) : word;
  };
}

/** Rules that let go what would wait: which stand, set one, approve and end one. */
export function HoldRules({ told }: { told: Tell }) {
  const { say, duty } = useFrame();
  const loaded = useLive<HoldRule[]>('holds/rules');
  return (
    <section aria-labelledby="rules">
      <h2 id="rules">{say('rules')}</h2>
      <p class="hint">{say('rules_intro')}</p>
      {/* The page says itself that it is loading. */}
      {loaded.state !== 'loading' && (
        <Show loaded={loaded}>
          {(rules) =>
            rules.length === 0 ? (
              <p>{say('no_rules')}</p>
            ) : (
              <ul class="cards">
                {rules.map((rule) => (
                  <One key={rule.id} rule={rule} told={told} />
                ))}
              </ul>
            )
          }
        </Show>
      )}
      {duty === 'operator' && <New told={told} />}
    </section>
  );
}

/** The rule that let a hold go, or which one comes near and why it does not. */
export function Ruling({
  rule,
  near,
}: {
  rule?: string | undefined;
  near?: { rule: string; why: string } | undefined;
}) {
  const { say } = useFrame();
  const wordOf = useWord();
  if (rule !== undefined)
    return (
      <p class="hint">
        {say('rule_released')} <code>…{rule.slice(-6)}</code>
      </p>
    );
  if (near === undefined) return null;
  return (
    <p class="hint">
      {say('rule_near')} <code>…{near.rule.slice(-6)}</code>: {wordOf('rule_why', near.why)}
    </p>
  );
}

function One({ rule, told }: { rule: HoldRule; told: Tell }) {
  const { say, duty, isLocal } = useFrame();
  const numbers = useNumbers();
  const wordOf = useWord();
  const isOpen = rule.state !== 'over' && rule.state !== 'ended';
  const about = `${rule.reason}: ${rule.school ? rule.school.name || rule.school.oin : say('rule_all_schools')}`;
  const answered = (done: Word) => (came: { flow: string; decided: boolean }) =>
    told({ text: say(came.decided ? done : 'decided_later'), flow: came.flow });
  return (
    <li id={rule.id}>
      <h3>
        {rule.reason} <State is={`rule_state_${rule.state}`} />
      </h3>
      <p>{rule.school ? <Who of={rule.school} /> : say('rule_all_schools')}</p>
      <dl>
        <dt>{say('rule_lets_go')}</dt>
        <dd>
          {rule.kinds.map((kind) => wordOf('rule_kind', kind)).join(', ')}
          {rule.yearGroups.length > 0 && ` (${say('rule_years')} ${rule.yearGroups.join(', ')})`}
        </dd>
        <dt>{say('rule_most')}</dt>
        <dd>
          {numbers(rule.percent)} %{rule.count > 0 && `, ${say('rule_and')} ${numbers(rule.count)}`}
        </dd>
        <dt>{say('freeze_from')}</dt>
        <dd>
          <When at={rule.from} />
        </dd>
        <dt>{say('freeze_to')}</dt>
        <dd>
          <When at={rule.until} />
          {rule.endsSoon && (
            <>
              {' '}
              <State is="rule_ends_soon" />
            </>
          )}
        </dd>
        <dt>{say('freeze_by')}</dt>
        <dd>
          <Who of={rule.by} /> {rule.person !== '' && <code>{rule.person}</code>}
        </dd>
        <dt>{say('rule_used')}</dt>
        <dd>
          <Used rule={rule} />
        </dd>
        <dt>{say('rule_count')}</dt>
        <dd>{numbers(rule.released)}</dd>
        <dt>{say('rule_id')}</dt>
        <dd>
          <code>…{rule.id.slice(-6)}</code>
        </dd>
      </dl>
      {rule.state === 'asked' && <p class="hint">{say('rule_asked')}</p>}
      {isOpen && duty === 'operator' && (
        <div class="row">
          {rule.state === 'asked' && (
            <Act
              word={isLocal ? 'rule_approve_second' : 'approve'}
              sure={isLocal ? 'second_sure' : 'rule_approve_sure'}
              kind="main"
              about={about}
              path="/api/holds/rules/approve"
              body={{ rule: rule.id, second: isLocal }}
              done={answered('rule_approved')}
            />
          )}
          <Act
            word="rule_end"
            sure="rule_end_sure"
            kind="stop"
            about={about}
            path="/api/holds/rules/end"
            body={{ rule: rule.id }}
            done={answered('rule_ended')}
          />
        </div>
      )}
    </li>
  );
}

/** Schools of a rule of all that are named: the fullest. */
const NAMED = 5;

/** How much of a rule is used: at its school, or where most of it is. */
function Used({ rule }: { rule: HoldRule }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  const wordOf = useWord();
  const used = rule.used.slice(0, NAMED);
  if (used.length === 0) return <>{say('rule_unused')}</>;
  const others = rule.schools - new Set(used.map(({ school }) => school.oin)).size;
  return (
    <ul class="changes">
      {used.map(({ school, kind, of, count, beside, most }) => (
        <li key={`${school.oin} ${kind} ${of}`} class={(count + beside) * 5 >= most * 4 ? 'takes' : undefined}>
          <strong>
            {numbers(count + beside)} {say('rule_of')} {numbers(most)}
          </strong>{' '}
          {wordOf('rule_used', of)}
          {rule.kinds.length > 1 && ` (${wordOf('rule_kind', kind)})`}
          {beside > 0 && `, ${numbers(beside)} ${say('rule_beside')}`}
          {!rule.school && (
            <>
              {' · '}
              <Who of={school} />
            </>
          )}
        </li>
      ))}
      {others > 0 && (
        <li>
          {say('rule_used_elsewhere')} {numbers(others)}
        </li>
      )}
    </ul>
  );
}

const NAMES = ['school', 'years', 'percent', 'count', 'from', 'until', 'reason'] as const;
type Wanted = Record<(typeof NAMES)[number] | 'kinds', string> & { all: boolean; waiting: boolean };

/** What is asked for stands in no address of a page: a link never sets anything. */
function New({ told }: { told: Tell }) {
  const { say } = useFrame();
  const { loaded, ask, forget } = useAsk<{ wanted: Wanted; seen: RulePreview }>();
  // Set, the form begins anew.
  const [turn, setTurn] = useState(0);
  const look = (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const texts = Object.fromEntries(NAMES.map((name) => [name, String(given.get(name) ?? '').trim()]));
    const more = { all: given.get('all') !== null, waiting: given.get('waiting') !== null };
    const wanted = { ...texts, ...more, kinds: given.getAll('kind').join(',') } as Wanted;
    const query = new URLSearchParams(wanted.all ? { all: 'yes' } : {});
    // Its name is not looked at, so it is in no address.
    for (const name of [...NAMES, 'kinds'] as const)
      if (name !== 'reason' && wanted[name] !== '') query.set(name, wanted[name]);
    ask(async () => ({ wanted, seen: await get<RulePreview>(`/api/holds/rules/preview?${query}`) }));
  };
  return (
    <section aria-labelledby="new-rule">
      <h3 id="new-rule">{say('rule_new')}</h3>
      <form class="search roomy" onSubmit={look} onInput={forget} key={turn}>
        <Field name="school" label={say('school_label')} value="" />
        <label class="choice wide">
          <input type="checkbox" name="all" />
          {say('rule_all')}
        </label>
        <fieldset class="wide choices">
          <legend>{say('rule_lets_go')}</legend>
          {KINDS.map((kind) => (
            <label class="choice" key={kind}>
              <input type="checkbox" name="kind" value={kind} />
              {say(`rule_kind_${kind}`)}
            </label>
          ))}
        </fieldset>
        <Field name="years" label={say('rule_years_label')} hint="8" value="" />
        <Field name="percent" label={say('rule_percent_label')} hint="15" value="" most={3} required />
        <Field name="count" label={say('rule_count_label')} hint="90" value="" most={6} />
        <Field name="from" label={say('freeze_from_label')} hint="2027-07-01" value="" most={16} />
        <Field name="until" label={say('rule_until_label')} hint="2027-07-31" value="" most={16} required />
        <Field name="reason" label={say('freeze_reason_label')} hint="year-end-2027" value="" most={64} required />
        <label class="choice wide">
          <input type="checkbox" name="waiting" />
          {say('rule_waiting')}
        </label>
        <button type="submit" class="main" disabled={loaded?.state === 'loading'}>
          {say('rule_look')}
        </button>
      </form>
      {loaded && (
        <Show loaded={loaded}>
          {({ wanted, seen }) => (
            <section class="note wait" aria-label={say('rule_would')} aria-live="polite">
              <h4>{say('rule_would')}</h4>
              <Seen title={say('rule_now')} holds={seen.waiting} />
              {!wanted.waiting && seen.waiting.length > 0 && <p class="hint">{say('rule_waits_on')}</p>}
              <Seen title={say('rule_before')} holds={seen.decided} />
              <div class="row">
                <Act
                  word="rule_set"
                  sure="rule_set_sure"
                  kind="main"
                  about={wanted.reason}
                  path="/api/holds/rules/set"
                  body={wanted}
                  done={({ flow, decided, waits, stood }) => {
                    forget();
                    setTurn(turn + 1);
                    const word = !decided
                      ? 'decided_later'
                      : waits
                        ? 'rule_asked'
                        : stood
                          ? 'rule_stood'
                          : 'rule_was_set';
                    told({ text: say(word), flow });
                  }}
                />
              </div>
            </section>
          )}
        </Show>
      )}
    </section>
  );
}

/** Holds beside the rule: what of each, and whether it goes. */
function Seen({ title, holds }: { title: string; holds: readonly RuledHold[] }) {
  const { say } = useFrame();
  const numbers = useNumbers();
  const wordOf = useWord();
  const go = holds.filter(({ why }) => why === '').length;
  return (
    <>
      <h5>
        {title}: {numbers(go)} {say('rule_of')} {numbers(holds.length)}
      </h5>
      {holds.length > 0 && (
        <ul class="changes">
          {holds.map(({ id, school, state, since, asks, why }) => (
            <li key={id} class={why === '' ? undefined : 'takes'}>
              <Who of={school} />, <When at={since} />:{' '}
              {asks
                .map(({ kind, of, count, base }) =>
                  of === ''
                    ? wordOf('reason', kind)
                    : `${wordOf('rule_kind', kind)}: ${numbers(count)} ${say('rule_of')} ${numbers(base)}`,
                )
                .join(', ')}
              {' · '}
              {wordOf('hold_state', state)}
              {' · '}
              <b>{why === '' ? say('rule_goes') : wordOf('rule_why', why)}</b>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
