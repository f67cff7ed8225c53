import type { Assembly, RecoveryProgress } from '../../replay/assembly.ts'
import { CommitFollower } from '../../replay/commit-follower.ts'
import { isEngineError } from '../../state/contracts/engine-error.ts'
import type { Log } from '../../state/log/log.ts'
import type { Engine, StandbyWork } from '../runtime/engine.ts'

/** What an instance is to do about a task. */
export type TaskRole = 'none' | 'standby' | 'active'

/**
 * What it does about it:
 *
 *     idle       nothing of the task is open
 *     opening    the state is being opened; a standby waits here while there is nothing to follow
 *     standby    follows the commits of the active one
 *     taking     ends the former active one and follows what is left
 *     active     runs the task
 */
export type TaskStage = 'idle' | 'opening' | 'standby' | 'taking' | 'active'

/** Opens the task's engine: as the only one, or with `standby` to follow another. */
export type OpenTask = (
  task: string,
  standby: ((work: StandbyWork) => Promise<RecoveryProgress>) | undefined,
) => Promise<Engine>

export interface TaskSeatOptions {
  readonly task: string
  readonly open: OpenTask
  /** Another task registers the application's schemas; this one waits for them. */
  readonly registersNone: boolean
  /** Records folded into the state on the disk. */
  readonly position: number
  /** Starts the engine once it is this instance's; `ended` aborts when it is so no more. */
  readonly begin: (engine: Engine, ended: AbortSignal) => Promise<void>
  /** Told while a standby follows; returns what is to be done when it does so no more. */
  readonly onFollowing: (work: StandbyWork) => Promise<() => Promise<void>>
  readonly onStage: (stage: TaskStage, engine: Engine | undefined) => void
  /** The task cannot go on here for now, and another round may say who is to run it. */
  readonly onStopped: (error: unknown) => void
  /** The task can go on nowhere: somebody has to act. */
  readonly onFailed: (error: unknown) => void
  readonly onNotice: (text: string) => void
}

const retryMs = 500
/** How often it is looked whether an engine still works. */
const lookMs = 100
const idleCheckpointMs = 1_000

/** Thrown through `Engine.open` when a standby is no longer wanted. */
class Dismissed extends Error {}

/**
 * One task at one instance: follows, takes over and gives back as it is told.
 *
 *      idle -> opening -> standby -> taking -> active
 *       ^         |          |                   |
 *       +---------+----------+-------------------+
 *
 * An engine that failed holds state of a batch that is not on the log: it is
 * thrown away, and the task is opened again from the checkpoint. After that
 * it is only taken again in a later round, so that two instances do not end
 * each other in turn.
 */
export class TaskSeat {
  readonly task: string
  readonly #options: TaskSeatOptions
  #wanted: TaskRole = 'none'
  #generation = -1
  /** The round in which this instance was stopped as the active one. */
  #stoppedIn = -2
  /** Out of the group: whoever is in it decides. */
  #isLost = false
  /** How often it came back into the group after the others had gone on without it. */
  #returns = 0
  #isClosed = false
  #stage: TaskStage = 'idle'
  #engine: Engine | undefined
  #following: StandbyWork | undefined
  #follower: CommitFollower | undefined
  #activeSince: number | undefined
  #lastPosition: number
  /** Ends a wait when something has changed. */
  #changed = new AbortController()
  readonly #running: Promise<void>

  constructor(options: TaskSeatOptions) {
    this.task = options.task
    this.#options = options
    this.#lastPosition = options.position
    this.#running = this.#run()
  }

  get stage(): TaskStage {
    return this.#stage
  }

  get engine(): Engine | undefined {
    return this.#engine
  }

  /** Records folded into the state: the sum of the positions in the task's inputs. */
  get position(): number {
    const { assembly } = this
    if (assembly === undefined) return this.#lastPosition
    return assembly.task.position.offsets.reduce((sum, offset) => sum + offset, 0)
  }

  /** The round in which this instance was told to run the task, while it does so or is about to. */
  get activeSince(): number | undefined {
    return this.#activeSince
  }

  /** The task could not go on here in this round: somebody else is to try first. */
  get wasStopped(): boolean {
    return this.#stoppedIn === this.#generation
  }

