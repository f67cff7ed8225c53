import type { CommitStep } from '../../state/commit/commit-protocol.ts'

/** What takes time in a commit. */
export type CommitStage = 'append' | 'sync' | 'checkpoint'

/** Called with how long one stage of one commit took, in seconds. */
export type CommitTimeListener = (stage: CommitStage, seconds: number) => void

const stages: { readonly [Step in CommitStep]?: readonly [from: CommitStep, stage: CommitStage] } = {
  appended: ['processed', 'append'],
  durable: ['appended', 'sync'],
  checkpointed: ['collected', 'checkpoint'],
}

/** Turns the steps of commits into how long each stage took, for whoever listens. */
export class CommitTimes {
  /** By step and commit: when it was reached, ms. A failed commit leaves one, and is the engine's last. */
  readonly #reached = new Map<string, number>()
  readonly #listeners = new Set<CommitTimeListener>()

  /** Returns what ends the listening. */
  listen(listener: CommitTimeListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** To be called at each step of a commit. */
  readonly step = (step: CommitStep, sequence: number): void => {
    if (this.#listeners.size === 0) {
      this.#reached.clear()
      return
    }
    const now = performance.now()
    const [from, stage] = stages[step] ?? []
    const startedAt = from && this.#reached.get(`${from} ${sequence}`)
    if (stage !== undefined && startedAt !== undefined) {
      this.#reached.delete(`${from} ${sequence}`)
      for (const listener of this.#listeners) listener(stage, (now - startedAt) / 1_000)
    }
    if (step === 'processed' || step === 'appended' || step === 'collected') {
      this.#reached.set(`${step} ${sequence}`, now)
    }
  }
}
