import type { Declaration } from '../models/declaration.ts'
import {
  changeText,
  diffMeanings,
  type MeaningDiff,
  meaningOf,
  type ViewMeaning,
} from '../processors/feature/view-meaning.ts'
import { Outputs } from '../processors/outputs.ts'
import { type BoundContract, bindContract, schemaIdOf } from '../state/contracts/codec.ts'
import { engineContracts, type FeatureViewEvent } from '../state/contracts/engine-contracts.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log, LogWriter } from '../state/log/log.ts'

/** One version of a view, as it was declared last. */
export type RegisteredView = FeatureViewEvent

/** A view whose declaration is not what the log has under the same version. */
export interface AlteredView extends MeaningDiff {
  readonly view: string
  readonly version: number
  /** The first version that is free. */
  readonly raiseTo: number
}

/**
 * The feature views of an application, folded from the log: which there are
 * and were, what they mean, who owns them and who reads them. An engine that
 * starts appends what is new.
 */
export class ViewRegistry {
  /** By view, its versions in ascending order. */
  readonly views = new Map<string, Map<number, RegisteredView>>()
  /** By view and version: when an engine declared it for the first time. */
  readonly #firstSeenMs = new Map<string, TimestampMs>()

  readonly #bound: BoundContract<FeatureViewEvent>

  private constructor(bound: BoundContract<FeatureViewEvent>) {
    this.#bound = bound
  }

  static async read(app: string, log: Log, schemas: SchemaRegistry): Promise<ViewRegistry> {
    const bound = await bindContract(engineContracts(app).featureView, schemas)
    const registry = new ViewRegistry(bound)
    const { topic } = bound.contract
    if (!(await log.topics()).some(({ name }) => name === topic)) return registry
    const { start, end } = await log.offsets(topic, 0)
    for (let offset = start; offset < end; ) {
      const batch = await log.read({ topic, partition: 0, offset, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        const [from, to] = [batch.valueStart[index]!, batch.valueEnd[index]!]
        if (!bound.isKnown(batch.bytes, from, to)) await bound.learn(schemaIdOf(batch.bytes, from, to))
        registry.#take(bound.readValue(batch.bytes, from, to))
      }
      if (batch.nextOffset === offset) break
      offset = batch.nextOffset
    }
    return registry
  }

  /** When an engine declared this version for the first time; `at` of a registered view is when it did last. */
  firstSeenMs({ view, version }: Pick<RegisteredView, 'view' | 'version'>): TimestampMs {
    return this.#firstSeenMs.get(versionOf(view, version)) ?? Number.NaN
  }

  /** Views that the log has under the declared version with another meaning. */
  altered({ views }: Declaration): readonly AlteredView[] {
    return views.flatMap((view) => {
      const versions = this.views.get(view.name)
      const known = versions?.get(view.version)
      if (versions === undefined || known === undefined) return []
      const diff = diffMeanings(JSON.parse(known.meaning) as ViewMeaning, meaningOf(view))
      const raiseTo = Math.max(...versions.keys()) + 1
      return diff.isAltered ? [{ view: view.name, version: view.version, raiseTo, ...diff }] : []
    })
  }

  /** @throws EngineError `feature-meaning-changed` for the first view that is altered. */
  check(declaration: Declaration): void {
    const [first] = this.altered(declaration)
    if (first === undefined) return
    const { view, version, removed, changed, raiseTo } = first
    throw new EngineError('feature-meaning-changed', {
      view,
      version,
      raiseTo,
      changes: [...removed.map((name) => `${name} is gone`), ...changed.map(changeText)],
    })
  }

  /** Appends what the log lacks of a declaration; resolves when it is durable. Its topic must be there. */
  async register(declaration: Declaration, writer: LogWriter, at: TimestampMs): Promise<void> {
    const missing = this.#unregistered(declaration, at)
    if (missing.length === 0) return
    const emit = new Outputs(writer.sink).emitter(this.#bound as BoundContract<object>, 1)
    for (const view of missing) emit(view, at)
    const { durable } = await writer.commit()
    await durable
    for (const view of missing) this.#take(view)
  }

  /** What the log lacks of a declaration: views that are new, mean something else, or are described or used otherwise. */
  #unregistered(declaration: Declaration, at: TimestampMs): readonly RegisteredView[] {
    return declaration.views.flatMap((view) => {
      const declared: RegisteredView = {
        view: view.name,
        version: view.version,
        meaning: JSON.stringify(meaningOf(view)),
        entity: view.entity.map(({ field, many }) => (many ? `each of ${field}` : field)),
        owner: view.owner,
        description: view.description,
        freshness: view.freshness,
        sources: view.sources.map(({ name }) => name),
        usedBy: usersOf(declaration, view),
        at,
      }
      const known = this.views.get(view.name)?.get(view.version)
      return known !== undefined && JSON.stringify({ ...known, at }) === JSON.stringify(declared)
        ? []
        : [declared]
    })
  }

  #take(registered: RegisteredView): void {
    const versions = this.views.get(registered.view) ?? new Map<number, RegisteredView>()
    versions.set(registered.version, registered)
    const name = versionOf(registered.view, registered.version)
    if (!this.#firstSeenMs.has(name)) this.#firstSeenMs.set(name, registered.at)
    this.views.set(registered.view, new Map([...versions].sort(([left], [right]) => left - right)))
  }
}

const versionOf = (view: string, version: number): string => `${version} ${view}`

/** Models and streams that read a view. */
export const usersOf = (
  { models, streams }: Declaration,
  view: Declaration['views'][number],
): readonly string[] => [
  ...models.filter(({ views }) => views.includes(view)).map(({ name }) => `model ${name}`),
  ...streams
    .filter(({ lineage }) => lineage.views.includes(view))
    .map(({ sink }) => `stream to ${sink.name}`),
]
