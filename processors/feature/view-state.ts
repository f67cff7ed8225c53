import type { TimestampMs } from '../../state/contracts/units.ts'
import type { KeyedStore } from '../../state/store/keyed-store.ts'
import { ObjectTileStore } from '../../state/store/object-tile-store.ts'
import type { PackedKey } from '../../state/store/packed-key.ts'
import { TileStore } from '../../state/store/tile-store.ts'
import { type EntityKeys, entityKeys } from './entity-key.ts'
import {
  type DerivedFeature,
  isWithoutNumber,
  type LookupFeature,
  type ObjectFeature,
  type WindowedFeature,
} from './feature.ts'
import { type FeatureValue, featureValue } from './feature-value.ts'
import type { FeatureView } from './feature-view.ts'
import { type InputReader, inputReader } from './input-reader.ts'
import { type BoundObject, compileObjects } from './object-layout.ts'
import { compileTiles, lookupLayout } from './tile-layout.ts'
import { WindowAnswers } from './window-answers.ts'

/** The windowed features of one source and hop, over one store. */
interface WindowGroup {
  readonly kind: 'windows'
  readonly topic: string
  readonly keys: EntityKeys
  readonly store: TileStore
  readonly readers: readonly InputReader[]
  readonly values: Float64Array
  /** Lengths of the windows, each merged once. */
  readonly oversMs: Float64Array
  readonly answers: WindowAnswers
  /** A row for each window, and what was merged into it. */
  readonly rows: Float64Array
  readonly merged: Int32Array
}

interface LookupGroup {
  readonly kind: 'lookups'
  readonly topic: string
  readonly keys: EntityKeys
  readonly store: TileStore
  readonly readers: readonly InputReader[]
  readonly values: Float64Array
  readonly features: readonly {
    readonly place: number
    readonly input: number
    readonly ttlMs: number
    readonly default: number
  }[]
}

interface ObjectGroup {
  readonly kind: 'objects'
  readonly topic: string
  readonly keys: EntityKeys
  readonly store: ObjectTileStore
  readonly readers: readonly ((event: object) => unknown)[]
  /** By window, so that each is merged once. */
  readonly windows: readonly ObjectWindow[]
  /** Those with answers that are numbers, and only these. */
  readonly numberWindows: readonly ObjectWindow[]
  /** What a vector has in the places of the others. */
  readonly others: readonly { readonly place: number; readonly empty: number }[]
}

interface ObjectWindow {
  readonly overMs: number
  readonly features: readonly (BoundObject & { readonly place: number })[]
}

type Group = WindowGroup | LookupGroup | ObjectGroup

/**
 * The state of one feature view in one task: folds events in, and reads a
 * feature vector as of a query time. The one implementation of a feature for
 * the live read, the training set, the backfill and the audit.
 */
export class ViewState {
  readonly view: FeatureView
  /** In the order in which `read` writes the values. */
  readonly featureNames: readonly string[]
  readonly stores: readonly (TileStore | ObjectTileStore)[]

