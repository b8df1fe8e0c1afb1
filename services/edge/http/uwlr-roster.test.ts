import { expect, test } from 'vitest';
import { GatewayError } from '#kernel';
import { LearnerRef, Person } from '#proto/eduk/core/v1/learner';
import { Role } from '#proto/eduk/core/v1/party';
import { LearnerEntry, StaffEntry } from '#proto/eduk/events/v1/rosters';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { answerRoster } from './uwlr-roster.ts';

const school = '0000000700099XX00000';
const year = '2026-2027';

/** A door to a school of so many pupils and one teacher, and how many people it revealed. */
function doorTo(pupils: number) {
  const seen = { revealed: 0, isClosed: false };
  const learners = Array.from({ length: pupils }, (_, i) => LearnerEntry.fromPartial({ learner: `L${i}` }));
  const whole = {
    known: true,
    changedMs: 1_000n,
    asOf: '',
    sites: [],
    groups: [],
    staff: [StaffEntry.fromPartial({ staff: 'S1' })],
    schoolYear: year,
  };
  const gate = {
    door: {
      clock: { now: () => 2_000 },
      chain: {
        isClosed: () => seen.isClosed,
        knowsSchool: () => true,
        party: () => undefined,
        standing: () => undefined,
      },
      services: {
        rosters: {
          getRoster: async ({ after, limit }: { after: string; limit: number }) => {
            const from = after === '' ? 0 : Number(after);
            const next = from + limit < pupils ? String(from + limit) : '';
            return { ...whole, learners: learners.slice(from, from + limit), next };
          },
        },
        vault: {
          openTexts: async () => ({ texts: [], keys: [] }),
          reveal: async ({ wanted }: { wanted: { token: string }[] }) => {
            seen.revealed += wanted.length;
            return {
              revealed: wanted.map(({ token }) => ({
                known: true,
                ref: LearnerRef.fromPartial({ lasKey: token }),
                person: Person.fromPartial({
                  familyName: `Naam ${token}`,
                  initials: 'A.',
                  birthDate: '2015-03-01',
                  gender: '1',
                }),
              })),
            };
          },
        },
      },
    },
  } as unknown as Gate;
  return { gate, seen };
}

const caller: Caller = { kind: 'party', oin: school, roles: new Set([Role.ROLE_SCHOOL]) };
const ask = (gate: Gate) =>
  answerRoster(gate, caller, {
    operation: 'HaalLeerlinggegevens',
    school,
    question: {
      school: { schoolOin: school, siteCode: '', schoolKey: '' },
      schoolYear: year,
      changedSince: undefined,
      setName: '',
      version: '2.3',
    },
  });

test('people are revealed as far as the reader has come, and no further: a page at a time', async () => {
  const { gate, seen } = doorTo(1_200);
  const { first, rest } = await ask(gate);
  expect([first.includes('key="L249"'), seen.revealed]).toEqual([true, 250]);
  let most = 0;
  let all = first;
  for await (const piece of rest!) {
    const before = seen.revealed;
    all += piece;
    most = Math.max(most, piece.length);
    expect(seen.revealed).toBe(before);
  }
  expect(seen.revealed).toBe(1_201);
  expect([...all.matchAll(/<leerling key=/g)]).toHaveLength(1_200);
  expect(most).toBeLessThan(all.length / 4);
});

test('when it ends on the way nobody is revealed any more, the staff behind the last page neither', async () => {
  for (const pages of [1, 2]) {
    const { gate, seen } = doorTo(500);
    const { rest } = await ask(gate);
    if (pages === 2) await rest!.next();
    seen.isClosed = true;
    await expect(rest!.next()).rejects.toSatisfy(
      (thrown) => thrown instanceof GatewayError && thrown.fault === 'mandate.ended',
    );
    expect(seen.revealed).toBe(pages * 250);
  }
});
