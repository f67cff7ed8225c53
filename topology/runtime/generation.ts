import type { Declaration } from '../../models/declaration.ts'
import type { Assembly } from '../../replay/assembly.ts'
import type { Database } from '../../state/store/database.ts'
import type { Door } from './door.ts'
import type { Importer } from './importer.ts'
import type { PredictionIndex } from './prediction-index.ts'

export interface GenerationParts {
  readonly declaration: Declaration
  readonly assembly: Assembly
  readonly database: Database
  readonly door: Door
  readonly index: PredictionIndex
  readonly importer: Importer
}

/**
 * What a running engine has of one declaration. A swap gives it another one;
 * those who read the state of the one before come to their end first.
 */
export class Generation implements GenerationParts {
  readonly declaration: Declaration
  readonly assembly: Assembly
  readonly database: Database
  readonly door: Door
  readonly index: PredictionIndex
  readonly importer: Importer
  #readers = 0
  #left: (() => void)[] = []

  constructor(parts: GenerationParts) {
    this.declaration = parts.declaration
    this.assembly = parts.assembly
    this.database = parts.database
    this.door = parts.door
    this.index = parts.index
    this.importer = parts.importer
  }

  /** Reads its state, which stays open for as long. */
  async read<Result>(reading: () => Promise<Result>): Promise<Result> {
    this.#readers++
    try {
      return await reading()
    } finally {
      if (--this.#readers === 0) for (const left of this.#left.splice(0)) left()
    }
  }

  /** Resolves when nobody reads its state. */
  async unread(): Promise<void> {
    if (this.#readers > 0) await new Promise<void>((resolve) => this.#left.push(resolve))
  }
}
