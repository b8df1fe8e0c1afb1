/** Results over UWLR as learning applications bring them: whole classes with the norms of their test, over kept connections. */
import { Agent, request } from 'node:http';
import { Client, credentials } from '@grpc/grpc-js';
import { type LeerresultatenVerzoek, type Toets, writeLeerresultaten } from '#adapters/uwlr';
import { brinOf, dutchDay, schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import { RosterServiceDefinition } from '#proto/eduk/gateway/v1/roster';
import { newOin, sendAll, wire } from '../chain/gateway.ts';
import type { Measured } from './delivery.ts';

/** Who brings results of a school, as the header says it. */
export interface Bringer {
  school: string;
  klantcode: string;
  klantnaam: string;
  autorisatiesleutel: string;
}

export const pupilKey = (n: number): string => `L${n}`;
/** Points by the number of a result, so that one that came as another's is seen. */
export const scoreOf = (n: number): number => n % 40;

/** A school whose administration, which may have its results, sent a roster of these pupils; answers an application that brings them. */
export async function bringerFor(
  at: Pick<Measured, 'operator' | 'grpc' | 'atHead'>,
  { school, las, refs }: { school: string; las: string; refs: readonly { lasKey: string; eckId?: string }[] },
): Promise<Bringer> {
  const app = newOin();
  const { apiKey } = await at.operator.addParty({
    party: { oin: las, name: 'De Leerlijst', roles: [Role.ROLE_ADMINISTRATION] },
  });
  const { klantcode, klantnaam } = await at.operator.addParty({
    party: { oin: app, name: 'Leerplein', roles: [Role.ROLE_PLATFORM] },
  });
  const mandate = (partyOin: string, services: Service[]) =>
    at.operator.grantMandate({ mandate: { schoolOin: school, partyOin, services }, confirm: true });
  await mandate(las, [Service.SERVICE_ROSTER, Service.SERVICE_RESULT]);
  const { autorisatiesleutel } = await mandate(app, [Service.SERVICE_RESULT]);
  const channel = new Client(at.grpc, credentials.createInsecure());
  await sendAll(wire(RosterServiceDefinition, channel, `Bearer ${apiKey}`).pushRoster(), [
    {
      reference: 'roster',
      rosterId: 'roster',
      part: 0,
      last: true,
      roster: {
        schoolOin: school,
        schoolYear: schoolYearOf(Date.now()),
        groups: [{ key: '7a', name: '7a', yearGroup: '7' }],
        learners: refs.map((ref) => ({ ref, yearGroup: '7', groupKey: '7a' })),
      },
    },
  ]);
  channel.close();
  await at.atHead();
  return { school, klantcode, klantnaam, autorisatiesleutel };
}

/** A test with a scale of five norms and four parts, as a method's test has. */
const test = (code: string): Toets => {
  const normering = (most: number) => ({
    norm: ['E', 'D', 'C', 'B', 'A'].map((term, i) => ({
      term,
      beginnormwaarde: i * most,
      eindnormwaarde: (i + 1) * most - 1,
      normkleur: { rood_code: 255 - i * 50, groen_code: i * 50, blauw_code: 0, transparantie: 1 },
    })),
  });
  return {
    toetscode: { tekst: code },
    toetsnaam: `Rekenen, ${code}`,
    leerjaar: { tekst: '7' },
    vakgebied: {
      tekst: 'Rekenen en wiskunde',
      vocabulaire: 'http://purl.edustandaard.nl/concept/328cc12a-87b2-41c4-aef8-853595f9f9dd',
    },
    toetsnormering: normering(8),
    toetshierarchie: [{ niveau: 1, woord: { tekst: 'Rekenreis' } }],
    toetsonderdelen: ['getallen', 'meten', 'verhoudingen', 'verbanden'].map((part, i) => ({
      toetsonderdeelvolgnummer: i + 1,
      toetsonderdeelcode: { tekst: part },
      toetsonderdeelnormering: normering(2),
    })),
  };
};

/** One message of `count` results, whose keys start at `from`; of `pupils` pupils in turn, over one test for each 25 results. */
export function resultsDocument(of: Bringer, from: number, count: number, pupils: number): Buffer {
  const now = Date.now();
  const code = (n: number): string => `toets-${Math.floor(n / 25) % 5}`;
  const wire: LeerresultatenVerzoek = {
    school: {
      schooljaar: schoolYearOf(now),
      brincode: brinOf(of.school)!,
      aanmaakdatum: new Date(now).toISOString(),
      xsdversie: '2.2',
    },
    toetsafnames: Array.from({ length: count }, (_, i) => ({
      leerlingid: pupilKey((from + i) % pupils),
      resultaten: [
        {
          key: `b${from + i}`,
          afnamedatum: dutchDay(now),
          toetscode: code(from + i),
          score: String(scoreOf(from + i)),
        },
      ],
    })),
    toetsen: [...new Set(Array.from({ length: count }, (_, i) => code(from + i)))].map(test),
  };
  return Buffer.from(writeLeerresultaten(of, wire));
}

/** Sends messages over a few kept connections. */
export class Bringing {
  readonly #agent: Agent;
  readonly #address: URL;

  constructor(http: string, connections: number) {
    this.#address = new URL('/soap/uwlr/v2/leerresultaten', http);
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** Milliseconds until it is confirmed, which it is when it is durable. Throws on a fault. */
  bring(document: Buffer): Promise<number> {
    const started = performance.now();
    return new Promise((resolve, reject) => {
      const call = request(
        this.#address,
        {
          method: 'POST',
          agent: this.#agent,
          headers: { 'content-type': 'text/xml', 'content-length': document.length },
        },
        (answer) => {
          let text = '';
          answer.setEncoding('utf8');
          answer.on('data', (part: string) => {
            text += part;
          });
          answer.on('end', () => {
            if (answer.statusCode === 200) resolve(performance.now() - started);
            else reject(new Error(`a message was refused: ${text.slice(0, 400)}`));
          });
        },
      );
      call.on('error', reject);
      call.end(document);
    });
  }

  /**
   * Messages of `size` results at a steady pace of `perSecond` results for `seconds`, whatever was confirmed by then. Gives the
   * longest time to a confirmation, and how late the last one was, in milliseconds.
   */
  async pace(
    documentOf: (n: number) => Buffer,
    { size, perSecond, seconds }: { size: number; perSecond: number; seconds: number },
  ): Promise<{ messages: number; slowestMs: number; lateMs: number }> {
    const messages = Math.floor((perSecond * seconds) / size);
    const documents = Array.from({ length: messages }, (_, n) => documentOf(n));
    const started = performance.now();
    const times = await Promise.all(
      documents.map(async (document, n) => {
        await new Promise((resolve) => setTimeout(resolve, ((n * size) / perSecond) * 1000));
        return this.bring(document);
      }),
    );
    const took = performance.now() - started;
    return { messages, slowestMs: Math.max(...times), lateMs: took - seconds * 1000 };
  }

  close(): void {
    this.#agent.destroy();
  }
}
