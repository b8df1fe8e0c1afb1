/** Progress back to the school, in one stream. Planted `lost-result`: the first is left out. */
import { ACTIVITY, type Report } from './plan.ts';
import type { Settings } from './program.ts';
import type { BulkOutcome, Wire } from './wire.ts';

export const reportProgress = (settings: Settings, wire: Wire, reports: readonly Report[]): Promise<BulkOutcome> =>
  wire.bulk(
    'ResultService/ReturnResults',
    (settings.plant === 'lost-result' ? reports.slice(1) : reports).map(
      ({ resultId, eckId, productId, groupKey, donePercent, seconds, score, day }) => ({
        reference: `result-${resultId}`,
        schoolOin: settings.school,
        result: {
          resultId,
          learner: { eckId },
          productId,
          groupKey,
          kind: score === undefined ? 'RESULT_KIND_PROGRESS' : 'RESULT_KIND_INTERIM',
          payload: {
            activityId: ACTIVITY,
            activityName: 'Hoofdstuk 1',
            donePercent,
            secondsSpent: seconds,
            ...(score === undefined ? {} : { score, scoreMax: 10 }),
            takenAt: day,
          },
        },
      }),
    ),
  );
