import { faults, GatewayError } from '#kernel';
import { Role, type Service } from '#proto/eduk/core/v1/party';
import type { Caller } from '../caller.ts';
import type { Door, Submission } from '../submission.ts';
import { each } from './each.ts';

/**
 * Role, school and mandate. A school acts for itself without a mandate, and so does its board.
 * Faults: party.forbidden, wire.invalid (no school), state.missing (school), mandate.missing, mandate.unconfirmed,
 * mandate.unaccepted, mandate.ended, mandate.suspended.
 */
export function authorise(batch: readonly Submission[], door: Door): void {
  /** One that may: what follows it is mostly the same caller's, of the same kind and for the same school. */
  let allowed: Submission | undefined;
  each(batch, (submission) => {
    const { intake, caller, school } = submission;
    if (allowed?.caller === caller && allowed.intake === intake && allowed.school === school) return;
    requireRole(caller, intake.roles);
    if (!school) {
      // What needs a school's agreement and names no school has nobody's.
      if (intake.service !== undefined)
        throw new GatewayError('wire.invalid', 'Name the school.', { where: 'school_oin' });
      if (caller.school !== undefined) throw otherSchool();
    } else requireMandate(door, caller, school, intake.service, intake.fresh);
    allowed = submission;
  });
}

export function requireRole(caller: Caller, roles: readonly Role[]): void {
  if (caller.kind === 'operator' || roles.length === 0) return;
  if (!roles.some((role) => caller.roles.has(role))) throw new GatewayError('party.forbidden');
}

/** Whether the caller is the school itself, or its board. */
export function actsForSchool(door: Pick<Door, 'chain'>, caller: Caller, school: string): boolean {
  return (
    caller.oin === school || (caller.roles.has(Role.ROLE_BOARD) && door.chain.party(school)?.boardOin === caller.oin)
  );
}

/** Told where a school has neither a registration nor a mandate. */
export const SCHOOL_UNKNOWN =
  'This school is not known here: name it by its OIN (00000007000, BRIN, five digits); the operator registers schools.';

const otherSchool = (): GatewayError =>
  new GatewayError('party.forbidden', 'This token is for another school.', { where: 'school_oin' });

/** Refuses a school that is forgotten, to everyone. Faults: mandate.ended. */
export function requireOpenSchool(door: Pick<Door, 'chain'>, school: string): void {
  if (door.chain.isClosed(school))
    throw new GatewayError('mandate.ended', 'This school is forgotten: nothing of it is taken in or given.', {
      where: 'school_oin',
    });
}

/** Refuses a school that the caller's token is not for. Faults: party.forbidden. */
export function requireOwnSchool(caller: Caller, school: string): void {
  if (caller.school !== undefined && caller.school !== school) throw otherSchool();
}

/**
 * In the name of a school its actor sends what that school's mandate to act names, of that school; nothing that agrees to
 * anything.
 */
function requireActing(
  door: Pick<Door, 'chain'>,
  { oin, actor = '' }: Caller,
  school: string,
  service: Service | undefined,
  fresh: boolean,
): void {
  if (school !== oin)
    throw new GatewayError('party.forbidden', 'This is of another school than the one in whose name you call.', {
      where: 'school_oin',
    });
  if (service === undefined)
    throw new GatewayError('party.forbidden', 'This a school does itself: nobody does it in its name.');
  const { fault } = door.chain.judgeActing(school, actor, service, fresh);
  if (fault) throw new GatewayError(fault, faults[fault].en, { where: 'school_oin' });
}

export function requireMandate(
  door: Door,
  caller: Caller,
  school: string,
  service: Service | undefined,
  fresh = false,
): void {
  // Not for the operator either: what it took in would be destroyed with the rest.
  if (service !== undefined) requireOpenSchool(door, school);
  if (caller.actor !== undefined) {
    requireActing(door, caller, school, service, fresh);
    return;
  }
  requireOwnSchool(caller, school);
  if (caller.kind === 'operator' || actsForSchool(door, caller, school)) return;
  if (!door.chain.knowsSchool(school)) throw new GatewayError('state.missing', SCHOOL_UNKNOWN, { where: 'school_oin' });
  if (service === undefined) return;
  const { fault } = door.chain.judge(school, caller.oin, service, fresh);
  if (fault) throw new GatewayError(fault, faults[fault].en, { where: 'school_oin' });
}
