/** Files that become messages: a roster in EDEXML, a catalogue in ECK DT. Used by HTTP and by the operator alike. */
import { brinOf, flemishNumberOf, GatewayError, newId, routingOf, schoolYearOf } from '#kernel';
import { Role } from '#proto/eduk/core/v1/party';
import type { Decision, FileWarning, Loss, Refusal } from '#proto/eduk/core/v1/receipt';
import type { RosterDifference } from '#proto/eduk/events/v1/rosters';
import type { PublishProductsRequest } from '#proto/eduk/gateway/v1/catalogue';
import type { PushRosterRequest } from '#proto/eduk/gateway/v1/roster';
import { type Caller, operator } from './caller.ts';
import type { RosterFile } from './files.ts';
import type { Gate } from './gate.ts';
import { decisionOf } from './grpc/decision.ts';
import { take } from './grpc/writes.ts';
import { publishProducts } from './intake/catalogue.ts';
import { addParty } from './intake/parties.ts';
import { checkRoster, pushRoster } from './intake/rosters.ts';
import { pass, submit } from './pipeline.ts';
import { event, type Intake } from './submission.ts';

export interface RosterTaken {
  schoolOin: string;
  schoolYear: string;
  /** Code of the site; empty = the whole school. */
  siteCode: string;
  administration: string;
  learners: number;
  groups: number;
  staff: number;
  flowId: string;
  decision: Decision;
  holdId: string;
  difference: RosterDifference | undefined;
  warnings: FileWarning[];
  losses: Loss[];
}

/** A roster that came as a whole: one part, or several that may be larger than items of a stream. What was left in it goes with its last part. */
const rosterBy =
  (method: string) =>
  (losses: readonly Loss[]): Intake<PushRosterRequest> => ({
    ...pushRoster,
    method,
    events: (request, found, context) =>
      pushRoster
        .events(request, found, context)
        .map((one) =>
          one.name === 'RosterSubmitted' && request.last
            ? event(one.name, { ...one.value, losses: [...losses] }, one.key)
            : one,
        ),
  });

/** As a file. */
const wholeRoster = rosterBy('edexml/import');
/** As an administration answered that was asked for it. */
export const pulledRosters = rosterBy('uwlr/HaalLeerlinggegevens');

/** What the door says of a roster's field, with the line of the file where it stands. */
function inFile(thrown: unknown, { lines }: RosterFile, first: number): unknown {
  if (!(thrown instanceof GatewayError)) return thrown;
  const where = thrown.where.map((place) => {
    const [, list, at] = /^roster\.(learners|groups|staff|sites)\[(\d+)\]/.exec(place.path) ?? [];
    const line = list && lines[list as keyof typeof lines][Number(at) + (list === 'learners' ? first : 0)];
    return line ? { ...place, line } : place;
  });
  return new GatewayError(thrown.fault, thrown.told, { where, cause: thrown });
}

/** Learners in one part of a large roster: an event stays well under the largest message of a broker. */
const PART = 4_000;

/**
 * Submits a roster read from a file. `given` fills what the file does not say; a routing id as school names the
 * administration, and `wholeSchool` says that the file is of the whole school whatever site it names. The operator's import
 * registers the school.
 * Faults: wire.*, mandate.*, state.missing; a held roster is an answer, not a fault.
 */
