import type { InputStatus } from '../runtime/input-lag.ts'

/** What readiness is read from: an engine. */
export interface Progressing {
  /** True when everything on the log at the last look was processed. */
  readonly isCaughtUp: boolean
  inputs(): Promise<readonly InputStatus[]>
}

/**
 * Whether an engine has processed what was on the log when somebody first
 * asked. Once it has, it stays ready: records that come later are the day's
 * work, and lag is what tells of them.
 */
export class Readiness {
  readonly #engine: Progressing
  #isReady = false
  /** Where the inputs ended when somebody first asked. */
  #goal: readonly number[] | undefined

  constructor(engine: Progressing) {
    this.#engine = engine
  }

  /** How many records are still to be processed before it is ready. */
  async behind(): Promise<number> {
    this.#isReady ||= this.#engine.isCaughtUp
    if (this.#isReady) return 0
    const inputs = await this.#engine.inputs()
    this.#goal ??= inputs.map(({ endOffset }) => endOffset)
    const goal = this.#goal
    const behind = inputs.reduce((sum, { position }, index) => sum + Math.max(0, goal[index]! - position), 0)
    this.#isReady = behind === 0
    return behind
  }
}
