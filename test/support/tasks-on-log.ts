import type { Declaration } from '../../models/declaration.ts'
import { Outputs } from '../../processors/outputs.ts'
import { type Assembly, assemble, type BoundEngineContracts } from '../../replay/assembly.ts'
import { taskIdOf, tasksOf } from '../../replay/task-plan.ts'
import { embeddedRegistry, memoryJournal } from '../../state/contracts/embedded-registry.ts'
import { openMemoryLog } from '../../state/log/memory/memory-log.ts'
import type { Database } from '../../state/store/database.ts'
import { memoryDatabase } from '../../state/store/memory/memory-database.ts'
import { TaskGate } from '../../topology/cluster/task-gate.ts'
import { TaskTimes } from '../../topology/cluster/task-times.ts'

/** The tasks of an application on one log in memory, each as a process of its own would have it. */
export class TasksOnLog {
  readonly log = openMemoryLog({ now: () => 1_800_000_000_000 })
  readonly registry = embeddedRegistry(memoryJournal())
  readonly databases = new Map<string, Database>()
  readonly running = new Map<string, Assembly>()
  readonly #declaration: Declaration
  readonly #batchRecords: () => number

  private constructor(declaration: Declaration, batchRecords: () => number) {
    this.#declaration = declaration
    this.#batchRecords = batchRecords
  }

  static async start(declaration: Declaration, batchRecords: () => number): Promise<TasksOnLog> {
    const tasks = new TasksOnLog(declaration, batchRecords)
    for (const part of tasksOf(declaration)) await tasks.restart(part)
    return tasks
  }

  /** From its last checkpoint. */
  async restart(part: Declaration): Promise<void> {
    const task = taskIdOf(part)
    const database = this.databases.get(task) ?? memoryDatabase()
    this.databases.set(task, database)
    const assembly = await assemble({
      declaration: part,
      log: this.log,
      writer: await this.log.writer(task),
      registry: await this.registry,
      database,
      task: { batchRecords: this.#batchRecords(), checkpointEvents: 50 },
      ...(part.share === undefined ? {} : { gate: (engine) => this.#gate(task, part.share!.beside, engine) }),
    })
    await assembly.recover()
    this.running.set(task, assembly)
  }

  #gate(task: string, beside: readonly string[], engine: BoundEngineContracts): TaskGate {
    const whole = this.#declaration
    const times = new TaskTimes(whole, this.log, engine)
    return new TaskGate({ task, times, beside, alignment: whole.alignment, elapsedMs: () => 0 })
  }

  async append(events: Readonly<Record<string, readonly object[]>>): Promise<void> {
    const writer = await this.log.writer('producer')
    const [any] = this.running.values()
    const outputs = new Outputs(writer.sink)
    for (const [name, values] of Object.entries(events)) {
      const bound = any!.events.get(name)!
      const emit = outputs.emitter(bound, this.#declaration.partitions)
      for (const value of values) emit(value, bound.contract.timeOf(value))
    }
    await (await writer.commit()).durable
  }

  /** Steps tasks in an order of chance until none has anything to do; so many start again meanwhile. */
  async work(random: () => number, restarts = 0): Promise<void> {
    const isDone = new Map([...this.running.keys()].map((task) => [task, false]))
    const parts = new Map(tasksOf(this.#declaration).map((part) => [taskIdOf(part), part]))
    for (let left = restarts; [...isDone.values()].some((done) => !done); ) {
      const open = [...this.running.keys()]
      const task = open[Math.floor(random() * open.length)]!
      if (left > 0 && random() < 0.05) {
        left--
        await this.restart(parts.get(task)!)
      }
      const ticket = await this.running.get(task)!.task.step()
      if (ticket === undefined) {
        isDone.set(task, true)
        continue
      }
      await ticket.durable
      for (const other of isDone.keys()) isDone.set(other, false)
    }
  }

  /** What a replay reads with; `database` is a new, empty one each time. */
  async source() {
    return {
      log: this.log,
      registry: await this.registry,
      writer: await openMemoryLog({ now: () => 0 }).writer('reader'),
      database: memoryDatabase(),
      scratch: async () => memoryDatabase(),
    }
  }
}
