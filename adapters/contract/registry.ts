/**
 * Every adapter there is, and how what its messages mean is written down. A new adapter is named here, and is under test
 * at once: contract.test.ts runs over this list, and fails when a folder under `adapters/` is missing from it.
 */
import eckdt, { type Products } from '#adapters/eckdt';
import edexml from '#adapters/edexml';
import osr, { type KnownSchool, type Mandated, type SchoolEndpoint } from '#adapters/osr';
import uwlr, { type PulledRoster, type ResultsDelivery, type RosterQuestion } from '#adapters/uwlr';
import type { Clear } from '#kernel';
import { Roster } from '#proto/eduk/core/v1/learner';
import { RegisteredEndpoint } from '#proto/eduk/core/v1/party';
import { Product } from '#proto/eduk/core/v1/product';
import { Result } from '#proto/eduk/core/v1/result';
import { type Adapter, unveiled } from './index.ts';

export const adapters: readonly Adapter[] = [eckdt, edexml, osr, uwlr];

/** How an exchange's meaning stands in the `.core.json` beside an example. */
export interface Meaning {
  /** Everything it means, identity included. */
  inJson(means: any): unknown;
  /** Core messages that hold identity, opened, and the name of their type; absent where the standard names no person. */
  people?: { type: string; of(means: any): readonly object[] };
}

const rosterQuestion = ({ groups, ...means }: RosterQuestion): object => ({
  ...means,
  ...(groups && { groups: unveiled(groups) }),
});

/** By `adapter/exchange`. */
export const meanings: Readonly<Record<string, Meaning>> = {
  'eckdt/catalogue': {
    inJson: (means: Products) => ({ ...means, products: means.products.map((product) => Product.toJSON(product)) }),
  },
  'edexml/EDEX': {
    inJson: (means: Clear<Roster>) => Roster.toJSON(unveiled(means)),
    people: { type: 'eduk.core.v1.Roster', of: (means: Clear<Roster>) => [unveiled(means)] },
  },
  'osr/schools': { inJson: (means: KnownSchool[]) => means },
  'osr/mandate': { inJson: (means: Mandated) => means },
  'osr/endpoints': {
    inJson: (means: SchoolEndpoint[]) =>
      means.map((one) => ({ ...one, endpoint: RegisteredEndpoint.toJSON(one.endpoint) })),
  },
  'uwlr/leerlinggegevens': { inJson: rosterQuestion },
  'uwlr/structuur': { inJson: rosterQuestion },
  'uwlr/leerlingen': { inJson: rosterQuestion },
  'uwlr/leerkrachten': { inJson: rosterQuestion },
  'uwlr/administratie': {
    inJson: ({ roster, losses }: PulledRoster) => ({ ...(Roster.toJSON(unveiled(roster)) as object), losses }),
    people: { type: 'eduk.core.v1.Roster', of: ({ roster }: PulledRoster) => [unveiled(roster)] },
  },
  'uwlr/leerresultaten': {
    inJson: (means: ResultsDelivery) => ({
      ...means,
      results: unveiled(means.results).map((result) => Result.toJSON(result)),
    }),
    people: { type: 'eduk.core.v1.Result', of: (means: ResultsDelivery) => unveiled(means.results) },
  },
};

/** Files among the examples that no exchange reads. */
export const notRead: readonly { adapter: string; file: string; why: string }[] = [
  {
    adapter: 'uwlr',
    file: '20-answer.xml',
    why: 'It is what we write; uwlr.test.ts compares it with what it was made of.',
  },
];
