import { randomBytes } from 'node:crypto'
import type { Declaration } from '../../models/declaration.ts'
import { keyPartFromText } from '../../processors/feature/key-text.ts'
import type { BoundEngineContracts, RecoveryProgress } from '../../replay/assembly.ts'
import { partitionOfEntity, taskIdOf, tasksOnLog } from '../../replay/task-plan.ts'
import type { Log } from '../../state/log/log.ts'
import type { GroupMember } from '../../state/log/member-group.ts'
import { Door } from '../runtime/door.ts'
import { Engine, type EngineOptions, type StandbyWork } from '../runtime/engine.ts'
import type { KafkaWiring } from '../runtime/wire-kafka.ts'
import { positionOnDisk, rememberedInstance, rememberInstance } from './held-state.ts'
import { type Assignment, type InstanceAddress, joinMembership, type TaskClaim } from './membership.ts'
import { TaskGate } from './task-gate.ts'
import { type TaskRole, TaskSeat, type TaskStage } from './task-seat.ts'
import { TaskTimes } from './task-times.ts'

/** How one process takes part in an application. */
export interface InstanceOptions {
  readonly topology: Declaration
  /** Folder of this instance's own state; no other instance may use it. */
  readonly data: string
  readonly kafka: KafkaWiring
  /** Where this instance answers, for the others to hand requests on to. */
  readonly url: string
  /** Names this instance; by default an id that is kept in the data folder. */
  readonly id?: string
  /** Copies of the state beside the active one, kept by other instances. Default 1. */
  readonly standbys?: number
  /** An instance that is not heard of for so long is taken for dead. Default 10,000. */
  readonly sessionTimeoutMs?: number
  readonly engine?: Pick<EngineOptions, 'task' | 'onStep' | 'acceptFeatureChanges'>
  /** Wall clock in ms. */
  readonly now?: () => number
  readonly onNotice?: (text: string) => void
  readonly onRecovery?: (task: string, progress: RecoveryProgress) => void
  /**
   * Starts an engine that this instance is to run, by default with its `run`;
   * `ended` aborts when it is another's.
   */
  readonly begin?: (engine: Engine, ended: AbortSignal) => Promise<void>
  /** Told when a task's engine is this instance's, and, with undefined, when it no longer is. */
  readonly onEngine?: (task: string, engine: Engine | undefined) => void
  /** Told where events can be appended while this instance stands by, and, with undefined, when they no longer can. */
  readonly onDoor?: (task: string, door: Door | undefined) => void
}

/** One task as this instance sees it. */
export interface TaskStatus {
  readonly task: string
  /** What this instance was told to do about it. */
  readonly role: TaskRole
  /** How far it has come with that. */
  readonly stage: TaskStage
  /** Records folded into the state here. */
  readonly position: number
  /** Of a standby: commits on the log that it has not followed yet, in offsets of their topic. */
  readonly behindOffsets: number
  /** The instance that is to answer for it; null while nobody is known. */
  readonly owner: InstanceAddress | null
}

export interface InstanceStatus extends InstanceAddress {
  /** Number of the round in which the tasks were shared out last. */
  readonly generation: number
  /** Rounds since this process started. */
  readonly rebalances: number
  readonly tasks: readonly TaskStatus[]
  readonly instances: readonly InstanceAddress[]
}

/** Ids stand in headers and in the names of writers. */
export const isInstanceId = (text: string): boolean => /^[A-Za-z0-9._-]{1,64}$/.test(text)

/** The id of the instance of a data folder: the one given, else the one it had before, else a new one. */
const instanceIdOf = (data: string, given: string | undefined): string =>
  given ?? rememberedInstance(data)?.id ?? randomBytes(4).toString('hex')

/**
 * One of several processes that work on an application together. Each task is
 * active at one of them; others keep its state up to date and take over when
 * that one stops, dies or is cut off. What keeps two from doing the same work
 * is the cluster's fencing, not the group: an instance that was cut off, and
 * does not know it, cannot commit.
 */