  readonly #groups: readonly Group[]
  readonly #groupsByTopic = new Map<string, Group[]>()
  readonly #derived: readonly {
    readonly place: number
    readonly of: readonly number[]
    readonly feature: DerivedFeature
  }[]
  readonly #many: boolean
  readonly #sum: Float64Array
  readonly #seen: Float64Array
  readonly #one: Float64Array

  constructor(view: FeatureView) {
    this.view = view
    this.featureNames = [...view.features.keys()]
    this.#groups = compileGroups(view, this.featureNames)
    this.stores = this.#groups.map(({ store }) => store)
    for (const group of this.#groups) {
      const groups = this.#groupsByTopic.get(group.topic)
      if (groups) groups.push(group)
      else this.#groupsByTopic.set(group.topic, [group])
    }
    this.#derived = [...view.features].flatMap(([name, feature]) =>
      feature.kind === 'derived'
        ? [
            {
              place: this.featureNames.indexOf(name),
              of: feature.of.map((of) => this.featureNames.indexOf(of)),
              feature,
            },
          ]
        : [],
    )
    this.#many = view.entity.some(({ many }) => many)
    const count = this.featureNames.length
    this.#sum = new Float64Array(count)
    this.#seen = new Float64Array(count)
    this.#one = new Float64Array(count)
  }

  /** Folds an event of one of the view's sources. A null key matches nothing. */
  update(topic: string, atMs: TimestampMs, event: object): void {
    const groups = this.#groupsByTopic.get(topic)
    if (groups === undefined) return
    for (const group of groups) {
      if (group.kind === 'objects') {
        const inputs = group.readers.map((read) => read(event))
        for (const key of group.keys.keysOf(event)) group.store.add(key, atMs, inputs)
        continue
      }
      const { readers, values, store, keys } = group
      for (let index = 0; index < readers.length; index++) values[index] = readers[index]!(event)
      if (keys.many) {
        for (const key of keys.keysOf(event)) store.add(store.slotOf(key), atMs, values)
      } else {
        const key = keys.keyOf(event)
        if (key !== null) store.add(store.slotOf(key), atMs, values)
      }
    }
  }

  /** Collects the keys that `update` will need and the memory lacks, by store. */
  wantForUpdate(topic: string, event: object, want: (store: KeyedStore, key: PackedKey) => void): void {
    for (const group of this.#groupsByTopic.get(topic) ?? []) {
      for (const key of group.keys.keysOf(event)) if (group.store.isMissing(key)) want(group.store, key)
    }
  }

  /** The same for a read. */
  wantForRead(keys: readonly PackedKey[], want: (store: KeyedStore, key: PackedKey) => void): void {
    for (const { store } of this.#groups) {
      for (const key of keys) if (store.isMissing(key)) want(store, key)
    }
  }

  /**
   * Writes the features of an entity as of `queryMs` to `into[at …]`, NaN for
   * null. Of several keys, each feature is the mean of its values that are
   * not null. Changes nothing.
   */
  read(keys: readonly PackedKey[], queryMs: TimestampMs, into: Float64Array, at: number): void {
    if (!this.#many || keys.length === 1) {
      this.readOne(keys[0] ?? null, queryMs, into, at)
      return
    }
    const count = this.featureNames.length
    this.#sum.fill(0)
    this.#seen.fill(0)
    for (const key of keys) {
      this.readOne(key, queryMs, this.#one, 0)
      for (let index = 0; index < count; index++) {
        const value = this.#one[index]!
        if (!Number.isNaN(value)) {
          this.#sum[index] = this.#sum[index]! + value
          this.#seen[index] = this.#seen[index]! + 1
        }
      }
    }
    for (let index = 0; index < count; index++) {
      const seen = this.#seen[index]!
      // Not 0 / 0: a vector goes to the log byte by byte, and a NaN has many forms.
      into[at + index] = seen === 0 ? Number.NaN : this.#sum[index]! / seen
    }
  }

  /** The features of one entity by name, those that are lists, texts and maps too; null where there is no value. */
  values(key: PackedKey | null, queryMs: TimestampMs): Record<string, FeatureValue> {
    const numbers = new Float64Array(this.featureNames.length)
    this.readOne(key, queryMs, numbers, 0)
    const values: FeatureValue[] = Array.from(numbers, featureValue)
    for (const group of this.#groups) {
      if (group.kind !== 'objects') continue
      readObjects(group, group.windows, key, queryMs, (place, answer) => {
        if (typeof answer !== 'number') values[place] ??= featureValue(answer)
      })
    }
    return Object.fromEntries(this.featureNames.map((name, place) => [name, values[place]!]))
  }

  /**
   * Writes the answers of the view's aggregates with a state of their own to
   * `into`, each at the place of its feature: lists and maps as they are, which
   * other reads may share, null where there is no value. Leaves the other places alone.
   */
  readAnswers(key: PackedKey | null, queryMs: TimestampMs, into: unknown[]): void {
    for (const group of this.#groups) {
      if (group.kind !== 'objects') continue
      readObjects(group, group.windows, key, queryMs, (place, answer) => {
        into[place] = answer
      })
    }
  }

  /** `read` for one key; null, or a key never seen, gives the defaults. */
  readOne(key: PackedKey | null, queryMs: TimestampMs, into: Float64Array, at: number): void {
    for (const group of this.#groups) {
      if (group.kind === 'objects') {
        for (const { place, empty } of group.others) into[at + place] = empty
        readObjects(group, group.numberWindows, key, queryMs, (place, answer, empty) => {
          into[at + place] = typeof answer === 'number' && answer - answer === 0 ? answer : empty
        })
        continue
      }
      const slot = key === null ? -1 : group.store.find(key)
      if (group.kind === 'windows') readWindows(group, slot, queryMs, into, at)
      else readLookups(group, slot, queryMs, into, at)
    }
    for (const { place, of, feature } of this.#derived) {
      const value = feature.compute(...of.map((index) => into[at + index]!))
      into[at + place] = value - value === 0 ? value : Number.NaN
    }
  }
}

