/** docs/conformance.md, of the lists of cases. */
import { type Case, rules } from './case.ts';
import { eaCases } from './ea.ts';
import { lasCases } from './las.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|');

const table = (cases: readonly Case[]): string[] => [
  '| case | part | severity | sent | awaited | rule | who must act |',
  '| --- | --- | --- | --- | --- | --- | --- |',
  ...cases.map(({ id, versions, part, severity, sends, must, rule, remedy }) =>
    [
      '',
      `\`${id}\`${versions.length === 1 ? ` (${versions[0]})` : ''}`,
      part,
      severity,
      cell(sends),
      cell(must),
      `${cell(rules[rule].at)}`,
      cell(remedy),
      '',
    ]
      .join(' | ')
      .trim(),
  ),
];

/** The page as it stands in docs/. */
export function conformancePage(): string {
  const used = new Set([...lasCases, ...eaCases].map(({ rule }) => rule));
  return `${[
    '# Conformance of others with UWLR',
    '',
    'Written by `npm run generate` from `adapters/uwlr/conform`. `eduk conform uwlr` tries another party by these cases, and our own server is tested by the same list. It needs no running gateway.',
    '',
    '```sh',
    'npx eduk conform uwlr --las https://las.example/uwlr/leerlinggegevens --school 99ZX \\',
    '  --klantcode K-1 --klantnaam Leerplein --sleutel-file sleutels/99ZX --version 2.2 --report report.html',
    'npx eduk conform uwlr --ea --report report.md',
    '```',
    '',
    'With `--las` an administration is asked, for a school of its own and by what it handed out for that. Results are delivered only with `--write`: they stay there, under the test `EDUK-CONFORM`, for the first pupil of the answer, so use a school for trials. With `--ea` it listens as an administration with an invented school would, prints what the application must be set to, and judges the calls as they come, until Ctrl-C, `--for` or until every case was met.',
    '',
    '`must`: who does otherwise does not follow the standard. `should`: others stumble over it, or the standard only advises. A report tells paths, counts and codes, never a value of a message, and never a fault’s own words. Exit status: 0 no rule that must be kept is broken, 1 one is, 2 nothing could be found out, and why.',
    '',
    'Keys that `--las` takes from a file (`--settings FILE.json`), each of which a flag goes before: `leerlinggegevens`, `getrapt`, `leerresultaten` (addresses), `version`, `school`, `dependancecode`, `schoolkey`, `schooljaar`, `klantcode`, `klantnaam`, `sleutel` (file), `gegevenssetid`, `headers` (name and file), `certificate`, `key`, `ca` (files, PEM), `timeoutSeconds`. Files are named from the folder of the settings. Networks are judged as every way out: `EDUK_ALLOW_NETWORKS`; loopback is allowed.',
    '',
    'Of UWLR 2.3 no official schemas were found: what is judged of it is 2.2 with the changes that are published. Where a rule’s own page could not be read, the case says `should`.',
    '',
    '## An administration',
    '',
    ...table(lasCases),
    '',
    '## An educational application',
    '',
    ...table(eaCases),
    '',
    '## Rules',
    '',
    '| rule | published in | says |',
    '| --- | --- | --- |',
    ...Object.entries(rules)
      .filter(([name]) => used.has(name as Case['rule']))
      .map(([, { at, source, says }]) => `| ${cell(at)} | ${cell(source)} | ${cell(says)} |`),
  ].join('\n')}\n`;
}
