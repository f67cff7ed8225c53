import type { EngineError } from '../../contracts/engine-error.ts'
import { syncError } from './log-files.ts'

interface Waiting {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: EngineError) => void
}

/**
 * Group commit: one fdatasync after the other while anything is unsynced. All
 * commits that were written before a sync began share its one promise.
 *
 * After a sync has failed, nobody knows what the disk holds (the kernel may
 * have dropped the dirty pages), so no later sync is believed: every commit
 * that waits, and every later one, fails with the same error.
 */
export class SyncLoop {
  readonly #sync: () => Promise<void>
  readonly #path: string
  #next: Waiting | undefined
  #running: Promise<void> | undefined
  failure: EngineError | undefined
  /** Bytes written and not known to be on the disk. */
  unsyncedBytes = 0

  /** `sync` makes everything durable that was written before the call. */
  constructor(path: string, sync: () => Promise<void>) {
    this.#path = path
    this.#sync = sync
  }

  /** Resolves when what was written up to now is durable. */
  request(writtenBytes: number): Promise<void> {
    if (this.failure !== undefined) return rejected(this.failure)
    this.unsyncedBytes += writtenBytes
    this.#next ??= waiting()
    const { promise } = this.#next
    this.#running ??= this.#run()
    return promise
  }

  /** Resolves when everything that was written is durable. */
  async drain(): Promise<void> {
    if (this.failure !== undefined) throw this.failure
    if (this.#next !== undefined) await this.#next.promise
    else if (this.#running !== undefined) await this.#running
    if (this.failure !== undefined) throw this.failure
  }

  async #run(): Promise<void> {
    // Commits of the same turn of the event loop go into the same sync.
    await undefined
    while (this.#next !== undefined) {
      const batch = this.#next
      const bytes = this.unsyncedBytes
      this.#next = undefined
      try {
        await this.#sync()
        this.unsyncedBytes -= bytes
        batch.resolve()
      } catch (error) {
        this.failure = syncError(this.#path, error)
        batch.reject(this.failure)
        const later = this.#next as Waiting | undefined
        later?.reject(this.failure)
        this.#next = undefined
      }
    }
    this.#running = undefined
  }
}

function waiting(): Waiting {
  let resolve: () => void = () => {}
  let reject: (error: EngineError) => void = () => {}
  const promise = new Promise<void>((resolvePromise, rejectPromise) => {
    resolve = resolvePromise
    reject = rejectPromise
  })
  // A caller that does not look at the durability of a commit must not end the process.
  promise.catch(() => {})
  return { promise, resolve, reject }
}

function rejected(error: EngineError): Promise<never> {
  const promise = Promise.reject(error)
  promise.catch(() => {})
  return promise
}
