/** What a party was given of whom, for schools that have to tell of a breach: facts from the log of what was done. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brinOf, dutchDay, makeFolders, Sketch } from '#kernel';
import type { ReachRow } from '#proto/eduk/audit/v1/audit';
import type { ShowProcessingResponse } from '#proto/eduk/operator/v1/operator';
import { day, oin, schoolFlag } from '../checks.ts';
import type { Gateway } from '../client.ts';
import type { Command, Result } from '../command.ts';
import { type Reached, schoolPaper, summaryPaper } from '../papers/breach.ts';
import { counted, list } from '../print.ts';
import { asProblem, misuse } from '../problem.ts';
import { following } from '../progress.ts';

/** What a party was given of one school, put together from pages. */
class OneSchool {
  readonly oin: string;
  readonly #learners = new Sketch();
  readonly #staff = new Sketch();
  readonly #purposes = new Set<string>();
  readonly #attributes = new Set<string>();
  #firstDay = '';
  #lastDay = '';
  #days = 0;
  #times = 0n;
  #people = 0n;
  #uncountedDays = 0;
  #uncountedUntil = '';

  constructor(schoolOin: string) {
    this.oin = schoolOin;
  }

  add(row: ReachRow): void {
    this.#firstDay ||= row.firstDay;
    this.#lastDay = row.lastDay;
    this.#days += row.days;
    this.#times += row.times;
    this.#people += row.people;
    for (const purpose of row.purposes) this.#purposes.add(purpose);
    for (const name of row.attributes) this.#attributes.add(name);
    this.#learners.merge(row.learners);
    this.#staff.merge(row.staff);
    this.#uncountedDays += row.uncountedDays;
    this.#uncountedUntil = row.uncountedUntil || this.#uncountedUntil;
  }

