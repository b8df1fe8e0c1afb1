import { faults, type GatewayError } from '#kernel';
import type { ProblemJson } from './types.ts';

/** A fault as pages are told it. */
export function problemOf(error: GatewayError): ProblemJson {
  const { nl, en, who, retry } = faults[error.fault];
  return {
    code: error.fault,
    who,
    retry,
    title: { nl, en },
    told: error.told,
    ...(error.retryAfterS === undefined ? {} : { retryAfterS: error.retryAfterS }),
  };
}