export class Instance {
  readonly id: string
  readonly #options: InstanceOptions
  readonly #seats: ReadonlyMap<string, TaskSeat>
  readonly #roles = new Map<string, TaskRole>()
  #assignment: Assignment = {
    generation: -1,
    active: [],
    standby: [],
    owners: new Map(),
    instances: [],
    doors: [],
  }
  #rebalances = 0
  readonly #runningHere = new Set<string>()
  /** What each task has of the application. */
  readonly #parts: ReadonlyMap<string, Declaration>
  /** Of this process alone: whoever ends what a process had open when it died must not end what its next one opens. */
  readonly #door: string
  /** Doors of processes that were there once and are not now, whose last appends may still be open. */
  readonly #gone = new Set<string>()
  #member: GroupMember | undefined
  #failure: unknown
  #isClosed = false

  private constructor(
    options: InstanceOptions,
    id: string,
    parts: readonly Declaration[],
    positions: ReadonlyMap<string, number>,
  ) {
    this.id = id
    this.#parts = new Map(parts.map((part) => [taskIdOf(part), part]))
    this.#door = `door-${id}-${randomBytes(4).toString('hex')}`
    this.#options = options
    const { onNotice = () => {} } = options
    this.#seats = new Map(
      [...positions].map(([task, position]) => [
        task,
        new TaskSeat({
          task,
          position,
          registersNone: (this.#parts.get(task)!.share?.ordinal ?? 0) > 0,
          begin: options.begin ?? (async (engine) => engine.run()),
          onFollowing: (work) => this.#openDoor(task, work),
          open: (_, standby) => this.#open(task, standby),
          onStage: (stage, engine) => this.#onStage(task, stage, engine),
          onStopped: (error) => {
            onNotice(`${task} was stopped here: ${error instanceof Error ? error.message : error}`)
            this.#member?.rejoin()
          },
          onFailed: (error) => {
            this.#failure ??= error
          },
          onNotice,
        }),
      ]),
    )
  }

  /** Resolves when the instance is one of the group and knows what it is to do. */
  static async start(options: InstanceOptions): Promise<Instance> {
    const { data, topology, kafka, now = Date.now, onNotice = () => {} } = options
    // Whoever imports the library without a cluster does not load its client.
    const { clusterTopics, joinInstances } = await import('../runtime/wire-kafka.ts')
    const parts = tasksOnLog(topology, await clusterTopics(topology.name, now, kafka))
    // The state is looked at first: it is locked where another process runs on this folder.
    const positions = new Map<string, number>()
    for (const part of parts) positions.set(taskIdOf(part), await positionOnDisk(data, part))
    const id = instanceIdOf(data, options.id)
    if (!isInstanceId(id)) {
      throw new TypeError(`Instance: id must be up to 64 letters, digits, ".", "_" and "-", got "${id}"`)
    }
    const formerMemberId = rememberedInstance(data)?.memberId
    rememberInstance(data, { id, ...(formerMemberId === undefined ? {} : { memberId: formerMemberId }) })
    const instance = new Instance(options, id, parts, positions)
    try {
      instance.#member = await joinMembership({
        self: { id, url: options.url },
        door: instance.#door,
        capacity: 1,
        tasks: [...positions.keys()],
        standbys: options.standbys ?? 1,
        sessionTimeoutMs: options.sessionTimeoutMs ?? 10_000,
        ...(formerMemberId === undefined ? {} : { formerMemberId }),
        claims: () => instance.#claims(),
        onAssignment(assignment, memberId) {
          rememberInstance(data, { id, memberId })
          instance.#assign(assignment)
        },
        onLost(reason) {
          onNotice(`cut off from the other instances: ${reason}`)
          for (const seat of instance.#seats.values()) seat.lose()
        },
        onNotice,
        join: (group) => joinInstances(topology.name, now, kafka, group),
      })
      return instance
    } catch (error) {
      await instance.close()
      throw error
    }
  }

  get declaration(): Declaration {
    return this.#options.topology
  }

  /** What ended this instance's work for good; undefined while all is well. */
  get failure(): unknown {
    return this.#failure
  }

  /** The engine of the first task that is active here. */
  get engine(): Engine | undefined {
    for (const seat of this.#seats.values()) if (seat.engine !== undefined) return seat.engine
    return undefined
  }

  /** What each task has of the application, by task; a part without a share is the whole of it. */
  get parts(): ReadonlyMap<string, Declaration> {
    return this.#parts
  }

  /** The instance that answers for a task; undefined while nobody is known. */
  ownerOf(task: string): InstanceAddress | undefined {
    return this.#assignment.owners.get(task)
  }

  /**
   * The task that has the features of an entity, by the texts of its key.
   * Undefined for a view that no task has, and while no task is open here that
   * knows how keys are written.
   *
   * @throws RangeError for a text that is no value of its part
   */
  taskOfEntity(viewName: string, texts: readonly string[]): string | undefined {
    const parts = [...this.#parts].filter(([, { views }]) => views.some(({ name }) => name === viewName))
    if (parts.length <= 1) return parts[0]?.[0]
    const view = this.declaration.views.find(({ name }) => name === viewName)!
    const [source] = view.sources
    const assembly = [...this.#seats.values()].find((seat) => seat.assembly !== undefined)?.assembly
    const bound = source && assembly?.events.get(source.name)
    if (bound === undefined || texts.length !== view.entity.length) return undefined
    const key = texts.map((text, index) => keyPartFromText(view, index, text))
    const partition = partitionOfEntity(view, key, bound, parts.length)
    return parts.find(([, { share }]) => share?.partition === partition)?.[0]
  }

  get rebalances(): number {
    return this.#rebalances
  }

  async status(): Promise<InstanceStatus> {
    const { generation, instances } = this.#assignment
    const tasks = [...this.#seats].map(async ([task, seat]) => ({
      task,
      role: this.#roles.get(task) ?? 'none',
      stage: seat.stage,
      position: seat.position,
      behindOffsets: await seat.behindOffsets(),
      owner: this.ownerOf(task) ?? null,
    }))
    return {
      id: this.id,
      url: this.#options.url,
      generation,
      rebalances: this.#rebalances,
      tasks: await Promise.all(tasks),
      instances,
    }
  }

  /** Gives every task back, commits and writes checkpoints; the others go on at once. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    // First the work, then the place: who takes over finds everything on the log.
    await Promise.all([...this.#seats.values()].map((seat) => seat.close()))
    await this.#member?.close()
  }

  #claims(): readonly TaskClaim[] {
    if (this.#isClosed) return []
    return [...this.#seats.values()]
      .filter(
        ({ wasStopped, position, activeSince }) => !wasStopped && (position > 0 || activeSince !== undefined),
      )
      .map(({ task, position, activeSince }) => ({
        task,
        position,
        ...(activeSince === undefined ? {} : { activeSince }),
      }))
  }

  #assign(assignment: Assignment): void {
    const before = this.#assignment
    this.#assignment = assignment
    this.#rebalances++
    for (const door of before.doors) if (!assignment.doors.includes(door)) this.#gone.add(door)
    for (const door of assignment.doors) this.#gone.delete(door)
    for (const [task, seat] of this.#seats) {
      const role = assignment.active.includes(task)
        ? 'active'
        : assignment.standby.includes(task)
          ? 'standby'
          : 'none'
      this.#roles.set(task, role)
      seat.assign(role, assignment.generation)
    }
    this.#settleDoors()
  }

  #onStage(task: string, stage: TaskStage, engine: Engine | undefined): void {
    if (stage === 'active') this.#settleDoors()
    const isRunning = engine !== undefined
    if (isRunning === this.#runningHere.has(task)) return
    if (isRunning) this.#runningHere.add(task)
    else this.#runningHere.delete(task)
    this.#options.onEngine?.(task, engine)
  }

  /**
   * Ends what a process that is gone was appending when it died: readers would
   * else wait for the cluster to roll it back. Whoever is to run a task does
   * so, before it takes the task over.
   */
  #settleDoors(): void {
    const seat = [...this.#seats.values()].find(({ task }) => this.#roles.get(task) === 'active')
    const log = seat?.log
    if (log === undefined) return
    for (const door of [...this.#gone]) {
      this.#gone.delete(door)
      for (const task of this.#parts.keys()) {
        log
          .writer(this.#doorOf(task, door))
          .then((writer) => writer.close())
          // It is rolled back a little later then.
          .catch(() => {})
      }
    }
  }

  /** Each task that is open in a process has a writer of its own for what comes in through it. */
  #doorOf(task: string, door = this.#door): string {
    const { share } = this.#parts.get(task)!
    return share === undefined ? door : `${door}-${share.ordinal}`
  }

  /** Events need nobody who works on them just now: a standby takes them too, also while nobody runs the task. */
  async #openDoor(task: string, { assembly, log }: StandbyWork): Promise<() => Promise<void>> {
    const { now = Date.now, onDoor = () => {} } = this.#options
    const declaration = this.declaration
    const writer = await log.writer(this.#doorOf(task))
    onDoor(task, new Door({ declaration, assembly, log, writer, now, checkRunning() {}, onAppend() {} }))
    return async () => {
      onDoor(task, undefined)
      await writer.close()
    }
  }

  #open(task: string, standby: EngineOptions['standby']): Promise<Engine> {
    const { topology, data, kafka, now, onNotice, onRecovery, engine } = this.#options
    const part = this.#parts.get(task)!
    const { share } = part
    return Engine.open({
      topology,
      data,
      kafka,
      door: this.#doorOf(task),
      ...(share === undefined
        ? {}
        : {
            part,
            gate: (log: Log, contracts: BoundEngineContracts) =>
              new TaskGate({
                task,
                times: new TaskTimes(topology, log, contracts),
                beside: share.beside,
                alignment: topology.alignment,
                elapsedMs: () => performance.now(),
                ...(onNotice === undefined ? {} : { onNotice }),
              }),
          }),
      ...(now === undefined ? {} : { now }),
      ...(onNotice === undefined ? {} : { onNotice }),
      ...(onRecovery === undefined
        ? {}
        : { onRecovery: (progress: RecoveryProgress) => onRecovery(task, progress) }),
      ...(standby === undefined ? {} : { standby }),
      ...engine,
    })
  }
}
