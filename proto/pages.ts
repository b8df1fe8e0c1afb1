/** Pages of docs/ that are tables of the code: written by npm run generate, so that they cannot say anything else. */
import { lossReasons } from '#adapters/contract';
import { lossTables as oneRosterLosses } from '#adapters/oneroster';
import { faults, settings } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { attributeSets, attributes, defaults, pseudonymous, rolePolicy } from '#release';
import { adapters } from '../adapters/contract/registry.ts';
import { alertKinds } from '../services/edge/alerts/words.ts';
import { bulks, writes } from '../services/edge/grpc/writes.ts';
import { type LimitRow, limits } from '../services/edge/limits.ts';

export { conformancePage } from '#adapters/uwlr/conform';

const head = (title: string, about: string): string[] => [
  `# ${title}`,
  '',
  `Written by \`npm run generate\`. ${about}`,
  '',
];
const word = (name: string): string => name.replace(/^(ROLE|SERVICE)_/, '').toLowerCase();
const nameOf = (values: Record<string, number>, value: number): string =>
  word(Object.entries(values).find(([, number]) => number === value)?.[0] ?? '');

export function faultsPage(): string {
  const lines = head(
    'Faults',
    'Every fault has one stable code, the same over gRPC, HTTP, SOAP and the command line. `who` must act; `retry` says whether a repeat helps.',
  );
  lines.push(
    '| code | who | retry | gRPC | HTTP | meaning | betekenis |',
    '| --- | --- | --- | --- | --- | --- | --- |',
  );
  for (const [code, row] of Object.entries(faults))
    lines.push(`| \`${code}\` | ${row.who} | ${row.retry} | ${row.grpc} | ${row.http} | ${row.en} | ${row.nl} |`);
  return `${lines.join('\n')}\n`;
}

/** The table of alerts, in the page that a person wrote around it. */
export function alertsPage(page: string): string {
  const rows = Object.entries(alertKinds).map(
    ([code, { grade, who, patienceMs, see, en, nl }]) =>
      `| \`${code}\` | ${grade} | ${who} | ${patienceMs === 0 ? 'at once' : `${patienceMs / 60_000} min`} | ${en} | ${nl} | \`${see}\` |`,
  );
  const table = [
    '| code | grade | who | told after | meaning | betekenis | see |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ];
  return page.replace(
    /(<!-- alerts -->\n)[\s\S]*?(<!-- end -->)/,
    (_, from, to) => `${from}\n${table.join('\n')}\n\n${to}`,
  );
}

export function configurationPage(): string {
  const lines = head(
    'Configuration',
    'Settings come from the environment, or from a file of NAME=value lines. Unknown names are refused; all problems are told at once.',
  );
  lines.push('| name | what | default |', '| --- | --- | --- |');
  for (const [name, setting] of Object.entries(settings)) {
    const choices = 'choices' in setting ? ` One of: ${setting.choices.join(', ')}.` : '';
    lines.push(
      `| \`${name}\` | ${setting.about}${choices} | ${'default' in setting ? `\`${setting.default}\`` : ''} |`,
    );
  }
  return `${lines.join('\n')}\n`;
}

export function attributesPage(): string {
  const lines = head(
    'Attributes',
    'What a receiver may have of a person: an attribute that the receiver declares (`eduk party add --attributes`), that the policy for one of its roles allows, and that the mandate of the school names. A mandate without a list, and a party that declared nothing, mean the default of each service. `eduk release preview` says what that comes to for one party and school.',
  );
  lines.push('| attribute | what | rests in |', '| --- | --- | --- |');
  for (const [name, { about, from }] of Object.entries(attributes)) lines.push(`| \`${name}\` | ${about} | ${from} |`);
  lines.push('', '## Defaults', '', '| service | attributes |', '| --- | --- |');
  for (const [service, names] of Object.entries(defaults))
    lines.push(`| ${nameOf(Service, Number(service))} | ${names.map((name) => `\`${name}\``).join(', ')} |`);
  lines.push(
    '',
    '## Sets',
    '',
    'Names for some attributes together, the profiles of UWLR: a mandate (`eduk mandate grant --attributes`) or a party may name one instead of each. An answer over UWLR has the fields of the smallest set that holds what is released, or of the one that the caller asks for (`gegevenssetid`), as far as released.',
    '',
    '| set | attributes |',
    '| --- | --- |',
  );
  for (const [set, names] of Object.entries(attributeSets))
    lines.push(`| \`${set}\` | ${names.map((name) => `\`${name}\``).join(', ')} |`);
  lines.push(
    '',
    '## Pseudonyms',
    '',
    `Where a mandate says \`pairwise\`, a party gets pseudonyms of its own for ${[...pseudonymous].map((name) => `\`${name}\``).join(', ')}: of groups and sites for their keys, not for their names. They hold for all services of school and party, and are understood when the party sends them back.`,
    '',
    '## By role',
    '',
    'What a role may have at most, whatever a mandate names. A party with several roles may have what any of them may; a role that is not here may have nothing of a person. The school itself and its board see everything.',
    '',
    `| attribute | ${Object.keys(rolePolicy)
      .map((role) => nameOf(Role, Number(role)))
      .join(' | ')} |`,
    `| --- |${' --- |'.repeat(Object.keys(rolePolicy).length)}`,
  );
  for (const name of Object.keys(attributes) as (keyof typeof attributes)[])
    lines.push(
      `| \`${name}\` | ${Object.values(rolePolicy)
        .map((allowed) => (allowed.includes(name) ? 'yes' : ''))
        .join(' | ')} |`,
    );
  return `${lines.join('\n')}\n`;
}

