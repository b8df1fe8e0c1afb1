import { GatewayError } from '#kernel';
import { Audience } from '#proto/eduk/core/v1/ordering';
import { Service } from '#proto/eduk/core/v1/party';
import type { ResultEntry } from '#proto/eduk/events/v1/results';
import type { GetProgressRequest, GetProgressResponse } from '#proto/eduk/gateway/v1/result';
import { learnerProgress, type OpenedResult, schoolProgress } from '#release';
import type { Caller } from '../caller.ts';
import type { Gate } from '../gate.ts';
import { hasRef } from '../intake/people.ts';
import { purposeFor } from '../purpose.ts';
import { facesOf, hereOf } from './faces.ts';
import { groupToken, tokenOf } from './names.ts';
import { openPayloads } from './results.ts';

/** Results read of the owner at once. */
const PAGE = 1000;
/** Results that one question may need; a larger school is asked by group. */
const MOST = 200_000;

/** Progress over all suppliers, as the audience may see it. Payloads are opened here, aggregated, and dropped. */
export async function progress(request: GetProgressRequest, caller: Caller, gate: Gate): Promise<GetProgressResponse> {
  const { door, cursors } = gate;
  if (!request.schoolOin) throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
  if (request.audience === Audience.AUDIENCE_UNSPECIFIED)
    throw new GatewayError('wire.invalid', 'Say for whom progress is shown.', { where: 'audience' });
  const purpose = purposeFor(door, caller, request.schoolOin, Service.SERVICE_PROGRESS);
  const whole = request.audience === Audience.AUDIENCE_SCHOOL;
  if (!whole && !hasRef(request.learner) && !request.groupKey)
    throw new GatewayError('wire.invalid', 'This audience sees a learner or a group, not a school.', {
      where: 'learner',
    });
  if (
    request.audience !== Audience.AUDIENCE_TEACHER &&
    request.audience !== Audience.AUDIENCE_MENTOR &&
    !whole &&
    !hasRef(request.learner)
  )
    throw new GatewayError('wire.invalid', 'This audience sees one learner.', { where: 'learner' });
  const learner = hasRef(request.learner) ? await tokenOf(gate, caller, request.schoolOin, request.learner) : '';
  const group = request.groupKey ? await groupToken(gate, caller, request.schoolOin, request.groupKey) : '';

  const home = group === '' ? undefined : await baseGroups(gate, request.schoolOin);
  const whose = await ownersOf(gate, request.schoolOin);
  const entries: ResultEntry[] = [];
  const add = async (of: { learner: string; group: string }): Promise<void> => {
    for (let after = ''; ; ) {
      const { results, next } = await door.services.results.listResults({
        schoolOin: request.schoolOin,
        learner: of.learner,
        group: of.group,
        productId: request.productId,
        fromOin: '',
        limit: PAGE,
        after,
      });
      // A supplier that names no group, as none can over UWLR, leaves a pupil in the base group that the roster says.
      for (const result of results) {
        const at = result.group || (home?.get(whose(result.learner)) ?? '');
        if (whole || group === '' || at === group) entries.push({ ...result, group: at });
      }
      if (entries.length > MOST)
        throw new GatewayError(
          'wire.too_large',
          'Ask by group or product: this school has more results than one answer can add up.',
          { where: 'group_key' },
        );
      if (next === '') break;
      after = next;
    }
  };
  // Totals of a group need the whole school: whether they may be shown depends on the other groups.
  if (whole || learner !== '') await add({ learner, group: '' });
  else {
    const members = [...home!].filter(([, at]) => at === group).map(([token]) => token);
    await add({ learner: '', group });
    const named = entries.length;
    for (const member of members) await add({ learner: member, group: '' });
    // A result that names the group came along with its pupil once more.
    const seen = new Set(entries.slice(0, named).map(nameOf));
    entries.splice(named, Infinity, ...entries.slice(named).filter((entry) => !seen.has(nameOf(entry))));
  }
  // For mandates of some sites these are the school, in totals too.
  const isHere = await hereOf(
    purpose,
    entries.map(({ learner }) => learner),
  );
  const here = entries.filter(({ learner }) => isHere(learner));
  const opened: OpenedResult[] = [];
  for (let from = 0; from < here.length; from += PAGE) {
    const part = here.slice(from, from + PAGE);
    const payloads = await openPayloads(door, purpose, part);
    for (const [i, payload] of payloads.entries()) {
      const { learner, group, productId, byOin, day, kind } = part[i]!;
      if (payload) opened.push({ learner: whose(learner), group, productId, fromOin: byOin, day, kind, payload });
    }
  }
  const rows = { by: request.by, subject: request.subject, goal: request.goal };
  if (whole)
    return {
      learners: [],
      totals: schoolProgress(opened, {
        ...rows,
        ...(group ? { group } : {}),
        ...(request.productId ? { productId: request.productId } : {}),
      }),
      cursor: '',
    };

  const of = `progress|${request.schoolOin}|${learner}|${group}|${request.productId}|${request.audience}|${JSON.stringify(rows)}`;
  const from = Number(cursors.open(caller.oin, of, request.cursor) || '0');
  if (request.limit > 1000) throw new GatewayError('wire.invalid', 'A limit is at most 1,000.', { where: 'limit' });
  const limit = request.limit || 100;
  const all = learnerProgress(opened, request.audience, rows);
  const shown = all.slice(from, from + limit);
  const faces = await facesOf(
    door,
    purpose,
    shown.map((row) => row.learner),
    [],
  );
  return {
    learners: faces.reveal(({ ref }) => shown.map((row) => ({ ...row.progress, learner: ref(row.learner) }))),
    totals: [],
    cursor: cursors.seal(caller.oin, of, from + limit < all.length ? String(from + limit) : ''),
  };
}

const nameOf = ({ byOin, resultId }: ResultEntry): string => `${byOin} ${resultId}`;

/** Learner → base group by the roster of the running school year, both as tokens. */
async function baseGroups({ door }: Gate, schoolOin: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  let schoolYear = '';
  for (let after = ''; ; ) {
    const page = await door.services.rosters.getRoster({ schoolOin, schoolYear, limit: PAGE, after, siteCode: '' });
    const { learners, next } = page;
    // A turn between two pages would mix two years.
    schoolYear = page.schoolYear;
    for (const { learner, group } of learners) found.set(learner, group);
    if (next === '') return found;
    after = next;
  }
}

/** Whose a token is: results of a learner stand under each of its tokens. */
async function ownersOf({ door }: Gate, schoolOin: string): Promise<(token: string) => string> {
  const { merges } = await door.services.rosters.listMerges({ sinceMs: 0n, limit: 0, schoolOin, learner: '' });
  const winners = new Map(merges.flatMap(({ loser, winner, undone }) => (undone ? [] : [[loser, winner] as const])));
  return (token) => winners.get(token) ?? token;
}
