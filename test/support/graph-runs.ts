import fc from 'fast-check'
import { expect } from 'vitest'
import type { StreamRecord } from '../../processors/operator.ts'
import { type DriverGraph, type DriverRecord, StreamDriver } from '../../processors/stream/stream-driver.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'

export type Piped = readonly [input: string, record: DriverRecord]

export interface GraphRun {
  readonly outputs: Readonly<Record<string, readonly StreamRecord[]>>
  readonly drops: readonly {
    readonly operator: string
    readonly reason: string
    readonly latenessMs?: number
  }[]
}

export interface GraphUnderTest {
  readonly build: (graph: DriverGraph) => void
  readonly outputs: readonly string[]
}

/**
 * What a graph gives for these records, and for a last step of time to
 * `flushMs` where one is given. The state is saved and restored before each of
 * the records numbered in `restarts`. A batch ends there, before those in
 * `batchEnds`, and at last.
 */
export async function runGraph(
  { build, outputs }: GraphUnderTest,
  piped: readonly Piped[],
  {
    restarts = [],
    batchEnds = [],
    flushMs,
  }: {
    readonly restarts?: readonly number[]
    readonly batchEnds?: readonly number[]
    readonly flushMs?: number
  } = {},
): Promise<GraphRun> {
  const database = memoryDatabase()
  const came: Record<string, StreamRecord[]> = Object.fromEntries(outputs.map((name) => [name, []]))
  const drops: GraphRun['drops'][number][] = []
  let driver = await StreamDriver.start({ build })
  const take = (): void => {
    for (const name of outputs) came[name]?.push(...driver.read(name))
    for (const { operator, reason, latenessMs } of driver.drops) {
      drops.push({ operator, reason, ...(latenessMs === undefined ? {} : { latenessMs }) })
    }
  }
  for (const [index, [input, record]] of piped.entries()) {
    if (batchEnds.includes(index) || restarts.includes(index)) driver.endBatch()
    if (restarts.includes(index)) {
      take()
      await driver.save(database)
      driver = await StreamDriver.start({ build, database })
    }
    driver.pipe(input, record)
  }
  driver.endBatch()
  if (flushMs !== undefined) driver.advanceTo(flushMs)
  take()
  return { outputs: came, drops }
}

/** The law of every operator: a stop and a restart between any two records changes nothing. */
export async function expectRestartsUnseen(
  graph: GraphUnderTest,
  piped: fc.Arbitrary<readonly Piped[]>,
  { numRuns = 60, flushMs = 100_000 }: { readonly numRuns?: number; readonly flushMs?: number } = {},
): Promise<void> {
  const cases = fc.tuple(piped, fc.array(fc.nat(40), { maxLength: 3 }))
  await fc.assert(
    fc.asyncProperty(cases, async ([records, restarts]) => {
      const whole = await runGraph(graph, records, { flushMs })
      expect(await runGraph(graph, records, { restarts, flushMs })).toEqual(whole)
    }),
    { numRuns },
  )
}

export interface ArrivalOptions<Value> {
  readonly inputs?: readonly string[]
  readonly keys?: readonly unknown[]
  readonly value: fc.Arbitrary<Value>
  /** Event times are in [0, spanMs). */
  readonly spanMs?: number
  /** How far at most a record comes behind the greatest event time before it. */
  readonly disorderMs?: number
  readonly maxLength?: number
}

/** Records in an order of arrival with so much disorder at most. */
export function arrivals<Value>({
  inputs = ['input'],
  keys = ['a', 'b'],
  value,
  spanMs = 100,
  disorderMs = 0,
  maxLength = 40,
}: ArrivalOptions<Value>): fc.Arbitrary<readonly Piped[]> {
  const record = fc.record({
    input: fc.constantFrom(...inputs),
    key: fc.constantFrom(...keys),
    value,
    timestampMs: fc.nat(spanMs - 1),
    // Borders are where mistakes are, so the greatest delay is as likely as all others.
    delayMs: fc.oneof(fc.nat(disorderMs), fc.constant(disorderMs)),
  })
  return fc
    .array(record, { maxLength })
    .map((records) =>
      [...records]
        .sort((left, right) => left.timestampMs + left.delayMs - right.timestampMs - right.delayMs)
        .map(({ input, key, value: each, timestampMs }): Piped => [input, { key, value: each, timestampMs }]),
    )
}

/** Rows in an order that depends on them alone. */
export const sorted = <Row>(rows: readonly Row[]): Row[] =>
  [...rows].sort((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1))
