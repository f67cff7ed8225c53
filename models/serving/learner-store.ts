import type { Database, DatabaseWrite } from '../../state/store/database.ts'
import type { StateStore } from '../../state/store/state-store.ts'
import type { Learner, LearnerState, StatePage } from '../learner.ts'

const versionKey = Buffer.from('version')

/** A learner's weights as a state store: only the pages that changed go into a checkpoint. */
export class LearnerStore implements StateStore {
  readonly name: string
  readonly learner: Learner
  state: LearnerState
  /** Examples learned. */
  version = 0
  #savedVersion = 0

  constructor(name: string, learner: Learner) {
    this.name = name
    this.learner = learner
    this.state = learner.init()
  }

  get dirtyBytes(): number {
    return this.version === this.#savedVersion ? 0 : 8 + this.state.dirtyBytes
  }

  learn(features: Float64Array, label: number, weight: number): void {
    this.learner.learn(this.state, features, label, weight)
    this.version++
  }

  async restore(database: Database): Promise<void> {
    this.clear()
    const pages: StatePage[] = []
    for await (const chunk of database.scan(this.name)) {
      for (const { key, value } of chunk) {
        if (key.length === 4) pages.push({ page: Buffer.from(key).readUInt32BE(0), bytes: value })
        else this.version = Buffer.from(value).readDoubleLE(0)
      }
    }
    this.#savedVersion = this.version
    if (pages.length > 0) this.state.restore(pages)
  }

  collect(into: DatabaseWrite[]): void {
    if (this.version === this.#savedVersion) return
    for (const { page, bytes } of this.state.save()) {
      const key = Buffer.alloc(4)
      key.writeUInt32BE(page)
      into.push({ space: this.name, key, value: bytes })
    }
    const value = Buffer.alloc(8)
    value.writeDoubleLE(this.version)
    into.push({ space: this.name, key: versionKey, value })
    this.#savedVersion = this.version
  }

  clear(): void {
    this.state = this.learner.init()
    this.version = 0
    this.#savedVersion = 0
  }
}
