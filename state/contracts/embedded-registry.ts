import type { AvroSchema } from './avro-schema.ts'
import { type CompatibilityMode, checkEvolution, type Incompatibility } from './compatibility.ts'
import { EngineError } from './engine-error.ts'
import { refuse } from './incompatible-schema.ts'
import { schemaIdentity } from './schema-identity.ts'
import type { SchemaNode } from './schema-node.ts'
import { parseRegistered } from './schema-parser.ts'
import type {
  RegisteredSchema,
  SchemaEvent,
  SchemaJournal,
  SchemaRegistry,
  SchemaVersion,
} from './schema-registry.ts'

/** A journal that is forgotten with the process. */
export function memoryJournal(events: readonly SchemaEvent[] = []): SchemaJournal {
  const kept = [...events]
  return {
    async *read() {
      yield* kept
    },
    async append(event) {
      kept.push(structuredClone(event))
    },
  }
}

/**
 * Opens the registry that lives in a journal: reads all of it, then writes to
 * it what is registered. One registry a journal may write; others see new
 * schemas when they meet their ids.
 *
 * @throws EngineError `schema-invalid` for a journal whose events contradict each other
 */
export async function embeddedRegistry(journal: SchemaJournal): Promise<SchemaRegistry> {
  const registry = new EmbeddedRegistry(journal)
  await registry.refresh()
  return registry
}

interface Subject {
  mode: CompatibilityMode | undefined
  readonly versions: (SchemaVersion & { readonly identity: string; readonly node: SchemaNode })[]
}

const defaultMode: CompatibilityMode = 'BACKWARD'

class EmbeddedRegistry implements SchemaRegistry {
  readonly #journal: SchemaJournal
  readonly #subjects = new Map<string, Subject>()
  readonly #schemas = new Map<number, AvroSchema>()
  readonly #ids = new Map<string, number>()
  /** Changes happen one after the other: each is checked against all before it. */
  #queue: Promise<unknown> = Promise.resolve()
  #applied = 0

  constructor(journal: SchemaJournal) {
    this.#journal = journal
  }

  /** Takes in what another registry has appended to the journal since. */
  refresh(): Promise<void> {
    return this.#inTurn(async () => {
      let index = 0
      for await (const event of this.#journal.read()) {
        if (index++ < this.#applied) continue
        this.#apply(event)
      }
    })
  }

  register(subject: string, schema: AvroSchema, mode?: CompatibilityMode): Promise<RegisteredSchema> {
    return this.#inTurn(async () => {
      const node = parseRegistered(subject, schema)
      const identity = schemaIdentity(schema)
      const known = this.#subjects.get(subject)
      const same = known?.versions.find((version) => version.identity === identity)
      if (same) return { id: same.id, version: same.version }
      const own = known?.mode ?? defaultMode
      for (const each of new Set([own, mode ?? own])) refuse(subject, each, this.#problems(known, node, each))
      const isNew = known?.mode === undefined && (known?.versions.length ?? 0) === 0
      if (isNew && mode !== undefined && mode !== own) {
        await this.#append({ kind: 'compatibility-set', subject, mode })
      }
      const id = this.#ids.get(identity) ?? this.#schemas.size + 1
      const version = (known?.versions.length ?? 0) + 1
      await this.#append({ kind: 'schema-registered', subject, version, id, schema })
      return { id, version }
    })
  }

  async schemaById(id: number): Promise<AvroSchema | undefined> {
    const known = this.#schemas.get(id)
    if (known !== undefined) return known
    await this.refresh()
    return this.#schemas.get(id)
  }

  async versions(subject: string): Promise<readonly SchemaVersion[]> {
    return (this.#subjects.get(subject)?.versions ?? []).map(plain)
  }

  async subjects(): Promise<readonly string[]> {
    return [...this.#subjects].flatMap(([name, { versions }]) => (versions.length > 0 ? [name] : [])).sort()
  }

  async latest(subject: string): Promise<SchemaVersion | undefined> {
    const last = this.#subjects.get(subject)?.versions.at(-1)
    return last && plain(last)
  }

  async compatibility(subject: string): Promise<CompatibilityMode> {
    return this.#subjects.get(subject)?.mode ?? defaultMode
  }

  setCompatibility(subject: string, mode: CompatibilityMode): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#subjects.get(subject)?.mode === mode) return
      await this.#append({ kind: 'compatibility-set', subject, mode })
    })
  }

  async checkCompatibility(subject: string, schema: AvroSchema): Promise<readonly Incompatibility[]> {
    const node = parseRegistered(subject, schema)
    const known = this.#subjects.get(subject)
    const identity = schemaIdentity(schema)
    if (known?.versions.some((version) => version.identity === identity)) return []
    return this.#problems(known, node, known?.mode ?? defaultMode)
  }

  #problems(known: Subject | undefined, next: SchemaNode, mode: CompatibilityMode): Incompatibility[] {
    const earlier = (known?.versions ?? []).map(({ version, node }) => ({ version, schema: node }))
    return checkEvolution(mode, next, earlier)
  }

  async #append(event: SchemaEvent): Promise<void> {
    await this.#journal.append(event)
    this.#apply(event)
  }

  #apply(event: SchemaEvent): void {
    const subject = this.#subjects.get(event.subject) ?? { mode: undefined, versions: [] }
    if (event.kind === 'compatibility-set') {
      subject.mode = event.mode
    } else {
      const { id, version, schema } = event
      const identity = schemaIdentity(schema)
      const isNext = version === subject.versions.length + 1
      const idIsRight = id === (this.#ids.get(identity) ?? this.#schemas.size + 1)
      if (!isNext || !idIsRight) {
        const reason = `the journal gives it version ${version} and id ${id}, which do not follow from what is before`
        throw new EngineError('schema-invalid', { subject: event.subject, reason })
      }
      subject.versions.push({
        subject: event.subject,
        id,
        version,
        schema,
        identity,
        node: parseRegistered(event.subject, schema),
      })
      this.#schemas.set(id, schema)
      this.#ids.set(identity, id)
    }
    this.#subjects.set(event.subject, subject)
    this.#applied++
  }

  #inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const turn = this.#queue.then(change)
    this.#queue = turn.catch(() => undefined)
    return turn
  }
}

const plain = ({ subject, id, version, schema }: SchemaVersion): SchemaVersion => ({
  subject,
  id,
  version,
  schema,
})
