import { merge as mergeAll } from 'rxjs'
import { streamStreamJoin } from '../../processors/join/stream-stream-join.ts'
import { asOfJoin, streamTableJoin } from '../../processors/join/stream-table-join.ts'
import { VersionedTable } from '../../processors/join/versioned-table.ts'
import type { Join, StreamRecord } from '../../processors/operator.ts'
import { aggregateGroups, groupTable } from '../../processors/stream/group-table.ts'
import { process } from '../../processors/stream/process.ts'
import { type DriverGraph, StreamDriver } from '../../processors/stream/stream-driver.ts'
import { suppress } from '../../processors/stream/suppress.ts'
import {
  type Action,
  type CaseRow,
  type CaseStep,
  type Json,
  keyOf,
  likeExpected,
  pipe,
  type Script,
  type WindowCase,
  withTextKeys,
} from './window-script.ts'

const rowOf = ({ key, value, timestampMs }: StreamRecord): CaseRow => ({
  k: keyOf(key),
  v: value,
  t: timestampMs,
})

const checked = (output: string, expected: readonly CaseRow[]): Action => ({
  kind: 'check',
  expected: withTextKeys(expected),
  got: (outputs) => likeExpected(expected, (outputs[output] ?? []).map(rowOf)),
})

/** The cases join texts with a plus, and objects by their fields. */
const joined = (left: Json, right: Json): Json =>
  typeof left === 'object' && left !== null
    ? { ...left, ...(right as object | null) }
    : `${left ?? null}+${right ?? null}`

function joinOf(id: string, join: NonNullable<WindowCase['join']>): Join {
  const graceMs = join.grace ?? 0
  if (join.kind.startsWith('as-of')) {
    return asOfJoin({ name: id, how: 'inner', historyMs: graceMs, value: joined })
  }
  if (join.kind.startsWith('stream-table')) {
    return streamTableJoin({ name: id, how: 'inner', table: { kind: 'latest' }, value: joined })
  }
  const beforeMs = join.before ?? join.backward ?? 0
  const afterMs = join.after ?? join.forward ?? 0
  const how = (['left', 'outer'] as const).find((each) => join.kind.endsWith(each)) ?? 'inner'
  return streamStreamJoin({ name: id, how, beforeMs, afterMs, graceMs, value: joined })
}

export function joinScript({ id, join, steps = [] }: WindowCase): Script {
  if (join === undefined) throw new RangeError(`case "${id}" has no join`)
  const build = (graph: DriverGraph): void => {
    const left = graph.input<StreamRecord>('left')
    const right = graph.input<StreamRecord>('right')
    graph.output('joined', joinOf(id, join).connect(graph.context)(left, right))
  }
  let latestMs = 0
  const actions = steps.flatMap((step): Action[] => {
    const pipes = [...inputsOf(step, 'left'), ...inputsOf(step, 'right')].map(([input, row]) => {
      latestMs = Math.max(latestMs, row.t ?? 0)
      return pipe(input, row)
    })
    const deletes = (step.table_deletes ?? []).map((k) => pipe('right', { k, v: null, t: latestMs }))
    return [...pipes, ...deletes, checked('joined', step.expected ?? [])]
  })
  return { build, outputs: ['joined'], actions }
}

function inputsOf(step: CaseStep, side: 'left' | 'right'): [string, CaseRow][] {
  const rows = side === 'left' ? (step.left ?? step.stream ?? []) : (step.right ?? step.table ?? [])
  const sided = step.side === side ? (step.records ?? []) : []
  return [...rows, ...sided].map((row) => [side, row])
}

/** `table(k -> v).groupBy(v).count().suppress(untilTimeLimit(2 ms))`. */
export function groupedSuppressScript({ steps = [] }: WindowCase): Script {
  const build = (graph: DriverGraph): void => {
    const groups = groupTable('by-value', (record) => record.value)
    const counts = aggregateGroups('count', {
      init: () => 0,
      add: (count: number) => count + 1,
      remove: (count: number) => count - 1,
      finish: (count: number) => count,
    })
    const held = suppress({ name: 'suppressed', until: { timeLimitMs: 2 }, bound: 'unbounded' })
    const { context } = graph
    const raw = graph.input<StreamRecord>('input').pipe(groups.connect(context), counts.connect(context))
    graph.output('raw', raw)
    graph.output('suppressed', raw.pipe(held.connect(context)))
  }
  const actions = steps.flatMap((step): Action[] => [
    ...(step.input ?? []).map((row) => pipe('input', row)),
    {
      kind: 'check',
      expected: [step.raw, step.suppressed],
      got: (outputs) => [outputs['raw']?.map(rowOf), outputs['suppressed']?.map(rowOf)],
    },
  ])
  return { build, outputs: ['raw', 'suppressed'], actions }
}

