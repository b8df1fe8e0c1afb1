import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { type Infrastructure, localInfrastructure } from '#deploy/local';
import { busContract } from '../contract.ts';
import { makePlace } from './places.ts';

let folder: string;
let servers: Infrastructure;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eduk-servers-'));
  servers = await localInfrastructure({ folder });
});
afterAll(async () => {
  await servers?.stop();
  rmSync(folder, { recursive: true, force: true });
});

for (const client of ['platformatic', 'kafkajs'] as const)
  busContract(`on PostgreSQL and Kafka, by ${client}`, () => makePlace(servers, client));
