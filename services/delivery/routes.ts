/**
 * Who is told what, as one table. `docs/routes.md` is written from it, and a test compares it with the contract: every
 * event that names delivery as its reader stands here, routed or with the reason why nobody is told.
 */
import { LineState } from '#proto/eduk/core/v1/ordering';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { EventName, EventOf } from '#proto/events';
import { EVERYONE } from './tables.ts';

/** What a route may ask of the copy of parties and mandates. */
export interface Holders {
  /** Parties with a mandate of the school, or of its board, for the service, in any state but ended. */
  of(school: string, service: Service): readonly string[];
  /** Undefined = the party is not registered yet. */
  rolesOf(party: string): readonly Role[] | undefined;
  /** OIN of a school's board; empty = it has none here. */
  boardOf(school: string): string;
}

export interface Route<N extends EventName> {
  /** Service of the mandate that its reader needs; 0 = none: the mailbox `catalogue`, and that of one's own mandates. */
  service: Service;
  /** In words, for the page. */
  to: string;
  /** Receivers; empty and repeated ones do not count. */
  receivers(event: EventOf<N>, holders: Holders): readonly string[];
  /** School that it is told of; absent = that of its flow. */
  school?(event: EventOf<N>): string;
  /** What the mailbox is called, where no service names it. */
  mailbox?: string;
}

const route = <N extends EventName>(service: Service, to: string, receivers: Route<N>['receivers']): Route<N> => ({
  service,
  to,
  receivers,
});

/** Those who work with a roster. Administrations send it. */
const ROSTER_ROLES: readonly Role[] = [
  Role.ROLE_PLATFORM,
  Role.ROLE_PUBLISHER,
  Role.ROLE_DISTRIBUTOR,
  Role.ROLE_DASHBOARD,
  Role.ROLE_FEDERATION,
];

const ROSTER_READERS =
  'platforms, publishers, distributors, dashboards and federations with a mandate `roster` of the school';

/** A party that is not registered yet may turn out to be a reader; what it gets is judged when it is read. */
function rosterReaders({ schoolOin }: { schoolOin: string }, holders: Holders): string[] {
  return holders.of(schoolOin, Service.SERVICE_ROSTER).filter((party) => {
    const roles = holders.rolesOf(party);
    return roles === undefined || roles.some((role) => ROSTER_ROLES.includes(role));
  });
}

/** Who has results of others by a mandate `result`. For a supplier that mandate is to return its own, also where it is a dashboard. */
const readsResults = (roles: readonly Role[]): boolean =>
  roles.includes(Role.ROLE_ADMINISTRATION) ||
  (roles.includes(Role.ROLE_DASHBOARD) && !roles.includes(Role.ROLE_PLATFORM) && !roles.includes(Role.ROLE_PUBLISHER));

/** Whether results of others come to a party with these roles at all: a supplier is told of its own only. */
export const hasResults = (roles: readonly Role[]): boolean => readsResults(roles) || roles.includes(Role.ROLE_SCHOOL);

const roster = <
  N extends
    | 'LearnerJoined'
    | 'LearnerMoved'
    | 'LearnerChanged'
    | 'LearnerLeft'
    | 'LearnerForgotten'
    | 'GroupChanged'
    | 'StaffChanged'
    | 'SchoolYearTurned',
>(): Route<N> => route<N>(Service.SERVICE_ROSTER, ROSTER_READERS, rosterReaders as Route<N>['receivers']);

