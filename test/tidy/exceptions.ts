import type { Exception } from './arrows.ts';

/** Imports that no arrow allows. A test fails when one of them is no longer there. */
export const exceptions: readonly Exception[] = [
  { from: 'proto/pages.ts', imports: '#kernel', why: 'A generator: it prints the tables of the code into docs/.' },
  { from: 'proto/pages.ts', imports: '#release', why: 'As above: docs/attributes.md.' },
  {
    from: 'proto/pages.ts',
    imports: '../services/edge/grpc/writes.ts',
    why: 'As above: docs/roles.md; the door has no reason to export its methods.',
  },
  {
    from: 'proto/pages.ts',
    imports: '../adapters/contract/registry.ts',
    why: 'As above: docs/losses.md, from the tables beside the mappings of all adapters.',
  },
  { from: 'proto/pages.ts', imports: '#adapters/contract', why: 'As above: the reasons in it.' },
  { from: 'proto/pages.ts', imports: '#adapters/oneroster', why: 'As above: a mapping that is no adapter.' },
  {
    from: 'proto/pages.ts',
    imports: '#adapters/uwlr/conform',
    why: 'As above: docs/conformance.md, from the lists of cases.',
  },
  {
    from: 'proto/pages.ts',
    imports: '../services/edge/limits.ts',
    why: 'As above: docs/limits.md, from the table that the doors read.',
  },
  {
    from: 'proto/pages.ts',
    imports: '../services/edge/alerts/words.ts',
    why: 'As above: docs/alerts.md, from the table by which every channel speaks.',
  },
  {
    from: 'proto/observe.ts',
    imports: '../services/edge/alerts/words.ts',
    why: 'As above: rules for Prometheus, one for each kind of alert.',
  },
  {
    from: 'services/edge/reads/processing.ts',
    imports: '../../bus/retention.ts',
    why: 'Papers tell how long things are kept, by the table that removes them.',
  },
  {
    from: 'services/edge/labels.ts',
    imports: '../../proto/labels.ts',
    why: 'Only a type: that of the rows of the generated table of labels.',
  },
  {
    from: 'services/distributed.test.ts',
    imports: './kernel/grpc/testing.ts',
    why: 'Certificates of the test’s own, which the kernel has for its own tests and nobody else may have.',
  },
  {
    from: 'services/cli/commands/doctor.ts',
    imports: '../../roles.ts',
    why: 'Which services this release has stands in that one list, which loads none of them.',
  },
  {
    from: 'services/cli/commands/start.ts',
    imports: '../../main.ts',
    why: '`eduk start` is the gateway, in its own process.',
  },
  {
    from: 'services/cli/commands/keep.ts',
    imports: '../../main.ts',
    why: '`eduk move`, `backup` and `restore` work on what a gateway holds while none is running.',
  },
  {
    from: 'test/tidy/powers.test.ts',
    imports: '../../services/cli/commands/index.ts',
    why: 'Commands are data, which is compared with what the console can do; the command line has no reason to export them.',
  },
  {
    from: 'services/cli/commands/console.ts',
    imports: '../../main.ts',
    why: 'Which pages there are, the console itself says: a second list of them would differ some day.',
  },
  {
    from: 'services/cli/commands/conform.ts',
    imports: '#adapters/uwlr/conform',
    why: '`eduk conform` tries another party by the cases of a standard, without a gateway.',
  },
  {
    from: 'services/cli/commands/import.ts',
    imports: '#adapters/edexml',
    why: '`--strip-pgn` takes personal numbers out of a file before it leaves the sender’s machine.',
  },
  {
    from: 'services/edge/forgetting.test.ts',
    imports: '#services/rosters',
    why: 'The door reads pages of forgotten learners; the test has them from the service that owns them.',
  },
  ...['engines', 'rebuild-engines'].map((name) => ({
    from: `test/chain/${name}.test.ts`,
    imports: '../../services/bus/postgres/places.ts',
    why: 'An empty database and topics of its own, as the tests of the bus have them.',
  })),
  ...['postgres/places.ts', 'sqlite.ts', 'tables.ts'].map((file) => ({
    from: 'test/chain/stop.test.ts',
    imports: `../../services/bus/${file}`,
    why: 'The stores of both engines under a clock that the test sets on, as the tests of the bus have them.',
  })),
  ...['distributed.ts', 'parts.ts'].map((file) => ({
    from: 'test/chain/delivery-replica.ts',
    imports: `../../services/${file}`,
    why: 'A replica as a process has it, but for its name: by that its test knows who is to own a service.',
  })),
  {
    from: 'test/chain/fuzz.test.ts',
    imports: '../../services/edge/labels.ts',
    why: 'It spoils each field by what its label allows, and asks nothing else of the door.',
  },
  {
    from: 'test/chain/pgn.test.ts',
    imports: '../../services/edge/pgn.ts',
    why: 'Counts which of the numbers that it sends pass the test of the door.',
  },
  ...['documents.ts', 'run.ts', 'canary.test.ts'].map((file) => ({
    from: `test/canary/${file}`,
    imports: '../../adapters/contract/registry.ts',
    why: 'The canary goes through every adapter there is, which only the registry of the contract tests knows.',
  })),
  {
    from: 'test/canary/documents.ts',
    imports: '../../adapters/contract/suite.ts',
    why: 'Broken forms of a document, which every adapter must refuse without quoting it.',
  },
  {
    from: 'test/bench/edexml.ts',
    imports: '../../adapters/edexml/examples/invent.ts',
    why: 'Files of any size are invented there, beside the examples.',
  },
  {
    from: 'test/bench/pull.ts',
    imports: '../../adapters/edexml/examples/invent.ts',
    why: 'The bench has its schools from the examples of the standard.',
  },
  {
    from: 'test/bench/edexml.ts',
    imports: '../../services/edge/intake/rosters.ts',
    why: 'Measures one stage of the door by itself.',
  },
  ...['chart', 'compose'].map((name) => ({
    from: `deploy/check/${name}.ts`,
    imports: '../../services/roles.ts',
    why: 'What is deployed is compared with the one list of roles, which has no folder and so no name.',
  })),
];
