const barWidth = 24
const redrawMs = 100
const plainLineMs = 2_000

/**
 * Tells a person how far a long step is: a bar with rate and time left on a
 * terminal, a plain line every two seconds elsewhere, nothing when silent.
 */
export class Progress {
  readonly #label: string
  readonly #total: number | undefined
  readonly #unit: string
  readonly #stream: NodeJS.WriteStream
  readonly #silent: boolean
  readonly #startedMs = performance.now()
  #shownMs = Number.NEGATIVE_INFINITY

  constructor(label: string, options: { total?: number; unit: string; silent?: boolean }) {
    this.#label = label
    this.#total = options.total
    this.#unit = options.unit
    this.#silent = options.silent ?? false
    this.#stream = process.stderr
  }

  update(done: number): void {
    const now = performance.now()
    if (this.#silent || now - this.#shownMs < (this.#stream.isTTY ? redrawMs : plainLineMs)) return
    this.#shownMs = now
    this.#write(this.#line(done, now), false)
  }

  /** The last line, kept. */
  end(done: number): void {
    if (this.#silent) return
    const elapsedMs = performance.now() - this.#startedMs
    const rate = elapsedMs > 0 ? Math.round((done / elapsedMs) * 1000) : 0
    this.#write(
      `${this.#label}: ${count(done)} ${this.#unit} in ${seconds(elapsedMs)} (${count(rate)}/s)`,
      true,
    )
  }

  #line(done: number, now: number): string {
    const elapsedMs = now - this.#startedMs
    const rate = elapsedMs > 0 ? done / elapsedMs : 0
    const speed = `${count(Math.round(rate * 1000))} ${this.#unit}/s`
    if (this.#total === undefined || this.#total === 0) {
      return `${this.#label}: ${count(done)} ${this.#unit}, ${speed}`
    }
    const share = Math.min(1, done / this.#total)
    const filled = Math.round(share * barWidth)
    const left = rate > 0 ? `, ${seconds((this.#total - done) / rate)} left` : ''
    return `${this.#label} [${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}] ${(share * 100).toFixed(0)}% ${speed}${left}`
  }

  #write(line: string, last: boolean): void {
    if (this.#stream.isTTY) this.#stream.write(`\r\x1b[2K${line}${last ? '\n' : ''}`)
    else this.#stream.write(`${line}\n`)
  }
}

export const count = (value: number): string => value.toLocaleString('en-US')

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
