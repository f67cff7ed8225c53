interface Waiting {
  run(): Promise<void>
  refuse(error: unknown): void
}

/** What waits until a loop stands between two batches. */
export class BetweenBatches {
  #waiting: Waiting[] = []
  #woken = new AbortController()

  /** Resolves to what the work gives, which is done while the loop stands still. */
  do<Result>(work: () => Promise<Result>): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.#waiting.push({ run: () => work().then(resolve, reject), refuse: reject })
      this.#woken.abort()
    })
  }

  /** Called by the loop between two batches. The signal tells it that something waits again. */
  async run(): Promise<AbortSignal> {
    const woken = new AbortController()
    this.#woken = woken
    for (const { run } of this.#waiting.splice(0)) await run()
    return woken.signal
  }

  /** To be called when the loop has ended. */
  refuseAll(error: unknown): void {
    for (const { refuse } of this.#waiting.splice(0)) refuse(error)
  }
}
