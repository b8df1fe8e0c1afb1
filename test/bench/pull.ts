/** Pulls of a roster over UWLR, as a learning application sees them. */
import { request } from 'node:http';
import { schoolYearOf } from '#kernel';
import { Role, Service } from '#proto/eduk/core/v1/party';
import type { OperatorServiceDefinition } from '#proto/eduk/operator/v1/operator';
import { inventSchool } from '../../adapters/edexml/examples/invent.ts';
import { uwlrQuestion } from '../chain/files.ts';
import { newOin, type WireClient } from '../chain/gateway.ts';

export interface Pull {
  /** From the question to the first byte of the answer, and to the last, ms. */
  startedMs: number;
  endedMs: number;
  answer: string;
  /** Whether it came in pieces, without its length beforehand. */
  inPieces: boolean;
}

/** `http`: the door's own address, without path. */
export const pull = (http: string, question: string): Promise<Pull> =>
  new Promise((resolve, reject) => {
    const from = performance.now();
    const asked = request(
      `${http}/soap/uwlr/v2/leerlinggegevens`,
      { method: 'POST', headers: { 'content-type': 'text/xml; charset=utf-8' } },
      (response) => {
        const chunks: Buffer[] = [];
        let startedMs = 0;
        response.on('data', (chunk: Buffer) => {
          startedMs ||= performance.now() - from;
          chunks.push(chunk);
        });
        response.on('error', reject).on('end', () =>
          resolve({
            startedMs,
            endedMs: performance.now() - from,
            answer: Buffer.concat(chunks).toString(),
            inPieces: response.headers['transfer-encoding'] === 'chunked',
          }),
        );
      },
    );
    asked.on('error', reject).end(question);
  });

/** The school of the files that `inventSchool` makes. */
const SCHOOL = '0000000700099ZY00000';

const median = (list: number[]): number => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)]!;

export interface PullFigures extends Omit<Pull, 'answer'> {
  /** Of one answer. */
  mb: number;
  /** What `memory` said when the school was there and had been pulled once. */
  before: number;
}

/** Has a school of so many pupils pulled so often; medians. Throws when an answer lacks one. */
export async function pullFigures(
  at: { http: string; operator: WireClient<typeof OperatorServiceDefinition> },
  pupils: number,
  rounds: number,
  memory: () => number = () => 0,
): Promise<PullFigures> {
  const register = async (name: string, role: Role) => {
    const oin = newOin();
    const party = await at.operator.addParty({ party: { oin, name, roles: [role] } });
    const mandate = { schoolOin: SCHOOL, partyOin: oin, services: [Service.SERVICE_ROSTER] };
    const { autorisatiesleutel } = await at.operator.grantMandate({ mandate, confirm: true });
    return { ...party, sleutel: autorisatiesleutel };
  };
  const las = await register('De Leerlijst', Role.ROLE_ADMINISTRATION);
  const { klantcode, klantnaam, sleutel } = await register('Leerplein', Role.ROLE_PLATFORM);
  const year = schoolYearOf(Date.now());
  const posted = await fetch(`${at.http}/edexml`, {
    method: 'POST',
    headers: { authorization: `Bearer ${las.apiKey}` },
    body: inventSchool({ pupils, schooljaar: year }),
  });
  if (posted.status !== 202) throw new Error(`the roster was not taken: ${posted.status}`);
  const question = uwlrQuestion({ klantcode, klantnaam, sleutel, school: SCHOOL, year });
  await pull(at.http, question);
  const before = memory();
  const went: Pull[] = [];
  for (let i = 0; i < rounds; i++) went.push(await pull(at.http, question));
  for (const { answer } of went) {
    const found = new Set(answer.match(/<leerling key="[^"]*"/g)).size;
    if (found !== pupils) throw new Error(`${found} of ${pupils} pupils came`);
  }
  return {
    startedMs: median(went.map(({ startedMs }) => startedMs)),
    endedMs: median(went.map(({ endedMs }) => endedMs)),
    inPieces: went.every(({ inPieces }) => inPieces),
    mb: Buffer.byteLength(went[0]!.answer) / 2 ** 20,
    before,
  };
}
