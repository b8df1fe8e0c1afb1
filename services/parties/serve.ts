/** Answers eduk.parties.v1 from rows. */
import type { EngineView } from '#bus';
import { type Implementation, implement } from '#kernel';
import { Freeze, HoldRule, Mandate, MandateReview } from '#proto/eduk/core/v1/party';
import {
  type FindSessionResponse,
  PartiesServiceDefinition,
  PartyRow,
  RegisterRun,
} from '#proto/eduk/parties/v1/parties';
import {
  assertionsTable,
  freezesTable,
  holdRulesTable,
  type LinkTableRow,
  linksTable,
  mandatesTable,
  pairsTable,
  partiesTable,
  type RegisterTableRow,
  registersTable,
  reviewsTable,
  type SessionTableRow,
  sessionsTable,
  versionTable,
} from './tables.ts';

/** Assertions that leave with one that comes. */
const LEAVE_AT_ONCE = 20;
/** How far the clocks of doors may be apart, ms. */
const CLOCKS_MS = 600_000;
/** A session is over when nobody asked for it this long, or this long after it began, ms. */
export const IDLE_MS = 30 * 60_000;
export const LONGEST_MS = 8 * 3_600_000;
/** Of the console's, which tell by themselves when they end. */
const LONGEST_CONSOLE_MS = 12 * 3_600_000;
/** How exactly it is kept when it was last asked for, ms: not every page is worth a write. */
const SEEN_MS = 60_000;

const isOver = ({ seenMs, endsMs }: SessionTableRow, now: number): boolean => now >= endsMs || now - seenMs >= IDLE_MS;

/** How long a link holds at most, ms, and how many may. */
export const LONGEST_LINK_MS = 14 * 86_400_000;
export const MOST_LINKS = 500;

