import type { Database } from './database.ts'
import type { PackedKey } from './packed-key.ts'
import type { StateStore } from './state-store.ts'

/** State of entities, of which only some are in memory: a batch loads the keys that it needs before it runs. */
export interface KeyedStore extends StateStore {
  /** True while memory holds everything that the database holds. */
  readonly isComplete: boolean
  /** True when the key's state has to be read from the database first. */
  isMissing(key: PackedKey): boolean
  /** Loads keys that `isMissing` named, with one read. */
  prefetch(database: Database, keys: readonly PackedKey[]): Promise<void>
  /** Lets go of unused clean keys above the bound. Only between batches. */
  evict(): void
}
