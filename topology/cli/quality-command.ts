import { durationText } from '../../models/quality/expectation.ts'
import type { QualityReport } from '../../replay/quality.ts'
import { folderQuality } from '../runtime/folder-replay.ts'
import { CliError } from './cli-error.ts'
import { isoTime } from './log-reader.ts'
import { count, Progress } from './progress.ts'
import { rangeOption } from './range-option.ts'
import { findSource, type ReplaySourceOptions } from './replay-source.ts'
import { table } from './table.ts'

export interface QualityCommandOptions extends ReplaySourceOptions {
  /** Worst windows told of each expectation. */
  readonly worst: number
  /** Times, records or commits; a place stands for its event time. */
  readonly from?: string
  readonly to?: string
}

/** `quality report`: the whole log judged by the declared expectations. Exit code 1 if one is not met. */
export async function qualityReportCommand(options: QualityCommandOptions): Promise<number> {
  const { json = false, worst } = options
  const range = rangeOption(options)
  const { declaration, place } = await findSource(options)
  if (declaration.expectations.length === 0) {
    throw new CliError(
      `topology "${declaration.name}" declares no expectations; add some: topology("${declaration.name}", { expectations: [expect(event, [{ field, notNull: true }])], … })`,
    )
  }
  const progress = new Progress('judging', { unit: 'records', silent: json })
  const report = await folderQuality({
    topology: declaration,
    ...place,
    worst,
    between: range,
    onProgress: (records) => progress.update(records),
  })
  progress.end(report.records)
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : text(report))
  return report.isMet ? 0 : 1
}

function text({ records, order, subjects, expectations, isMet }: QualityReport): string {
  const rows = expectations.map((each) => [
    each.subject,
    each.name,
    each.severity,
    each.failed === 0 ? 'met' : 'NOT MET',
    count(each.judged),
    count(each.failed),
    each.unit,
  ])
  const worst = expectations.flatMap(({ subject, name, kind, expected, unit, worst: windows }) =>
    windows.map(({ fromMs, count: of, failed, value }) => {
      const measured = kind === 'freshness' ? durationText(value) : figure(value)
      const found = unit === 'rows' ? `${count(failed)} of ${count(of)} rows` : measured
      return `  ${isoTime(fromMs)}  ${subject}, ${name}: ${found}; expected ${expected}`
    }),
  )
  const left = subjects
    .filter(({ quarantined, late }) => quarantined + late > 0)
    .map(
      ({ subject, quarantined, late }) =>
        `${subject}: ${count(quarantined)} quarantined, ${count(late)} too late for their window`,
    )
  return [
    `quality of ${count(records)} records: ${isMet ? 'every expectation is met' : 'expectations are not met'}`,
    '',
    table(['subject', 'expectation', 'severity', '', 'judged', 'failed', 'of'], rows),
    ...(worst.length > 0 ? ['', 'worst windows', ...worst] : []),
    ...(left.length > 0 ? ['', ...left] : []),
    ...(order === 'event-time'
      ? ['', 'the engine has not read all of these events yet: they were taken in the order of their times']
      : []),
    '',
  ].join('\n')
}

const figure = (value: number): string => String(Number(value.toPrecision(4)))
