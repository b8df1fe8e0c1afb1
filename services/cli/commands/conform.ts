/** Trying another party by the rules of a standard. Needs no gateway. */
import { randomUUID } from 'node:crypto';
import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import type { Report } from '#adapters/uwlr/conform';
import {
  Clear,
  type DialError,
  type Dialler,
  diallerFor,
  isLoopback,
  isSiteCode,
  networksOf,
  parseAddress,
  parseNetworks,
  schoolYearOf,
} from '#kernel';
import { schoolFlag, schoolYear } from '../checks.ts';
import type { Call, Command, Result } from '../command.ts';
import { listen } from '../conform/listen.ts';
import { lasSettings, pairNamed, secretIn } from '../conform/settings.ts';
import { counted, list, paragraph, table } from '../print.ts';
import { errorJson, misuse, Problem } from '../problem.ts';
import { following } from '../progress.ts';

const parts = ['description', 'roster', 'staged', 'results'] as const;
const seconds = (value: string): string | undefined =>
  /^\d{1,5}$/.test(value) && Number(value) > 0 ? undefined : 'must be a number of seconds';

/** An answer with a roster of a whole school. Bytes. */
const MOST_BYTES = 32 << 20;

type Uwlr = typeof import('#adapters/uwlr/conform');

export const conformUwlr: Command = {
  name: 'conform uwlr',
  about: 'Try another party by the rules of UWLR: an administration, or an application that calls.',
  flags: {
    las: { about: 'Ask the administration at this address (HaalLeerlinggegevens).', value: 'URL' },
    ea: { about: 'Listen as an administration with an invented school, and judge an application that calls.' },
    settings: { about: 'File of JSON with what the administration handed out: docs/conformance.md.', value: 'FILE' },
    getrapt: { about: 'Its address of the staged operations, where that is another.', value: 'URL' },
    results: { about: 'Its address of BrengLeerresultaten.', value: 'URL' },
    school: schoolFlag('The school that it is asked for; use one for trials.'),
    site: {
      about: 'The site (dependancecode).',
      value: 'CODE',
      check: (value) => (isSiteCode(value) ? undefined : 'must be two digits'),
    },
    schoolkey: { about: 'The school by a key of the administration, instead of --school.', value: 'KEY' },
    schooljaar: { about: 'The school year; default: the running one.', value: 'YEAR', check: schoolYear },
    version: { about: 'The version to speak; default 2.2.', value: 'VERSION', choices: ['2.2', '2.3'] },
    klantcode: { about: 'By which the administration knows the caller; with --ea what it is told.', value: 'CODE' },
    klantnaam: { about: 'The name that goes with it.', value: 'NAME' },
    'sleutel-file': { about: 'File (mode 0600) with the autorisatiesleutel of the school.', value: 'FILE' },
    gegevenssetid: { about: 'Set of fields that is asked for.', value: 'NAME' },
    certificate: { about: 'Certificate (PEM) that is shown; with --ea that of the listener.', value: 'FILE' },
    'certificate-key': { about: 'Its key.', value: 'FILE' },
    ca: { about: 'Authorities (PEM) of the administration’s certificate, instead of the system’s.', value: 'FILE' },
    timeout: { about: 'How long one answer may take; default 30.', value: 'SECONDS', check: seconds },
    write: { about: 'Deliver results too: they stay at the administration.' },
    part: { about: 'Only this part; default: all.', value: 'PART', many: true, choices: parts },
    listen: { about: 'With --ea: where to listen; default 127.0.0.1 and a free port.', value: 'HOST:PORT' },
    for: { about: 'With --ea: so long at most.', value: 'SECONDS', check: seconds },
    report: { about: 'Write the report here too: .html, .md or .json.', value: 'FILE', many: true },
  },
  notes: [
    '--ea ends on Ctrl-C, after --for, or when every case was met; on another address than loopback it needs a certificate.',
    'The report holds paths, counts and codes, never a value of a message. Exit status 0: no rule that must be kept is broken; 1: one is; 2: nothing could be found out, and why.',
    'Addresses are judged as every way out of the gateway: what is not on the Internet needs EDUK_ALLOW_NETWORKS; loopback does not.',
  ],
  alone: true,
  async run(call): Promise<Result> {
    if (call.has('las') && call.has('ea')) throw misuse('Give --las or --ea.');
    for (const flag of call.has('ea') ? ofAdministration : ofApplication)
      if (call.has(flag)) throw misuse(`--${flag} goes with ${call.has('ea') ? '--las' : '--ea'}.`);
    const files = call.all('report').map(writable);
    const uwlr = await import('#adapters/uwlr/conform');
    const report = call.has('ea') ? await tryApplication(call, uwlr) : await tryAdministration(call, uwlr);
    for (const file of files) writeReport(file, report, uwlr);
    const counts = uwlr.countsOf(report);
    const json = { clean: counts.mustFailed === 0, counts, ...report };
    const text = shown(report, uwlr);
    if (counts.mustFailed === 0) return { json, text };
    const problem = new Problem('wire.invalid', uwlr.summaryOf(report), { who: 'peer' });
    return { json: { error: errorJson(problem), ...json }, text, exit: 1 };
  },
};

