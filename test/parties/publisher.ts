/**
 * A publisher: offers its titles, confirms orders, follows its licences. One that opens its material on a site of its own
 * also makes places ready, lets pupils in and reports progress.
 */

import type { List } from './catalogue.ts';
import { openLedger } from './ledger.ts';
import { followEntitlements, makeReady, redeem } from './licences.ts';
import type { Report } from './plan.ts';
import { runParty } from './program.ts';
import { reportProgress } from './reporting.ts';
import { confirmOrders } from './selling.ts';

await runParty((settings, wire) => {
  const ledger = openLedger();
  return {
    ledger: () => ledger.read(),
    counts: () => ledger.counts(),

    watch({ ownSite }: { ownSite: boolean }) {
      confirmOrders(settings, wire, ledger);
      followEntitlements(wire, ledger, ownSite ? makeReady(settings, wire, ledger) : undefined);
    },

    /** One stream with the whole list. */
    publish({ list, platformOin }: { list: List; platformOin: string }) {
      return wire.bulk(
        'CatalogueService/PublishProducts',
        list.titles.map(({ ean, title, author, subject, yearGroup, amountCents }) => ({
          reference: `title-${ean}`,
          product: {
            productId: ean,
            title,
            authors: [author],
            publisher: list.name,
            platformOin,
            sectors: ['po'],
            years: [`Groep ${yearGroup}`],
            subjects: [subject],
            licence: { licensed: true, duration: 'P1Y' },
            prices: [{ amountCents, vatBasisPoints: 900 }],
            state: 'PRODUCT_STATE_AVAILABLE',
            accessUrl: `https://leerplein.example/open/${ean}`,
          },
        })),
      );
    },

    async open({ tickets }: { tickets: string[] }) {
      for (const [i, ticket] of tickets.entries())
        await redeem(wire, ledger, ticket, `open-${i}-${ticket.slice(0, 36)}`);
    },

    report: ({ reports }: { reports: Report[] }) => reportProgress(settings, wire, reports),
  };
});