export function rolesPage(): string {
  const lines = head(
    'Who may write what',
    'Role and mandate that each write needs of its caller. A school and its board act for the school without a mandate. `fresh` writes are new business, which a mandate that runs off refuses.',
  );
  lines.push('| method | roles | mandate | fresh | reference remembered |', '| --- | --- | --- | --- | --- |');
  const intakes = [
    ...writes.flatMap(({ methods }) => Object.values(methods).map(({ intake }) => intake)),
    ...bulks.flatMap(({ methods }) => Object.values(methods)),
  ];
  for (const intake of intakes.sort((a, b) => (a.method < b.method ? -1 : 1)))
    lines.push(
      `| \`${intake.method}\` | ${intake.roles.map((role) => nameOf(Role, role)).join(', ')} | ${intake.service === undefined ? 'none' : nameOf(Service, intake.service)} | ${intake.fresh ? 'yes' : ''} | ${intake.remember} days |`,
    );
  lines.push(
    '',
    'Reads and watches need the mandate of their service, judged when the answer is sent: `roster` for GetRoster and WatchRosters, `order` for orders, `entitlement` for entitlements, `result` for ListResults and WatchResults, `progress` for GetProgress, one of `order`, `entitlement` and `access` for Readiness, `order` for Preflight. The catalogue needs none, nor does Launches, which is for platforms and publishers, nor do WatchMandates and ListMandates: each side sees its own; nor SearchFlows, which finds what the caller sent, and by the id of a delivery what was sent to it; nor DeliveryService, which is about what is sent to the caller: what it may have of that is judged as it is sent, and what a message is about is told of schools whose mandate holds.',
    '',
    'AcceptMandate and RefuseMandate have no role: they are of the party that the mandate names; nor have those of DeliveryService, which are of whoever is sent something. Who calls in the name of a school (`eduk-from`) needs a mandate that names `act` and the service of the method; a method without a service nobody calls in its name.',
  );
  return `${lines.join('\n')}\n`;
}

const units: Record<LimitRow['unit'], (at: number) => string> = {
  bytes: (at) => (at >= 1 << 20 ? `${at / (1 << 20)} MiB` : `${at / 1024} KiB`),
  ms: (at) => (at >= 10 * 60_000 ? `${at / 60_000} min` : `${at / 1000} s`),
  count: (at) => at.toLocaleString('en'),
  'per second': (at) => `${at.toLocaleString('en')} a second`,
};

export function limitsPage(): string {
  const lines = head(
    'Limits',
    'What a door takes at most. Each process that has doors counts for itself. Who is told to come back is told when: `RetryInfo` in the details of a gRPC status, `Retry-After` over HTTP and SOAP.',
  );
  lines.push('| what | at most | instead | setting |', '| --- | --- | --- | --- |');
  for (const { at, unit, what, instead, setting } of Object.values(limits) as LimitRow[])
    lines.push(`| ${what} | ${units[unit](at)} | ${instead} | ${setting ? `\`${setting}\`` : ''} |`);
  return `${lines.join('\n')}\n`;
}

export function lossesPage(): string {
  const lines = head(
    'Losses',
    'What does not come across between a standard and the core, by direction and version, and why: from the tables beside the mappings. `eduk flow show` counts for one message what it lost on its way in, by element and reason, without values; for one roster that was fetched, what had no place in the answer (`eduk flow list --state read`). `eduk roster export` and the header `eduk-losses` of `GET /edexml` say it of a file.',
  );
  lines.push('| reason | means |', '| --- | --- |');
  for (const [reason, means] of Object.entries(lossReasons)) lines.push(`| \`${reason}\` | ${means} |`);
  for (const losses of [...adapters.map((adapter) => adapter.losses ?? []), oneRosterLosses])
    for (const { from, to, rows } of losses) {
      lines.push('', `## ${from} → ${to}`, '', '| element | reason | why |', '| --- | --- | --- |');
      for (const { element, reason, why } of rows) lines.push(`| \`${element}\` | \`${reason}\` | ${why} |`);
    }
  return `${lines.join('\n')}\n`;
}
