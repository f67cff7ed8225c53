import type { Declaration } from '../models/declaration.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import { modelOf } from './candidate.ts'
import { DecisionReader } from './decision-reader.ts'
import { PositionFilter, type PositionRange } from './replay-range.ts'

export interface CounterfactualOptions {
  readonly declaration: Declaration
  readonly log: Log
  readonly registry: SchemaRegistry
  /** The only one unless given. */
  readonly model?: string
  /** What another would have answered, by request id; see `candidatePredictions`. */
  readonly candidate: ReadonlyMap<string, number>
  readonly fromMs?: TimestampMs
  readonly toMs?: TimestampMs
  /** Only requests that were answered at these places of the fold. */
  readonly positions?: PositionRange
  /** Answers from here on are yes; 0.5 unless given. */
  readonly threshold?: number
  /** Largest differences told of; 10 unless given. */
  readonly largest?: number
  readonly onProgress?: (events: number) => void
}

/** Decisions of one kind, and how many of them the labels bear out. */
export interface ChangedDecisions {
  readonly decisions: number
  readonly labelled: number
  /** Of the labelled ones, where the candidate was right, so that the model was wrong. */
  readonly candidateRight: number
}

export interface CounterfactualReport {
  readonly model: string
  readonly threshold: number
  /** Requests that both answered. */
  readonly answered: number
  /** Served requests that the candidate did not answer. */
  readonly unanswered: number
  readonly equal: number
  readonly meanDifference: number
  readonly meanAbsoluteDifference: number
  /** The model said no and the candidate yes. */
  readonly toYes: ChangedDecisions
  readonly toNo: ChangedDecisions
  readonly largest: readonly {
    readonly requestId: string
    readonly atMs: TimestampMs
    readonly served: number
    readonly candidate: number
  }[]
}

/**
 * What would have been otherwise had another model answered the same requests:
 * answers, decisions at a threshold, and whom the labels bear out. It compares
 * answers; what people would have done about other answers is not in a log of
 * these.
 *
 * In memory: a flag a changed decision, until its label comes.
 *
 * @throws EngineError `model-unknown`
 */
export async function counterfactual(options: CounterfactualOptions): Promise<CounterfactualReport> {
  const { declaration, log, registry, candidate, threshold = 0.5, largest = 10, onProgress } = options
  const model = modelOf(declaration, options.model)
  const reader = await DecisionReader.open(declaration.name, model.name, log, registry)
  const extent = await reader.extent()
  const fromMs = options.fromMs ?? extent?.fromMs ?? 0
  const toMs = options.toMs ?? extent?.toMs ?? fromMs
  const filter =
    options.positions &&
    (await PositionFilter.open(options.positions, { app: declaration.name, log, registry }))
  const changed = { toYes: newDecisions(), toNo: newDecisions() }
  const waiting = new Map<string, 'toYes' | 'toNo'>()
  const top: { requestId: string; atMs: number; served: number; candidate: number }[] = []
  let answered = 0
  let unanswered = 0
  let equal = 0
  let sum = 0
  let absolute = 0
  let events = 0
  for await (const { kind, atMs, event } of reader.read(
    { fromMs, toMs: toMs + model.label.withinMs + 1 },
    0,
  )) {
    onProgress?.(++events)
    if (kind === 'label') {
      const decision = waiting.get(event.requestId)
      if (decision === undefined) continue
      waiting.delete(event.requestId)
      changed[decision].labelled++
      if (event.value >= 0.5 === (decision === 'toYes')) changed[decision].candidateRight++
      continue
    }
    if (atMs < fromMs || atMs >= toMs || filter?.includes(event.position.offsets) === false) continue
    const other = candidate.get(event.requestId)
    if (other === undefined) {
      unanswered++
      continue
    }
    answered++
    const difference = other - event.output
    if (difference === 0) equal++
    sum += difference
    absolute += Math.abs(difference)
    if (other >= threshold !== event.output >= threshold) {
      const decision = other >= threshold ? 'toYes' : 'toNo'
      changed[decision].decisions++
      waiting.set(event.requestId, decision)
    }
    if (difference !== 0) {
      top.push({ requestId: event.requestId, atMs, served: event.output, candidate: other })
      if (top.length > 4 * largest + 100) keepLargest(top, largest)
    }
  }
  keepLargest(top, largest)
  return {
    model: model.name,
    threshold,
    answered,
    unanswered,
    equal,
    meanDifference: sum / answered,
    meanAbsoluteDifference: absolute / answered,
    ...changed,
    largest: top,
  }
}

const newDecisions = () => ({ decisions: 0, labelled: 0, candidateRight: 0 })

function keepLargest(list: { readonly served: number; readonly candidate: number }[], count: number): void {
  const size = (each: { readonly served: number; readonly candidate: number }) =>
    Math.abs(each.candidate - each.served)
  list.sort((a, b) => size(b) - size(a))
  list.length = Math.min(list.length, count)
}
