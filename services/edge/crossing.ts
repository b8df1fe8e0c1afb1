import { describeError, GatewayError, log, schoolYearOf, shared, unhurried } from '#kernel';
import type { LearnerEntry } from '#proto/eduk/events/v1/rosters';
import { ChangeSchoolRequest } from '#proto/eduk/operator/v1/operator';
import type { Going, SchoolChange } from '#proto/eduk/rosters/v1/rosters';
import { operator } from './caller.ts';
import type { Gate } from './gate.ts';
import { decisionOf } from './grpc/decision.ts';
import { take } from './grpc/writes.ts';
import { arriving, crossed } from './intake/changes.ts';
import type { Intake } from './submission.ts';

/** Learners who cross together. */
const LOT = 200;
const DECIDE_MS = 30_000;
const EVERY_MS = 15_000;
/** After somebody approved a change whose day is there: its timer comes a moment later. */
const SOON_MS = [0, 200, 1_000, 3_000];

/** Where somebody stands at the school where they go on: school years, each with a year group. */
type Standing = readonly (readonly [schoolYear: string, yearGroup: string])[];

/**
 * Has learners cross to another school once the day has come. Rosters say who goes; only the vault knows who they are there; so a door does it,
 * a lot at a time: first they are learners of the other school, then they leave this one. Each step changes nothing where it was done before, so a
 * door that is killed between two, and two doors at once, come to the same. Nothing that is written holds both tokens of anybody.
 */
export class Crossing {
  readonly #gate: Gate;
  #timer: NodeJS.Timeout | undefined;
  /** Resolves when nobody is left to cross, or who is must wait. */
  readonly go = shared(() => this.#all());
  #stopped = false;

  constructor(gate: Gate) {
    this.#gate = gate;
  }

  start(everyMs = EVERY_MS): void {
    this.#look();
    this.#timer = setInterval(() => this.#look(), everyMs);
    this.#timer.unref();
  }

  /** A change may be under way in a moment. */
  soon(): void {
    // Whoever approved it does not wait for it.
    unhurried(() => {
      for (const ms of SOON_MS) setTimeout(() => this.#look(), ms).unref();
    });
  }

  #look(): void {
    if (this.#stopped) return;
    void this.go().catch((error: unknown) => log('warn', 'school_changes_wait', describeError(error)));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.go.idle();
  }

  async #all(): Promise<void> {
    const { services, open } = this.#gate.door;
    if (!open()) return;
    const { changes } = await services.rosters.listSchoolChanges({ schoolOin: '', underWay: true });
    // One that waits, as for keys that a school holds, keeps no other from it.
    for (const change of changes)
      await this.#one(change).catch((error: unknown) => log('warn', 'school_change_waits', describeError(error)));
  }

  async #one({ schoolOin, toSchoolOin, changeId, onDay }: SchoolChange): Promise<void> {
    const { services, open } = this.#gate.door;
    while (open()) {
      const { learners } = await services.rosters.listGoing({ schoolOin, changeId, limit: LOT });
      if (learners.length === 0) return;
      const stayed = new Set(await this.#arrive(schoolOin, toSchoolOin, onDay, learners));
      const tokens = learners.map(({ learner }) => learner).sort();
      const went = tokens.filter((token) => !stayed.has(token));
      const given = { schoolOin, changeId, went, stayed: tokens.filter((token) => stayed.has(token)) };
      await this.#submit(crossed(given), { schoolOin, toSchoolOin });
    }
  }

  /** They are learners of the other school; answers who cannot be, by the token here. */
  async #arrive(from: string, to: string, onDay: string, learners: readonly Going[]): Promise<string[]> {
    const { rosters, vault } = this.#gate.door.services;
    const year = schoolYearOf(Date.parse(`${onDay}T12:00:00Z`));
    const words: string[] = [];
    const tagOf = ({ years }: Going): number => {
      // Whose roster has dropped them meanwhile goes all the same: it was settled on the day.
      const standing: Standing =
        years.length === 0 ? [[year, '']] : years.map(({ toSchoolYear, yearGroup }) => [toSchoolYear, yearGroup]);
      const word = JSON.stringify(standing);
      return words.includes(word) ? words.indexOf(word) : words.push(word) - 1;
    };
    const { enrolled, staying } = await vault.enrolAt({
      fromSchoolOin: from,
      toSchoolOin: to,
      learners: learners.map((one) => ({
        token: one.learner,
        nameMark: one.years.at(-1)?.nameMark ?? new Uint8Array(0),
        tag: tagOf(one),
      })),
      look: false,
    });
    const standings = words.map((word) => JSON.parse(word) as Standing);
    for (const schoolYear of [...new Set(standings.flat().map(([of]) => of))].sort()) {
      const entries = enrolled.flatMap(({ token, nameMark, tag }): LearnerEntry[] => {
        const standing = standings[tag]!.find(([of]) => of === schoolYear);
        return standing ? [entryOf(token, standing[1], nameMark)] : [];
      });
      const tokens = entries.map(({ learner }) => learner);
      const there = await rosters.getLearners({ schoolOin: to, schoolYear, learners: tokens });
      // What the school's own roster says of somebody stands.
      const known = new Set(there.learners.map(({ learner }) => learner));
      const fresh = entries.filter(({ learner }) => !known.has(learner));
      // Nothing of theirs says where they were.
      if (fresh.length > 0)
        await this.#submit(arriving({ schoolOin: to, schoolYear, learners: fresh }), { toSchoolOin: to });
    }
    return staying;
  }

  async #submit(
    intake: Intake<ChangeSchoolRequest>,
    asked: { schoolOin?: string; toSchoolOin: string },
  ): Promise<void> {
    const request = ChangeSchoolRequest.fromPartial({ asked });
    const { flowId } = await take(intake, request, operator, this.#gate);
    const { outcome, code } = await decisionOf(this.#gate, flowId, DECIDE_MS);
    if (outcome === '') throw new GatewayError('gateway.unavailable', 'It is not decided yet.');
    if (code !== '') throw new GatewayError('state.conflict', 'A step of a change of schools was refused.');
  }
}

const entryOf = (learner: string, yearGroup: string, nameMark: Uint8Array): LearnerEntry => ({
  learner,
  yearGroup,
  group: '',
  compositeGroups: [],
  site: '',
  entersOn: '',
  leavesOn: '',
  nameMark,
  siteCodes: [],
});
