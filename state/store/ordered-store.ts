import BTreeModule from 'sorted-btree'
import type { Database, DatabaseWrite } from './database.ts'
import { checkedKey, compareKeys, decodeKey, encodeKey } from './key-encoding.ts'
import type { KeyPart, OrderedKey, OrderedStore } from './state-store.ts'
import { packValue, unpackValue } from './value-encoding.ts'

// The package is CommonJS with an ES default: Node hands over the module, bundlers the class.
const BTree = ((BTreeModule as { default?: unknown }).default ?? BTreeModule) as typeof BTreeModule.default

/** What a change is taken to cost before any was collected: its key, its value and the bookkeeping. */
const firstChangeBytes = 128

interface Entry<Value> {
  value: Value
  /** Its key is in the list of changes already. */
  isDirty: boolean
}

/**
 * An empty store; `restore` loads what the database has under its name.
 * Values are the plain data that `packValue` takes, and come back as they
 * were. Reads and writes of resident entries cost a search in a B-tree, or in
 * a map for keys of one part; nothing is encoded before `collect`.
 */
export function orderedStore<Value>(name: string): OrderedStore<Value> {
  return new TreeStore<Value>(name)
}

class TreeStore<Value> implements OrderedStore<Value> {
  readonly name: string
  readonly #entries = new BTree<OrderedKey, Entry<Value>>(undefined, compareKeys)
  /** The entries whose key has one part, by it: most reads are of these, and need no search. */
  readonly #single = new Map<KeyPart, Entry<Value>>()
  /** Keys put or deleted since the last collect; one may be in it twice. */
  #dirty: OrderedKey[] = []
  /** Mean of the last collect. */
  #changeBytes = firstChangeBytes

  constructor(name: string) {
    this.name = name
  }

  get size(): number {
    return this.#entries.size
  }

  get dirtyBytes(): number {
    return Math.round(this.#dirty.length * this.#changeBytes)
  }

  get(key: OrderedKey): Value | undefined {
    return this.#find(key)?.value
  }

  put(key: OrderedKey, value: Value): void {
    const entry = this.#find(key)
    if (entry === undefined) {
      const kept = checkedKey(key)
      this.#add(kept, { value, isDirty: true })
      this.#dirty.push(kept)
      return
    }
    entry.value = value
    if (entry.isDirty) return
    entry.isDirty = true
    this.#dirty.push(key)
  }

  delete(key: OrderedKey): void {
    if (!this.#entries.delete(key)) return
    if (key.length === 1) this.#single.delete(key[0] as KeyPart)
    this.#dirty.push(key)
  }

  *range(from?: OrderedKey, to?: OrderedKey): IterableIterator<readonly [OrderedKey, Value]> {
    // Each step searches anew, so that the caller may change the store between two of them.
    let pair = from === undefined ? this.#first() : this.#entries.getPairOrNextHigher(from)
    while (pair !== undefined && (to === undefined || compareKeys(pair[0], to) < 0)) {
      yield [pair[0], pair[1].value]
      pair = this.#entries.nextHigherPair(pair[0])
    }
  }

  async restore(database: Database): Promise<void> {
    for await (const chunk of database.scan(this.name)) {
      for (const { key, value } of chunk) {
        this.#add(decodeKey(key), { value: unpackValue(value) as Value, isDirty: false })
      }
    }
  }

  collect(into: DatabaseWrite[]): void {
    this.#collect(into, this.#dirty)
    this.#dirty = []
  }

  collectSome(into: DatabaseWrite[], limit: number): void {
    if (this.#dirty.length > 0) this.#collect(into, this.#dirty.splice(-limit))
  }

  #collect(into: DatabaseWrite[], changed: OrderedKey[]): void {
    const keys = changed.sort(compareKeys)
    if (keys.length === 0) return
    let bytes = 0
    for (const [index, key] of keys.entries()) {
      const next = keys[index + 1]
      // A key that was put, deleted and put again is there more than once.
      if (next !== undefined && compareKeys(key, next) === 0) continue
      const entry = this.#find(key)
      if (entry !== undefined && !entry.isDirty) continue
      const write: DatabaseWrite = {
        space: this.name,
        key: encodeKey(key),
        ...(entry === undefined ? {} : { value: packValue(entry.value) }),
      }
      if (entry !== undefined) entry.isDirty = false
      into.push(write)
      bytes += write.key.length + (write.value?.length ?? 0)
    }
    this.#changeBytes = Math.max(1, bytes / keys.length)
  }

  clear(): void {
    this.#entries.clear()
    this.#single.clear()
    this.#dirty = []
  }

  #find(key: OrderedKey): Entry<Value> | undefined {
    return key.length === 1 ? this.#single.get(key[0] as KeyPart) : this.#entries.get(key)
  }

  #add(key: OrderedKey, entry: Entry<Value>): void {
    this.#entries.set(key, entry)
    if (key.length === 1) this.#single.set(key[0] as KeyPart, entry)
  }

  #first(): [OrderedKey, Entry<Value>] | undefined {
    const key = this.#entries.minKey()
    return key === undefined ? undefined : this.#entries.getPairOrNextHigher(key)
  }
}
