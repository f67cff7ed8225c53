import type { StreamRecord } from '../../processors/operator.ts'
import type { DriverGraph } from '../../processors/stream/stream-driver.ts'
import { suppress } from '../../processors/stream/suppress.ts'
import { countWindows } from '../../processors/window/count-windows.ts'
import { session } from '../../processors/window/session-windows.ts'
import { sliding } from '../../processors/window/sliding-windows.ts'
import { hopping } from '../../processors/window/time-windows.ts'
import type { WindowClosing, WindowEmit, WindowFold, WindowResult } from '../../processors/window/window.ts'
import { windowAggregate } from '../../processors/window/window-aggregate.ts'
import type { Windows } from '../../processors/window/window-stage.ts'
import {
  type Action,
  asSet,
  type CaseRow,
  type CaseStep,
  type CaseWindow,
  type Json,
  likeExpected,
  pipe,
  type Script,
  type WindowCase,
} from './window-script.ts'

type Fold = WindowFold<Json, Json, Json>

const textFold = (first: string | null): Fold => ({
  init: () => first,
  add: (state, value) => (state === null ? value : `${state}+${value}`),
  // What a later session appended to its first text is appended to the older one's.
  merge: (older, newer) => {
    if (older === first) return newer
    if (newer === first) return older
    return `${older}+${String(newer).slice(first === null ? 0 : first.length + 1)}`
  },
  finish: (state) => state,
})

const sumFold: Fold = {
  init: () => 0,
  add: (state, value) => (state as number) + (value as number),
  merge: (older, newer) => (older as number) + (newer as number),
  finish: (state) => state,
}

const countFold: Fold = { ...sumFold, add: (state) => (state as number) + 1 }

const listFold: Fold = {
  init: () => [],
  add: (state, value) => [...(state as Json[]), value],
  finish: (state) => [...(state as string[])].sort(),
}

function foldOf(agg: string): Fold {
  if (agg.startsWith("concat: init '0'")) return textFold('0')
  if (agg.startsWith("concat: init ''")) return textFold('')
  if (agg.startsWith('reduce')) return textFold(null)
  if (agg.startsWith('sum')) return sumFold
  if (agg.startsWith('collect')) return listFold
  if (agg === 'count') return countFold
  throw new RangeError(`aggregate "${agg}" is not one of the cases' aggregates`)
}

/** `keepsClosed`: the case looks at the store, which in its project outlives the sessions' closing. */
function windowsOf(window: CaseWindow, project: string, keepsClosed: boolean): Windows {
  const graceMs = window.grace ?? window.allowed_lateness ?? 0
  const isFlink = project === 'Flink'
  switch (window.kind) {
    case 'tumbling':
    case 'hopping': {
      const sizeMs = window.size ?? 0
      return hopping({ sizeMs, advanceMs: window.advance ?? sizeMs, graceMs, acrossEpoch: isFlink })
    }
    case 'sliding': {
      const differenceMs = window.time_difference ?? window.size ?? 0
      const report = project === 'Quix Streams' ? 'record-ends' : 'every-set'
      return sliding({ differenceMs, graceMs, report })
    }
    case 'session':
      return session({
        gapMs: window.gap ?? 0,
        graceMs,
        bounds: isFlink ? 'half-open' : 'inclusive',
        mergesClosed: keepsClosed,
      })
    default:
      return countWindows(window.count ?? 0, window.step ?? window.count ?? 0)
  }
}

type Announcement = { readonly watermark: number }

/** Whose time closes windows in the project's default, and when results come out of the graph's outputs. */
function closingOf({ window, project }: WindowCase): WindowClosing {
  if (project === 'Kafka Streams') return 'partition'
  if (project === 'Quix Streams') return window?.closing ?? 'key'
  return {
    announced: ({ value }) => {
      const watermark = (value as Partial<Announcement> | null)?.watermark
      return watermark === undefined ? undefined : watermark + 1
    },
  }
}

