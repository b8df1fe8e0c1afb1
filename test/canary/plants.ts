/**
 * Leaks that are put into a gateway on purpose, to see that the suite finds them. Loaded before everything else in each of
 * its processes and threads (`--import`), this changes the source of a file as it is read; the files stay as they are.
 */
import { registerHooks } from 'node:module';

interface Change {
  /** End of the file's path. */
  file: string;
  from: string;
  to: string;
}

export const plants: Readonly<Record<string, { about: string; changes: readonly Change[] }>> = {
  adapter: {
    about: 'An adapter that quotes the document in its refusal.',
    changes: [
      {
        file: 'adapters/edexml/wire.ts',
        from: '  makeApart(bytes, { ...options(given), collect: true }, taking, given);',
        to: `  makeApart(bytes, { ...options(given), collect: true }, taking, given).catch((thrown) => {
    throw new GatewayError(thrown.fault, thrown.told + ' ' + Buffer.from(bytes).toString(), { where: thrown.where });
  });`,
      },
    ],
  },
  log: {
    about: 'A line of the log with the name of a pupil, in a field that is not redacted.',
    changes: [
      {
        file: 'services/edge/http/edexml.ts',
        from: '  const school = file.roster.reveal((it) => it.schoolOin) || routingOf(schoolOin).schoolOin;',
        to: `  const school = file.roster.reveal((it) => it.schoolOin) || routingOf(schoolOin).schoolOin;
  (await import('#kernel')).log('info', 'roster_read', {
    names: file.roster.reveal((it) => it.learners[0]?.person?.familyName.replaceAll('ë', 'e')),
  });`,
      },
    ],
  },
  metric: {
    about: 'A label of a metric with the name of a pupil.',
    changes: [
      {
        file: 'services/edge/http/edexml.ts',
        from: '  const school = file.roster.reveal((it) => it.schoolOin) || routingOf(schoolOin).schoolOin;',
        to: `  const school = file.roster.reveal((it) => it.schoolOin) || routingOf(schoolOin).schoolOin;
  (globalThis as any).lastOfCanary = file.roster.reveal((it) => it.learners[0]?.person?.familyName);`,
      },
      {
        file: 'services/edge/http/metrics.ts',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a piece of source.
        from: '`eduk_keys_like_pgn_total ${letThrough.keys}`',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: as above.
        to: '`eduk_keys_like_pgn_total{last="${(globalThis as any).lastOfCanary}"} ${letThrough.keys}`',
      },
    ],
  },
  'dead-letter': {
    about: 'A dead letter that keeps what the receiver answered.',
    changes: [
      {
        file: 'services/edge/out/post.ts',
        from: "cause: '', retryAfterS: retryAfterOf(response)",
        to: "cause: String(response.headers['x-echo'] ?? '') as never, retryAfterS: retryAfterOf(response)",
      },
      {
        file: 'services/delivery/push.ts',
        from: '    const why = whyOf(outcome);',
        to: '    const why = { ...whyOf(outcome), ...(outcome.cause ? { code: outcome.cause as never } : {}) };',
      },
    ],
  },
  trace: {
    about: 'A span that is named after the whole message.',
    changes: [
      {
        file: 'services/edge/telemetry/spans.ts',
        from: '    name: intake.method,',
        to: `    name: submission.message.reveal((it) =>
      JSON.stringify(it, (_, value) => (typeof value === 'bigint' ? 0 : value)).replaceAll('ë', 'e')),`,
      },
    ],
  },
  reveal: {
    about: 'A door that repeats who a learner is to whoever fetches a second time.',
    changes: [
      {
        file: 'services/edge/grpc/reveals.ts',
        from: "  const askedBy = requirePerson(caller, 'asks');\n  const { asked, people }",
        to: `  const last = (globalThis as any).toldOfCanary;
  if (last !== undefined) throw new GatewayError('state.conflict', 'This was told before: ' + last);
  const askedBy = requirePerson(caller, 'asks');
  const { asked, people }`,
      },
      {
        file: 'services/edge/grpc/reveals.ts',
        from: '  return { asked: told(asked, caller), learners };',
        to: `  (globalThis as any).toldOfCanary = learners.find(({ person }) => person)?.person?.familyName;
  return { asked: told(asked, caller), learners };`,
      },
    ],
  },
};

const chosen = process.env['CANARY_PLANT'];
if (chosen !== undefined) {
  const changes = chosen.split(',').flatMap((name) => plants[name]!.changes);
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const mine = changes.filter(({ file }) => url.endsWith(`/${file}`));
      if (mine.length === 0 || loaded.source === undefined) return loaded;
      let source =
        typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString();
      for (const { file, from, to } of mine) {
        // A plant that no longer fits would show nothing.
        if (!source.includes(from)) throw new Error(`the plant does not fit ${file} any more`);
        source = source.replace(from, () => to);
      }
      return { ...loaded, source };
    },
  });
}
