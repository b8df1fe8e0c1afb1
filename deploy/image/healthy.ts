/**
 * What the container asks itself: exit 0 when this process is ready, 1 when it is not, or not yet. Asks the address that
 * health is served at, on this machine whatever it is bound to.
 */
import { request as plain } from 'node:http';
import { request as overTls } from 'node:https';
import { isIP } from 'node:net';

const TIMEOUT_MS = 2_000;

const address = process.env['EDUK_INTERNAL'] ?? process.env['EDUK_HTTP'] ?? '127.0.0.1:8080';
const [, host = '', port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
const onLoopback = host === 'localhost' || host === '::1' || host.startsWith('127.');
const everywhere = host === '0.0.0.0' || host === '::';

const exchange = (onLoopback ? plain : overTls)(
  {
    host: everywhere ? (isIP(host) === 6 ? '::1' : '127.0.0.1') : host,
    port,
    path: '/readyz',
    timeout: TIMEOUT_MS,
    // It asks its own process, by an address that the certificate need not name; nothing is sent that is secret.
    rejectUnauthorized: false,
  },
  (response) => {
    process.exit(response.statusCode === 200 ? 0 : 1);
  },
);
exchange.on('timeout', () => process.exit(1));
exchange.on('error', () => process.exit(1));
exchange.end();
