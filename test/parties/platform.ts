/** A learning platform: fetches groups over UWLR, makes places ready, lets pupils in, returns results over UWLR and gRPC. */
import { type Hook, openHook } from './hook.ts';
import { openLedger } from './ledger.ts';
import { followEntitlements, itemOf, makeReady, redeem } from './licences.ts';
import type { Report, Test } from './plan.ts';
import { runParty } from './program.ts';
import { reportProgress } from './reporting.ts';
import { bringResults, pullGroups } from './uwlr.ts';

await runParty((settings, wire) => {
  const ledger = openLedger();
  let hook: Hook | undefined;
  return {
    ledger: () => ledger.read(),
    counts: () => ledger.counts(),

    watch: () => followEntitlements(wire, ledger, makeReady(settings, wire, ledger)),

    /** Opens a webhook; answers where. */
    async listen() {
      hook = await openHook(({ data }) => {
        if (data.entitlement?.state === 'ENTITLEMENT_STATE_PROVISIONED') ledger.note('sent', itemOf(data.entitlement));
      });
      return { url: hook.url };
    },

    trust: ({ secret }: { secret: string }) => hook!.trust(secret),

    /** Delivery ids of what came to the webhook, in the order of their coming, from the one `from` on. */
    arrived: ({ from }: { from: number }) => hook!.arrived.slice(from),

    async pull({ schoolYear }: { schoolYear: string }) {
      const { groups, pupils, teachers } = await pullGroups(settings, schoolYear);
      for (const { key } of groups) ledger.note('groups', key);
      for (const { key, eckId, groupKey, fields } of pupils) {
        ledger.note('pupils', `${eckId} ${key} ${groupKey}`);
        for (const field of fields) ledger.note('fields of pupils', field);
      }
      return {
        groups: groups.length,
        pupils: pupils.length,
        teachers,
        fields: ledger.read()['fields of pupils'] ?? [],
      };
    },

    async open({ tickets }: { tickets: string[] }) {
      for (const [i, ticket] of tickets.entries())
        await redeem(wire, ledger, ticket, `open-${i}-${ticket.slice(0, 36)}`);
    },

    /** One message a test. */
    async bring({ tests, madeAt, schoolYear }: { tests: Test[]; madeAt: string; schoolYear: string }) {
      for (const { code, name, maxScore, results } of tests)
        await bringResults(settings, { code, name, maxScore, madeAt, schoolYear }, results);
    },

    report: ({ reports }: { reports: Report[] }) => reportProgress(settings, wire, reports),

    /** Any question that needs the school's yes. */
    async ask() {
      await wire.call('EntitlementService/ListEntitlements', { schoolOin: settings.school, limit: 1 });
    },
  };
});
