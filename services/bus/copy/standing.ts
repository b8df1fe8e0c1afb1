/**
 * What a data folder or a database is after a copy began: its target, not whole yet; or its source, left for another place.
 * Nothing runs on either. Beside a state this stands in a file, in a database in a schema of its own.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type pg from 'pg';
import { ConfigError } from '#kernel';
import type { Tally } from './place.ts';

export interface Standing {
  /** `copying`: not whole; `moved`: another place goes on from here; `arrived`: came whole from another place. */
  is: 'copying' | 'moved' | 'arrived';
  /** Unix milliseconds. */
  atMs: number;
  /** The other place, in words: a folder, or `databases`. Never an address: it may hold a password. */
  other: string;
  /** The engine that goes on, or went before. */
  engine: 'embedded' | 'kafka';
  /** Lanes as they stood when the copy was whole, in the numbers of this place. */
  lanes?: { stream: string; partition: number; head: number }[];
  tallies?: Tally[];
}

/** In words, why nothing starts here; undefined = it may. `how` names the settings of this place. */
export function refusal(standing: Standing | undefined, place: string): string | undefined {
  if (standing?.is === 'copying')
    return `${place} holds a copy that did not come to its end: run the same eduk move or eduk restore again, or remove what is there`;
  if (standing?.is === 'moved')
    return `${place} was moved to ${standing.other} on ${new Date(standing.atMs).toISOString()}, and the gateway goes on there; eduk move --resume takes it back as long as nothing was accepted there`;
  return undefined;
}

const fileOf = (folder: string): string => join(folder, 'standing.json');

export function standingOfFolder(folder: string): Standing | undefined {
  const file = fileOf(folder);
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Standing;
  } catch {
    throw new ConfigError([`${file} is damaged; it says whether this folder may be used`]);
  }
}

/** On disk when this returns. */
export function setStandingOfFolder(folder: string, standing: Standing | undefined): void {
  const file = fileOf(folder);
  if (standing === undefined) rmSync(file, { force: true });
  else {
    const descriptor = openSync(`${file}.new`, 'w', 0o600);
    writeSync(descriptor, `${JSON.stringify(standing)}\n`);
    fsyncSync(descriptor);
    closeSync(descriptor);
    renameSync(`${file}.new`, file);
  }
  const descriptor = openSync(dirname(file), 'r');
  fsyncSync(descriptor);
  closeSync(descriptor);
}

/** Why the embedded engine must not open this folder, as `ConfigError`. */
export function refuseFolder(folder: string): void {
  const words = refusal(standingOfFolder(folder), folder);
  if (words !== undefined) throw new ConfigError([words]);
}

type Asks = Pick<pg.ClientBase, 'query'>;

export async function standingOfDatabase(client: Asks): Promise<Standing | undefined> {
  const { rows } = await client.query("SELECT to_regclass('moving.standing') IS NOT NULL AS made");
  if (!(rows[0] as { made: boolean }).made) return undefined;
  const found = await client.query('SELECT standing FROM moving.standing');
  return found.rows[0] && (JSON.parse((found.rows[0] as { standing: string }).standing) as Standing);
}

export async function setStandingOfDatabase(client: Asks, standing: Standing | undefined): Promise<void> {
  await client.query('CREATE SCHEMA IF NOT EXISTS moving');
  await client.query(
    'CREATE TABLE IF NOT EXISTS moving.standing (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), standing text NOT NULL)',
  );
  if (standing === undefined) await client.query('DELETE FROM moving.standing');
  else
    await client.query(
      'INSERT INTO moving.standing (standing) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET standing = excluded.standing',
      [JSON.stringify(standing)],
    );
}