const resultTimes = {
  'Kafka Streams': 'latest-event',
  'Quix Streams': 'start',
  Flink: 'last-instant',
} as const

/** The graph has an output for each way to give results out; a case looks at those that it speaks of. */
export function windowScript(each: WindowCase): Script {
  const { window, project, agg = '' } = each
  if (window === undefined) throw new RangeError(`case "${each.id}" has no window`)
  const windows = windowsOf(window, project, each.expected?.['store'] !== undefined)
  const suppresses = each.expected?.['suppress_until_close'] !== undefined
  const emits: Record<string, WindowEmit> =
    project === 'Flink'
      ? { fired: window.trigger === undefined ? 'end' : { everyCount: 4, purge: true } }
      : each.expected?.['store'] === undefined
        ? { updated: 'update', closed: 'close' }
        : { updated: 'update' }
  const build = (graph: DriverGraph): void => {
    const input = graph.input<StreamRecord>('input')
    for (const [name, emit] of Object.entries(emits)) {
      const operator = windowAggregate({
        name,
        windows,
        aggregate: foldOf(agg),
        emit,
        closing: closingOf(each),
        resultTime: resultTimes[project as keyof typeof resultTimes],
      })
      const results = input.pipe(operator.connect(graph.context))
      graph.output(name, results)
      if (name !== 'updated' || !suppresses) continue
      const held = suppress({ name: 'suppressed', until: { windowCloses: windows }, bound: 'unbounded' })
      graph.output('suppressed', results.pipe(held.connect(graph.context)))
    }
  }
  const outputs = [...Object.keys(emits), ...(suppresses ? ['suppressed'] : [])]
  return { build, outputs, counted: 'updated', actions: actionsOf(each) }
}

function actionsOf(each: WindowCase): Action[] {
  if (each.rows !== undefined) return each.rows.flatMap((row) => eventActions(row))
  if (each.steps !== undefined) return stepsActions(each.steps, each.order === 'set per watermark')
  const expected = Object.entries(each.expected ?? {})
  const [first, ...rest] = checksOf(expected, each.order ?? 'exact')
  return [...(each.input ?? []).map((row) => pipe('input', row)), ...(first ? [first] : []), ...rest]
}

const rowOf = (record: StreamRecord): CaseRow => {
  const { key, value, timestampMs } = record as WindowResult<string>
  return { k: key.key, start: key.startMs, end: key.endMs, v: value, t: timestampMs }
}

type Outputs = Readonly<Record<string, readonly StreamRecord[]>>
const rowsOf = (outputs: Outputs, name: string): CaseRow[] => (outputs[name] ?? []).map(rowOf)

/** One check of all expectations that a case without steps has. */
function checksOf(expected: readonly (readonly [string, Json])[], order: string): Action[] {
  const inOrder = (what: string, rows: readonly Json[]): Json[] => {
    if (order === 'set') return asSet(rows)
    if (order.startsWith('updates sorted') && what === 'emit_on_update')
      return byKeyAndTime(rows as CaseRow[])
    return [...rows]
  }
  return [
    {
      kind: 'check',
      expected: Object.fromEntries(
        expected.map(([what, value]) => [what, Array.isArray(value) ? inOrder(what, value) : value]),
      ),
      got: (outputs, { drops, lateness }) =>
        Object.fromEntries(
          expected.map(([what, value]) => {
            if (what === 'dropped_total') return [what, drops]
            if (what === 'max_lateness') return [what, lateness.maxMs]
            if (what === 'avg_lateness') return [what, lateness.meanMs]
            if (what === 'emit_on_update_by_window_start') return [what, byStart(rowsOf(outputs, 'updated'))]
            if (what === 'emit_on_close_by_window_start') return [what, byStart(rowsOf(outputs, 'closed'))]
            const rows = likeExpected(value as CaseRow[], resultsOf(what, outputs))
            return [what, inOrder(what, rows)]
          }),
        ),
    },
  ]
}

