import { expect, test } from 'vitest';
import { AuditKind, AuditRecord } from '#proto/eduk/core/v1/audit';
import { marksOf, mayHold } from './marks.ts';

const TILES = 30;
const nothing = {
  fromDay: '',
  toDay: '',
  partyOin: '',
  schoolOin: '',
  kind: AuditKind.AUDIT_KIND_UNSPECIFIED,
  method: '',
};
const kind = AuditKind.AUDIT_KIND_ACCEPTED;

/** 256 leaves of as many schools, which no other tile has. */
const tileOf = (tile: number): AuditRecord[] =>
  Array.from({ length: 256 }, (_, i) =>
    AuditRecord.fromPartial({ kind, partyOin: `p${i % 9}`, schoolOin: `s${tile * 256 + i}`, method: `m${i % 5}` }),
  );

test('what stands in a tile is found by its marks, and they are the same again after more words than are remembered', () => {
  const first = marksOf(tileOf(0));
  for (let tile = 0; tile < TILES; tile++) {
    const records = tileOf(tile);
    const marks = marksOf(records);
    for (const { partyOin, schoolOin, method } of records)
      expect(mayHold({ ...nothing, partyOin, schoolOin, kind, method })(marks)).toBe(true);
  }
  expect(Buffer.compare(marksOf(tileOf(0)), first)).toBe(0);
});

test('of what does not stand in a tile little is looked for there', () => {
  const marks = marksOf(tileOf(0));
  const strange = Array.from({ length: 1_000 }, (_, i) =>
    mayHold({ ...nothing, partyOin: 'p1', schoolOin: `x${i}` })(marks),
  );
  expect(strange.filter(Boolean).length).toBeLessThan(50);
});
