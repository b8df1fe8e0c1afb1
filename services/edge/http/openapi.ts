/** Descriptions of the HTTP exchanges that are no SOAP, beside each at openapi.json. */
const problem = {
  description: 'A fault: problem+json (RFC 9457) with `code`, `who`, `retry` and `where`.',
  content: {
    'application/problem+json': {
      schema: {
        type: 'object',
        properties: {
          code: { type: 'string' },
          title: { type: 'string' },
          detail: { type: 'string' },
          who: { type: 'string' },
          retry: { type: 'string' },
          where: {
            type: 'array',
            items: { type: 'object', properties: { path: { type: 'string' }, line: { type: 'integer' } } },
          },
        },
      },
    },
  },
};

const paths: Record<string, object> = {
  '/edexml': {
    get: {
      summary: 'The roster of a school as an EDEXML file, with what the school’s mandate gives the caller.',
      security: [{ bearer: [] }],
      parameters: [
        { name: 'school', in: 'query', required: true, schema: { type: 'string' }, description: 'OIN of the school.' },
        {
          name: 'schooljaar',
          in: 'query',
          schema: { type: 'string' },
          description: 'School year such as 2026-2027; the running one when absent.',
        },
        { name: 'dependancecode', in: 'query', schema: { type: 'string' }, description: 'One site only.' },
        { name: 'version', in: 'query', schema: { enum: ['1.03', '2.0', '2.1'] }, description: 'Of EDEXML; 2.1.' },
      ],
      responses: {
        '200': {
          description: 'The file; `eduk-losses` counts what it has no place for.',
          content: { 'application/xml': { schema: { type: 'string' } } },
        },
        default: problem,
      },
    },
    post: {
      summary: 'Sends an EDEXML file: the roster of one school and school year.',
      security: [{ bearer: [] }],
      parameters: [
        {
          name: 'school',
          in: 'query',
          schema: { type: 'string' },
          description: 'OIN of the school, when the file names none.',
        },
        {
          name: 'schooljaar',
          in: 'query',
          schema: { type: 'string' },
          description: 'School year such as 2026-2027, when the file names none.',
        },
        { name: 'dependancecode', in: 'query', schema: { type: 'string' }, description: 'When the file names none.' },
      ],
      requestBody: { required: true, content: { 'application/xml': { schema: { type: 'string' } } } },
      responses: {
        '202': {
          description:
            'Accepted; `flowId` follows it, `warnings` lists soft rules that the file does not keep, `losses` what was left in it.',
        },
        '409': { description: 'hold.pending: the roster waits for approval; `holdId` names it.' },
        default: problem,
      },
    },
  },
  '/oauth2/token': {
    post: {
      summary: 'OAuth 2.0 client credentials (RFC 6749 §4.4).',
      security: [{ basic: [] }],
      requestBody: {
        required: true,
        content: {
          'application/x-www-form-urlencoded': {
            schema: {
              type: 'object',
              required: ['grant_type'],
              properties: { grant_type: { const: 'client_credentials' } },
            },
          },
        },
      },
      responses: {
        '200': { description: '`access_token`, `token_type` Bearer, `expires_in` 600.' },
        '401': { description: 'invalid_client' },
      },
    },
  },
};

/** The document for `<path>/openapi.json` or `<path>openapi.json` beside it. */
export function openApi(path: string, publicUrl: string): object | undefined {
  const of = path === '/openapi.json' ? '' : path.replace(/\/openapi\.json$/, '');
  if (of === path || (of !== '' && !paths[of])) return undefined;
  return {
    openapi: '3.1.0',
    info: { title: 'Edu-K chain integration gateway', version: '1' },
    servers: [{ url: publicUrl }],
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' }, basic: { type: 'http', scheme: 'basic' } },
    },
    paths: of === '' ? paths : { [of]: paths[of] },
  };
}
