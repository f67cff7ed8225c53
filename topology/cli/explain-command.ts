import { type Explanation, explain } from '../../replay/explain.ts'
import { CliError } from './cli-error.ts'
import { Progress } from './progress.ts'
import { openSource, type ReplaySourceOptions } from './replay-source.ts'
import { table } from './table.ts'

export interface ExplainCommandOptions extends ReplaySourceOptions {
  readonly model?: string
  readonly events: number
}

/** `replay explain`: what is behind one prediction. Exit code 1 if it cannot be made again as it was served. */
export async function explainCommand(requestId: string, options: ExplainCommandOptions): Promise<number> {
  const { events, json = false } = options
  const { declaration, wiring } = await openSource(options)
  try {
    const names = declaration.models.map(({ name }) => name)
    const model = options.model ?? (names.length === 1 ? names[0] : undefined)
    if (model === undefined) throw new CliError(`name the model with --model: ${names.join(', ')}`)
    const progress = new Progress('folding up to its position', { unit: 'records', silent: json })
    let records = 0
    const explanation = await explain({
      declaration,
      ...wiring,
      database: await wiring.scratch(),
      model,
      requestId,
      events,
      onProgress: (done) => {
        records = done.records
        progress.update(records)
      },
    })
    progress.end(records)
    process.stdout.write(json ? `${JSON.stringify(explanation)}\n` : textOf(explanation))
    return explanation.recomputed === 'equal' ? 0 : 1
  } finally {
    await wiring.close()
  }
}

const timeText = (atMs: number): string => new Date(atMs).toISOString()
const numberText = (value: number | null): string => (value === null ? '-' : String(+value.toPrecision(6)))

function textOf(explanation: Explanation): string {
  const { model, modelVersion, role, variant, propensity, output, requestId, trigger, label } = explanation
  const { recomputed, features, contributions, position, predictedAt } = explanation
  const terms = new Map(contributions.values.map(({ name, value }) => [name, value]))
  const effect = contributions.kind === 'terms' ? 'adds to score' : 'changes output by'
  const rows = features.map(({ name, value, from, view, keys = [], eventCount }) => [
    `${from}${view === undefined ? '' : `; ${view} of ${keys.map((key) => key.join('|')).join(', ')}`}`,
    name,
    numberText(value),
    numberText(terms.get(name) ?? null),
    eventCount === undefined ? '' : String(eventCount),
  ])
  // Terms that belong to no one feature: the constant, and pairs.
  const others = contributions.values.filter(({ name }) => !features.some((feature) => feature.name === name))
  for (const { name, value } of others) rows.push(['the model itself', name, '', numberText(value), ''])
  const total = contributions.values.reduce((sum, { value }) => sum + value, 0)
  const newest = features.flatMap(({ name, events = [] }) =>
    events.map(({ topic, partition, offset, atMs, value }) => [
      name,
      `${topic}[${partition}] offset ${offset}`,
      timeText(atMs),
      numberText(value),
    ]),
  )
  const lines = [
    `${model} version ${modelVersion} (${role}, variant ${variant}, propensity ${propensity}) answered ${output}`,
    `  request    ${requestId}`,
    `  event time ${timeText(predictedAt)}`,
    `  trigger    ${trigger.topic}[${trigger.partition}] offset ${trigger.offset}`,
    `  position   ${Object.entries(position)
      .map(([input, offset]) => `${input} ${offset}`)
      .join(', ')}`,
    label === undefined
      ? '  label      none so far'
      : `  label      ${label.value}, of ${timeText(label.labeledAt)}`,
    recomputed === 'equal'
      ? '  made again at this position: equal to the last bit'
      : `  MADE AGAIN, IT DIFFERS: ${recomputed.what} was ${recomputed.served}, recomputed ${recomputed.recomputed}`,
    '',
    table(['made of', 'feature', 'value', effect, 'events'], rows),
    ...(contributions.kind === 'terms' ? ['', `score, before the link function: ${numberText(total)}`] : []),
    '',
    'newest events behind each feature',
    table(['feature', 'event', 'event time', 'value'], newest),
  ]
  return `${lines.join('\n')}\n`
}