/** Gives out the time of each record, and of each call; wall-clock calls follow the records, which are its ticks. */
const timed = (everyMs: number, byTicks: boolean) =>
  process<StreamRecord, StreamRecord, 'timer'>({
    name: 'timed',
    punctuators: {
      timer: { everyMs, ...(byTicks ? { tick: (record: StreamRecord) => record.timestampMs } : {}) },
    },
    start: ({ derive, emit }) => ({
      process: (record) => emit(derive('processed', null, record.timestampMs)),
      punctuate: { timer: (atMs) => emit(derive('called', null, atMs)) },
    }),
  })

export function timerScript({ id, timer, expected = {}, ...each }: WindowCase): Script {
  if (timer === undefined) throw new RangeError(`case "${id}" has no timer`)
  const operator = timed(timer.interval, timer.type === 'WALL_CLOCK_TIME')
  const build = (graph: DriverGraph): void => {
    const inputs = Object.keys(each.partitions ?? { p1: [] }).map((name) => graph.input<StreamRecord>(name))
    graph.output('times', mergeAll(...inputs).pipe(operator.connect(graph.context)))
  }
  const timesOf = (outputs: Readonly<Record<string, readonly StreamRecord[]>>, key: string): number[] =>
    (outputs['times'] ?? []).filter((record) => record.key === key).map(({ timestampMs }) => timestampMs)
  const check: Action = {
    kind: 'check',
    expected,
    got: (outputs) =>
      Object.fromEntries(
        Object.keys(expected).map((what) => [
          what,
          timesOf(outputs, what === 'processing_order' ? 'processed' : 'called'),
        ]),
      ),
  }
  return { build, outputs: ['times'], actions: [...timerPipes(each), check] }
}

function timerPipes({
  input_timestamps,
  partitions,
  sleep,
}: Omit<WindowCase, 'id' | 'timer' | 'expected'>): Action[] {
  if (partitions !== undefined) {
    return StreamDriver.inTaskOrder(
      Object.entries(partitions).map(([input, times]) => [
        input,
        times.map((t) => ({ value: t, timestampMs: t })),
      ]),
    ).map(([input, record]) => ({ kind: 'pipe', input, record }))
  }
  let nowMs = 0
  const slept = [0, ...(sleep ?? [])].map((ms) => {
    nowMs += ms
    return nowMs
  })
  return (input_timestamps ?? slept).map((t) => pipe('p1', { v: t, t }))
}

const instant = (atMs: number): number | 'inf' => (atMs === Number.POSITIVE_INFINITY ? 'inf' : atMs)

/** Puts and reads as records, so that the table lives in a graph like any other. */
export function versionedScript({ store, puts = [], gets = [], latest }: WindowCase): Script {
  const build = (graph: DriverGraph): void => {
    const table = new VersionedTable<Json>(graph.context, 'table', store?.history_retention ?? 0)
    const operator = process<StreamRecord, StreamRecord>({
      name: 'table',
      start: ({ derive, emit }) => ({
        process({ key, value, timestampMs }) {
          const answer = (): Json => {
            if (key === 'put') return instant(table.put('key', value, timestampMs) ?? Number.NaN)
            const found = key === 'latest' ? table.latest('key') : table.get('key', timestampMs)
            if (found === undefined) return { value: null }
            return { value: found.value, valid_from: found.validFromMs, valid_to: instant(found.validToMs) }
          }
          emit(derive(key, answer(), timestampMs))
        },
      }),
    })
    graph.output('answers', graph.input<StreamRecord>('asked').pipe(operator.connect(graph.context)))
  }
  const answered = (expected: Json, look: (value: Json) => Json): Action => ({
    kind: 'check',
    expected,
    got: (outputs) => look(outputs['answers']?.at(-1)?.value),
  })
  const actions: Action[] = []
  for (const { v, t, returns_valid_to } of puts) {
    actions.push(pipe('asked', { k: 'put', v, t }))
    if (returns_valid_to !== undefined) actions.push(answered(returns_valid_to, (value) => value))
  }
  for (const { as_of, ...expected } of gets) {
    actions.push(pipe('asked', { k: 'get', v: 'as of', t: as_of }))
    actions.push(answered(expected, (value) => value))
  }
  actions.push(pipe('asked', { k: 'latest', v: 'as of', t: 0 }))
  const newest = { value: latest?.value, valid_from: latest?.t, valid_to: 'inf' }
  actions.push(answered(newest, (value) => value))
  return { build, outputs: ['answers'], actions }
}
