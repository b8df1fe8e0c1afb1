/**
 * Rosters that the doors ask of administrations: who asks, what came of it, when it is due again. Rows by calls, since a
 * pull that brought nothing is no event; what it brings is a roster like any other.
 */
import type { EngineView } from '#bus';
import type { Handlers } from '#kernel';
import { Pull, type RostersServiceDefinition } from '#proto/eduk/rosters/v1/rosters';
import { type PullRow, pulls } from './tables.ts';

const LISTED = 1_000;
/** Outcomes for which somebody must act. */
const failing: ReadonlySet<string> = new Set(['failed', 'refused', 'held', 'nothing']);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
type Key = readonly [party: string, school: string, year: string, site: string, administration: string];
const keyOf = ({ partyOin, schoolOin, schoolYear, siteCode, administration }: Pull): Key => [
  partyOin,
  schoolOin,
  schoolYear,
  siteCode,
  administration,
];

function rowOf(pull: Pull): PullRow {
  const [party, school, year, site, administration] = keyOf(pull);
  return {
    party,
    school,
    year,
    site,
    administration,
    claim: '',
    untilMs: 0,
    dueMs: Number(pull.dueMs),
    failing: failing.has(pull.outcome) ? 1 : 0,
    pull: Pull.encode(pull).finish(),
  };
}

export const pulling = (
  engine: EngineView,
): Pick<Handlers<typeof RostersServiceDefinition>, 'claimPull' | 'notePull' | 'listPulls'> => ({
  claimPull({ pull: asked, claim, leaseMs, now }) {
    const own = hex(claim);
    const named = Pull.fromPartial(asked ?? {});
    let taken = false;
    let stands = named;
    engine.note((unit) => {
      const row = unit.get(pulls, ...keyOf(named));
      const isFree = !row || row.claim === '' || row.claim === own || row.untilMs <= unit.now;
      taken = isFree && (now || !row || row.claim === own || row.dueMs <= unit.now);
      stands = row ? Pull.decode(row.pull) : named;
      if (taken) unit.put(pulls, { ...rowOf(stands), claim: own, untilMs: unit.now + Number(leaseMs) });
    });
    return { taken, pull: stands };
  },
  notePull({ pull, claim }) {
    if (!pull) return {};
    engine.note((unit) => {
      const row = unit.get(pulls, ...keyOf(pull));
      // How the administration itself is, is told by whoever asked it last.
      if (pull.schoolOin !== '' && row?.claim !== hex(claim)) return;
      unit.put(pulls, rowOf(pull));
    });
    return {};
  },
  listPulls({ partyOin, failing: onlyFailing, limit }) {
    const how = { limit: Math.min(limit || LISTED, LISTED * 10) };
    const rows = onlyFailing
      ? engine.list(pulls, { index: 'failing', equals: partyOin === '' ? [1] : [1, partyOin], ...how })
      : engine.list(pulls, { equals: partyOin === '' ? [] : [partyOin], ...how });
    return { pulls: rows.map(({ pull }) => Pull.decode(pull)) };
  },
});
