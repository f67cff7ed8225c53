import type { ChunkOptions, ColumnType, TableChunk } from './table-column.ts'

/** The type that all values of a column fit, learnt as they pass. */
export class TypeGuess {
  #isLong = true
  #isDouble = true
  #isBoolean = true
  #seen = false

  add(value: unknown): void {
    if (value === null) return
    this.#seen = true
    if (this.isText) return
    if (this.#isBoolean && value !== 'true' && value !== 'false' && typeof value !== 'boolean') {
      this.#isBoolean = false
    }
    if (!this.#isDouble) return
    if (typeof value === 'number') {
      if (!Number.isSafeInteger(value)) this.#isLong = false
      return
    }
    // A leading zero or plus is text that looks like a number, as in a postcode.
    const isNumber = typeof value === 'string' && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(value)
    if (!isNumber) this.#isDouble = false
    if (!isNumber || !/^-?\d{1,18}$/.test(value)) this.#isLong = false
  }

  /** What `add` would make of a whole number without a sign. */
  addWhole(): void {
    this.#seen = true
    this.#isBoolean = false
  }

  /** Another value tells nothing new. */
  get isText(): boolean {
    return !this.#isDouble && !this.#isBoolean
  }

  get type(): ColumnType {
    if (!this.#seen) return 'string'
    if (this.#isBoolean) return 'boolean'
    if (!this.#isDouble) return 'string'
    return this.#isLong ? 'long' : 'double'
  }
}

/** Digits of which a double holds any number exactly. */
const exactDigits = 15

/** The values of a file of text by column, on their way to a chunk. */
export class TextColumns {
  count = 0
  readonly width: number
  readonly #names: readonly string[]
  readonly #guesses: readonly TypeGuess[]
  readonly #isGuessed: boolean
  readonly #isWanted: readonly boolean[]
  /** Whole numbers of these columns are handed on as numbers. */
  readonly #isTyped: readonly boolean[]
  #columns: unknown[][]

  /** `isGuessed`: all values have passed the guesses once. */
  constructor(
    names: readonly string[],
    guesses: readonly TypeGuess[],
    isGuessed: boolean,
    { names: wanted = names, asTyped = false }: ChunkOptions,
  ) {
    this.width = names.length
    this.#names = names
    this.#guesses = guesses
    this.#isGuessed = isGuessed
    this.#isWanted = names.map((name) => wanted.includes(name))
    this.#isTyped = guesses.map(({ type }) => asTyped && isGuessed && type === 'long')
    this.#columns = names.map(() => [])
  }

  put(index: number, value: unknown): void {
    if (!this.#isGuessed) this.#guesses[index]!.add(value)
    if (this.#isWanted[index]) this.#columns[index]!.push(value)
  }

  /** The same for a part of a text; `whole` is its value if it is digits alone, else NaN. Nothing is null. */
  putPart(index: number, text: string, from: number, to: number, whole: number): void {
    if (from === to) {
      if (this.#isWanted[index]) this.#columns[index]!.push(null)
      return
    }
    const length = to - from
    // A leading zero shows that it is no number, as in a postcode.
    const isWhole =
      !Number.isNaN(whole) && length <= exactDigits && (length === 1 || text.charCodeAt(from) !== 48)
    if (!this.#isGuessed) {
      const guess = this.#guesses[index]!
      if (isWhole) guess.addWhole()
      else if (!guess.isText) guess.add(text.slice(from, to))
    }
    if (!this.#isWanted[index]) return
    // Four digits may be a year where a time is looked for, so they stay text.
    this.#columns[index]!.push(isWhole && length !== 4 && this.#isTyped[index] ? whole : text.slice(from, to))
  }

  take(): TableChunk {
    const columns = this.#columns
    const named = this.#names.flatMap((name, index): [string, readonly unknown[]][] =>
      this.#isWanted[index] ? [[name, columns[index]!]] : [],
    )
    const { count } = this
    this.#columns = this.#names.map(() => [])
    this.count = 0
    return { count, columns: new Map(named) }
  }
}
