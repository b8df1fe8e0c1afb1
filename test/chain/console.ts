/** A browser as far as the console's server sees one: cookies, and the headers that a page's own requests have. */
import { readFileSync } from 'node:fs';
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { makeConsoleLink } from '#kernel';
import type { TestGateway } from './gateway.ts';

export const keyOf = ({ folder }: TestGateway): string => readFileSync(join(folder, 'operator.key'), 'utf8').trim();

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  cookies: string[];
  text: string;
  /** Where it is JSON. */
  body: any;
}

export class Browser {
  readonly #address: string;
  readonly cookies = new Map<string, string>();
  readonly sessionCookie: string;
  /** Of the session, once signed in. */
  token = '';

  constructor(address: string) {
    this.#address = address;
    this.sessionCookie = `__Host-eduk-console-${address.split(':').at(-1)}`;
  }

  async signedIn(operatorKey: string): Promise<this> {
    await this.post('/api/sign-in', { link: makeConsoleLink(operatorKey, Date.now()) });
    this.token = (await this.get('/api/me')).body.session.token;
    return this;
  }

  get(path: string, more: Record<string, string> = {}): Promise<Answer> {
    return this.raw('GET', path, '', '', more);
  }

  post(path: string, body: object, token = '', more: Record<string, string> = {}): Promise<Answer> {
    return this.raw('POST', path, JSON.stringify(body), token, more);
  }

  /** An empty header is not sent. */
  async raw(
    method: string,
    path: string,
    body: string,
    token = '',
    more: Record<string, string> = {},
  ): Promise<Answer> {
    const sent = this.#begin(method, path, token, more);
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      sent.once('response', resolve);
      sent.once('error', reject);
    });
    sent.end(method === 'GET' ? undefined : body);
    const response = await answered;
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const cookies = response.headers['set-cookie'] ?? [];
    for (const one of cookies) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(one)!;
      if (value === '') this.cookies.delete(name!);
      else this.cookies.set(name!, value!);
    }
    const isJson = /json/.test(response.headers['content-type'] ?? '');
    return {
      status: response.statusCode!,
      headers: response.headers,
      cookies,
      text,
      body: isJson ? JSON.parse(text) : undefined,
    };
  }

  /** Server-sent events. */
  async *stream(path: string): AsyncGenerator<{ event: string; data: unknown }> {
    const sent = this.#begin('GET', path, '', {});
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      sent.once('response', resolve);
      sent.once('error', reject);
    });
    sent.end();
    let text = '';
    for await (const chunk of (await answered) as AsyncIterable<Buffer>) {
      text += chunk.toString();
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const [, event, data] = /^event: (\w+)\ndata: (.*)$/s.exec(text.slice(0, end))!;
        text = text.slice(end + 2);
        yield { event: event!, data: JSON.parse(data!) };
      }
    }
  }

  #begin(method: string, path: string, token: string, more: Record<string, string>) {
    const [host, port] = this.#address.split(':');
    const headers: Record<string, string> = {
      host: this.#address,
      'sec-fetch-site': 'same-origin',
      ...(method === 'GET' ? {} : { origin: `http://${this.#address}`, 'content-type': 'application/json' }),
      ...(token === '' ? {} : { 'x-eduk-token': token }),
      ...(this.cookies.size > 0 ? { cookie: [...this.cookies].map((one) => one.join('=')).join('; ') } : {}),
      ...more,
    };
    for (const [name, value] of Object.entries(headers)) if (value === '') delete headers[name];
    return request({ host, port: Number(port), method, path, headers, agent: false, setHost: more['host'] !== '' });
  }
}
