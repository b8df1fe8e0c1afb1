/** Connections by administration: each with its own certificates, and made anew when its settings are others. */
import { type Dialler, diallerFor, type Networks } from '#kernel';
import { type AdministrationSettings, tlsOf } from './settings.ts';

export class Diallers {
  readonly #networks: Networks;
  readonly #made = new Map<string, { of: string; dialler: Dialler }>();

  constructor(networks: Networks) {
    this.#networks = networks;
  }

  /** Throws `ConfigError` where a file with a certificate cannot be read. */
  of(settings: AdministrationSettings): Dialler {
    const { ca, client } = tlsOf(settings);
    const of = [ca, client?.cert, client?.key].map((one) => one?.toString('base64') ?? '').join('|');
    const known = this.#made.get(settings.name);
    if (known?.of === of) return known.dialler;
    known?.dialler.close();
    const dialler = diallerFor(this.#networks, { ca, client });
    this.#made.set(settings.name, { of, dialler });
    return dialler;
  }

  close(): void {
    for (const { dialler } of this.#made.values()) dialler.close();
  }
}