export async function importRoster(
  gate: Gate,
  caller: Caller,
  file: RosterFile,
  given: {
    schoolOin: string;
    schoolYear: string;
    siteCode: string;
    wholeSchool?: boolean;
    intake?: typeof wholeRoster;
  },
  waitMs: number,
): Promise<RosterTaken> {
  const { roster, warnings, losses } = file;
  const routing = routingOf(given.schoolOin);
  const whole = roster.reveal((it) => ({
    ...it,
    schoolOin: it.schoolOin || routing.schoolOin,
    siteCode: given.wholeSchool ? '' : given.siteCode || it.siteCode,
    administration: it.administration || routing.administration,
    schoolYear: given.schoolYear || it.schoolYear || schoolYearOf(gate.door.clock.now()),
  }));
  if (!whole.schoolOin)
    throw new GatewayError(
      'wire.invalid',
      'The file does not say which school it is of: name it (school), or whose schoolkey it has (party).',
      {
        where: 'EDEX/school/brincode',
      },
    );
  const said = roster.reveal((it) => it.siteCode);
  if (given.siteCode && said && said !== given.siteCode)
    throw new GatewayError('wire.invalid', 'The file is of another site than the one named.', {
      where: 'EDEX/school/dependancecode',
    });
  try {
    checkRoster(whole, true);
  } catch (thrown) {
    throw inFile(thrown, file, 0);
  }
  if (caller.kind === 'operator' && !gate.door.chain.party(whole.schoolOin))
    await registerSchool(gate, whole.schoolOin);
  const rosterId = newId();
  const parts = Math.max(1, Math.ceil(whole.learners.length / PART));
  let flowId = '';
  for (let part = 0; part < parts; part++) {
    const first = part === 0;
    const request: PushRosterRequest = {
      reference: `${rosterId}.${part}`,
      rosterId,
      part,
      last: part === parts - 1,
      roster: {
        ...whole,
        sites: first ? whole.sites : [],
        groups: first ? whole.groups : [],
        staff: first ? whole.staff : [],
        learners: whole.learners.slice(part * PART, (part + 1) * PART),
      },
    };
    try {
      flowId = (await take((given.intake ?? wholeRoster)(losses), request, caller, gate)).flowId;
    } catch (thrown) {
      throw inFile(thrown, file, part * PART);
    }
  }
  const decision = await decisionOf(gate, flowId, waitMs);
  const counts = {
    schoolOin: whole.schoolOin,
    schoolYear: whole.schoolYear,
    siteCode: whole.siteCode,
    administration: whole.administration,
    learners: whole.learners.length,
    groups: whole.groups.length,
    staff: whole.staff.length,
    flowId,
    decision,
    warnings: warnings.map((one) => ({
      ...one,
      where: one.where.map(({ path, line }) => ({ path, line: line ?? 0 })),
    })),
    losses,
  };
  if (decision.outcome !== 'RosterHeld') return { ...counts, holdId: '', difference: undefined };
  const { holds } = await gate.door.services.rosters.listHolds({ schoolOin: whole.schoolOin, decided: false });
  const hold = holds.find((one) => one.rosterId === rosterId);
  return { ...counts, holdId: hold?.holdId ?? '', difference: hold?.difference };
}

async function registerSchool(gate: Gate, oin: string): Promise<void> {
  const party = {
    oin,
    name: `School ${brinOf(oin) ?? flemishNumberOf(oin) ?? oin}`,
    roles: [Role.ROLE_SCHOOL],
    endpoints: [],
    boardOin: '',
    sectors: [],
    attributes: [],
    requiresAcceptance: false,
  };
  const { flowId } = await take(addParty(party, undefined, gate.door.dialler.networks), { party }, operator, gate);
  await decisionOf(gate, flowId, 5_000);
  await gate.door.chain.refresh();
}

/** Publishes products of one publisher in groups; answers by record. */
export async function importProducts(
  gate: Gate,
  caller: Caller,
  products: Iterable<{ index: number; product: NonNullable<PublishProductsRequest['product']> }>,
): Promise<{ published: number; unchanged: number; refusals: Refusal[] }> {
  const run = newId();
  const refusals: Refusal[] = [];
  const flows: string[] = [];
  const indexes: number[] = [];
  let batch: { index: number; submission: ReturnType<typeof submit<PublishProductsRequest>> }[] = [];
  const flush = async () => {
    await pass(
      batch.map(({ submission }) => submission),
      gate.door,
    );
    for (const { index, submission } of batch) {
      if (submission.refused)
        refusals.push({
          index: BigInt(index),
          code: submission.refused.fault,
          where: submission.refused.where.map(({ path }) => path).join(' '),
          told: submission.refused.told,
        });
      else {
        flows.push(submission.flowId);
        indexes.push(index);
      }
    }
    batch = [];
  };
  for (const { index, product } of products) {
    batch.push({
      index,
      submission: submit(publishProducts, { reference: `${run}.${index}`, product }, caller, { bulk: true }),
    });
    if (batch.length === 200) await flush();
  }
  if (batch.length > 0) await flush();
  const decisions = await Promise.all(
    flows.map(async (flowId) => (await gate.door.services.flows.awaitDecision({ flowId, waitMs: 10_000n })).flow),
  );
  let published = 0;
  let unchanged = 0;
  for (const [i, decision] of decisions.entries()) {
    if (decision?.outcome === 'ProductRefused')
      refusals.push({ index: BigInt(indexes[i]!), code: decision.code, where: '', told: decision.told });
    // A description that changes nothing is told to nobody, so its flow is done at once.
    else if (decision?.state === 'done') unchanged++;
    else published++;
  }
  return { published, unchanged, refusals };
}
