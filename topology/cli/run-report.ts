import type { Quality } from '../../models/evaluation/progressive.ts'
import { combined } from '../../replay/rebuild.ts'
import type { Engine } from '../runtime/engine.ts'
import { count } from './progress.ts'
import { table } from './table.ts'

/** What `--once --json` prints as its one line. */
export interface RunReport {
  readonly events: number
  readonly predictions: number
  readonly labels: number
  readonly deadLetters: number
  readonly lateEvents: number
  readonly auc?: number
  readonly logLoss?: number
  readonly mae?: number
  readonly baselines: Readonly<Record<string, Quality>>
  readonly eventsPerSecond: number
  readonly digest: string
}

/** Of the tasks of an application that run in this process; the figures of quality are those of its first model. */
export async function reportOf(
  engines: readonly [Engine, ...Engine[]],
  eventsPerSecond: number,
  digest: string,
): Promise<RunReport> {
  const [first] = engines
  const [part] = modelsOf(engines)
  const inputs = await Promise.all(engines.map((engine) => engine.inputs()))
  const tally = part?.tally()
  const quality = part?.evaluation.quality() ?? {}
  const { [part?.model.name ?? '']: own, ...baselines } = quality
  return {
    events: inputs.flat().reduce((sum, { position }) => sum + position, 0),
    predictions: tally?.predictions ?? 0,
    labels: tally?.joined ?? 0,
    deadLetters: Number((await first.log.offsets(`${first.declaration.name}-dead-letters`, 0)).end),
    lateEvents: engines.reduce((sum, engine) => sum + lateEvents(engine), 0),
    ...own,
    baselines,
    eventsPerSecond: Math.round(eventsPerSecond),
    digest,
  }
}

/** Of all that they keep; of several the one that `replay rebuild` gives. */
export async function digestOf(engines: readonly [Engine, ...Engine[]]): Promise<string> {
  const [first, ...others] = engines
  if (others.length === 0) return await first.digest()
  const folds: { readonly task: string; readonly after: string }[] = []
  for (const engine of engines) {
    folds.push({ task: engine.assembly.task.id, after: await engine.digest() })
  }
  return combined(folds, 'after')
}

const modelsOf = (engines: readonly Engine[]) =>
  engines.flatMap(({ assembly }) => [...assembly.models.values()])

const lateEvents = (engine: Engine): number =>
  engine.assembly.graph.drops.counts().reduce((sum, drop) => sum + drop.count, 0) +
  [...engine.assembly.views.values()]
    .flatMap((view) => view.stores)
    .reduce((sum, store) => sum + store.expiredEvents, 0)

/** The table that a person reads: quality over time beside the baselines. */
export async function summary(
  engines: readonly [Engine, ...Engine[]],
  eventsPerSecond: number,
): Promise<string> {
  const report = await reportOf(engines, eventsPerSecond, '')
  const lines: string[] = ['']
  for (const part of modelsOf(engines)) {
    const { evaluation, model } = part
    const metrics = evaluation.metricNames.includes('auc') ? ['auc', 'logLoss'] : ['mae']
    const scorers = evaluation.scorers
    const header = ['labels', ...metrics.flatMap((metric) => scorers.map((scorer) => `${metric} ${scorer}`))]
    const row = (labels: number, byScorer: Readonly<Record<string, Quality>>) => [
      count(labels),
      ...metrics.flatMap((metric) => scorers.map((scorer) => number(byScorer[scorer]?.[metric]))),
    ]
    const points = evaluation.points().map((point) => row(point.count, point.byScorer))
    if (evaluation.count > (evaluation.points().at(-1)?.count ?? 0)) {
      points.push(row(evaluation.count, evaluation.quality()))
    }
    lines.push(
      `${model.name}: every prediction judged before the model learned its label`,
      table(header, points),
      '',
    )
    const tally = part.tally()
    lines.push(
      `predictions ${count(tally.predictions)}, labels joined ${count(tally.joined)}, missing ${count(tally.missing)}, late ${count(tally.late)}, unmatched ${count(tally.unmatched)}`,
    )
  }
  lines.push(
    `events ${count(report.events)}, ${count(report.eventsPerSecond)} events/s, dead letters ${count(report.deadLetters)}, late events ${count(report.lateEvents)}`,
  )
  return lines.join('\n')
}

const number = (value: number | undefined): string =>
  value === undefined || Number.isNaN(value) ? '-' : value.toFixed(value >= 100 ? 1 : 4)