  told(): Reached {
    return {
      schoolOin: this.oin,
      firstDay: this.#firstDay,
      lastDay: this.#lastDay,
      days: this.#days,
      times: Number(this.#times),
      people: Number(this.#people),
      purposes: [...this.#purposes].sort(),
      attributes: [...this.#attributes].sort(),
      learners: this.#learners.count(),
      staff: this.#staff.count(),
      uncountedDays: this.#uncountedDays,
      uncountedUntil: this.#uncountedUntil,
    };
  }
}

interface Ask {
  partyOin: string;
  fromDay: string;
  toDay: string;
  schoolOin: string;
}

/** School by school, so that no more than one is in memory; names of all that are registered come along. */
async function* reached(
  gateway: Gateway,
  ask: Ask,
  seen: { keptFrom: string; names: Map<string, string> },
): AsyncGenerator<Reached> {
  let school: OneSchool | undefined;
  for (let at = { afterSchool: '', afterDay: '' }; ; ) {
    const page = await gateway.ask('listReach', { ...ask, ...at });
    seen.keptFrom = page.keptFrom;
    for (const { oin: of, name } of page.names) seen.names.set(of, name);
    for (const row of page.rows) {
      if (school && school.oin !== row.schoolOin) yield school.told();
      if (school?.oin !== row.schoolOin) school = new OneSchool(row.schoolOin);
      school.add(row);
    }
    if (page.afterSchool === '') break;
    at = { afterSchool: page.afterSchool, afterDay: page.afterDay };
  }
  if (school) yield school.told();
}

/**
 * Writes into a folder, which only its owner can read: who saw whose data is nobody else's affair. It is made with its first file, so
 * that what was refused leaves none behind.
 */
export function folderNamed(name: string): (file: string, text: string) => void {
  return (file, text) => {
    try {
      makeFolders(name, 0o700);
    } catch (error) {
      throw misuse(`${name} cannot be made (${(error as NodeJS.ErrnoException).code}).`);
    }
    try {
      writeFileSync(join(name, file), text, { mode: 0o600 });
    } catch (error) {
      throw misuse(`${join(name, file)} cannot be written (${(error as NodeJS.ErrnoException).code}).`);
    }
  };
}

/** What a school's file is called by. */
export const fileOf = (schoolOin: string): string => {
  const brin = brinOf(schoolOin);
  // An OIN is no path; whatever the gateway says, neither is this.
  return brin && schoolOin.endsWith('00000') ? brin : schoolOin.replaceAll(/\W/g, '_');
};

export const breach: Command = {
  name: 'breach',
  about: 'Tell each school what a party was given of its people: a file for each, in Dutch, and a summary.',
  flags: {
    party: { about: 'The party where data leaked.', value: 'OIN', required: true, check: oin },
    from: { about: 'From this day; without it from the first of which anything is kept.', value: 'DAY', check: day },
    to: { about: 'Up to and with this day; without it today.', value: 'DAY', check: day },
    school: schoolFlag('Only of this school.'),
    out: { about: 'Folder for the files; made where it is not there.', value: 'FOLDER', required: true },
  },
  notes: [
    'From the log of what was done: what was released and delivered to the party. How many different people it was is counted without keeping who, and is right to about two in a hundred.',
    'Facts only, for the school’s own notification; each file says what its sources cannot tell.',
    'eduk party stop stops the party everywhere.',
  ],
  async run(call): Promise<Result> {
    const partyOin = call.one('party')!;
    const today = dutchDay(call.streams.now());
    const [fromDay, toDay] = [call.one('from') ?? '', call.one('to') ?? today];
    if (fromDay !== '' && fromDay > toDay) throw misuse('--from is a later day than --to.');
    const gateway = call.gateway();
    const { parties, stopped } = await gateway.ask('listParties', { oin: partyOin });
    const seen = { keptFrom: '', names: new Map(parties.map(({ oin: of, name }) => [of, name])) };
    const write = folderNamed(call.one('out')!);
    const asked = {
      partyOin,
      partyName: parties[0]?.name ?? '',
      fromDay,
      toDay,
      madeOn: today,
      stoppedMs: Number(stopped[0]?.sinceMs ?? 0n),
      keptFrom: '',
    };
    const rows: (Reached & { name: string; file: string })[] = [];
    let words = new Map<string, string>();
    const paper = async (one: Reached): Promise<void> => {
      const known = await agreed(gateway, one.schoolOin);
      if (known && words.size === 0) words = new Map(known.attributes.map(({ name, about }) => [name, about]));
      const file = `${fileOf(one.schoolOin)}.md`;
      const name = seen.names.get(one.schoolOin) ?? '';
      const of = known?.parties.find(({ oin: party }) => party === partyOin);
      write(file, schoolPaper({ ...asked, keptFrom: seen.keptFrom }, one, name, of?.mandates ?? [], words));
      rows.push({ ...one, name, file });
    };
    await following(call, { words: 'schools written' }, async (progress) => {
      const asks = { partyOin, fromDay, toDay, schoolOin: call.one('school') ?? '' };
      for await (const school of reached(gateway, asks, seen)) {
        await paper(school);
        progress.add(1);
      }
    });
    write('samenvatting.md', summaryPaper({ ...asked, keptFrom: seen.keptFrom }, rows, words));
    const attributes = [...new Set(rows.flatMap((row) => row.attributes))].sort();
    const json = {
      partyOin,
      partyName: asked.partyName || null,
      from: fromDay || null,
      to: toDay,
      keptFrom: seen.keptFrom || null,
      schools: rows.map(({ name, ...row }) => ({ ...row, schoolName: name || null })),
      attributes,
    };
    write('samenvatting.json', `${JSON.stringify(json, null, 2)}\n`);
    return {
      json,
      text: list([
        ['party', `${asked.partyName}\n${partyOin}`],
        ['schools', rows.length],
        ['learners', `about ${rows.reduce((sum, { learners }) => sum + learners, 0)} (per school, added up)`],
        ['attributes', attributes.join(', ') || 'none'],
        ['first given', rows.map(({ firstDay }) => firstDay).sort()[0] ?? 'never in these days'],
      ]),
      said: `${counted(rows.length, 'file')} and samenvatting.md in ${call.one('out')!}.`,
    };
  },
};

/** What the school agreed to; undefined = it is not known here any more. */
async function agreed(gateway: Gateway, schoolOin: string): Promise<ShowProcessingResponse | undefined> {
  try {
    return await gateway.ask('showProcessing', { schoolOin });
  } catch (thrown) {
    if (['state.missing', 'wire.invalid'].includes(asProblem(thrown).code)) return undefined;
    throw thrown;
  }
}
