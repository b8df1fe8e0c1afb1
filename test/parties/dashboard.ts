/** A dashboard: asks who is at school, and for each pupil how far they are over all suppliers; takes results over UWLR. */
import { openLedger } from './ledger.ts';
import { runParty } from './program.ts';
import { broughtItem, openResults, pullGroups } from './uwlr.ts';
import { inTurns, type Message } from './wire.ts';

const progressItem = ({ learner, productId, fromOin, donePercent, secondsSpent, latest }: Message): string =>
  `${learner.eckId} ${productId} ${fromOin} ${donePercent} ${secondsSpent} ${latest?.score ?? '-'}`;

await runParty((settings, wire) => {
  const ledger = openLedger();

  async function pupils(schoolYear: string): Promise<string[]> {
    const found: string[] = [];
    let cursor = '';
    do {
      const answer = await wire.call('RosterService/GetRoster', {
        schoolOin: settings.school,
        schoolYear,
        limit: 1000,
        cursor,
      });
      for (const learner of answer['roster'].learners) found.push(learner.ref.eckId);
      cursor = answer['cursor'];
    } while (cursor !== '');
    return found;
  }

  const progressOf = async (eckId: string): Promise<Message[]> =>
    (
      await wire.call('ResultService/GetProgress', {
        schoolOin: settings.school,
        audience: 'AUDIENCE_MENTOR',
        learner: { eckId },
      })
    )['learners'];

  return {
    ledger: () => ledger.read(),
    counts: () => ledger.counts(),

    /** Columns: `pupils`, and `progress` with `<pupil> <product> <supplier> <percent done> <seconds> <latest score>`. */
    async look({ schoolYear }: { schoolYear: string }) {
      const here = await pupils(schoolYear);
      for (const eckId of here) ledger.note('pupils', eckId);
      await inTurns(here, 16, async (eckId) => {
        for (const progress of await progressOf(eckId)) ledger.note('progress', progressItem(progress));
      });
    },

    /** Opens an address for results over UWLR; answers where. */
    receive: ({ key }: { key: string }) =>
      openResults(settings.uwlr!.version, key, (result) => ledger.note('brought', broughtItem(result))),

    /** Columns: `groups` and `in groups` (`<pupil> <group>`), over UWLR. */
    async pull({ schoolYear }: { schoolYear: string }) {
      const { groups, pupils: found } = await pullGroups(settings, schoolYear);
      for (const { key } of groups) ledger.note('groups', key);
      for (const { eckId, groupKey } of found) ledger.note('in groups', `${eckId} ${groupKey}`);
      return { groups: groups.length, pupils: found.length };
    },

    /** Progress of a group as its teacher may see it; items as in the column `progress`. */
    async group({ groupKey }: { groupKey: string }) {
      const { learners } = await wire.call('ResultService/GetProgress', {
        schoolOin: settings.school,
        audience: 'AUDIENCE_TEACHER',
        groupKey,
        limit: 1000,
      });
      return (learners as Message[]).map(progressItem);
    },

    pupils: ({ schoolYear }: { schoolYear: string }) => pupils(schoolYear),
    progress: ({ eckId }: { eckId: string }) => progressOf(eckId),
  };
});
