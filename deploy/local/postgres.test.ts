import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalPostgres, startPostgres } from './index.ts';
import { left, missing } from './left.ts';

describe.skipIf(missing)('PostgreSQL', () => {
  let folder: string;
  let server: LocalPostgres;
  beforeAll(async () => {
    // Only we may pass it, as most folders made for a while: it must be opened for PostgreSQL, which is not root.
    folder = mkdtempSync(join(tmpdir(), 'eduk-postgres-'));
    server = await startPostgres({ folder });
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function ask(statement: string, url = server.url): Promise<Record<string, string>[]> {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
    client.on('error', () => {}); // A connection that a kill cuts off says so once more.
    await client.connect();
    try {
      return (await client.query<Record<string, string>>(statement)).rows;
    } finally {
      await client.end();
    }
  }

  test('has a database for the state and one for the vault, only for those with the password', async () => {
    expect(await ask('select current_database() as name')).toEqual([{ name: 'eduk' }]);
    expect(await ask('select current_database() as name', server.vaultUrl)).toEqual([{ name: 'eduk_vault' }]);
    await expect(ask('select 1', server.url.replace(/:[^:@]+@/, ':guessed@'))).rejects.toThrow('password');
    expect(URL.parse(server.url)!.hostname).toBe('127.0.0.1');
    expect(statSync(join(folder, 'postgres/server.json')).mode & 0o077).toBe(0);
  });

  test('is durable, and not root', async () => {
    const settings =
      'select name, setting from pg_settings where name = any($${fsync,synchronous_commit,full_page_writes}$$)';
    expect((await ask(settings)).map(({ setting }) => setting)).toEqual(['on', 'on', 'on']);
    expect(readFileSync(`/proc/${server.pid}/status`, 'utf8')).not.toMatch(/^Uid:\s+0\b/m);
  });

  test('keeps what was committed over kill -9 of all its processes, on the same address', async () => {
    await ask('create table kept (n int primary key)');
    await ask('insert into kept select generate_series(1, 1000)');
    const before = server.pid!;
    await server.stop('kill');
    expect(server.pid).toBeUndefined();
    expect(left(folder)).toEqual([]);
    await expect(ask('select 1')).rejects.toThrow();
    await server.start();
    expect(server.pid).not.toBe(before);
    expect(await ask('select count(*)::int as n from kept')).toEqual([{ n: 1000 }]);
  });

  test.each(['smart', 'fast', 'immediate'] as const)('ends %s and starts again', async (mode) => {
    await server.stop(mode);
    expect(left(folder)).toEqual([]);
    await server.start();
    expect(await ask('select 1 as one')).toEqual([{ one: 1 }]);
  });

  test('answers nothing while it is paused, also on open connections, and goes on', async () => {
    const client = new pg.Client({ connectionString: server.url });
    await client.connect();
    server.pause();
    let answered = false;
    const answer = client.query('select 1 as one').then(({ rows }) => {
      answered = true;
      return rows;
    });
    await sleep(300);
    expect(answered).toBe(false);
    server.resume();
    expect(await answer).toEqual([{ one: 1 }]);
    await client.end();
  });

  test('ends also while it is paused', async () => {
    server.pause();
    await server.stop();
    expect(left(folder)).toEqual([]);
    await server.start();
  });

  test('starts again on its folder, with its rows and its address, in another run', async () => {
    const { url } = server;
    await server.stop();
    server = await startPostgres({ folder });
    expect(server.url).toBe(url);
    expect(await ask('select count(*)::int as n from kept')).toEqual([{ n: 1000 }]);
  });

  test('says that another run has its folder, and changes nothing of that one', async () => {
    await expect(startPostgres({ folder })).rejects.toThrow(`already runs on this folder, as process ${server.pid}`);
    await server.stop();
    await server.start();
    expect(await ask('select 1 as one')).toEqual([{ one: 1 }]);
  });

  test.runIf(process.getuid?.() === 0)('says which folder it may not pass, and leaves that as it is', async () => {
    const closed = mkdtempSync(join(tmpdir(), 'eduk-closed-'));
    try {
      await expect(startPostgres({ folder: join(closed, 'inside') })).rejects.toThrow(`chmod o+x ${closed}`);
      expect(statSync(closed).mode & 0o777).toBe(0o700);
    } finally {
      rmSync(closed, { recursive: true, force: true });
    }
  });

  test('writes neither the password nor a value of a statement to its log', async () => {
    await expect(ask("insert into kept values ('Roepnaam')")).rejects.toThrow();
    const log = readFileSync(join(folder, 'postgres/output.log'), 'utf8');
    expect(log).toContain('invalid input syntax');
    expect(log).not.toContain(URL.parse(server.url)!.password);
    expect(log).not.toContain('insert into kept');
    expect(readdirSync(join(folder, 'postgres'))).toEqual(['data', 'output.log', 'process.json', 'server.json']);
  });
});
