import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { following, type Progress, type Stage, waiting } from './progress.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A terminal of so many columns that keeps what was written; 0 = none. */
function terminal(columns: number) {
  let at = 1_000_000;
  const writes: string[] = [];
  const size = { columns };
  const streams = {
    err: (text: string) => void writes.push(text),
    now: () => at,
    screen: columns > 0 ? { columns: () => size.columns } : undefined,
  };
  return {
    streams,
    writes,
    size,
    /** Time passes, with nothing else. */
    pass: (ms: number) => {
      for (let left = ms; left > 0; left -= 100) {
        at += Math.min(100, left);
        vi.advanceTimersByTime(Math.min(100, left));
      }
    },
    /** What stands on the line now. */
    line: () => writes.join('').split('\r').at(-1)!.replace('\x1b[K', ''),
  };
}

const rows: Stage = { words: 'rows copied', all: 1000 };
const during = (
  of: ReturnType<typeof terminal>,
  stage: Stage,
  work: (progress: Progress) => void | Promise<void>,
  json = false,
) => following({ streams: of.streams, json }, stage, async (progress) => work(progress));

test('a bar says share, how many of all, rate and time left, and is gone at the end', async () => {
  const tty = terminal(120);
  await during(tty, rows, (progress) => {
    for (let i = 0; i < 20; i++) {
      progress.add(20);
      tty.pass(100);
    }
    expect(tty.line()).toBe('[#########---------------] 40 %  400 of 1000 rows copied, 200/s, 3 s left');
  });
  expect(tty.writes.at(-1)).toBe('\r\x1b[K');
});

