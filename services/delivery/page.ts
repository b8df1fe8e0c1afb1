/** Writes docs/routes.md from the table: `node services/delivery/page.ts`. */
import { writeFileSync } from 'node:fs';
import { Service } from '#proto/eduk/core/v1/party';
import { type EventName, events } from '#proto/events';
import { routes, untold } from './routes.ts';

const mailboxOf = ({ service, mailbox = 'catalogue' }: { service: Service; mailbox?: string }): string =>
  service === Service.SERVICE_UNSPECIFIED
    ? `\`${mailbox}\`, no mandate`
    : `\`${Object.entries(Service)
        .find(([, value]) => value === service)![0]
        .replace('SERVICE_', '')
        .toLowerCase()}\``;

export function routesPage(): string {
  const rows = Object.entries(routes).map(
    ([name, route]) => `| \`${name}\` | ${events[name as EventName].stream} | ${mailboxOf(route)} | ${route.to} |`,
  );
  const others = Object.entries(untold).map(
    ([name, why]) => `| \`${name}\` | ${events[name as EventName].stream} | ${why} |`,
  );
  return `# Who is told what

Written by \`node services/delivery/page.ts\` from \`services/delivery/routes.ts\`. A receiver named by an event gets a row in
its mailbox whatever its mandate says; a receiver found by its mandate needs one of the school or of its board, in any state
but ended. Whether a row may be sent is judged when it is read.

| event | stream | mailbox and mandate | receivers |
| --- | --- | --- | --- |
${rows.join('\n')}

Read by delivery, and put in no mailbox:

| event | stream | why |
| --- | --- | --- |
${others.join('\n')}
`;
}

if (import.meta.main) writeFileSync(new URL('../../docs/routes.md', import.meta.url), routesPage());
