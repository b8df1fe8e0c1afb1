import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Argument, Command, Flag } from './command.ts';
import { commands } from './commands/index.ts';
import { fakeGateway, Refusal, run } from './testing.ts';
import { typed } from './typed.ts';

/** Every method is refused, or answered with nothing; what was asked is kept. */
let asked: { method: string; request: any }[] = [];
let answered = 0;
const answers = new Proxy({} as Record<string, (request: any) => unknown>, {
  get: (_, method: string) => (request: any) => {
    asked.push({ method, request: Array.isArray(request) ? request[0] : request });
    return asked.length <= answered ? {} : new Refusal('state.missing', 'x', [{ path: 'school_oin' }]);
  },
});
let gateway: Awaited<ReturnType<typeof fakeGateway>>;
beforeAll(async () => {
  gateway = await fakeGateway(answers);
});
afterAll(() => gateway.stop());

/** Two values for whatever a flag or argument may take; undefined where only a file or another machine will do. */
function samples({ value, choices }: { value: string; choices?: readonly string[] | undefined }) {
  if (choices && choices.length > 1) return [choices[0]!, choices[1]!];
  const forms: Record<string, [string, string]> = {
    OIN: ['00000001000000000001', '00000001000000000002'],
    'BRIN|OIN': ['01AB', '02CD'],
    BRIN: ['01AB', '02CD'],
    DAY: ['2026-12-01', '2026-12-02'],
    MONTH: ['2026-03', '2026-04'],
    TIME: ['2026-11-20', '2026-11-21'],
    YEAR: ['2026-2027', '2027-2028'],
    CODE: ['01', '02'],
    N: ['3', '4'],
    NUMBER: ['12345678', '12345679'],
    HOURS: ['5', '6'],
    DAYS: ['95', '96'],
    LEAF: ['5', '6'],
    PERCENT: ['5', '6'],
    'STANDARD=URL': ['uwlr=https://a/', 'uwlr=https://b/'],
    URL: ['https://a/', 'https://b/'],
    'URL|FILE': ['https://a/', 'https://b/'],
    YEARGROUP: ['3', '4'],
    ID: ['order:een', 'order:twee'],
  };
  if (/FILE|FOLDER|HOST|PATH/.test(value)) return undefined;
  return forms[value] ?? ['een', 'twee'];
}

type Part = { words: (value: string) => string[]; values: string[] | undefined; shown: string; needed: boolean };
const partsOf = ({ flags = {}, arguments: args = [] }: Command): Part[] => [
  ...args.map(
    (one: Argument): Part => ({
      words: (value) => [value],
      values: samples({ value: one.name, choices: one.choices }),
      shown: one.name,
      needed: !one.optional,
    }),
  ),
  ...Object.entries<Flag>(flags).flatMap(([name, flag]): Part[] =>
    flag.value === undefined
      ? []
      : [
          {
            words: (value) => [`--${name}=${value}`],
            values: samples({ value: flag.value, choices: flag.choices }),
            shown: `--${name}`,
            needed: flag.required === true,
          },
        ],
  ),
];

/** Paths at which two messages differ, as the gateway names them. */
function differing(a: any, b: any, path = ''): string[] {
  if (
    typeof a !== 'object' ||
    a === null ||
    typeof b !== 'object' ||
    b === null ||
    Array.isArray(a) ||
    Array.isArray(b)
  )
    return String(JSON.stringify(a, plain)) === String(JSON.stringify(b, plain)) ? [] : [path];
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((key) => {
    const name = key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    return differing(a[key], b[key], path === '' ? name : `${path}.${name}`);
  });
}
const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? `${value}` : value);

/** What a command asks with these words, by method, with up to so many answered with nothing. */
async function asks(words: readonly string[], answering: number): Promise<Map<string, any>> {
  asked = [];
  answered = answering;
  await run(words, gateway.env, '2 een twee\n');
  return new Map(asked.map(({ method, request }) => [method, request]));
}

/** What else must be said before these ask anything. */
const beside: Readonly<Record<string, readonly string[]>> = {
  'freeze set': ['--school=01AB'],
  'hold rule add': ['--school=01AB'],
  'mandate key': ['--renew'],
  'mandate review': ['--open'],
};

const reached = new Set<string>();
test.each(commands.filter(({ alone }) => !alone).map((command) => [command.name, command] as const))(
  'what %s sends, it can name as it was typed',
  async (name, command) => {
    const parts = partsOf(command);
    /** By where it is sent: what it may have been typed as. */
    const leads = new Map<string, Set<string>>();
    const wordsWith = (part: Part, value: string): string[] => [
      ...name.split(' '),
      ...parts.flatMap((one) =>
        one === part ? one.words(value) : one.needed ? one.words(one.values?.[0] ?? '/dev/null') : [],
      ),
      ...(beside[name] ?? []).filter((word) => !word.startsWith(`${part.shown}=`)),
    ];
    for (const part of parts) {
      const [one, other] = part.values ?? [];
      if (one === undefined || other === undefined) continue;
      // Refused at once, and after answers to what is asked beforehand.
      for (const answering of [0, 1, 2]) {
        const first = await asks(wordsWith(part, one), answering);
        // Nothing is asked after those that were answered.
        if (asked.length <= answering) break;
        const second = await asks(wordsWith(part, other), answering);
        for (const [method, request] of first)
          for (const path of second.has(method) ? differing(request, second.get(method)) : []) {
            reached.add(`${name} ${part.shown}`);
            const at = `${method} ${path}`;
            leads.set(at, (leads.get(at) ?? new Set()).add(part.shown));
          }
      }
    }
    const wrong = [...leads].flatMap(([at, shown]) => {
      const said = typed(command, at.split(' ')[1]!);
      // What several flags come together in may stay the gateway's own word; no other flag may be blamed.
      const isRight = said === undefined ? shown.size > 1 : shown.has(said);
      return isRight ? [] : [`${at} is ${[...shown].join(', ')} and was called ${said}`];
    });
    expect(wrong).toEqual([]);
  },
);

test('most flags and arguments were seen to arrive', () => {
  expect(reached.size).toBeGreaterThan(190);
  for (const one of [
    'hold approve HOLD',
    'hold rule add --percent',
    'replay run REPLAY',
    'party show OIN',
    'mandate list --school',
  ])
    expect(reached).toContain(one);
});

test('what was not typed keeps its own name', () => {
  const command = { flags: { school: { about: '', value: 'BRIN|OIN' }, learner: { about: '' } }, arguments: [] };
  expect(typed(command, 'asked.school_oin')).toBe('--school');
  expect(typed(command, 'school_oins[3]')).toBe('--school');
  // In a file, in one of several, of a switch, and nowhere.
  for (const path of ['EDEX/school/brincode', 'groups[2].school_oin', 'learners[0]', 'learner', 'lang', ''])
    expect(typed(command, path)).toBe(undefined);
});
