/** Everything that a gateway in this process logs, at the most talkative level: the doors' lines and those of its threads. */
import { logTo } from '#kernel';

const lines: string[] = [];

/** To be called before the gateway starts. */
export function captureLogs(): void {
  process.env['EDUK_LOG'] = 'debug'; // Threads read it where they start.
  logTo((line) => lines.push(line), 'debug');
  const write = process.stderr.write.bind(process.stderr);
  process.stderr.write = ((chunk: Uint8Array | string, ...rest: []) => {
    lines.push(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8'));
    return write(chunk, ...rest);
  }) as typeof process.stderr.write;
}

export const logged = (): string => lines.join('\n');