/** Flags that mean something for one of the two only: one that is passed over would be thought to count. */
const ofAdministration = [
  'settings',
  'getrapt',
  'results',
  'school',
  'site',
  'schoolkey',
  'version',
  'gegevenssetid',
  'ca',
  'timeout',
  'write',
] as const;
const ofApplication = ['listen', 'for'] as const;

/** Told before anything is asked: a report that cannot be written is found out too late otherwise. */
function writable(name: string): string {
  if (!['.html', '.md', '.json'].includes(extname(name)))
    throw misuse('--report names a file that ends in .html, .md or .json.');
  try {
    // With the slash: a file has no place in it, whoever may write it.
    accessSync(`${dirname(resolve(name))}/`, constants.W_OK);
  } catch (thrown) {
    throw misuse(`--report names a file that cannot be written (${(thrown as NodeJS.ErrnoException).code}).`);
  }
  return name;
}

function writeReport(name: string, report: Report, { htmlReport, markdownReport }: Uwlr): void {
  const kind = extname(name);
  const text =
    kind === '.html'
      ? htmlReport(report)
      : kind === '.md'
        ? markdownReport(report)
        : `${JSON.stringify(report, undefined, 2)}\n`;
  try {
    writeFileSync(name, text);
  } catch (thrown) {
    throw misuse(`--report names a file that cannot be written (${(thrown as NodeJS.ErrnoException).code}).`);
  }
}

const partsOf = (call: Call): Set<(typeof parts)[number]> =>
  new Set(call.has('part') ? (call.all('part') as (typeof parts)[number][]) : parts);

/** Where nothing could be found out. */
const inVain = (told: string): Problem => new Problem('peer.unavailable', told, { who: 'peer', exit: 2 });

async function tryAdministration(call: Call, { runLas, CouldNotRun }: Uwlr): Promise<Report> {
  const settings = lasSettings(call);
  const { leerlinggegevens, getrapt, leerresultaten, ca, client, timeoutMs } = settings;
  const now = call.streams.now();
  const running = schoolYearOf(now);
  const schooljaar = settings.schooljaar || running;
  const networks = networksOf(parseNetworks(call.config().EDUK_ALLOW_NETWORKS ?? '') ?? [], true);
  for (const address of [leerlinggegevens, getrapt, leerresultaten]) {
    const wrong = address === '' ? undefined : networks.problemWith(address);
    if (wrong !== undefined) throw misuse(`An address of the administration ${wrong}.`);
  }
  const dialler: Dialler = diallerFor(networks, { ca, client });
  try {
    return await following(call, { words: 'cases judged' }, (progress) =>
      runLas(
        {
          ...settings,
          schooljaar,
          isRunning: schooljaar === running,
          header: new Clear({
            autorisatiesleutel: settings.autorisatiesleutel,
            klantcode: settings.klantcode,
            klantnaam: settings.klantnaam,
          }),
          addresses: { leerlinggegevens, getrapt, leerresultaten },
          parts: partsOf(call),
          write: call.has('write'),
          run: `eduk-${randomUUID().slice(0, 8)}`,
          now: new Date(now).toISOString(),
        },
        async ({ url, method, headers, body }) => {
          const answer = await dialler.dial(url, {
            method,
            // A connection that was kept may be closed just when it is used again; that would look like no answer.
            headers: { ...headers, connection: 'close' },
            body,
            timeoutMs,
            mostBytes: MOST_BYTES,
          });
          const { 'content-type': contentType = '', 'retry-after': after } = answer.headers;
          const retryAfterS = /^\d{1,5}$/.test(after ?? '') ? Number(after) : undefined;
          return { status: answer.status, contentType, body: answer.body, retryAfterS };
        },
        undefined,
        (judged, all) => progress.set(judged, all),
      ),
    );
  } catch (thrown) {
    if (!(thrown instanceof CouldNotRun)) throw thrown;
    throw inVain(`Nothing could be found out: ${thrown.message}.${advice(thrown.cause as DialError | undefined)}`);
  } finally {
    dialler.close();
  }
}

const advice = (cause: DialError | undefined): string =>
  cause?.reason === 'address'
    ? ' Its name leads to a network that is not on the Internet: EDUK_ALLOW_NETWORKS opens one.'
    : cause?.reason === 'tls'
      ? ' Its certificate is not trusted, or it wants one: --ca, --certificate.'
      : '';

