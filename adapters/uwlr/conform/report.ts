/** What a run came to, as data, and as text for people: a page in Markdown and one of HTML that stands by itself. */
import type { Version } from '../versions.ts';
import { type Case, type Found, type Rule, rules } from './case.ts';
import { PLACES } from './form.ts';

export type Outcome = 'passed' | 'failed' | 'not judged';

export interface Finding {
  told: string;
  /** The first places. */
  where: string[];
  /** How often. */
  count: number;
}

export interface CaseResult extends Pick<Case, 'id' | 'part' | 'severity' | 'sends' | 'must' | 'remedy'> {
  rule: Rule;
  outcome: Outcome;
  /** Why it was not judged; else empty. */
  why: string;
  found: Finding[];
}

export interface Report {
  standard: 'UWLR';
  /** `las`: an administration answered our questions. `ea`: an educational application asked ours. */
  party: 'las' | 'ea';
  /** Versions that were spoken. */
  versions: Version[];
  /** RFC 3339, UTC. */
  at: string;
  /** Address of the party, or ours where it called; without query, name and password. */
  address: string;
  /** Requests sent, or calls taken. */
  calls: number;
  /** Whether results were delivered to the party. */
  wrote: boolean;
  cases: CaseResult[];
}

export interface Counts {
  passed: number;
  mustFailed: number;
  shouldFailed: number;
  notJudged: number;
}

export const countsOf = ({ cases }: Report): Counts => ({
  passed: cases.filter(({ outcome }) => outcome === 'passed').length,
  mustFailed: cases.filter(({ outcome, severity }) => outcome === 'failed' && severity === 'must').length,
  shouldFailed: cases.filter(({ outcome, severity }) => outcome === 'failed' && severity === 'should').length,
  notJudged: cases.filter(({ outcome }) => outcome === 'not judged').length,
});

/** Kinds of findings kept of one case. */
const KINDS = 10;

/** Adds what was found to what was found before, bounded. */
export function addFound(to: Finding[], found: readonly Found[]): void {
  for (const { told, where } of found) {
    let it = to.find((one) => one.told === told);
    if (!it) {
      if (to.length === KINDS) continue;
      it = { told, where: [], count: 0 };
      to.push(it);
    }
    it.count++;
    if (where !== undefined && it.where.length < PLACES && !it.where.includes(where)) it.where.push(where);
  }
}

export const resultOf = (
  { id, part, severity, sends, must, remedy, rule }: Case,
  outcome: Outcome,
  more: { why?: string; found?: Finding[] } = {},
): CaseResult => ({
  id,
  part,
  severity,
  rule: rules[rule],
  sends,
  must,
  remedy,
  outcome,
  why: more.why ?? '',
  found: more.found ?? [],
});

/** What was found, in one line each. */
export const findingLines = ({ found }: CaseResult): string[] =>
  found.map(
    ({ told, where, count }) =>
      `${told}${count > 1 ? ` ${count} times.` : ''}${where.length > 0 ? ` At ${where.join(', ')}${count > where.length ? ', …' : ''}.` : ''}`,
  );

const heading = ({ party, versions, address }: Report): string =>
  `UWLR ${versions.join(' and ') || 'conformance'}: ${party === 'las' ? `the administration at ${address}` : `the educational application that called ${address}`}`;

/** One sentence on the whole. */
export function summaryOf(report: Report): string {
  const { passed, mustFailed, shouldFailed, notJudged } = countsOf(report);
  const verdict =
    mustFailed > 0
      ? `${mustFailed} of the rules that must be kept ${mustFailed === 1 ? 'is' : 'are'} broken.`
      : 'No rule that must be kept is broken.';
  return `${verdict} ${passed} passed, ${shouldFailed} should be better, ${notJudged} not judged.`;
}

const groups = (report: Report): [title: string, cases: CaseResult[]][] => [
  ['Broken, and must not be', report.cases.filter((it) => it.outcome === 'failed' && it.severity === 'must')],
  ['Should be better', report.cases.filter((it) => it.outcome === 'failed' && it.severity === 'should')],
];

const facts = (report: Report): string =>
  `${report.at}. ${report.calls} ${report.party === 'las' ? 'requests were sent' : 'calls were taken'}; ${report.wrote ? 'results were delivered' : 'no results were delivered'}. This page holds paths, counts and codes, and no value of anybody’s data.`;

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** The report as a page of Markdown. */
export function markdownReport(report: Report): string {
  const lines = [`# ${heading(report)}`, '', summaryOf(report), '', facts(report), ''];
  for (const [title, cases] of groups(report)) {
    if (cases.length === 0) continue;
    lines.push(`## ${title}`, '');
    for (const one of cases)
      lines.push(
        `### ${one.id}`,
        '',
        `- Sent: ${one.sends}`,
        `- Awaited: ${one.must}`,
        ...findingLines(one).map((line) => `- Found: ${line}`),
        `- Rule: ${one.rule.at} (${one.rule.source}): ${one.rule.says}`,
        `- Who must act: ${one.remedy}`,
        '',
      );
  }
  lines.push('## All cases', '', '| case | outcome | severity | rule |', '| --- | --- | --- | --- |');
  for (const { id, outcome, why, severity, rule } of report.cases)
    lines.push(`| \`${id}\` | ${cell(why ? `${outcome}: ${why}` : outcome)} | ${severity} | ${cell(rule.at)} |`);
  return `${lines.join('\n')}\n`;
}

const html = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** The report as a page of HTML that needs no other file and runs nothing. */
export function htmlReport(report: Report): string {
  const item = (name: string, value: string) => `<dt>${html(name)}</dt><dd>${html(value)}</dd>`;
  const failed = groups(report)
    .filter(([, cases]) => cases.length > 0)
    .map(
      ([title, cases]) =>
        `<h2>${html(title)}</h2>\n${cases
          .map(
            (one) =>
              `<section><h3>${html(one.id)}</h3><dl>${item('Sent', one.sends)}${item('Awaited', one.must)}${findingLines(
                one,
              )
                .map((line) => item('Found', line))
                .join(
                  '',
                )}${item('Rule', `${one.rule.at} (${one.rule.source}): ${one.rule.says}`)}${item('Who must act', one.remedy)}</dl></section>`,
          )
          .join('\n')}`,
    );
  const rows = report.cases.map(
    ({ id, outcome, why, severity, rule }) =>
      `<tr><td><code>${html(id)}</code></td><td>${html(why ? `${outcome}: ${why}` : outcome)}</td><td>${severity}</td><td>${html(rule.at)}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${html(heading(report))}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b1b1b;background:#fff}dt{font-weight:600}dd{margin:0 0 .5rem 1rem}table{border-collapse:collapse;width:100%}td,th{border:1px solid #767676;padding:.25rem .5rem;text-align:left;vertical-align:top}section{border-left:4px solid #a00;padding-left:1rem;margin:1rem 0}</style></head>
<body><main><h1>${html(heading(report))}</h1>
<p><strong>${html(summaryOf(report))}</strong></p>
<p>${html(facts(report))}</p>
${failed.join('\n')}
<h2>All cases</h2>
<table><thead><tr><th scope="col">case</th><th scope="col">outcome</th><th scope="col">severity</th><th scope="col">rule</th></tr></thead><tbody>
${rows.join('\n')}
</tbody></table></main></body></html>
`;
}