function readWindows(
  group: WindowGroup,
  slot: number,
  queryMs: TimestampMs,
  into: Float64Array,
  at: number,
): void {
  const { store, rows, merged, oversMs, answers } = group
  store.readWindows(slot, queryMs, oversMs, rows, merged)
  answers.write(rows, merged, queryMs, into, at)
}

function readObjects(
  { store }: ObjectGroup,
  windows: readonly ObjectWindow[],
  key: PackedKey | null,
  queryMs: TimestampMs,
  take: (place: number, answer: unknown, empty: number) => void,
): void {
  for (const { overMs, features } of windows) {
    const read = key === null ? undefined : store.readWindow(key, queryMs, overMs)
    for (const { place, at, feature } of features) {
      const { aggregate } = feature
      let answer: unknown = null
      if (read !== undefined) {
        answer = aggregate.isTimeless ? read.answers[place] : undefined
        if (answer === undefined) {
          answer = aggregate.finish(read.states[at], queryMs)
          read.answers[place] = answer
        }
      }
      take(place, answer, feature.default)
    }
  }
}

function readLookups(
  group: LookupGroup,
  slot: number,
  queryMs: TimestampMs,
  into: Float64Array,
  at: number,
): void {
  for (const feature of group.features) {
    const cell = group.store.readLatest(slot, queryMs, feature.ttlMs)
    const value = cell < 0 ? Number.NaN : group.store.cells[cell + 1 + feature.input]!
    into[at + feature.place] = Number.isNaN(value) ? feature.default : value
  }
}

function compileGroups(view: FeatureView, featureNames: readonly string[]): Group[] {
  const windows = new Map<string, [string, WindowedFeature][]>()
  const objects = new Map<string, [string, ObjectFeature][]>()
  const lookups = new Map<string, [string, LookupFeature][]>()
  for (const [name, feature] of view.features) {
    if (feature.kind === 'derived') continue
    const id =
      feature.kind === 'lookup'
        ? `${feature.source.name}.latest`
        : `${feature.source.name}.${feature.hopMs === Infinity ? 'forever' : feature.hopMs}`
    if (feature.kind === 'windowed') {
      windows.set(id, [...(windows.get(id) ?? []), [name, feature]])
    } else if (feature.kind === 'object') {
      objects.set(id, [...(objects.get(id) ?? []), [name, feature]])
    } else {
      lookups.set(id, [...(lookups.get(id) ?? []), [name, feature]])
    }
  }
  const place = (name: string) => featureNames.indexOf(name)
  const storeOf = (id: string, layout: TileStore['layout']) =>
    new TileStore({
      name: `${view.name}.v${view.version}.${id}`,
      layout,
      keyParts: view.entity.length,
      ...(view.maxKeys === undefined ? {} : { maxKeys: view.maxKeys }),
    })
  return [
    ...[...windows].map(([id, features]) => windowGroup(view, id, features, place, storeOf)),
    ...[...objects].map(([id, features]) => objectGroup(view, id, features, place)),
    ...[...lookups].map(([id, features]) => lookupGroup(view, id, features, place, storeOf)),
  ]
}

