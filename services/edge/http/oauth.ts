import type { IncomingMessage, ServerResponse } from 'node:http';
import { GatewayError } from '#kernel';
import { AuditKind } from '#proto/eduk/core/v1/audit';
import type { Gate } from '../gate.ts';
import { clientOf } from '../stages/authenticate.ts';
import { bodyOf, sendJson } from './exchange.ts';

/** OAuth 2.0 token endpoint (RFC 6749 §4.4): client credentials, with the secret in the Authorization header. */
export async function serveToken(request: IncomingMessage, response: ServerResponse, gate: Gate): Promise<void> {
  const refuse = (status: number, error: string, description: string) =>
    sendJson(
      response,
      status,
      { error, error_description: description },
      status === 401 ? { 'www-authenticate': 'Basic realm="eduk"', pragma: 'no-cache' } : { pragma: 'no-cache' },
    );
  if (request.method !== 'POST') return refuse(405, 'invalid_request', 'Use POST.');
  const form = new URLSearchParams(Buffer.from(await bodyOf(request, gate.unfinished)).toString('utf8'));
  const basic = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (!basic) return refuse(401, 'invalid_client', 'Send client id and secret with HTTP Basic.');
  if (form.get('grant_type') !== 'client_credentials')
    return refuse(400, 'unsupported_grant_type', 'Use grant_type=client_credentials.');
  const [id = '', secret = ''] = splitOnce(Buffer.from(basic, 'base64').toString('utf8'));
  try {
    const { chain } = gate.door;
    const oin = await chain.afresh(() => clientOf(chain, decodeURIComponent(id), decodeURIComponent(secret)));
    const { token, expiresInS } = gate.proofs.tokens.issue(oin, gate.proofs.now());
    sendJson(
      response,
      200,
      { access_token: token, token_type: 'Bearer', expires_in: expiresInS },
      { pragma: 'no-cache' },
    );
  } catch (thrown) {
    if ((thrown instanceof GatewayError && thrown.fault === 'party.unknown') || thrown instanceof URIError) {
      // Nobody we know: which id was tried is not said, it may be anything.
      gate.door.audit.note({
        kind: AuditKind.AUDIT_KIND_REFUSED,
        partyOin: '',
        method: 'oauth2/token',
        code: 'party.unknown',
      });
      return refuse(401, 'invalid_client', 'Client id or secret is wrong.');
    }
    throw thrown;
  }
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf(':');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