export const routes: { readonly [N in EventName]?: Route<N> } = {
  ProductPublished: route(Service.SERVICE_UNSPECIFIED, 'every party, unless nothing changed', (event) =>
    event.unchanged ? [] : [EVERYONE],
  ),

  LearnerJoined: roster(),
  LearnerMoved: roster(),
  LearnerChanged: roster(),
  LearnerLeft: roster(),
  LearnerForgotten: roster(),
  GroupChanged: roster(),
  StaffChanged: roster(),
  SchoolYearTurned: roster(),

  OrderPlaced: route(Service.SERVICE_ORDER, 'the seller of each line, and the buyer', (event) => [
    ...event.lines.map((line) => line.sellerOin),
    event.buyerOin,
  ]),
  OrderRefused: route(Service.SERVICE_ORDER, 'the buyer', (event) => [event.buyerOin]),
  OrderLinesChanged: route(
    Service.SERVICE_ORDER,
    'the buyer; the seller too where lines were cancelled; nobody where nothing changed',
    (event) => {
      if (event.unchanged || event.outcomes.length === 0) return [];
      // Only a buyer cancels: what a seller said itself it is not told.
      const byBuyer = event.outcomes.some(({ state }) => state === LineState.LINE_STATE_CANCELLED);
      return byBuyer ? [event.buyerOin, event.sellerOin] : [event.buyerOin];
    },
  ),

  EntitlementGranted: route(
    Service.SERVICE_ENTITLEMENT,
    'the publisher, the platform and who granted it, unless nothing changed',
    (event) => (event.unchanged ? [] : [event.publisherOin, event.platformOin, event.byOin]),
  ),
  EntitlementChanged: route(
    Service.SERVICE_ENTITLEMENT,
    'the publisher, the platform and who granted it, unless nothing changed',
    (event) => (event.unchanged ? [] : [event.publisherOin, event.platformOin, event.grantedByOin]),
  ),
  GrantRefused: route(Service.SERVICE_ENTITLEMENT, 'the sender', (event) => [event.byOin]),
  EntitlementChangeRefused: route(Service.SERVICE_ENTITLEMENT, 'the sender', (event) => [event.byOin]),

  ResultRecorded: route(
    Service.SERVICE_RESULT,
    'administrations with a mandate `result` of the school, dashboards with one that are no suppliers, and the school itself where it has one, but not the sender; nobody where nothing changed',
    ({ result, unchanged }, holders) =>
      result === undefined || unchanged
        ? []
        : holders
            .of(result.schoolOin, Service.SERVICE_RESULT)
            .filter(
              (party) =>
                party !== result.byOin && (party === result.schoolOin || readsResults(holders.rolesOf(party) ?? [])),
            ),
  ),
  ResultRefused: route(Service.SERVICE_RESULT, 'the sender', (event) => [event.byOin]),

  MandateChanged: {
    service: Service.SERVICE_UNSPECIFIED,
    mailbox: 'mandates',
    to: 'both sides: the school, its board and the board that gave it, and the party; nobody where nothing changed',
    receivers: ({ mandate, unchanged }, holders) =>
      mandate === undefined || unchanged
        ? []
        : [mandate.schoolOin, mandate.boardOin, holders.boardOf(mandate.schoolOin), mandate.partyOin],
    school: ({ mandate }) => mandate?.schoolOin ?? '',
  },
  PartyStandingChanged: {
    service: Service.SERVICE_UNSPECIFIED,
    mailbox: 'mandates',
    to: 'of a school that is forgotten, kept after all or destroyed: who had its data, the school and its board; else nobody',
    receivers: ({ oin, standing, unchanged, change }, holders) =>
      unchanged || change === '' || change === 'confirmed' || change.startsWith('names_')
        ? []
        : [...(standing?.forgetting?.receivers ?? []).map(({ partyOin }) => partyOin), oin, holders.boardOf(oin)],
    school: ({ oin }) => oin,
  },
};

/** Events that delivery reads and that go into no mailbox. */
export const untold: { readonly [N in EventName]?: string } = {
  PartyRegistered: 'copied, to know roles and boards',
  FreezeChanged: 'copied, to know which replays rest',
  ReplaySubmitted: 'mail of a party is counted, sent again, or not any more',
  DeliveryCommandSubmitted: 'what fails at the endpoints of a party is tried again, held, or released',
  LearnerKept:
    'no mail of the learner is passed over any more; LearnerJoined, EntitlementGranted and ResultRecorded tell of it',
};
