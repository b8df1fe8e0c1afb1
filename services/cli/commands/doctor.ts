import { accessSync, constants, existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { type Config, ConfigError, parseAddress } from '#kernel';
import type { Age } from '#proto/eduk/bus/v1/bus';
import { Role } from '#proto/eduk/core/v1/party';
import type { DiskForecast } from '#proto/eduk/delivery/v1/delivery';
import { LeaversKept, type StatusResponse } from '#proto/eduk/operator/v1/operator';
import type { RegisterRun } from '#proto/eduk/parties/v1/parties';
import type { Pull, SchoolRoster, WaitingTurn } from '#proto/eduk/rosters/v1/rosters';
import { endsOfFiles, endsOfParties } from '../certificates.ts';
import { howToStart, tokenFile } from '../client.ts';
import type { Call, Command, Result } from '../command.ts';
import { masterKeyFile, modeOf, openToOthers } from '../place.ts';
import { bytes, counted, dutchTime, isoTime, paragraph, span, table } from '../print.ts';
import { asProblem } from '../problem.ts';
import { following, waiting } from '../progress.ts';
import { backupsOnly, retention } from '../retention.ts';
import { whoMustAct } from '../words.ts';
import { scope } from './freeze.ts';
import { keeping } from './keep.ts';
import { waits } from './turn.ts';

interface Check {
  name: string;
  state: 'ok' | 'warn' | 'fail';
  says: string;
}

const ok = (name: string, says: string): Check => ({ name, state: 'ok', says });
const warn = (name: string, says: string): Check => ({ name, state: 'warn', says });
const fail = (name: string, says: string): Check => ({ name, state: 'fail', says });

/** Free disk below which we warn, and below which the log cannot be expected to go on. Bytes. */
const LITTLE_DISK = 2_000_000_000;
const FILLING_DAYS = 7;
const DAY_MS = 86_400_000;
const NO_DISK = 200_000_000;
/** A consumer that has left something unread this long is behind. Milliseconds. */
const BEHIND_MS = 60_000;
/** Clocks of one machine and its files may differ a little. Milliseconds. */
const CLOCK_SLACK_MS = 5 * 60_000;
/** Nobody runs this before it was written. */
const WRITTEN = Date.UTC(2026, 0, 1);

export const doctor: Command = {
  name: 'doctor',
  about: 'Look whether this machine can run the gateway, and how the running one is.',
  flags: {
    'restore-drill': {
      about:
        'Restore the newest backup in EDUK_BACKUPS aside, compare it with what it was made with, and throw it away.',
    },
  },
  alone: true,
  notes: [
    'Exit status 1 when something must be mended.',
    'What is kept longer than its class allows has a line “kept: …” that says why.',
    'With EDUK_ENGINE=kafka it asks databases and brokers how they are set, and says which failures that survives.',
  ],
  async run(call): Promise<Result> {
    const checks: Check[] = [runtime()];
    let config: Config | undefined;
    try {
      config = call.config();
      checks.push(ok('settings', 'all names and forms are known'));
    } catch (error) {
      checks.push(
        fail('settings', error instanceof ConfigError ? error.problems.join('\n') : asProblem(error).message),
      );
    }
    let status: StatusResponse | undefined;
    if (config) {
      const answered = await askStatus(call);
      status = answered.status;
      checks.push(
        folder(config),
        ...operatorKey(config),
        disk(config),
        masterKey(config),
        clock(config, call.streams.now()),
        ...endsOfFiles(config, call.streams.now()),
        ...endsOfParties(status?.certificates ?? [], call.streams.now()),
      );
      checks.push(
        ...(answered.running
          ? [ok('ports', status ? 'in use by the running gateway' : 'in use: something answers there')]
          : await ports(config)),
      );
      checks.push(answered.check);
      if (status) {
        const { services } = await import('../../roles.ts');
        const known = new Set(services.map(({ name }) => name));
        checks.push(
          ...wellbeing({ ...status, known }),
          await standing(call),
          await unsent(call),
          await stops(call),
          await freezes(call),
          await unconfirmed(call),
          ...(await forgets(call)),
          ...(await heldKeys(call)),
        );
      }
      checks.push(...(await kept(call, config, status)));
    }
    const asked = config?.EDUK_ENGINE === 'kafka' ? await (await keeping()).survivalOf(config) : undefined;
    if (asked) checks.push(...asked.findings);
    const drilled = config && call.has('restore-drill') ? await drillOf(call, config) : undefined;
    if (drilled) checks.push(drilled.check);
    // Only what is not at the head: a wall of zeros hides the one line that matters. --json has all.
    const busy = (status?.ages ?? []).filter(({ unread, parkedKeys, gap }) => unread > 0n || parkedKeys > 0 || gap);
    const survives = config?.EDUK_ENGINE === 'kafka' ? (asked?.survives ?? []) : ['process'];
    const healthy = !checks.some(({ state }) => state === 'fail');
    return {
      json: {
        ok: healthy,
        checks,
        survives,
        gateway: status ? statusJson(status) : null,
        ...(call.has('restore-drill') ? { restoreDrill: drilled?.json ?? null } : {}),
      },
      text: [
        table(
          ['check', 'state', 'what we saw'],
          checks.map(({ name, state, says }) => [name, state, says]),
        ),
        paragraph(survivalWords(config?.EDUK_ENGINE === 'kafka', survives)),
        ...(busy.length > 0 ? [agesTable(busy)] : []),
      ].join('\n\n'),
      exit: healthy ? 0 : 1,
    };
  },
};

const losses: Readonly<Record<string, string>> = {
  process: 'of any of its processes',
  broker: 'of one broker, without a stop',
  machine: 'of a database’s machine',
};

/** Which failures this set-up survives. Nobody here can know of sites. */
function survivalWords(distributed: boolean, survives: readonly string[]): string {
  if (!distributed)
    return 'This set-up survives the loss of its process: everything accepted is on this machine’s disk. It does not survive the loss of the machine or of the site; a backup elsewhere, and the lists beside the data folder, are what is left then.';
  const [kept, lost] = [true, false].map((is) =>
    Object.entries(losses)
      .filter(([loss]) => survives.includes(loss) === is)
      .map(([, words]) => words)
      .join('; '),
  );
  return [
    kept === '' ? 'This set-up is not known to survive any failure.' : `This set-up survives the loss ${kept}.`,
    `It does not survive the loss ${[lost, 'of the site, as far as can be seen from here'].filter(Boolean).join('; ')}.`,
  ].join(' ');
}

/** A backup older than this was forgotten. Milliseconds. */
const OLD_BACKUP_MS = 2 * 86_400_000;

async function drillOf(call: Call, config: Config): Promise<{ check: Check; json: object | null }> {
  const name = 'restore drill';
  const { backupsFolder, drill } = await keeping();
  try {
    const done = await following(call, waiting('Restoring the newest backup aside'), (progress) =>
      drill(config, backupsFolder(config), call.streams.now, progress),
    );
    const says = `${done.backup}, ${span(done.ageMs)} old, restored and the same in ${span(done.tookMs)}: ${counted(done.rows, 'row')}`;
    return { check: done.ageMs > OLD_BACKUP_MS ? warn(name, says) : ok(name, says), json: done };
  } catch (thrown) {
    const says = thrown instanceof ConfigError ? thrown.problems.join('\n') : asProblem(thrown).message;
    return { check: fail(name, says), json: null };
  }
}

const runtime = (): Check => {
  const major = Number.parseInt(process.versions.node, 10);
  return major >= 24
    ? ok('node', `${process.version}, ${process.platform} ${process.arch}`)
    : fail('node', `${process.version}; Node 24 or newer is needed`);
};

/** The nearest folder that exists, which is where a new one would be made. */
function existing(path: string): string {
  let place = resolve(path);
  while (!existsSync(place) && dirname(place) !== place) place = dirname(place);
  return place;
}

function folder({ EDUK_DATA: data }: Config): Check {
  const name = 'data folder';
  const place = existing(data);
  try {
    if (!statSync(place).isDirectory()) return fail(name, `${place} is a file; EDUK_DATA must name a folder`);
    accessSync(place, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch {
    return fail(name, `${place} cannot be written by this user`);
  }
  if (place !== resolve(data)) return ok(name, `${data} is made at the first start`);
  // Passing through it to what has a mode of its own is no reading of it.
  return openToOthers(data) & 0o066
    ? warn(name, `${data} is open to other users (mode ${modeOf(data)}); chmod 700 ${data}`)
    : ok(name, data);
}

function operatorKey(config: Config): Check[] {
  const file = tokenFile(config);
  if (!existsSync(file))
    return config.EDUK_TOKEN_FILE === undefined
      ? []
      : [fail('operator key', `EDUK_TOKEN_FILE names ${file}, which is not there`)];
  return [
    openToOthers(file)
      ? fail('operator key', `${file} can be read by others (mode ${modeOf(file)}); chmod 600 ${file}`)
      : ok('operator key', file),
  ];
}

function disk({ EDUK_DATA: data }: Config): Check {
  const { bavail, bsize } = statfsSync(existing(data));
  const free = bavail * bsize;
  const says = `${bytes(free)} free for ${data}`;
  if (free < NO_DISK) return fail('disk', `${says}; the doors will refuse`);
  return free < LITTLE_DISK ? warn('disk', says) : ok('disk', says);
}

function masterKey(config: Config): Check {
  const name = 'master key';
  const { file, devKey } = masterKeyFile(config);
  if (!existsSync(file)) {
    if (!devKey) return fail(name, `EDUK_MASTER_KEY_FILE names ${file}, which is not there`);
    // The vault's file, as the gateway names it: data without its key cannot be opened.
    if (existsSync(join(config.EDUK_DATA, 'vault.db')))
      return fail(name, `${file} is gone, and the vault in ${config.EDUK_DATA} cannot be opened without it`);
    return warn(name, `none named: the first start makes a development key, ${file}`);
  }
  if (openToOthers(file)) return fail(name, `${file} can be read by others (mode ${modeOf(file)}); chmod 600 ${file}`);
  const next = `${file}.next`;
  if (existsSync(next))
    return openToOthers(next)
      ? fail(name, `${next} can be read by others (mode ${modeOf(next)}); chmod 600 ${next}`)
      : warn(
          name,
          `a new one stands beside it, ${next}: begin to use it with eduk key rotate master, or, where eduk key list says that this is done, put it in the place of ${file}`,
        );
  return devKey
    ? warn(name, `a development key, ${file} (mode ${modeOf(file)}): for trying out, on loopback only`)
    : ok(name, `${file} (mode ${modeOf(file)})`);
}

/** A clock that runs behind its own files would let mandates and licences live too long. */
function clock({ EDUK_DATA: data }: Config, now: number): Check {
  const shown = `${dutchTime(now)} in the Netherlands`;
  if (now < WRITTEN) return fail('clock', `${shown}: behind`);
  const newest =
    existsSync(data) && statSync(data).isDirectory()
      ? Math.max(
          0,
          ...readdirSync(data).map((name) => statSync(join(data, name), { throwIfNoEntry: false })?.mtimeMs ?? 0),
        )
      : 0;
  if (newest > now + CLOCK_SLACK_MS)
    return fail('clock', `${shown}: behind the files in ${data}, last written ${dutchTime(newest)}`);
  return ok('clock', shown);
}

async function ports(config: Config): Promise<Check[]> {
  const names = (['EDUK_GRPC', 'EDUK_HTTP', 'EDUK_CONSOLE', 'EDUK_INTERNAL'] as const).filter(
    (name) => config[name] !== undefined,
  );
  return Promise.all(
    names.map(async (name) => {
      const { host, port } = parseAddress(config[name]!)!;
      if (port === 0) return ok(name, 'takes a free port');
      const code = await listens(host, port);
      if (code === undefined) return ok(name, `${config[name]} is free`);
      return fail(
        name,
        code === 'EADDRINUSE'
          ? `${config[name]} is used by another program; choose another port (0 takes a free one)`
          : `${config[name]} cannot be used (${code})`,
      );
    }),
  );
}

/** Takes the port for a moment; the error's code when that fails. */
const listens = (host: string, port: number): Promise<string | undefined> =>
  new Promise((settle) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => settle(error.code ?? 'unknown'));
    server.listen({ host, port, exclusive: true }, () => server.close(() => settle(undefined)));
  });

async function askStatus(call: Call): Promise<{ running: boolean; status?: StatusResponse; check: Check }> {
  try {
    const gateway = call.gateway();
    const status = await gateway.ask('status', {});
    return {
      running: true,
      status,
      check: ok(
        'gateway',
        `version ${status.version} at ${gateway.address}, ${counted(status.events, 'event')} on the log`,
      ),
    };
  } catch (thrown) {
    const problem = asProblem(thrown);
    if (problem.code === 'peer.unavailable')
      return { running: false, check: ok('gateway', `not running. ${howToStart}`) };
    // Something answers, but not to us: the ports are taken.
    return {
      running: problem.code !== 'party.forbidden',
      check: fail('gateway', `${problem.message} (${problem.code})`),
    };
  }
}

/** `state 1.2 GB, 80 MB a day more: full in 40 days at this rate`. */
function diskGrowth(disks: readonly DiskForecast[]): Check {
  const says = disks.map(({ use, atMs, growsBytes, fullMs }) => {
    const { place, usedBytes } = use!;
    const holds = `${place} ${bytes(usedBytes)}`;
    if (growsBytes === undefined) return `${holds}, measured for less than an hour`;
    if (growsBytes <= 0n) return `${holds}, not growing`;
    const grows = `${holds}, ${bytes(growsBytes)} a day more`;
    return fullMs === undefined
      ? grows
      : `${grows}: full in ${counted(Math.floor(Number(fullMs - atMs) / DAY_MS), 'day')} at this rate`;
  });
  const isSoon = disks.some(
    ({ atMs, fullMs }) => fullMs !== undefined && Number(fullMs - atMs) < FILLING_DAYS * DAY_MS,
  );
  return isSoon ? warn('disk growth', says.join('; ')) : ok('disk growth', says.join('; '));
}

function wellbeing({
  ages,
  holds,
  parkedKeys,
  devKey,
  freeDiskBytes,
  disks,
  bulkReveals,
  revealsPerHour,
  known,
  registers,
  pulls,
  administrationProblems,
  turns,
  turnsTotal,
}: StatusResponse & { known: ReadonlySet<string> }): Check[] {
  const gaps = ages.filter(({ gap }) => gap);
  const behind = ages.filter((one) => Number(one.oldestUnreadMs) > BEHIND_MS);
  const names = (some: readonly Age[]): string =>
    some.map(({ consumer, stream }) => `${consumer} on ${stream}`).join(', ');
  const strange = [...new Set(ages.map(({ consumer }) => consumer))].filter((name) => !known.has(name));
  return [
    ...(strange.length > 0
      ? [
          warn(
            'services',
            `this release has no ${strange.join(', ')}, and doors and cleaning wait for it; a role that is started once nobody has run it for a minute takes it away`,
          ),
        ]
      : []),
    gaps.length > 0
      ? fail('log', `log.gap: a number is missing, stopped: ${names(gaps)}`)
      : ok('log', 'no number is missing'),
    behind.length > 0 ? warn('consumers', `behind: ${names(behind)}`) : ok('consumers', 'all near the head of the log'),
    parkedKeys > 0
      ? warn('parked', `${counted(parkedKeys, 'key')} parked; see eduk dead list`)
      : ok('parked', 'no key is parked'),
    holds > 0
      ? warn('held', `${counted(holds, 'hold waits', 'holds wait')} for approval; see eduk hold list`)
      : ok('held', 'nothing waits for approval'),
    ...(freeDiskBytes > 0n && freeDiskBytes < BigInt(LITTLE_DISK)
      ? [warn('gateway’s disk', `${bytes(freeDiskBytes)} free`)]
      : []),
    ...(disks.length > 0 ? [diskGrowth(disks)] : []),
    ...bulkReveals.map(({ partyOin, partyName, hourMs, learners }) =>
      warn(
        'reveals',
        `${[partyName, partyOin].filter(Boolean).join(', ')} was shown ${learners} learners in the hour of ${dutchTime(hourMs)}; above ${revealsPerHour} (EDUK_REVEALS_PER_HOUR) somebody looks why`,
      ),
    ),
    ...(bulkReveals.length === 0 && revealsPerHour > 0n
      ? [ok('reveals', `no party was shown more than ${revealsPerHour} learners in an hour of the last day`)]
      : []),
    ...registers.map(registerCheck),
    ...administrationProblems.map((problem) => warn('administrations', problem)),
    ...pullChecks(pulls),
    ...turnChecks(turns, turnsTotal),
    ...(devKey ? [warn('gateway’s key', 'runs on a development key')] : []),
  ];
}

/** Administrations that are named one by one; of more it is said how many. */
const PULLS_NAMED = 10;
const TURNS_NAMED = 10;

/** Rosters that were asked of administrations and did not come in: why, and who must act. */
function pullChecks(pulls: readonly Pull[]): Check[] {
  const says = (pull: Pull): string => {
    const of = pull.schoolOin === '' ? `${pull.partyOin} rests` : `${pull.schoolOin} of ${pull.partyOin}`;
    const why = [pull.code, pull.faultcode].filter(Boolean).join(', ') || 'nobody is there';
    const next = pull.failures > 0 ? `; asked again ${dutchTime(pull.dueMs)}` : '';
    return `${of}: ${pull.outcome} (${why})${pull.who ? `; ${whoMustAct(pull.who)} must act` : ''}${next}; see eduk roster pulls`;
  };
  const more = pulls.length - PULLS_NAMED;
  return [
    ...pulls.slice(0, PULLS_NAMED).map((pull) => warn('administrations', says(pull))),
    ...(more > 0 ? [warn('administrations', `${more} more rosters did not come in`)] : []),
  ];
}

/** Schools that are still in a school year that is over for them. Without a roster of the new one nothing is wrong with the gateway. */
function turnChecks(turns: readonly WaitingTurn[], total: number): Check[] {
  const says = ({ schoolOin, running, schoolYear, onDay, why }: WaitingTurn): string =>
    `${schoolOin} is in ${running} still, and would have gone on to ${schoolYear} on ${onDay}: ${waits[why] ?? why}; see eduk roster turn`;
  const more = total - Math.min(turns.length, TURNS_NAMED);
  return [
    ...turns.slice(0, TURNS_NAMED).map((turn) => warn('school year', says(turn))),
    ...(more > 0 ? [warn('school year', counted(more, 'more school waits', 'more schools wait'))] : []),
  ];
}

/** How the last comparison with a register ended. */
function registerCheck({
  register,
  atMs,
  outcome,
  code,
  holdId,
  added,
  changed,
  ended,
  unmatched,
  unanswered,
}: RegisterRun): Check {
  const when = `on ${dutchTime(atMs)}`;
  if (outcome === 'failed') return warn(register, `failed ${when} (${code}); see eduk ${register} sync --dry-run`);
  if (outcome === 'held')
    return warn(
      register,
      `${holdId} waits since ${when.slice(3)}: it would end ${counted(ended, 'mandate')} and add ${added}; see eduk ${register} sync --dry-run`,
    );
  const says = `compared ${when}: ${added} added, ${changed} changed, ${ended} ended`;
  return unanswered > 0 || unmatched > 0
    ? warn(
        register,
        `${says}; ${unmatched} to look at, ${counted(unanswered, 'question')} unanswered; see eduk ${register} sync --dry-run`,
      )
    : ok(register, says);
}

/** What stands in the way, as `eduk alert list` has it, and whether anybody is told of it. */
async function standing(call: Call): Promise<Check> {
  const name = 'alerts';
  try {
    const { alerts, channels } = await call.gateway().ask('listAlerts', {});
    if (alerts.length === 0) {
      const told =
        channels.length > 0
          ? `told by ${channels.join(' and ')}`
          : 'told to nobody: EDUK_ALERT_WEBHOOK and EDUK_ALERT_MAIL are not set';
      return ok(name, `nothing stands in the way; ${told}`);
    }
    const kinds = [...Map.groupBy(alerts, ({ alert }) => alert!.code)].map(([code, { length }]) =>
      length === 1 ? code : `${length} × ${code}`,
    );
    const untold = alerts.filter(({ failures }) => failures > 0).length;
    const says = [
      `${counted(alerts.length, 'alert')}: ${kinds.join(', ')}`,
      'see eduk alert list',
      ...(untold > 0 ? [`${untold} could not be told: see eduk alert test`] : []),
    ];
    return warn(name, says.join('; '));
  } catch (thrown) {
    return warn(name, `not known: ${asProblem(thrown).message}`);
  }
}

/** Whether receivers take what is sent to them. */
async function unsent(call: Call): Promise<Check> {
  const name = 'endpoints';
  try {
    const { rows, endpoints } = await call.gateway().ask('listParked', {});
    const unsent = rows.filter(({ standard }) => standard !== '');
    const schools = unsent.filter(({ key }) => key === '').length;
    const keys = unsent.length - schools;
    const open = endpoints.filter(({ breaker }) => breaker === 'open').length;
    if (unsent.length === 0 && endpoints.length === 0) return ok(name, 'all take what is sent to them');
    const says = [
      ...(keys === 0 ? [] : [`${counted(keys, 'key')} not taken`]),
      ...(schools === 0 ? [] : [`${counted(schools, 'school')} refused as a whole`]),
      ...(endpoints.length === 0 ? [] : [counted(endpoints.length, 'endpoint fails', 'endpoints fail')]),
      ...(open === 0 ? [] : [`${counted(open, 'breaker')} open`]),
    ];
    return warn(name, `${says.join(', ')}; see eduk dead list`);
  } catch (thrown) {
    return warn(name, `not known: ${asProblem(thrown).message}`);
  }
}

/** Parties that an operator stopped: nothing goes to them until somebody lets them go on. */
async function stops(call: Call): Promise<Check> {
  const name = 'stopped parties';
  try {
    const { stopped } = await call.gateway().ask('listParties', {});
    if (stopped.length === 0) return ok(name, 'none');
    const which = stopped.map(({ oin, sinceMs, reason }) => `${oin} since ${dutchTime(sinceMs)} (${reason})`);
    return warn(name, `${which.join(', ')}; they go on by eduk party resume`);
  } catch (thrown) {
    return warn(name, `not known: ${asProblem(thrown).message}`);
  }
}

/** What waits because a school or a party may not be disturbed: nothing is wrong then. */
async function freezes(call: Call): Promise<Check> {
  const name = 'freezes';
  try {
    const answer = await call.gateway().ask('listFreezes', {});
    const holding = answer.freezes.filter(({ state }) => state === 'holds');
    if (holding.length === 0) return ok(name, 'none holds');
    const which = holding.map(
      ({ freeze }) => `${scope(freeze!, answer.names)} until ${dutchTime(freeze!.untilMs)} (${freeze!.reason})`,
    );
    return ok(name, `what takes away or disturbs waits for ${which.join('; ')}`);
  } catch (thrown) {
    return warn(name, `not known: ${asProblem(thrown).message}`);
  }
}

/** Schools that are forgotten, of which somebody may still hold what it was given. */
async function unconfirmed(call: Call): Promise<Check> {
  const name = 'forgotten schools';
  try {
    const { forgettings } = await call.gateway().ask('listSchoolForgets', {});
    const open = forgettings
      .filter(({ state }) => state !== 'kept')
      .map((one) => ({
        ...one,
        asks: one.receivers.filter(({ mustConfirm, confirmedMs }) => mustConfirm && confirmedMs === 0n),
      }))
      .filter(({ asks }) => asks.length > 0);
    if (open.length === 0) return ok(name, 'nobody has to be asked whether it deleted what it had');
    const which = open.map(({ schoolOin, state, destroyAtMs, asks }) => {
      const hour = `${state === 'destroyed' ? 'destroyed' : 'to be destroyed'} ${dutchTime(destroyAtMs)}`;
      return `${schoolOin} (${hour}): ${counted(asks.length, 'receiver has', 'receivers have')} not confirmed`;
    });
    return warn(name, `${listed(which)}; see eduk school forgets, and ask them`);
  } catch (thrown) {
    return warn(name, `not known: ${asProblem(thrown).message}`);
  }
}

/** Schools that are closed and will be destroyed: until shortly before its hour one can be kept. */
async function forgets(call: Call): Promise<Check[]> {
  const name = 'forgotten schools';
  try {
    const { forgettings } = await call.gateway().ask('listSchoolForgets', { schoolOin: '' });
    const waiting = forgettings.filter(({ state }) => state === 'waits');
    return [
      ...waiting
        .slice(0, SHOWN_SCHOOLS)
        .map(({ schoolOin, destroyAtMs }) =>
          warn(
            name,
            `${schoolOin} is closed, and destroyed on ${dutchTime(destroyAtMs)}; eduk school keep takes that back`,
          ),
        ),
      ...(waiting.length > SHOWN_SCHOOLS ? [warn(name, `${waiting.length - SHOWN_SCHOOLS} more are closed`)] : []),
    ];
  } catch (thrown) {
    return [warn(name, `not known: ${asProblem(thrown).message}`)];
  }
}

/** At most so many schools are asked at once. */
const SCHOOLS_AT_ONCE = 20;

/** What is kept longer than it may be, by class, and why. */
async function kept(call: Call, config: Config, status: StatusResponse | undefined): Promise<Check[]> {
  const now = call.streams.now();
  const { backupsFolder } = await keeping();
  const backups = backupsFolder(config);
  if (!status) return backupsOnly(backups, now);
  try {
    const gateway = call.gateway();
    const [parked, { parties }] = await Promise.all([
      gateway.ask('listParked', {}),
      gateway.ask('listParties', { role: Role.ROLE_SCHOOL }),
    ]);
    const years: SchoolRoster[] = [];
    for (let from = 0; from < parties.length; from += SCHOOLS_AT_ONCE) {
      const some = parties.slice(from, from + SCHOOLS_AT_ONCE);
      const answers = await Promise.all(some.map(({ oin: schoolOin }) => gateway.ask('listSites', { schoolOin })));
      years.push(...answers.flatMap((answer) => answer.years));
    }
    const leavers = status.leavers ?? LeaversKept.fromPartial({});
    return retention({ backups, ages: status.ages, years, leavers, parked, now });
  } catch (thrown) {
    return [warn('kept', `not known: ${asProblem(thrown).message}`), ...backupsOnly(backups, now)];
  }
}

/** Keys that somebody else holds, and whether the vault may use them. Nothing where all keys are in files. */
async function heldKeys(call: Call): Promise<Check[]> {
  const name = 'held keys';
  try {
    const { keys } = await call.gateway().ask('showKeys', {});
    const { masterAt = '', masterAwayMs = 0n, masterClosed = false, held = [] } = keys ?? {};
    const since = dutchTime(masterAwayMs);
    const closed = held.filter(({ open }) => !open);
    const doubtful = held.filter(({ open, code }) => open && code !== '');
    return [
      ...(masterClosed
        ? [
            fail(
              name,
              `the vault is closed: the holder of its master key, ${masterAt}, has given no answer since ${since}`,
            ),
          ]
        : masterAwayMs > 0n
          ? [warn(name, `the holder of the master key, ${masterAt}, has given no answer since ${since}`)]
          : masterAt !== ''
            ? [ok(name, `the master key is held at ${masterAt}`)]
            : []),
      ...(closed.length > 0
        ? [
            warn(
              name,
              `closed, because the holder of their key gives no answer or says no: ${listed(closed.map(({ schoolOin }) => schoolOin))}; see eduk key list, and ask the school`,
            ),
          ]
        : []),
      ...(doubtful.length > 0
        ? [warn(name, `about to close, for the same reason: ${listed(doubtful.map(({ schoolOin }) => schoolOin))}`)]
        : []),
      ...(held.length > 0 && closed.length + doubtful.length === 0
        ? [
            ok(
              name,
              `${counted(held.length, 'school holds its own key', 'schools hold their own key')}, and all are open`,
            ),
          ]
        : []),
    ];
  } catch (thrown) {
    return [warn(name, `not known: ${asProblem(thrown).message}`)];
  }
}

const SHOWN_SCHOOLS = 20;
const listed = (schools: readonly string[]): string =>
  [
    ...schools.slice(0, SHOWN_SCHOOLS),
    ...(schools.length > SHOWN_SCHOOLS ? [`and ${schools.length - SHOWN_SCHOOLS} more`] : []),
  ].join(', ');

const statusJson = (status: StatusResponse) => ({
  version: status.version,
  events: Number(status.events),
  holds: status.holds,
  parkedKeys: status.parkedKeys,
  devKey: status.devKey,
  freeDiskBytes: Number(status.freeDiskBytes),
  disks: status.disks.map(({ use, sinceMs, atMs, growsBytes, fullMs }) => ({
    place: use!.place,
    disk: use!.disk,
    usedBytes: Number(use!.usedBytes),
    freeBytes: Number(use!.freeBytes) || null,
    since: isoTime(sinceMs),
    at: isoTime(atMs),
    growsBytesADay: growsBytes === undefined ? null : Number(growsBytes),
    full: fullMs === undefined ? null : isoTime(fullMs),
  })),
  bulkReveals: status.bulkReveals.map(({ partyOin, partyName, hourMs, learners }) => ({
    oin: partyOin,
    name: partyName || null,
    hourMs: Number(hourMs),
    learners: Number(learners),
  })),
  registers: status.registers.map((run) => ({ ...run, atMs: Number(run.atMs) })),
  pulls: status.pulls.map((pull) => ({
    ...pull,
    lastMs: Number(pull.lastMs),
    answeredMs: Number(pull.answeredMs),
    dueMs: Number(pull.dueMs),
  })),
  administrationProblems: status.administrationProblems,
  turns: status.turns,
  turnsTotal: status.turnsTotal,
  certificates: status.certificates.map(({ partyOin, partyName, notAfterMs }) => ({
    oin: partyOin,
    name: partyName,
    endsMs: Number(notAfterMs),
  })),
  ages: status.ages.map(({ consumer, stream, unread, oldestUnreadMs, parkedKeys, gap }) => ({
    consumer,
    stream,
    unread: Number(unread),
    oldestUnreadMs: Number(oldestUnreadMs),
    parkedKeys,
    gap,
  })),
});

/** The operator's first figures: how old is the oldest unread event, per consumer and stream. */
const agesTable = (ages: readonly Age[]): string =>
  table(
    ['consumer', 'stream', 'unread', 'oldest', 'parked'],
    ages.map((one) => [
      one.consumer,
      one.stream,
      one.unread,
      one.unread === 0n ? '' : span(Number(one.oldestUnreadMs)),
      one.parkedKeys,
    ]),
  );
