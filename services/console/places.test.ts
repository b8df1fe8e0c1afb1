import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { askedIn, PAGES, pageAsked as pageAskedAt } from './places.ts';

const OWN = 'https://console.example';
const pageAsked = (to: string | null) => pageAskedAt(to, OWN);

describe('the page that was asked for', () => {
  test.each([
    '/flow?id=0192f3a1-0000-7000-8000-000000000000',
    '/flows?q=order-1&state=held',
    '/why?order=a%2Fb',
    '/freezes',
    '/',
  ])('is %s', (to) => {
    expect(pageAsked(to)).toBe(to);
  });

  test.each([
    ['another host', '//evil.example/flow'],
    ['one behind a backslash', '/\\evil.example/flow'],
    ['one behind two', '\\\\evil.example/flow'],
    ['one behind a tab, which browsers leave out', '/\t/evil.example/flow'],
    ['one behind a line, which they leave out too', '/\n\\evil.example/flow'],
    ['one with a scheme', 'https://evil.example/flow'],
    ['a scheme without a host', 'https:evil.example/flow'],
    ['a scheme alone', 'http:/flow'],
    ['a script', 'javascript:alert(1)//flow'],
    ['data', 'data:text/html,flow'],
    ['one that is encoded', '%2F%2Fevil.example/flow'],
    ['one that is encoded behind a slash', '/%2Fevil.example/flow'],
    ['one that is encoded with a backslash', '/%5Cevil.example/flow'],
    ['one that is encoded twice', '/%252Fevil.example/flow'],
    ['one behind dots', '/.//evil.example/flow'],
    ['one behind more dots', '/flow/..//evil.example'],
    ['somebody at a host', '/@evil.example'],
    ['its own host', `${OWN}/flow`],
    ['its own host without a scheme', '//console.example/flow'],
    ['a path without a slash', 'flow?id=1'],
    ['no page', '/nergens'],
    ['what is no page to look at', '/api/sign-out'],
    ['signing in', '/sign-in?to=/flow'],
    ['the way back from the provider', '/sign-in/callback?code=x'],
    ['a page that was shared', '/shared?link=AbCdEfGhIjKlMnOp'],
    ['what every object has', '/constructor'],
    ['nothing', ''],
    ['too much', `/flow?id=${'x'.repeat(1_000)}`],
    ['what becomes too much', `/flow?id=${'é'.repeat(400)}`],
  ])('is the first one for %s', (_what, to) => {
    expect(pageAsked(to)).toBe('/');
  });

  test('has the parts of its own query, and no other: who somebody is never goes along', () => {
    expect(pageAsked('/why?order=o-1&learner=sleutel&eckid=x#geheim')).toBe('/why?order=o-1');
    expect(pageAsked('/holds?decided=')).toBe('/holds');
    expect(pageAsked(null)).toBe('/');
    // It is itself again however often it is asked, and stands in a query as one part.
    for (const to of [...PAGES, '/flows?q=a%26b%23c&school=99ZX'])
      expect(pageAsked(new URL(`/sign-in${askedIn(pageAsked(to), '?')}`, 'http://x').searchParams.get('to'))).toBe(
        pageAsked(to),
      );
  });

  test('has every part that the page reads', () => {
    const pages = new URL('./web/pages/', import.meta.url);
    const read = readdirSync(pages).flatMap((file) => {
      const path = `/${file.replace(/\.tsx$/, '')}`;
      const text = readFileSync(new URL(file, pages), 'utf8');
      return [...text.matchAll(/query\.get\('([a-z]+)'\)/g)].map(([, name]) => `${path}?${name}=1`);
    });
    // Where somebody signs in, or opens what was shared, nobody is led back to.
    const kept = read.filter(
      (one) => PAGES.includes(one.slice(0, one.indexOf('?'))) && !/^\/(shared|sign-in)\?/.test(one),
    );
    expect(kept.length).toBeGreaterThan(10);
    expect(kept.filter((one) => pageAsked(one) !== one)).toEqual([]);
  });
});