test('it is drawn a few times a second, over what stands there, and never emptied in between', async () => {
  const tty = terminal(120);
  await during(tty, { words: 'rows', all: 100_000 }, (progress) => {
    for (let i = 0; i < 10_000; i++) {
      if (i % 1000 === 0) tty.pass(100);
      progress.add(1);
    }
    // One second.
    expect(tty.writes.length).toBeGreaterThan(1);
    expect(tty.writes.length).toBeLessThanOrEqual(5);
    for (const text of tty.writes) {
      expect(text).toMatch(/^\r\[[^\r\n]+$/);
      expect(text.endsWith('\x1b[K')).toBe(true);
    }
  });
});

test('what is done at once shows nothing, and says nothing at its end', async () => {
  const tty = terminal(120);
  await during(tty, rows, (progress) => {
    tty.pass(300);
    progress.add(1000);
  });
  expect(tty.writes).toEqual([]);
});

test.each([120, 80, 60, 40, 24, 10, 3])(
  'it fits a terminal of %i columns, also one that became narrower',
  async (columns) => {
    const tty = terminal(columns);
    const fits = () => {
      for (const text of tty.writes.splice(0))
        expect(text.replace('\r', '').replace('\x1b[K', '').length).toBeLessThan(tty.size.columns);
    };
    await during(
      tty,
      { words: 'of a file with rather a long name that was sent', all: 123_456_789, unit: 'bytes' },
      (progress) => {
        tty.pass(3000);
        progress.add(45_678_901);
        tty.pass(1000);
        fits();
        tty.size.columns = Math.max(3, columns - 15);
        progress.add(1_000_000);
        tty.pass(1000);
        fits();
        progress.stage(waiting('Waiting for something that takes rather long'));
        tty.pass(1000);
        fits();
      },
    );
  },
);

test('without a total there is a count, a rate and for how long, and no share', async () => {
  const tty = terminal(120);
  await during(tty, { words: 'schools written' }, (progress) => {
    for (let i = 0; i < 30; i++) {
      progress.add(1);
      tty.pass(100);
    }
    expect(tty.line()).toBe('30 schools written, 10/s, 3 s');
  });
});

test('more than was counted beforehand is no more than all, and not all is never 100 %', async () => {
  const tty = terminal(120);
  await during(tty, rows, (progress) => {
    tty.pass(1000);
    progress.set(999.9);
    tty.pass(1000);
    expect(tty.line()).toMatch(/ 99 % /);
    progress.set(1200);
    tty.pass(1000);
    expect(tty.line()).toMatch(/^\[#{24}\] 100 % {2}1200 of 1000/);
    expect(tty.line()).not.toContain('left');
  });
});

test('while nothing arrives time goes on, and what stood still has no rate of before', async () => {
  const tty = terminal(120);
  await during(tty, rows, (progress) => {
    tty.pass(1000);
    progress.set(500);
    tty.pass(1000);
    expect(tty.line()).toContain('left');
    tty.pass(20_000);
    expect(tty.line()).toMatch(/500 of 1000 rows copied$/);
    progress.stage(waiting('Waiting for the gateway'));
    tty.pass(5000);
    expect(tty.line()).toBe('Waiting for the gateway: 5 s');
  });
});

test('an answer that is waited for is mentioned after two seconds only', async () => {
  const tty = terminal(120);
  await during(tty, waiting('Waiting'), () => {
    tty.pass(1900);
    expect(tty.writes).toEqual([]);
    tty.pass(300);
    expect(tty.line()).toBe('Waiting: 2 s');
  });
});

test('a sentence in between stands above the bar', async () => {
  const tty = terminal(120);
  await during(tty, rows, (progress) => {
    tty.pass(1000);
    progress.set(500);
    tty.pass(500);
    const before = tty.writes.length;
    progress.say('Half of it.');
    expect(tty.writes.slice(before, before + 2)).toEqual(['\r\x1b[K', 'Half of it.\n']);
    expect(tty.line()).toContain('500 of 1000');
  });
});

test('where there is no terminal it says a line now and then, less and less often, without codes', async () => {
  const pipe = terminal(0);
  await during(pipe, rows, (progress) => {
    for (let i = 0; i < 240; i++) {
      pipe.pass(1000);
      progress.add(1);
    }
  });
  expect(pipe.writes.length).toBeGreaterThan(3);
  expect(pipe.writes.length).toBeLessThan(9);
  expect(pipe.writes[0]).toMatch(/^\d %: \d+ of 1000 rows copied, 0\.9\/s, \d+ min left\n$/);
  expect(pipe.writes.join('')).not.toContain('\r');
  expect(pipe.writes.join('')).not.toContain('\x1b');
  const short = terminal(0);
  await during(short, rows, () => short.pass(9000));
  expect(short.writes).toEqual([]);
});

test('with --json nothing is said but what somebody must read', async () => {
  for (const columns of [120, 0]) {
    const tty = terminal(columns);
    await during(
      tty,
      rows,
      (progress) => {
        tty.pass(30_000);
        progress.add(10);
        progress.say('Read this.');
      },
      true,
    );
    expect(tty.writes).toEqual(['Read this.\n']);
  }
});

test('an error leaves no half line, and goes on as it was', async () => {
  const tty = terminal(120);
  const fails = during(tty, rows, (progress) => {
    tty.pass(1000);
    progress.add(1);
    throw new RangeError('here');
  });
  await expect(fails).rejects.toThrow(RangeError);
  expect(tty.writes.at(-1)).toBe('\r\x1b[K');
  const before = tty.writes.length;
  tty.pass(5000);
  expect(tty.writes.length).toBe(before);
});

test('Ctrl-C clears the line first, and then ends it as it would have, unless somebody else listens', async () => {
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  const before = process.listenerCount('SIGINT');
  try {
    for (const listens of [false, true]) {
      const mine = () => undefined;
      // Of the test's own runner nothing may listen meanwhile.
      const others = process.listeners('SIGINT');
      process.removeAllListeners('SIGINT');
      if (listens) process.once('SIGINT', mine);
      const tty = terminal(120);
      await during(tty, rows, (progress) => {
        tty.pass(1000);
        progress.add(1);
        process.emit('SIGINT');
        expect(tty.writes.at(-1)).toBe('\r\x1b[K');
        expect(kill).toHaveBeenCalledTimes(1);
      });
      process.removeAllListeners('SIGINT');
      for (const one of others) process.on('SIGINT', one);
      expect(kill).toHaveBeenCalledWith(process.pid, 'SIGINT');
    }
    expect(process.listenerCount('SIGINT')).toBe(before);
  } finally {
    kill.mockRestore();
  }
});

test('what is done within another shares its line, and the last to end takes it away', async () => {
  const tty = terminal(120);
  let finish = () => {};
  const slow = following(
    { streams: tty.streams, json: false },
    waiting('Waiting'),
    () => new Promise<void>((done) => (finish = done)),
  );
  await during(tty, rows, (progress) => progress.add(5));
  tty.pass(3000);
  expect(tty.line()).toBe('Waiting: 3 s');
  finish();
  await slow;
  expect(tty.writes.at(-1)).toBe('\r\x1b[K');
});