function resultsOf(what: string, outputs: Outputs): CaseRow[] {
  switch (what) {
    case 'emit_on_update':
      return rowsOf(outputs, 'updated')
    case 'emit_on_close':
      return rowsOf(outputs, 'closed')
    case 'suppress_until_close':
      return rowsOf(outputs, 'suppressed')
    case 'final':
    case 'store':
    case 'final_after_flush':
      return lastOfEach(rowsOf(outputs, 'updated'))
    default:
      throw new RangeError(`expectation "${what}" is not one of the cases' expectations`)
  }
}

/** What a table of the results would hold, in the order of the last changes. */
function lastOfEach(rows: readonly CaseRow[]): CaseRow[] {
  const table = new Map<string, CaseRow>()
  for (const row of rows) {
    const key = `${row.k}@${row.start}/${row.end}`
    table.delete(key)
    if (row.v !== null) table.set(key, row)
  }
  return [...table.values()]
}

const byStart = (rows: readonly CaseRow[]): Json => {
  const starts: Record<string, Json[]> = {}
  for (const { start, v, t } of rows) {
    const key = String(start)
    starts[key] = [...(starts[key] ?? []), { v, t }]
  }
  return starts
}

const byKeyAndTime = (rows: readonly CaseRow[]): CaseRow[] => {
  const textOf = (row: CaseRow): string => `[${row.k}@${row.start}/${row.end}]`
  return [...rows].sort((left, right) => {
    if (textOf(left) !== textOf(right)) return textOf(left) < textOf(right) ? -1 : 1
    return (left.t ?? 0) - (right.t ?? 0)
  })
}

const stepOutputs = [
  ['emit_on_update', 'updated'],
  ['emit_on_close', 'closed'],
  ['updated', 'updated'],
  ['closed', 'closed'],
  ['expected', 'fired'],
  ['expected_so_far', 'fired'],
] as const

function stepsActions(steps: readonly CaseStep[], asSets: boolean): Action[] {
  const ordered = asSets ? asSet : (rows: readonly Json[]): Json[] => [...rows]
  const actions: Action[] = []
  for (const step of steps) {
    for (const row of step.input ?? []) actions.push(pipe('input', row))
    if (step.watermark !== undefined) {
      const watermark: Announcement = { watermark: step.watermark }
      actions.push(pipe('input', { k: 'watermark', v: watermark, t: step.watermark }))
    }
    const looked = stepOutputs.filter(([what]) => step[what] !== undefined)
    const isKafkaInput = step.input !== undefined && steps.some((other) => other.updated !== undefined)
    if (looked.length === 0 && !isKafkaInput) continue
    actions.push({
      kind: 'check',
      expected: looked.map(([what]) => ordered(step[what] ?? [])),
      got: (outputs) =>
        looked.map(([what, output]) => ordered(likeExpected(step[what] ?? [], rowsOf(outputs, output)))),
    })
  }
  return actions
}

/** Rows of a table: an event, and lists or single values that came out after it. */
function eventActions(row: NonNullable<WindowCase['rows']>[number]): Action[] {
  const outputs = (['updated', 'closed'] as const).map((output) => {
    const value = row[output]
    const list = value === undefined ? [] : Array.isArray(value) ? value : [value]
    return { output, list, isPlain: list.every((item) => typeof item !== 'object') }
  })
  return [
    pipe('input', { k: row.k ?? 'key', v: row.v ?? 1, t: row.t ?? 100 }),
    {
      kind: 'check',
      expected: outputs.map(({ list }) => list),
      got: (came) =>
        outputs.map(({ output, list, isPlain }) => {
          const rows = rowsOf(came, output)
          return isPlain && list.length > 0
            ? rows.map((each) => each.v)
            : likeExpected(list as CaseRow[], rows)
        }),
    },
  ]
}
