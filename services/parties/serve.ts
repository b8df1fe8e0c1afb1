/** Answers eduk.parties.v1 from rows. */
import type { EngineView } from '#bus';
import { type Implementation, implement } from '#kernel';
import { Mandate } from '#proto/eduk/core/v1/party';
import { PartiesServiceDefinition, PartyRow } from '#proto/eduk/parties/v1/parties';
import { mandatesTable, pairsTable, partiesTable, versionTable } from './tables.ts';

export function serve(engine: EngineView): readonly Implementation[] {
  return [
    implement(PartiesServiceDefinition, {
      /** What changed since a version; nothing changed is one read. Calls between commits see one state. */
      snapshot({ since }) {
        const version = engine.get(versionTable, 'newest')?.version ?? 0;
        if (since >= BigInt(version)) return { version: BigInt(version), parties: [], mandates: [] };
        const after = { index: 'by_version', equals: [], after: [Number(since)] };
        return {
          version: BigInt(version),
          parties: engine.list(partiesTable, after).map((row) => PartyRow.decode(row.row)),
          mandates: engine.list(mandatesTable, after).map((row) => ({
            mandate: Mandate.decode(row.mandate),
            keyDigest: engine.get(pairsTable, row.schoolOin, row.partyOin)?.keyDigest ?? new Uint8Array(),
          })),
        };
      },
    }),
  ];
}
