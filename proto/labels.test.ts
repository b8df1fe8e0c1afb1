import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Consumer, ServiceModule } from '#bus';
import { access } from '#services/access';
import { audit } from '#services/audit';
import { catalogue } from '#services/catalogue';
import { delivery } from '#services/delivery';
import { entitlements } from '#services/entitlements';
import { flows } from '#services/flows';
import { orders } from '#services/orders';
import { parties } from '#services/parties';
import { readiness } from '#services/readiness';
import { results } from '#services/results';
import { rosters } from '#services/rosters';
import { type EventInfo, type Image, labelProblems, readImage } from './labels.ts';

const root = join(import.meta.dirname, '..');
const image = readImage(readFileSync(join(root, 'proto/gen/image.binpb')));
const modules: readonly ServiceModule[] = [
  parties,
  catalogue,
  rosters,
  orders,
  entitlements,
  access,
  results,
  delivery,
  flows,
  readiness,
  audit,
];
const short = (name: string): string => name.split('.').at(-1)!;

/** Options of each event by its short name. */
const eventsOf = (of: Image): Map<string, EventInfo> =>
  new Map([...of.messages.values()].flatMap(({ name, event }) => (event ? [[short(name), event]] : [])));

/** What options and consumers say differently of who reads what. */
function readerProblems(events: Map<string, EventInfo>, services: readonly { consumers: readonly Consumer[] }[]) {
  const problems: string[] = [];
  const consumers = services.flatMap((service) => service.consumers);
  const read = new Map<string, string[]>();
  for (const { name, streams, types } of consumers)
    for (const type of types) {
      read.set(type, [...(read.get(type) ?? []), name]);
      const stream = events.get(type)?.stream;
      if (stream === undefined) problems.push(`${name} reads ${type}, which is no event`);
      else if (!streams.includes(stream)) problems.push(`${name} reads ${type} but not its stream ${stream}`);
    }
  for (const { name, streams, types } of consumers)
    for (const stream of streams)
      if (!types.some((type) => events.get(type)?.stream === stream))
        problems.push(`${name} reads the stream ${stream} and nothing on it`);
  for (const [event, { readers }] of events) {
    const said = [...readers].sort().join(', ');
    const done = (read.get(event) ?? []).sort().join(', ');
    if (said !== done)
      problems.push(`${event} says it is read by ${said || 'nobody'}; it is read by ${done || 'nobody'}`);
  }
  return problems;
}