const linkOf = ({ linkId, sealed, madeMs, endsMs, openedMs }: LinkTableRow) => ({
  linkId,
  sealed,
  madeMs: BigInt(madeMs),
  endsMs: BigInt(endsMs),
  openedMs: BigInt(openedMs),
});

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export function serve(engine: EngineView): readonly Implementation[] {
  return [
    implement(PartiesServiceDefinition, {
      /** What changed since a version; nothing changed is one read. Calls between commits see one state. */
      snapshot({ since }) {
        const version = engine.get(versionTable, 'newest')?.version ?? 0;
        if (since >= BigInt(version))
          return { version: BigInt(version), parties: [], mandates: [], freezes: [], holdRules: [] };
        const after = { index: 'by_version', equals: [], after: [Number(since)] };
        return {
          version: BigInt(version),
          parties: engine.list(partiesTable, after).map((row) => PartyRow.decode(row.row)),
          mandates: engine.list(mandatesTable, after).map((row) => ({
            mandate: Mandate.decode(row.mandate),
            keyDigest: engine.get(pairsTable, row.schoolOin, row.partyOin)?.keyDigest ?? new Uint8Array(),
          })),
          freezes: engine.list(freezesTable, after).map((row) => Freeze.decode(row.freeze)),
          holdRules: engine.list(holdRulesTable, after).map((row) => HoldRule.decode(row.rule)),
        };
      },
      listReviews: ({ schoolOins }) => ({
        reviews: (schoolOins.length === 0 ? [[]] : schoolOins.map((oin) => [oin]))
          .flatMap((equals) => engine.list(reviewsTable, { equals }))
          .map(({ review }) => MandateReview.decode(review)),
      }),
      /** Those whose time is over leave as others come. */
      claimAssertion({ partyOin, digest, expiresMs, claim }) {
        const name = Buffer.from(digest).toString('hex');
        const own = Buffer.from(claim).toString('hex');
        let taken = false;
        engine.note((unit) => {
          for (const old of unit.list(assertionsTable, { index: 'by_end', equals: [], limit: LEAVE_AT_ONCE })) {
            if (old.expiresMs + CLOCKS_MS > unit.now) break;
            unit.remove(assertionsTable, old.partyOin, old.digest);
          }
          const before = unit.get(assertionsTable, partyOin, name);
          taken = before === undefined || before.claim === own;
          if (!before) unit.put(assertionsTable, { partyOin, digest: name, claim: own, expiresMs: Number(expiresMs) });
        });
        return { taken };
      },
      claimRegister({ register, claim, leaseMs, everyMs }) {
        const own = Buffer.from(claim).toString('hex');
        let taken = false;
        engine.note((unit) => {
          const row = unit.get(registersTable, register) ?? noComparison(register);
          const isFree = row.claim === '' || row.claim === own || row.untilMs <= unit.now;
          // A run that asks to have it longer was due when it began.
          const isDue = row.claim === own || unit.now >= row.lastMs + Number(everyMs);
          taken = isFree && isDue;
          if (taken) unit.put(registersTable, { ...row, claim: own, untilMs: unit.now + Number(leaseMs) });
        });
        return { taken };
      },
      /** Of a run whose right went to another one nothing is noted. */
      noteRegister({ register, claim, run }) {
        engine.note((unit) => {
          const row = unit.get(registersTable, register);
          if (row?.claim !== Buffer.from(claim).toString('hex')) return;
          const noted = run && { lastMs: unit.now, run: RegisterRun.encode(run).finish() };
          unit.put(registersTable, { ...row, claim: '', untilMs: 0, ...noted });
        });
        return {};
      },
      listRegisters: () => ({
        runs: engine
          .list(registersTable, { equals: [] })
          .flatMap(({ run }) => (run.length > 0 ? [RegisterRun.decode(run)] : [])),
      }),
      /** Those that are over leave as others come. */
      openSession({ digest, partyOin, number, sealed, endsMs }) {
        engine.note((unit) => {
          for (const old of unit.list(sessionsTable, { index: 'by_seen', equals: [], limit: LEAVE_AT_ONCE })) {
            if (!isOver(old, unit.now)) break;
            unit.remove(sessionsTable, old.digest);
          }
          const { now } = unit;
          const row = { digest: hex(digest), partyOin, number, seenMs: now };
          if (sealed.length === 0) unit.put(sessionsTable, { ...row, endsMs: now + LONGEST_MS });
          else {
            const until = Math.min(Number(endsMs), now + LONGEST_CONSOLE_MS);
            unit.put(sessionsTable, { ...row, endsMs: until, sealed });
          }
        });
        return {};
      },
      findSession({ digest, look }) {
        const known = engine.get(sessionsTable, hex(digest));
        const nothing = new Uint8Array();
        let found: FindSessionResponse = { partyOin: '', number: '', sealed: nothing };
        if (known === undefined) return found;
        const shown = ({ partyOin, number, sealed }: SessionTableRow) => ({
          partyOin,
          number,
          sealed: sealed ?? nothing,
        });
        if (look) return isOver(known, engine.now()) ? found : shown(known);
        engine.note((unit) => {
          const row = unit.get(sessionsTable, hex(digest));
          if (!row) return;
          if (isOver(row, unit.now)) return unit.remove(sessionsTable, row.digest);
          found = shown(row);
          if (unit.now - row.seenMs >= SEEN_MS) unit.put(sessionsTable, { ...row, seenMs: unit.now });
        });
        return found;
      },
      endSession({ digest }) {
        engine.note((unit) => unit.remove(sessionsTable, hex(digest)));
        return {};
      },
      /** Those that are over leave as others come. */
      keepLink({ linkId, digest, sealed, endsMs }) {
        let kept: LinkTableRow | undefined;
        engine.note((unit) => {
          const { now } = unit;
          const all = unit.list(linksTable, { index: 'by_end', equals: [], limit: MOST_LINKS });
          const over = all.filter((one) => now >= one.endsMs);
          for (const one of over) unit.remove(linksTable, one.linkId);
          kept = unit.get(linksTable, linkId);
          if (kept || all.length - over.length >= MOST_LINKS) return;
          const until = Math.min(Number(endsMs), now + LONGEST_LINK_MS);
          kept = { linkId, digest: hex(digest), sealed, madeMs: now, endsMs: until, openedMs: 0 };
          unit.put(linksTable, kept);
        });
        return { link: kept && linkOf(kept) };
      },
      findLink({ linkId, digest }) {
        const known = engine.get(linksTable, linkId);
        if (known === undefined || engine.now() >= known.endsMs) return { link: undefined };
        if (digest.length === 0) return { link: linkOf(known) };
        if (known.digest !== hex(digest)) return { link: undefined };
        let opened: LinkTableRow | undefined;
        engine.note((unit) => {
          const row = unit.get(linksTable, linkId);
          if (row === undefined || row.digest !== known.digest || unit.now >= row.endsMs) return;
          opened = { ...row, openedMs: unit.now };
          unit.put(linksTable, opened);
        });
        return { link: opened && linkOf(opened) };
      },
      listLinks: () => ({
        links: engine
          .list(linksTable, { index: 'by_end', equals: [], limit: MOST_LINKS })
          .filter(({ endsMs }) => engine.now() < endsMs)
          .map(linkOf),
      }),
      endLink({ linkId }) {
        let ended = false;
        engine.note((unit) => {
          const row = unit.get(linksTable, linkId);
          ended = row !== undefined && unit.now < row.endsMs;
          if (row) unit.remove(linksTable, linkId);
        });
        return { ended };
      },
    }),
  ];
}

const noComparison = (register: string): RegisterTableRow => ({
  register,
  claim: '',
  untilMs: 0,
  lastMs: 0,
  run: new Uint8Array(),
});
