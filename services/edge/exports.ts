/** A school's roster as one party may have it, as an EDEXML file: for that party itself, or on the gateway's own machine. */
import { closeSync, existsSync, fsyncSync, linkSync, openSync, rmSync, writeSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import type { LossCount } from '#adapters/contract';
import { countLosses, fromCore, isVersion, type Version, writeValid } from '#adapters/edexml';
import { GatewayError, isSchoolOin, isSchoolYear, isSiteCode, newId } from '#kernel';
import { Service } from '#proto/eduk/core/v1/party';
import { type AttributeName, revealRoster } from '#release';
import type { Caller } from './caller.ts';
import { purposeFor, requireSite } from './purpose.ts';
import type { RosterReads } from './roster-reads.ts';
import type { Door } from './submission.ts';

/** Learners of a roster that its owner is asked for at once. */
const PAGE = 1_000;
/** Who made the file, as it says itself. */
const AUTHOR = 'Edu-K gateway';

export interface RosterAsked {
  schoolOin: string;
  /** Empty = the running one. */
  schoolYear: string;
  /** Empty = the whole school. */
  siteCode: string;
  /** Empty = 2.1. */
  version: string;
}

export interface RosterWritten {
  text: string;
  schoolYear: string;
  version: Version;
  learners: number;
  groups: number;
  staff: number;
  attributes: AttributeName[];
  losses: LossCount[];
}

/**
 * The file. Which attributes stand in it the release policy decides, from the mandate between school and party as it is now.
 * Faults: wire.invalid, mandate.*, state.missing (no roster, or nobody in it that the party may have).
 */
export async function writeRoster(door: Door, caller: Caller, asked: RosterAsked): Promise<RosterWritten> {
  const { schoolOin, siteCode } = asked;
  if (!isSchoolOin(schoolOin)) throw new GatewayError('wire.invalid', 'Name a school.', { where: 'school' });
  const version = asked.version || '2.1';
  if (!isVersion(version))
    throw new GatewayError('wire.version', 'EDEXML is written in 1.03, 2.0 and 2.1.', { where: 'version' });
  if (asked.schoolYear !== '' && !isSchoolYear(asked.schoolYear))
    throw new GatewayError('wire.invalid', 'schooljaar is two years that follow each other.', { where: 'schooljaar' });
  if (!isSiteCode(siteCode))
    throw new GatewayError('wire.invalid', 'dependancecode is two digits.', { where: 'dependancecode' });
  const purpose = purposeFor(door, caller, schoolOin, Service.SERVICE_ROSTER);
  requireSite(purpose, siteCode);
  const page = (schoolYear: string, after: string) =>
    door.services.rosters.getRoster({ schoolOin, schoolYear, limit: PAGE, after, siteCode });
  const whole = await page(asked.schoolYear, '');
  const { schoolYear } = whole;
  for (let { next } = whole; next !== ''; ) {
    const more = await page(schoolYear, next);
    whole.learners.push(...more.learners);
    next = more.next;
  }
  const madeAt = new Date(Number(whole.changedMs)).toISOString();
  const about = { schoolYear, asOf: whole.asOf, madeAt, siteCode };
  const roster = await revealRoster(door.services.vault, purpose, about, whole);
  return roster.reveal((it) => {
    const { wire, losses } = fromCore(it, version);
    if (!whole.known || !wire)
      throw new GatewayError('state.missing', 'Of this school and year there is nobody to write a file of.');
    return {
      text: writeValid(wire, AUTHOR),
      schoolYear,
      version,
      learners: wire.leerlingen.length,
      groups: wire.groepen.length,
      staff: wire.leerkrachten.length,
      attributes: [...purpose.released],
      losses: countLosses(losses),
    };
  });
}

/** Tells the flows of a file that a party has been given, or that was written for it. */
export function noteFile(
  { reads }: { reads: RosterReads },
  partyOin: string,
  method: string,
  { schoolOin, siteCode }: Pick<RosterAsked, 'schoolOin' | 'siteCode'>,
  version: Version,
  { schoolYear, learners, groups, staff, losses }: Omit<RosterWritten, 'text' | 'version' | 'attributes'>,
): void {
  reads.note(
    { partyOin, method, schoolOin, schoolYear, siteCode, form: `EDEXML ${version}` },
    { kind: 'roster', learners, groups, staff, losses },
  );
}

/** A file that is there whole or not at all, for its owner only. Faults: wire.invalid, state.conflict. */
export function saveNew(file: string, text: string): number {
  if (!isAbsolute(file)) throw new GatewayError('wire.invalid', 'Name a whole path.', { where: 'file' });
  if (existsSync(file) || !existsSync(dirname(file)))
    throw new GatewayError('state.conflict', 'The file is there already, or its folder is not.', { where: 'file' });
  const bytes = Buffer.from(text);
  const unfinished = `${file}.${newId()}.tmp`;
  try {
    const at = openSync(unfinished, 'wx', 0o600);
    try {
      for (let from = 0; from < bytes.length; ) from += writeSync(at, bytes, from);
      fsyncSync(at);
    } finally {
      closeSync(at);
    }
    // Fails where somebody else made it meanwhile; a rename would take its place.
    linkSync(unfinished, file);
  } catch (cause) {
    throw new GatewayError('state.conflict', 'The file could not be written there.', { where: 'file', cause });
  } finally {
    rmSync(unfinished, { force: true });
  }
  return bytes.length;
}
