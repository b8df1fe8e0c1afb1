/** A rule that lets go what would wait, as a form asks for it. */
import { GatewayError } from '#kernel';

const words = (text: string): string[] => text.split(/[\s,]+/).filter((word) => word !== '');

/** Faults: wire.invalid for what is no number. */
export function ruleAsked({
  text,
  school,
  all,
  waiting,
}: {
  text: (name: string) => string;
  school: string;
  all: boolean;
  waiting: boolean;
}) {
  const number = (name: 'percent' | 'count'): number => {
    const given = text(name);
    if (!/^\d{0,6}$/.test(given)) throw new GatewayError('wire.invalid', 'This is a whole number.', { where: name });
    return Number(given);
  };
  return {
    ...{ schoolOin: school, all, waiting, reason: text('reason'), from: text('from'), until: text('until') },
    ...{ kinds: words(text('kinds')), yearGroups: words(text('years')) },
    ...{ mostPercent: number('percent'), mostCount: number('count') },
  };
}
