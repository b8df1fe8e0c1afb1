import { asGatewayError, GatewayError } from '#kernel';
import { learnersAt, sitesFor } from '../sites.ts';
import type { Door, Submission } from '../submission.ts';
import { namedBy } from './identify.ts';

/**
 * A mandate for some sites of a school is about learners whom a roster of these names: a message that names another, or a
 * roster of another site, is refused. It stands before `identify`, which keeps what a message says of people: what is refused
 * for its site changes nothing of anybody. Where no mandate names sites nothing is asked. Faults: mandate.missing.
 */
export function place(batch: readonly Submission[], door: Door): Promise<void> | void {
  if (!batch.some(({ intake, school }) => intake.service !== undefined && school) || !door.chain.namesSites) return;
  return judge(batch, door);
}

async function judge(batch: readonly Submission[], door: Door): Promise<void> {
  await Promise.all(
    batch.map(async (submission) => {
      const { intake, caller, school } = submission;
      if (intake.service === undefined || !school) return;
      const sites = sitesFor(door, caller, school, intake.service);
      if (sites === undefined) return;
      try {
        const site = submission.message.reveal((request) => intake.site?.(request));
        if (site !== undefined) {
          if (!sites.has(site)) throw elsewhere(intake.siteAt);
          return;
        }
        const { tokens, hasNew } = await namedBy(submission, door);
        const here = tokens.length === 0 ? undefined : await learnersAt(door, school, sites, tokens);
        if (hasNew || (here && tokens.some((token) => !here.has(token)))) throw elsewhere();
      } catch (thrown) {
        submission.refused = asGatewayError(thrown);
      }
    }),
  );
}

const elsewhere = (where = 'school_oin'): GatewayError =>
  new GatewayError('mandate.missing', 'The mandate is for other sites of this school than the message is about.', {
    where,
  });
