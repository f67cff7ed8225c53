import { type CounterfactualReport, counterfactual } from '../../replay/counterfactual.ts'
import { findRange } from '../../replay/replay-range.ts'
import { replayCandidate } from './candidate-option.ts'
import { CliError } from './cli-error.ts'
import { isoTime } from './log-reader.ts'
import { count, Progress } from './progress.ts'
import { rangeOption } from './range-option.ts'
import { openSource, placesOfModel, type ReplaySourceOptions } from './replay-source.ts'
import { table } from './table.ts'

export interface CounterfactualCommandOptions extends ReplaySourceOptions {
  readonly model?: string
  readonly candidate: string
  readonly from?: string
  readonly to?: string
  readonly threshold?: string
  readonly largest: number
}

/** `replay counterfactual`: what another model would have answered to the same requests. */
export async function counterfactualCommand(options: CounterfactualCommandOptions): Promise<number> {
  const { json = false, model, largest } = options
  const threshold = thresholdOf(options.threshold)
  const range = rangeOption(options)
  const { declaration, wiring } = await openSource(options)
  try {
    const { name, predictions } = await replayCandidate(options.candidate, wiring, json)
    const progress = new Progress('comparing', { unit: 'events', silent: json })
    let events = 0
    const report = await counterfactual({
      declaration,
      log: wiring.log,
      registry: wiring.registry,
      candidate: predictions,
      threshold,
      largest,
      ...(model === undefined ? {} : { model }),
      ...(await findRange(range, await placesOfModel(range, declaration, wiring, model))),
      onProgress: (done) => {
        events = done
        progress.update(done)
      },
    })
    progress.end(events)
    process.stdout.write(json ? `${JSON.stringify({ candidate: name, ...report })}\n` : textOf(report, name))
    return 0
  } finally {
    await wiring.close()
  }
}

function thresholdOf(text = '0.5'): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (Number.isFinite(value)) return value
  throw new CliError(`--threshold takes a number, got "${text}"`)
}

const figure = (value: number): string => (Number.isNaN(value) ? '-' : String(Number(value.toPrecision(5))))

function textOf(report: CounterfactualReport, candidate: string): string {
  const { model, answered, unanswered, equal, threshold, toYes, toNo, largest } = report
  const decisions = [
    ['no', 'yes', toYes],
    ['yes', 'no', toNo],
  ] as const
  return [
    `${candidate} in place of ${model}: ${count(answered)} requests answered by both`,
    ...(unanswered > 0 ? [`${count(unanswered)} were not answered by it`] : []),
    `${count(equal)} answers are equal to the last bit; mean difference ${figure(report.meanDifference)}, mean absolute ${figure(report.meanAbsoluteDifference)}`,
    '',
    table(
      [`at threshold ${threshold}`, 'would be', 'decisions', 'labelled', 'candidate right', `${model} right`],
      decisions.map(([was, is, { decisions: all, labelled, candidateRight }]) => [
        was,
        is,
        count(all),
        count(labelled),
        count(candidateRight),
        count(labelled - candidateRight),
      ]),
    ),
    '',
    ...(largest.length === 0
      ? []
      : [
          table(
            ['largest differences', 'time', 'served', 'candidate'],
            largest.map((each) => [
              each.requestId,
              isoTime(each.atMs),
              figure(each.served),
              figure(each.candidate),
            ]),
          ),
          '',
        ]),
  ].join('\n')
}