  /** How much of the commits on the log a standby has not followed yet, in offsets of their topic. */
  async behindOffsets(): Promise<number> {
    return (await this.#follower?.behindOffsets()) ?? 0
  }

  /** The task, while its state is open here. */
  get assembly(): Assembly | undefined {
    return this.#engine?.assembly ?? this.#following?.assembly
  }

  /** The log, while the task's state is open here. */
  get log(): Log | undefined {
    return this.#engine?.log ?? this.#following?.log
  }

  assign(role: TaskRole, generation: number): void {
    if (this.#isLost) this.#returns++
    this.#wanted = role
    this.#generation = generation
    this.#isLost = false
    this.#change()
  }

  /** This instance may be out of the group: what runs goes on until it is ended, nothing new is taken. */
  lose(): void {
    this.#isLost = true
  }

  /** Commits, writes a checkpoint and closes what is open. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#change()
    await this.#running
  }

  #change(): void {
    this.#changed.abort()
    this.#changed = new AbortController()
  }

  get #mayTake(): boolean {
    return this.#wanted === 'active' && !this.#isLost && this.#generation > this.#stoppedIn
  }

  get #isWanted(): boolean {
    return !this.#isClosed && this.#wanted !== 'none'
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      this.#setStage('idle')
      if (this.#isWanted) await this.#work()
      else await pause(Number.POSITIVE_INFINITY, this.#changed.signal)
    }
    this.#setStage('idle')
  }

  async #work(): Promise<void> {
    const { task, open, onNotice } = this.#options
    const asActive = this.#mayTake
    if (asActive) this.#activeSince = this.#generation
    let engine: Engine
    try {
      this.#setStage('opening')
      engine = await open(task, asActive ? undefined : (work) => this.#follow(work))
    } catch (error) {
      this.#lastPosition = this.position
      this.#endFollowing()
      this.#activeSince = undefined
      if (error instanceof Dismissed) return
      if (this.#isWaitingForOthers(error, asActive)) {
        await pause(retryMs, this.#changed.signal)
        return
      }
      if (asActive || !isPassing(error)) {
        this.#stop(error)
      } else {
        onNotice(`${task}: following was interrupted and begins again: ${messageOf(error)}`)
      }
      await pause(retryMs, this.#changed.signal)
      return
    }
    this.#endFollowing()
    await this.#lead(engine)
    this.#activeSince = undefined
  }

  #endFollowing(): void {
    this.#following = undefined
    this.#follower = undefined
  }

  /** Nobody has run this declaration yet, or not the task of it that registers its schemas. */
  #isWaitingForOthers(error: unknown, asActive: boolean): boolean {
    if (asActive && !this.#options.registersNone) return false
    return isEngineError(error, 'subject-unknown') || isEngineError(error, 'schema-unknown')
  }

  /** Resolves when the task is this instance's own. */
  async #follow(work: StandbyWork): Promise<RecoveryProgress> {
    const follower = new CommitFollower(work.assembly, work.log, work.afterBatch)
    await follower.open()
    this.#following = work
    this.#follower = follower
    this.#setStage('standby')
    for (let isTaken = false; !isTaken; ) {
      const end = await this.#options.onFollowing(work)
      try {
        isTaken = await this.#followUntilTaken(follower, work)
      } finally {
        await end()
      }
    }
    const { commits, records } = follower.followed
    return { commits, of: commits, records }
  }

  /** False when it has to begin again: the others have ended what it had open while it was away. */
  async #followUntilTaken(follower: CommitFollower, work: StandbyWork): Promise<boolean> {
    const returns = this.#returns
    while (!this.#mayTake) {
      if (this.#returns > returns) return false
      const { signal } = this.#changed
      const appended = work.log.appended(signal)
      await follower.catchUp(signal)
      await this.#endIfUnwanted(work)
      if (signal.aborted) continue
      if (await outlasts(appended, idleCheckpointMs)) {
        await work.assembly.task.checkpoint()
        await appended
      }
      await this.#endIfUnwanted(work)
    }
    this.#activeSince = this.#generation
    this.#setStage('taking')
    // What is to be followed anyway is followed while the former active one still works.
    await follower.catchUp()
    await work.take()
    await follower.catchUp()
    await follower.end()
    return true
  }

  async #endIfUnwanted({ assembly }: StandbyWork): Promise<void> {
    if (this.#isWanted) return
    await assembly.task.close()
    throw new Dismissed()
  }

  /** Runs the engine until it fails or is to be given back. */
  async #lead(engine: Engine): Promise<void> {
    this.#engine = engine
    this.#setStage('active')
    const ended = new AbortController()
    let failure: unknown
    const beginning = this.#options.begin(engine, ended.signal).catch((error) => {
      if (!ended.signal.aborted) failure = error
    })
    while (this.#isWanted && this.#wanted === 'active' && failure === undefined) {
      await pause(lookMs, this.#changed.signal)
      failure ??= engine.failure
    }
    ended.abort()
    this.#lastPosition = this.position
    this.#engine = undefined
    this.#setStage('idle')
    const notice = (error: unknown) => this.#options.onNotice(`${this.task}: ${messageOf(error)}`)
    // When another has taken over already, the last commit is refused: then there is nothing to give back.
    if (engine.failure === undefined) await engine.close().catch(notice)
    else await engine.abort().catch(notice)
    await beginning
    failure ??= engine.failure
    if (failure !== undefined) this.#stop(failure)
  }

  #stop(error: unknown): void {
    this.#stoppedIn = this.#generation
    if (isPassing(error)) this.#options.onStopped(error)
    else this.#options.onFailed(error)
  }

  #setStage(stage: TaskStage): void {
    if (this.#stage === stage) return
    this.#stage = stage
    this.#options.onStage(stage, this.#engine)
  }
}

/** Whether the wait is not over by then. */
async function outlasts(wait: Promise<void>, durationMs: number): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(true), durationMs)
    wait.then(() => {
      clearTimeout(timer)
      resolve(false)
    }, reject)
  })
}

/** Whether the task can go on without anyone's doing, here or elsewhere. */
function isPassing(error: unknown): boolean {
  if (isEngineError(error, 'writer-fenced') || isEngineError(error, 'writer-untrusted')) return true
  return error instanceof Error && 'retriable' in error && error.retriable === true
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** True when the time is over, false when the signal ended it. */
async function pause(durationMs: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false
  return await new Promise((resolve) => {
    const timer = Number.isFinite(durationMs) ? setTimeout(() => end(true), durationMs) : undefined
    const wake = () => end(false)
    const end = (isOver: boolean) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', wake)
      resolve(isOver)
    }
    signal.addEventListener('abort', wake)
  })
}