/** What the application is set to, where nobody says otherwise. It opens nothing but the invented school. */
const GIVEN = { klantcode: 'EDUK-CONFORM', klantnaam: 'Proef', autorisatiesleutel: 'eduk-conform-proef' };

async function tryApplication(call: Call, { EaRun, BRIN, MOST_BYTES: mostBytes }: Uwlr): Promise<Report> {
  const at = parseAddress(call.one('listen') ?? '127.0.0.1:0');
  if (!at) throw misuse('--listen must be HOST:PORT.');
  const tls = pairNamed(call.one('certificate') ?? '', call.one('certificate-key') ?? '');
  if (!tls && !isLoopback(at.host))
    throw misuse('On another address than loopback --ea needs --certificate and --certificate-key.');
  const sleutel = call.one('sleutel-file');
  const began = call.streams.now();
  const given = {
    klantcode: call.one('klantcode') ?? GIVEN.klantcode,
    klantnaam: call.one('klantnaam') ?? GIVEN.klantnaam,
    autorisatiesleutel: sleutel ? secretIn(sleutel, 'the autorisatiesleutel') : GIVEN.autorisatiesleutel,
    schooljaar: call.one('schooljaar') ?? schoolYearOf(began),
  };
  // Made a while ago, so that a clock that is behind asks for nothing that is to come.
  const run = new EaRun(given, new Date(began - 3_600_000).toISOString(), partsOf(call));
  let finish = () => {};
  let heard = () => {};
  const finished = new Promise<void>((done) => {
    finish = done;
  });
  const listening = await listen({ ...at, tls, mostBytes }, (asked) => {
    const said = run.answer(asked, call.streams.now());
    heard();
    // The last answer goes out before the listener is closed.
    if (run.isComplete) setTimeout(finish, 500);
    return said;
  }).catch((thrown: NodeJS.ErrnoException) => {
    throw new Problem('state.conflict', `--listen cannot be had (${thrown.code}).`, { who: 'us', exit: 2 });
  });
  const timer = call.has('for') ? setTimeout(finish, Number(call.one('for')) * 1000) : undefined;
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const name of signals) process.on(name, finish);
  try {
    call.streams.err(
      `${paragraph('Listening. Set the application to:')}\n\n${list([
        ['leerlinggegevens', `${listening.origin}/leerlinggegevens?wsdl`],
        ['leerresultaten', `${listening.origin}/leerresultaten?wsdl`],
        ['brincode', BRIN],
        ['schooljaar', given.schooljaar],
        ['klantcode', given.klantcode],
        ['klantnaam', given.klantnaam],
        ['autorisatiesleutel', sleutel ? 'as in the file' : given.autorisatiesleutel],
      ])}\n\n${paragraph('Let it ask for the roster, twice, in whole and in stages as it can, and deliver results. Ctrl-C ends it.')}\n`,
    );
    await following(call, { words: 'calls judged' }, async (progress) => {
      heard = () => progress.set(run.calls);
      await finished;
    });
  } finally {
    clearTimeout(timer);
    for (const name of signals) process.off(name, finish);
    await listening.close();
  }
  if (run.calls === 0) throw inVain('Nothing could be found out: nobody called.');
  return run.report(listening.origin, new Date(call.streams.now()).toISOString());
}

/** The report for a terminal: what is wrong in full, what was not judged by why, the rest counted. */
function shown(report: Report, { countsOf, findingLines, summaryOf }: Uwlr): string {
  const failed = report.cases
    .filter(({ outcome }) => outcome === 'failed')
    .sort((a, b) => a.severity.localeCompare(b.severity));
  const whys = new Map<string, number>();
  for (const { outcome, why } of report.cases) if (outcome === 'not judged') whys.set(why, (whys.get(why) ?? 0) + 1);
  const { passed } = countsOf(report);
  return [
    ...(failed.length > 0
      ? [
          table(
            ['case', '', 'what'],
            failed.map((one) => [
              one.id,
              one.severity,
              [
                `Sent: ${one.sends}.`,
                `Awaited: ${one.must}`,
                ...findingLines(one),
                `${one.rule.at} (${one.rule.source})`,
                `${one.remedy}\n`,
              ].join('\n'),
            ]),
          ),
        ]
      : []),
    list([
      ['passed', passed],
      ...[...whys].map(([why, count]): [string, string] => ['not judged', `${counted(count, 'case')}: ${why}`]),
      [report.party === 'las' ? 'requests' : 'calls', report.calls],
      ['results', report.wrote ? 'delivered' : 'none were delivered'],
    ]),
    paragraph(summaryOf(report)),
  ].join('\n\n');
}
