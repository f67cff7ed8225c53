/** Wakes those who wait for records. */
export class AppendSignal {
  readonly #waiting = new Set<() => void>()

  get isAwaited(): boolean {
    return this.#waiting.size > 0
  }

  /** Resolves at the next `notify`, or when the signal aborts; at once if it has aborted already. */
  wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal.addEventListener('abort', wake)
    })
  }

  notify(): void {
    if (this.#waiting.size === 0) return
    for (const wake of [...this.#waiting]) wake()
  }
}
