/** What monitoring systems read: rules for Prometheus and a dashboard for Grafana, from the table of alerts and the names of /metrics. */
import { alertKinds } from '../services/edge/alerts/words.ts';

export { alertKinds };

const quoted = (text: string): string => JSON.stringify(text);

interface Rule {
  alert: string;
  expr: string;
  for: string;
  severity: 'page' | 'warn';
  nl: string;
  en: string;
  see: string;
}

/** `endpoint.failing` → `EdukEndpointFailing`. */
const named = (code: string): string =>
  `Eduk${code
    .split('.')
    .map((word) => word[0]!.toUpperCase() + word.slice(1))
    .join('')}`;

/** What the gateway judges itself, and what can only be seen from outside. */
const rules: readonly Rule[] = [
  {
    alert: 'EdukDown',
    expr: 'up{job="eduk-gateway"} == 0',
    for: '1m',
    severity: 'page',
    nl: 'Een proces van de gateway antwoordt niet op /metrics.',
    en: 'A process of the gateway gives no answer at /metrics.',
    see: 'eduk doctor',
  },
  {
    alert: 'EdukBusy',
    expr: 'eduk_event_loop_delay_seconds{quantile="0.99"} > 0.5',
    for: '5m',
    severity: 'warn',
    nl: 'Een proces van de gateway heeft te veel te doen: antwoorden komen laat.',
    en: 'A process of the gateway has too much to do: answers come late.',
    see: 'eduk doctor',
  },
  ...Object.entries(alertKinds).flatMap(([code, { grade, nl, en, see }]): Rule[] => {
    // Each door tells the same; how long it must stand is judged before it is told here.
    const of = (severity: 'page' | 'warn'): Rule => ({
      alert: named(code) + (severity === grade ? '' : 'Soon'),
      expr: `max by (code) (eduk_alerts{code="${code}",grade="${severity}"}) > 0`,
      for: '0s',
      severity,
      nl,
      en,
      see,
    });
    return grade === 'page' ? [of('page'), of('warn')] : [of('warn')];
  }),
];

export function prometheusRules(): string {
  const lines = [
    '# Written by npm run generate, from the table of alerts (docs/alerts.md). For Prometheus, whose job for /metrics is eduk-gateway.',
    'groups:',
    '  - name: eduk-gateway',
    '    rules:',
  ];
  for (const rule of rules)
    lines.push(
      `      - alert: ${rule.alert}`,
      `        expr: ${quoted(rule.expr)}`,
      `        for: ${rule.for}`,
      '        labels:',
      `          severity: ${rule.severity}`,
      '        annotations:',
      `          summary: ${quoted(rule.en)}`,
      `          summary_nl: ${quoted(rule.nl)}`,
      `          see: ${quoted(rule.see)}`,
    );
  return `${lines.join('\n')}\n`;
}

/** Title, unit of Grafana, and each line's expression and legend. */
const panels: readonly [string, string, readonly [string, string][]][] = [
  [
    'Wat in de weg staat / What stands in the way',
    'short',
    [['max by (code, grade) (eduk_alerts)', '{{code}} {{grade}}']],
  ],
  [
    'Gebeurtenissen per minuut / Events per minute',
    'cpm',
    [['rate(max by (job) (eduk_log_events_total)[5m:30s]) * 60', 'events']],
  ],
  [
    'Oudste ongelezen / Oldest unread',
    's',
    [['max by (consumer, stream) (eduk_oldest_unread_seconds)', '{{consumer}} {{stream}}']],
  ],
  [
    'Nog niet bezorgd / Not delivered yet',
    's',
    [['max by (party, standard) (eduk_undelivered_seconds)', '{{party}} {{standard}}']],
  ],
  [
    'Adressen die falen / Endpoints that fail',
    'short',
    [
      ['sum(max by (party, standard) (eduk_endpoint_failing))', 'failing'],
      ['count(max by (party, standard) (eduk_endpoint_breaker) == 2)', 'breaker open'],
      ['sum(max by (party, standard) (eduk_endpoint_parked_keys))', 'keys refused'],
    ],
  ],
  [
    'Terzijde gezet / Set aside',
    'short',
    [
      ['sum(max by (consumer, stream) (eduk_parked_keys))', 'keys of services'],
      ['max(eduk_parked_messages)', 'mail'],
    ],
  ],
  [
    'Onthulde leerlingen dit uur / Learners revealed this hour',
    'short',
    [['max by (party) (eduk_revealed_learners)', '{{party}}']],
  ],
  [
    'Vrije schijf / Free disk',
    'bytes',
    [
      ['min(eduk_free_disk_bytes)', 'free'],
      ['predict_linear(eduk_free_disk_bytes[6h], 7 * 86400)', 'in a week'],
    ],
  ],
  ['Geheugen / Memory', 'bytes', [['process_resident_memory_bytes{job="eduk-gateway"}', '{{instance}}']]],
  ['Processor', 'percentunit', [['rate(process_cpu_seconds_total{job="eduk-gateway"}[5m])', '{{instance}}']]],
  [
    'Wachttijd in het proces / Delay within the process',
    's',
    [['eduk_event_loop_delay_seconds{quantile="0.99"}', '{{instance}}']],
  ],
];

/** Every expression that is sent to Prometheus, for a test against what /metrics tells. */
export const expressions = (): string[] => [
  ...rules.map(({ expr }) => expr),
  ...panels.flatMap(([, , lines]) => lines.map(([expr]) => expr)),
];

export function grafanaDashboard(): string {
  const [WIDTH, HEIGHT] = [12, 8];
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of Grafana's.
  const datasource = { type: 'prometheus', uid: '${datasource}' };
  const dashboard = {
    uid: 'eduk-gateway',
    title: 'Edu-K gateway',
    description: 'Written by npm run generate. What each alert means: docs/alerts.md.',
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    timezone: 'Europe/Amsterdam',
    tags: ['eduk'],
    templating: { list: [{ name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus' }] },
    panels: panels.map(([title, unit, lines], i) => ({
      id: i + 1,
      type: 'timeseries',
      title,
      datasource,
      gridPos: { x: (i % 2) * WIDTH, y: Math.floor(i / 2) * HEIGHT, w: WIDTH, h: HEIGHT },
      fieldConfig: { defaults: { unit, min: 0, custom: { fillOpacity: 10, showPoints: 'never' } }, overrides: [] },
      options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
      targets: lines.map(([expr, legendFormat], at) => ({
        refId: String.fromCharCode(65 + at),
        datasource,
        expr,
        legendFormat,
      })),
    })),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}