function windowGroup(
  view: FeatureView,
  id: string,
  features: readonly [string, WindowedFeature][],
  place: (name: string) => number,
  storeOf: (id: string, layout: TileStore['layout']) => TileStore,
): WindowGroup {
  const { layout, readers, features: bound } = compileTiles(features, view.disorderMs)
  const source = features[0]![1].source
  const lengths = [...new Set(bound.map(({ overMs }) => overMs))]
  return {
    kind: 'windows',
    topic: source.topic,
    keys: entityKeys(view.entity, view.keys[source.name]),
    store: storeOf(id, layout),
    readers,
    values: new Float64Array(readers.length),
    oversMs: Float64Array.from(lengths),
    // Each window has a row of its own, so an aggregate's columns are where its window's row begins, and on.
    answers: new WindowAnswers(
      bound.map((feature) => {
        const window = lengths.indexOf(feature.overMs)
        const at = feature.at.map((column) => window * layout.width + column)
        return { ...feature, window, at, place: place(feature.name) }
      }),
    ),
    rows: new Float64Array(lengths.length * layout.width),
    merged: new Int32Array(lengths.length),
  }
}

function objectGroup(
  view: FeatureView,
  id: string,
  features: readonly [string, ObjectFeature][],
  place: (name: string) => number,
): ObjectGroup {
  const { layout, readers, features: bound } = compileObjects(features, view.disorderMs)
  const source = features[0]![1].source
  const placed = bound.map((each) => ({ ...each, place: place(each.name) }))
  const windowsOf = (those: typeof placed): ObjectWindow[] =>
    [...new Set(those.map(({ feature }) => feature.overMs))].map((overMs) => ({
      overMs,
      features: those.filter(({ feature }) => feature.overMs === overMs),
    }))
  return {
    kind: 'objects',
    topic: source.topic,
    keys: entityKeys(view.entity, view.keys[source.name]),
    store: new ObjectTileStore({
      name: `${view.name}.v${view.version}.${id}.objects`,
      layout,
      keyParts: view.entity.length,
      ...(view.maxKeys === undefined ? {} : { maxKeys: view.maxKeys }),
    }),
    readers,
    windows: windowsOf(placed),
    numberWindows: windowsOf(placed.filter(({ feature }) => !isWithoutNumber(feature))),
    others: placed
      .filter(({ feature }) => isWithoutNumber(feature))
      .map((each) => ({ place: each.place, empty: each.feature.default })),
  }
}

function lookupGroup(
  view: FeatureView,
  id: string,
  features: readonly [string, LookupFeature][],
  place: (name: string) => number,
  storeOf: (id: string, layout: TileStore['layout']) => TileStore,
): LookupGroup {
  const source = features[0]![1].source
  const inputs = [...new Set(features.map(([, { input }]) => input))]
  const ttlMs = Math.max(...features.map(([, feature]) => feature.ttlMs))
  return {
    kind: 'lookups',
    topic: source.topic,
    keys: entityKeys(view.entity, view.keys[source.name]),
    store: storeOf(id, lookupLayout(inputs.length, ttlMs, view.disorderMs)),
    readers: inputs.map((input) => inputReader(input, undefined)),
    values: new Float64Array(inputs.length),
    features: features.map(([name, feature]) => ({
      place: place(name),
      input: inputs.indexOf(feature.input),
      ttlMs: feature.ttlMs,
      default: feature.default,
    })),
  }
}
