import type { CallFunction } from '../../processors/stream/async-call.ts'
import type { Assembly } from '../../replay/assembly.ts'
import type { Log } from '../../state/log/log.ts'
import { Caller, type CallStatus } from './caller.ts'

/** What stands in for declared calls, by name: another function, or nothing, where answers are appended by hand. */
export type CallStandIns = Readonly<Record<string, CallFunction<never> | 'by-hand'>>

/** Makes the calls that a declaration has, and those of the next one after a swap. */
export class Callers {
  /** Rejects with the first error that ends one. */
  readonly failed: Promise<never>
  #fail!: (error: unknown) => void
  #callers: readonly Caller[] = []
  #running: Promise<unknown> = Promise.resolve()
  readonly #log: Log
  readonly #standIns: CallStandIns
  readonly #onProgress: () => void

  constructor(log: Log, standIns: CallStandIns, onProgress: () => void) {
    this.#log = log
    this.#standIns = standIns
    this.#onProgress = onProgress
    this.failed = new Promise<never>((_, reject) => {
      this.#fail = reject
    })
    this.failed.catch(() => {})
  }

  /** Begins the calls of this assembly, once those of the one before have ended. */
  start(assembly: Assembly): void {
    const before = this.stop()
    const callers = (assembly.declaration.calls ?? []).flatMap((spec) => {
      const call = (this.#standIns[spec.name] ?? spec.call) as CallFunction<object> | 'by-hand'
      if (call === 'by-hand') return []
      return [new Caller({ spec, call, assembly, log: this.#log, onProgress: this.#onProgress })]
    })
    this.#callers = callers
    this.#running = before.then(() =>
      Promise.all(
        callers.map((caller) =>
          caller
            .run()
            .catch((error) => this.#fail(error))
            .finally(() => caller.close()),
        ),
      ),
    )
  }

  /** Abandons the calls in flight: their asks are asked again by whoever starts next. */
  async stop(): Promise<void> {
    for (const caller of this.#callers) caller.stop()
    await this.#running
  }

  /** Whether all that was asked has its outcome on the log. */
  async areSettled(): Promise<boolean> {
    const settled = await Promise.all(this.#callers.map((caller) => caller.isSettled()))
    return settled.every(Boolean)
  }

  status(): Promise<readonly CallStatus[]> {
    return Promise.all(this.#callers.map((caller) => caller.status()))
  }
}
