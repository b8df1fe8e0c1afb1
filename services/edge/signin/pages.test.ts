import { describe, expect, test } from 'vitest';
import { Mandate, MandateState, ProcessingPurpose, Service } from '#proto/eduk/core/v1/party';
import type { Gate } from '../gate.ts';
import { html, pageHeaders, pageOf } from './html.ts';
import { type Item, narrowed } from './mandates.ts';
import { factsOf, type Viewer } from './pages.ts';
import { langOf, sayDay, sayService } from './words.ts';

describe('html', () => {
  test('escapes all that is put into it, but its own pieces', () => {
    const evil = `<b onclick="x" class='y'>&${'`'}`;
    expect(html`<p title="${evil}">${evil}</p>`.toString()).toBe(
      '<p title="&lt;b onclick=&quot;x&quot; class=&#39;y&#39;&gt;&amp;&#96;">&lt;b onclick=&quot;x&quot; class=&#39;y&#39;&gt;&amp;&#96;</p>',
    );
    expect(html`<ul>${[1, 2].map((n) => html`<li>${n}</li>`)}</ul>${false}${undefined}`.toString()).toBe(
      '<ul><li>1</li><li>2</li></ul>',
    );
    // What would hide in a name.
    expect(html`a\u202eb\u0000c\u200bd\u2028e${'a\u202eb\u0000c\u200bd\u2028e'}`.toString()).toContain('a b c d e');
  });

  test('a page has its style by hash, and no other', () => {
    const page = pageOf({ lang: 'nl', title: 'x', skip: 'x', header: html``, main: html``, footer: 'x' });
    expect(page.match(/<style>/g)).toHaveLength(1);
    expect(pageHeaders['content-security-policy']).toMatch(/style-src 'sha256-[\w+/=]{44}';/);
  });
});

test('Dutch first, English where the browser would rather have it', () => {
  for (const accepted of [undefined, '', '*', 'nl', 'fr,de', 'nl-NL,nl;q=0.9,en;q=0.8', 'en;q=0.5,nl;q=0.5', 'en;q=0'])
    expect([accepted, langOf(accepted)]).toEqual([accepted, 'nl']);
  for (const accepted of ['en', 'en-GB,en;q=0.9', 'de,en;q=0.7,nl;q=0.3'])
    expect([accepted, langOf(accepted)]).toEqual([accepted, 'en']);
  expect([sayDay('2027-07-31', 'nl'), sayDay('2027-07-31', 'en'), sayDay('x', 'nl')]).toEqual([
    '31 juli 2027',
    '31 July 2027',
    '',
  ]);
});

test('a roster is no timetable to a school', () => {
  expect(sayService(Service.SERVICE_ROSTER, 'nl')).toBe('Leerlingen, groepen en medewerkers');
});

describe('to narrow', () => {
  const { SERVICE_ROSTER, SERVICE_ORDER, SERVICE_ACCESS } = Service;
  const mandate = (more: Partial<Mandate>) =>
    Mandate.fromPartial({ services: [SERVICE_ROSTER, SERVICE_ORDER], ...more });

  test('keeps of services and of a list what was chosen of them, and adds nothing', () => {
    expect(
      narrowed(mandate({ attributes: ['eck_id', 'groups'] }), [SERVICE_ORDER, SERVICE_ACCESS], ['groups', 'email']),
    ).toEqual([{ services: [SERVICE_ORDER], attributes: ['groups'] }]);
  });
  test('without a list stays without one while nothing of it was taken out', () => {
    expect(narrowed(mandate({}), [SERVICE_ORDER], ['eck_id', 'groups', 'call_name'])).toEqual([
      { services: [SERVICE_ORDER], attributes: [] },
    ]);
  });
  test('without a list becomes one a service, so that a list for both gives neither more', () => {
    expect(narrowed(mandate({}), [SERVICE_ROSTER, SERVICE_ORDER], ['eck_id', 'call_name'])).toEqual([
      { services: [SERVICE_ROSTER], attributes: ['eck_id', 'call_name'] },
      { services: [SERVICE_ORDER], attributes: ['eck_id'] },
    ]);
  });
  test('to nothing is refused: an empty list would be the default', () => {
    for (const [of, services, attributes] of [
      [mandate({}), [], ['eck_id']],
      [mandate({}), [SERVICE_ACCESS], ['eck_id']],
      [mandate({}), [SERVICE_ROSTER, SERVICE_ORDER], ['call_name']],
      [mandate({ attributes: ['groups'] }), [SERVICE_ROSTER], []],
      [mandate({ attributes: ['groups'] }), [SERVICE_ROSTER], ['eck_id']],
    ] as const)
      expect(() => narrowed(of, services, attributes)).toThrow(/[Nn]othing is left/);
  });
});

test('what a mandate says is told: purpose, sites and version too, where it has them', () => {
  const viewer = {
    gate: { door: { chain: { party: (oin: string) => ({ name: `Naam ${oin.slice(-4)}` }) } } } as unknown as Gate,
    lang: 'nl',
    session: undefined,
  } as Viewer;
  const plain = Mandate.fromPartial({
    mandateId: 'm-1',
    schoolOin: '0000000700099AA00000',
    partyOin: '00000003222222220000',
    services: [Service.SERVICE_ORDER],
    agreement: 'VO-1',
    state: MandateState.MANDATE_STATE_UNCONFIRMED,
    enteredBy: 'operator',
    validFrom: '2026-08-01',
  });
  const told = (mandate: Mandate) =>
    Object.fromEntries(factsOf(viewer, { id: 'm-1', parts: [mandate], whole: false, state: mandate.state } as Item));
  expect(told(plain)).toMatchObject({
    agreement: 'VO-1',
    valid: 'vanaf 1 augustus 2026 zonder einddatum',
    entered_by: 'de beheerder van het koppelpunt',
  });
  expect(told(plain)['purpose']).toBeUndefined();
  const more = {
    ...plain,
    agreementVersion: '4.0',
    purposes: [ProcessingPurpose.PROCESSING_PURPOSE_SUPPLY],
    siteCodes: ['01', '02'],
  };
  expect(told(more)).toMatchObject({
    agreement: 'VO-1, versie 4.0',
    purpose: ['Leermiddelen bestellen en leveren'],
    sites: '01, 02',
  });
});
