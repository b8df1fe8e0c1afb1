import { expect, test } from 'vitest';
import { settings } from '#kernel';

/** What is the same in every language: names of settings, documents, addresses, numbers. */
const names = (text: string): string[] =>
  (
    text.match(/\b(?:EDUK|OTEL)_[A-Z_]+|_[A-Z]{3,}(?:_[A-Z]+)*|docs\/[\w/.-]*\w|https?:\/\/\S*\w|\b\d+\b/g) ?? []
  ).sort();

test.each(Object.entries(settings))('the setting %s says in Dutch what it says in English', (_, { about, nl }) => {
  expect(nl).toMatch(/^\S.*\.$/s);
  expect(nl).not.toBe(about);
  // Programs do not telephone.
  expect(nl).not.toMatch(/\bbel(?:t|len)\b/);
  expect(names(nl)).toEqual(names(about));
});
