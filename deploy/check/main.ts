/**
 * `node deploy/check/main.ts`: everything about the deployment that can be checked without a cluster and without Docker, in
 * the order in which it is built. Exit codes: 0 fine, 1 something is wrong, 3 Go is missing.
 */
import { chart, chartProblems, lint, objectsIn, template, validate, valueSets } from './chart.ts';
import { composeProblems, readCompose } from './compose.ts';
import { dockerfileProblems, readDockerfile } from './image.ts';
import { missingHere } from './tools.ts';

const missing = await missingHere();
if (missing) {
  process.stderr.write(`${missing}\n`);
  process.exit(3);
}
let wrong = 0;
const report = (what: string, problems: readonly string[]): void => {
  process.stdout.write(`${problems.length === 0 ? 'fine ' : 'wrong'} ${what}\n`);
  for (const problem of problems) process.stdout.write(`      ${problem.trim().replaceAll('\n', '\n      ')}\n`);
  wrong += problems.length;
};
report('Dockerfile', dockerfileProblems(await readDockerfile()));
report('compose.yaml', composeProblems(await readCompose()));
for (const [name, files] of Object.entries(valueSets)) {
  const linted = await lint(chart, files);
  report(`helm lint, ${name}`, linted.code === 0 ? [] : [linted.said]);
  const { code, out, said } = await template(chart, files);
  report(`helm template, ${name}`, code === 0 ? [] : [said]);
  if (code !== 0) continue;
  const valid = await validate(out);
  report(`kubectl-validate, ${name}`, valid.code === 0 ? [] : [valid.said]);
  report(`our own rules, ${name}`, chartProblems(await objectsIn(out), name !== 'without network policies'));
}
process.exitCode = wrong === 0 ? 0 : 1;