/** Builds the contracts with one more file, as `npm run generate` would. */
function withPlanted(proto: string): Image {
  const folder = mkdtempSync(join(tmpdir(), 'eduk-labels-'));
  try {
    mkdirSync(join(folder, 'proto'));
    cpSync(join(root, 'proto/eduk'), join(folder, 'proto/eduk'), { recursive: true });
    cpSync(join(root, 'buf.yaml'), join(folder, 'buf.yaml'));
    writeFileSync(join(folder, 'proto/eduk/events/v1/planted.proto'), proto);
    const out = join(folder, 'image.binpb');
    execFileSync(join(root, 'node_modules/.bin/buf'), ['build', '--exclude-source-info', '-o', out], {
      cwd: folder,
      env: { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env['PATH']}` },
    });
    return readImage(readFileSync(out));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const event = (
  name: string,
  body: string,
  options = 'stream: "orders" key: "school" writer: "orders" retention: RETENTION_ORDER',
) => `message ${name} {\n${options && `  option (eduk.core.v1.event) = { ${options} };\n`}${body}\n}\n`;

describe('labels', () => {
  test('every string and bytes field has one, and no event can hold identity', () => {
    expect(labelProblems(image)).toEqual([]);
    expect(eventsOf(image).size).toBeGreaterThan(40);
  });

  test('what is planted is refused, each by its name', () => {
    const planted = withPlanted(`syntax = "proto3";
package eduk.events.v1;
import "eduk/core/v1/labels.proto";
import "eduk/core/v1/learner.proto";
${event('Unlabelled', '  string note = 1;')}
${event('UnlabelledBytes', '  repeated bytes notes = 1;')}
${event('Named', '  string who = 1 [(eduk.core.v1.label) = LABEL_NAME];')}
${event('Numbered', '  string who = 1 [(eduk.core.v1.label) = LABEL_NUMBER];')}
${event('Written', '  string group = 1 [(eduk.core.v1.label) = LABEL_SCHOOL_TEXT];')}
${event('DeeplyNamed', '  Middle middle = 1;')}
message Middle { map<string, eduk.core.v1.LearnerRef> refs = 1; }
${event('Halfway', '  uint32 count = 1;', 'stream: "orders"')}
${event('Bare', '  uint32 count = 1;', '')}
${event('DoorSaid', '  uint32 count = 1;', 'stream: "orders" key: "school" writer: "door" retention: RETENTION_ORDER')}
${event('ServiceSubmitted', '  uint32 count = 1;')}
`);
    const problems = labelProblems(planted);
    for (const problem of [
      'eduk.events.v1.Unlabelled.note has no label',
      'eduk.events.v1.UnlabelledBytes.notes has no label',
      'eduk.events.v1.Named.who carries LABEL_NAME and can stand in an event',
      'eduk.events.v1.Numbered.who carries LABEL_NUMBER and can stand in an event',
      'eduk.events.v1.Written.group carries LABEL_SCHOOL_TEXT and can stand in an event',
      'eduk.core.v1.LearnerRef.eck_id carries LABEL_NUMBER and can stand in an event',
      'eduk.events.v1.Halfway does not declare stream, key, writer and retention',
      'eduk.events.v1.Bare is neither an event with options nor part of one',
      'eduk.events.v1.DoorSaid is written by a door but is not called …Submitted',
      'eduk.events.v1.ServiceSubmitted is called …Submitted but is not written by a door',
    ])
      expect(problems).toContain(problem);
    for (const problem of problems)
      expect(problem).toMatch(/^eduk\.(events\.v1\.(Un|Na|Nu|Wr|Ha|Ba|Do|Se)|core\.v1\.LearnerRef)/);
  });
});

describe('writers', () => {
  const names = new Set(modules.map(({ name }) => name));

  test('are the door or one of the services', () => {
    for (const [name, { writer }] of eventsOf(image))
      expect([name, writer === 'door' || names.has(writer)]).toEqual([name, true]);
  });

  test('write what they say: the name stands in that service, and doors submit nothing else', () => {
    const source = (folder: string): string =>
      readdirSync(join(root, 'services', folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
        .map((file) => readFileSync(join(root, 'services', folder, file), 'utf8'))
        .join('\n');
    const door = source('edge');
    const submitted = new Set([...door.matchAll(/\bevent\(\s*'(\w+)'/g)].map(([, name]) => name!));
    const events = eventsOf(image);
    expect([...submitted].sort()).toEqual(
      [...events]
        .filter(([, { writer }]) => writer === 'door')
        .map(([name]) => name)
        .sort(),
    );
    const sources = new Map([...names].map((name) => [name, source(name)]));
    for (const [name, { writer }] of events)
      if (writer !== 'door')
        expect([name, writer, sources.get(writer)!.includes(`'${name}'`)]).toEqual([name, writer, true]);
  });
});

describe('readers', () => {
  test('in the options are those that consume the event', () => {
    expect(readerProblems(eventsOf(image), modules)).toEqual([]);
  });

  test('that only say so, or do not say so, are found', () => {
    const events = eventsOf(image);
    const placed = events.get('OrderPlaced')!;
    const planted = new Map(events)
      .set('OrderPlaced', { ...placed, readers: [...placed.readers, 'results'] })
      .set('ProductPublished', { ...events.get('ProductPublished')!, readers: ['orders'] });
    const deaf: Consumer = {
      name: 'deaf',
      streams: ['orders', 'access'],
      types: ['ProductPublished', 'OrderEaten'],
      handle() {},
    };
    const problems = readerProblems(planted, [...modules, { consumers: [deaf] }]);
    expect(problems).toContain(
      'OrderPlaced says it is read by delivery, flows, readiness, results; it is read by delivery, flows, readiness',
    );
    expect(
      problems.filter((problem) => problem.startsWith('ProductPublished says it is read by orders;')),
    ).toHaveLength(1);
    expect(problems).toContain('deaf reads ProductPublished but not its stream catalogue');
    expect(problems).toContain('deaf reads OrderEaten, which is no event');
    expect(problems).toContain('deaf reads the stream access and nothing on it');
  });
});
