import { useEffect, useRef, useState } from 'preact/hooks';
import type { Why } from '../../types.ts';
import { post, useAsk } from '../api.ts';
import { toMain, useFrame } from '../app.tsx';
import { Empty, SaidInAll, Show, Stopped, Table, Who } from '../ui.tsx';
import { isWord } from '../words.ts';
import { Field } from './flows.tsx';

type By = 'order' | 'product' | 'learner' | 'party';

/** A question about an order, a product or a party stands in the address; one about a learner never does. */
export function WhyPage() {
  const { say, query, go, token } = useFrame();
  // What somebody chose counts until an address is gone to, which says by what it asks.
  const [chosen, setChosen] = useState<{ at: URLSearchParams; by: By }>();
  const asks: By = query.has('order')
    ? 'order'
    : query.has('product')
      ? 'product'
      : query.has('party')
        ? 'party'
        : 'order';
  const by = chosen?.at === query ? chosen.by : asks;
  const { loaded, ask, forget } = useAsk<Why>();
  const form = useRef<HTMLFormElement>(null);
  const [order, product, school, party] = ['order', 'product', 'school', 'party'].map(
    (name) => query.get(name) ?? '',
  ) as [string, string, string, string];
  const question = (asked: { school?: string; order?: string; product?: string; learner?: string; party?: string }) =>
    ask(() => post<Why>('/api/why', asked, token));
  // Each time that an address is gone to, also the same one: something else may have been asked since.
  useEffect(() => {
    if (order !== '') question({ order });
    else if (product !== '' && school !== '') question({ school, product });
    else if (product === '' && party !== '') question({ party, school });
    else forget();
  }, [query]);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string): string => String(given.get(name) ?? '').trim();
    if (by === 'learner') {
      question({ school: text('school'), learner: text('learner') });
      history.replaceState(null, '', '/why');
      setErased((before) => before + 1);
      toMain();
      return;
    }
    const asked: Record<string, string> =
      by === 'order'
        ? { order: text('order') }
        : by === 'product'
          ? { product: text('product'), school: text('school') }
          : { party: text('party'), ...(text('school') === '' ? {} : { school: text('school') }) };
    const to = `/why?${new URLSearchParams(asked)}`;
    if (to === `${location.pathname}${location.search}`) question(asked);
    else go(to);
  };
  const [erased, setErased] = useState(0);
  return (
    <>
      <h1>{say('why')}</h1>
      <p>{say('why_intro')}</p>
      <form class="search" onSubmit={submit} ref={form} key={erased}>
        <fieldset class="wide choices">
          <legend class="hidden">{say('ask')}</legend>
          {(['order', 'product', 'learner', 'party'] as const).map((one) => (
            <label key={one} class="choice">
              <input
                type="radio"
                name="by"
                value={one}
                checked={by === one}
                onChange={() => {
                  setChosen({ at: query, by: one });
                  forget();
                }}
              />
              {say(`by_${one}`)}
            </label>
          ))}
        </fieldset>
        {by === 'order' && <Field name="order" label={say('order_label')} value={order} wide required />}
        {by === 'product' && <Field name="product" label={say('product_label')} value={product} required />}
        {by === 'learner' && (
          // An ECK iD has more characters than any other number.
          <Field name="learner" label={say('learner_label')} hint={say('learner_hint')} value="" most={256} required />
        )}
        {by === 'party' && <Field name="party" label={say('why_party_label')} value={party} required />}
        {by !== 'order' && <Field name="school" label={say('school_label')} value={school} required={by !== 'party'} />}
        <button type="submit" class="main">
          {say('ask')}
        </button>
      </form>
      {loaded === undefined ? (
        <Empty word="nothing_asked" />
      ) : (
        <Show loaded={loaded}>{(why) => <Answer why={why} />}</Show>
      )}
    </>
  );
}

/** So many causes are shown one by one. */
const MOST = 50;

function Answer({ why }: { why: Why }) {
  const { say } = useFrame();
  return (
    <div aria-live="polite">
      <section>
        <h2>{why.blockers.length === 0 ? say('nothing_blocks') : say('blocks')}</h2>
        <p>
          <SaidInAll told={why.told} first={why.blockers[0]} />
        </p>
        {why.blockers.slice(0, MOST).map((one, i) => (
          <Stopped key={`${one.code}${one.flow}${i}`} of={one} />
        ))}
        {(why.partial || why.blockers.length > MOST) && <p class="hint">{say('partial')}</p>}
      </section>
      {why.has.length > 0 && (
        <section>
          <h2>{say('licences')}</h2>
          <Table name={say('licences')} heads={['licence', 'holder', 'until', 'opens_at']}>
            {why.has.slice(0, MOST).map((one, i) => {
              const holder = `holder_${one.holder}`;
              return (
                <tr key={`${one.entitlement}${i}`}>
                  <td>{one.title || one.product || say('sensitive')}</td>
                  <td>{isWord(holder) ? say(holder) : one.holder}</td>
                  <td>{one.endsOn}</td>
                  <td>{one.code === '' ? <Who of={one.platform} /> : <code>{one.code}</code>}</td>
                </tr>
              );
            })}
          </Table>
        </section>
      )}
      {why.earlier.length > 0 && (
        <section>
          <h2>{say('earlier')}</h2>
          {why.earlier.slice(0, MOST).map((one, i) => (
            <Stopped key={`${one.code}${one.flow}${i}`} of={one} />
          ))}
        </section>
      )}
    </div>
  );
}
