import type { IncomingMessage, ServerResponse } from 'node:http';
import { asGatewayError, GatewayError, isSchoolOin, isSchoolYear, isSiteCode, routingOf } from '#kernel';
import { AuditKind } from '#proto/eduk/core/v1/audit';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { FROM, inNameOf } from '../acting.ts';
import { type Caller, type Peer, whoCalls } from '../caller.ts';
import { noteFile, writeRoster } from '../exports.ts';
import { readRosterFile } from '../files.ts';
import type { Gate } from '../gate.ts';
import { importRoster } from '../imports.ts';
import { requireDuty } from '../operators.ts';
import { requireScope } from '../scopes.ts';
import { signIn } from '../stages/authenticate.ts';
import { requireMandate, requireRole } from '../stages/authorise.ts';
import { bodyOf, send, sendJson } from './exchange.ts';
import { giveHead } from './log-keys.ts';

/**
 * GET /edexml: the roster of `?school=OIN` as the caller may have it, as EDEXML (`&version=2.1`, `&schooljaar=`,
 * `&dependancecode=`); what the file has no place for is counted in the header `eduk-losses`.
 *
 * POST /edexml: an EDEXML file in the body. `?school=OIN` (or a routing id, which also names the administration),
 * `?schooljaar=2026-2027` and `?dependancecode=01` fill what the file does not say.
 * Answers 202 with the flow, or 409 hold.pending with the hold's id when it waits for approval.
 */
export async function serveEdexml(
  request: IncomingMessage,
  response: ServerResponse,
  gate: Gate,
  peer: Peer,
  url: URL,
): Promise<void> {
  if (request.method !== 'POST' && request.method !== 'GET')
    throw new GatewayError('wire.invalid', 'Send a file with POST, or get one with GET.', { where: 'method' });
  let caller: Caller | undefined;
  try {
    const from = request.headers[FROM];
    caller = await gate.door.chain.afresh(async () =>
      inNameOf(
        await signIn(request.headers.authorization, peer, gate.proofs),
        Array.isArray(from) ? from.join() : from,
        gate.door.chain,
      ),
    );
    requireScope(caller, 'roster');
    if (caller.kind === 'operator') requireDuty(caller, 'importRoster');
    giveHead(response, gate.heads, caller);
    if (request.method === 'GET') await giveFile(response, gate, caller, url);
    else await takeFile(request, response, gate, caller, url);
  } catch (thrown) {
    gate.door.audit.note({
      kind: AuditKind.AUDIT_KIND_REFUSED,
      partyOin: caller?.oin ?? '',
      actedBy: caller?.actor ?? '',
      method: 'edexml',
      code: asGatewayError(thrown).fault,
    });
    throw thrown;
  }
}

async function giveFile(response: ServerResponse, gate: Gate, caller: Caller, url: URL): Promise<void> {
  if (caller.kind === 'operator')
    throw new GatewayError(
      'party.forbidden',
      'An operator has it written on the gateway’s machine: eduk roster export.',
    );
  const asked = (name: string): string => url.searchParams.get(name) ?? '';
  const { text, version, ...written } = await gate.turns.call(whoCalls(caller), () =>
    gate.door.chain.afresh(() =>
      writeRoster(gate.door, caller, {
        schoolOin: asked('school'),
        schoolYear: asked('schooljaar'),
        siteCode: asked('dependancecode'),
        version: asked('version'),
      }),
    ),
  );
  const { schoolYear, losses } = written;
  noteFile(
    gate,
    caller.oin,
    'edexml/export',
    { schoolOin: asked('school'), siteCode: asked('dependancecode') },
    version,
    written,
  );
  send(response, 200, 'application/xml; charset=utf-8', text, {
    'content-disposition': `attachment; filename="EDEXML-${version}-${schoolYear}.xml"`,
    'eduk-losses': losses.map(({ element, reason, count }) => `${element};${reason};${count}`).join(', '),
  });
}

async function takeFile(
  request: IncomingMessage,
  response: ServerResponse,
  gate: Gate,
  caller: Caller,
  url: URL,
): Promise<void> {
  const { chain } = gate.door;
  await chain.afresh(() => requireRole(caller, [Role.ROLE_ADMINISTRATION, Role.ROLE_SCHOOL, Role.ROLE_BOARD]));
  const schoolOin = url.searchParams.get('school') ?? '';
  const schoolYear = url.searchParams.get('schooljaar') ?? '';
  if (schoolOin && !isSchoolOin(schoolOin))
    throw new GatewayError('wire.invalid', 'school is the OIN of a school.', { where: 'school' });
  if (schoolYear && !isSchoolYear(schoolYear))
    throw new GatewayError('wire.invalid', 'schooljaar is two years that follow each other.', { where: 'schooljaar' });
  const siteCode = url.searchParams.get('dependancecode') ?? '';
  if (!isSiteCode(siteCode))
    throw new GatewayError('wire.invalid', 'dependancecode is two digits.', { where: 'dependancecode' });
  const file = await readRosterFile(await bodyOf(request, gate.unfinished), {
    schoolOin,
    schoolYear,
    sender: caller.actor ?? caller.oin,
    nowMs: gate.door.clock.now(),
  });
  // A program cannot be asked whether it meant that; an operator names a school on purpose.
  if (
    caller.kind !== 'operator' &&
    schoolOin &&
    file.brinOin !== undefined &&
    file.brinOin !== routingOf(schoolOin).schoolOin
  )
    throw new GatewayError('wire.invalid', 'The file is of another school than the one named.', {
      where: 'EDEX/school/brincode',
    });
  const school = file.roster.reveal((it) => it.schoolOin) || routingOf(schoolOin).schoolOin;
  await chain.afresh(() => requireMandate(gate.door, caller, school, Service.SERVICE_ROSTER));
  const named = { schoolOin, schoolYear, siteCode };
  const taken = await gate.turns.call(whoCalls(caller), () => importRoster(gate, caller, file, named, 5_000));
  const { flowId, learners, groups, staff, decision, holdId, difference } = taken;
  sendJson(response, holdId ? 409 : 202, {
    flowId,
    school: taken.schoolOin,
    schooljaar: taken.schoolYear,
    dependancecode: taken.siteCode || null,
    administration: taken.administration || null,
    learners,
    groups,
    staff,
    warnings: taken.warnings,
    losses: taken.losses,
    decision: decision.outcome || null,
    ...(decision.code ? { code: decision.code, told: decision.told } : {}),
    ...(holdId ? { code: 'hold.pending', holdId, difference } : {}),
  });
}
