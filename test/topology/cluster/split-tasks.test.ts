import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Outputs } from '../../../processors/outputs.ts'
import { type Assembly, assemble } from '../../../replay/assembly.ts'
import { taskIdOf, tasksOf } from '../../../replay/task-plan.ts'
import { AnyDecoder } from '../../../state/contracts/any-decoder.ts'
import { embeddedRegistry, memoryJournal } from '../../../state/contracts/embedded-registry.ts'
import { openMemoryLog } from '../../../state/log/memory/memory-log.ts'
import type { Database } from '../../../state/store/database.ts'
import { memoryDatabase } from '../../../state/store/memory/memory-database.ts'
import { TaskGate } from '../../../topology/cluster/task-gate.ts'
import { TaskTimes } from '../../../topology/cluster/task-times.ts'
import { seeded } from '../../support/shop-topology.ts'
import { judgementsOf, type Payment, split } from '../../support/split-topology.ts'

const now = () => 1_800_000_000_000
const firstAt = 1_700_000_000_000
const parts = tasksOf(split)

/** Payments over some days, each at a time of its own. */
function paymentsOf(seed: number, length: number): readonly Payment[] {
  const random = seeded(seed)
  let at = firstAt
  return Array.from({ length }, (_, index) => {
    at += 1 + Math.floor(random() * 600_000)
    return {
      paymentId: `p${index}`,
      customer: Math.floor(random() * 12),
      shop: Math.floor(random() * 5),
      amount: 1 + Math.floor(random() * 100),
      at,
    }
  })
}

/** The tasks of the application on one log, each as a process of its own would have it. */
class Tasks {
  readonly log = openMemoryLog({ now })
  readonly #registry = embeddedRegistry(memoryJournal())
  readonly #databases = new Map<string, Database>()
  readonly #batchRecords: () => number
  readonly running = new Map<string, Assembly>()
  nowMs = 0
  readonly notices: string[] = []

  constructor(batchRecords: () => number) {
    this.#batchRecords = batchRecords
  }

  async start(part = parts[0]!): Promise<void> {
    const task = taskIdOf(part)
    const database = this.#databases.get(task) ?? memoryDatabase()
    this.#databases.set(task, database)
    const assembly = await assemble({
      declaration: part,
      log: this.log,
      writer: await this.log.writer(task),
      registry: await this.#registry,
      database,
      task: { batchRecords: this.#batchRecords(), checkpointEvents: 50 },
      gate: (engine) =>
        new TaskGate({
          task,
          times: new TaskTimes(split, this.log, engine),
          beside: part.share!.beside,
          alignment: split.alignment,
          elapsedMs: () => this.nowMs,
          onNotice: (text) => this.notices.push(text),
        }),
    })
    await assembly.recover()
    this.running.set(task, assembly)
  }

  async append(payments: readonly Payment[]): Promise<void> {
    const writer = await this.log.writer('producer')
    const [any] = this.running.values()
    const bound = any!.events.get('payment')!
    const emit = new Outputs(writer.sink).emitter(bound, split.partitions)
    for (const payment of payments) emit(payment, payment.at)
    await (await writer.commit()).durable
  }

  /** Steps tasks in an order of chance until none has anything to do. */
  async work(random: () => number, restarts = 0): Promise<void> {
    const steps = new Map([...this.running.keys()].map((task) => [task, false]))
    for (let left = restarts; [...steps.values()].some((isDone) => !isDone); ) {
      const open = [...this.running.keys()]
      const task = open[Math.floor(random() * open.length)]!
      if (left > 0 && random() < 0.05) {
        left--
        await this.start(parts.find((part) => taskIdOf(part) === task)!)
      }
      const ticket = await this.running.get(task)!.task.step()
      if (ticket === undefined) {
        steps.set(task, true)
        continue
      }
      await ticket.durable
      for (const other of steps.keys()) steps.set(other, false)
    }
  }

  async contents(topic: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const decoder = new AnyDecoder(await this.#registry)
    const values: Readonly<Record<string, unknown>>[] = []
    for (let partition = 0; partition < split.partitions; partition++) {
      const { start, end } = await this.log.offsets(topic, partition)
      for (let offset = start; offset < end; ) {
        const batch = await this.log.read({ topic, partition, offset, maxBytes: 1 << 22 })
        for (let index = 0; index < batch.count; index++) {
          values.push(
            (await decoder.decode(
              topic,
              batch.bytes,
              batch.valueStart[index]!,
              batch.valueEnd[index]!,
            )) as Record<string, unknown>,
          )
        }
        offset = batch.nextOffset
      }
    }
    return values
  }

  drops(): number {
    return [...this.running.values()]
      .flatMap(({ graph }) => graph.drops.counts())
      .reduce((sum, { count }) => sum + count, 0)
  }
}

const byId = <Row extends { readonly paymentId: unknown }>(rows: readonly Row[]) =>
  [...rows].sort((left, right) => (String(left.paymentId) < String(right.paymentId) ? -1 : 1))

describe('an application of two stages of four tasks each', () => {
  test('reads a complete past and drops nothing of a backlog, whatever the order in which the tasks run and how often they start again', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 0, max: 6 }),
        async (seed, batch, restarts) => {
          const random = seeded(seed)
          const tasks = new Tasks(() => 1 + Math.floor(random() * batch))
          for (const part of parts) await tasks.start(part)
          const payments = paymentsOf(seed, 300)
          await tasks.append(payments.slice(0, 200))
          await tasks.work(random, restarts)
          await tasks.append(payments.slice(200))
          await tasks.work(random)
          expect(byId((await tasks.contents('judged')) as never)).toEqual(byId(judgementsOf(payments)))
          expect(tasks.drops()).toBe(0)
          expect(tasks.notices).toEqual([])
        },
      ),
      { numRuns: 20 },
    )
  })
})
