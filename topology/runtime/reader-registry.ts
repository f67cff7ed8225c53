import type { AvroSchema } from '../../state/contracts/avro-schema.ts'
import type { CompatibilityMode } from '../../state/contracts/compatibility.ts'
import { embeddedRegistry } from '../../state/contracts/embedded-registry.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import { refuse } from '../../state/contracts/incompatible-schema.ts'
import { schemaIdentity } from '../../state/contracts/schema-identity.ts'
import type {
  RegisteredSchema,
  SchemaEvent,
  SchemaJournal,
  SchemaRegistry,
} from '../../state/contracts/schema-registry.ts'

/** Beyond every id that a journal gives out. */
const firstOwnId = 1 << 30

/** What `register` would have written, had this been a writer. */
class Withheld extends Error {
  readonly event: SchemaEvent

  constructor(event: SchemaEvent) {
    super(`a reader does not write ${event.kind} of ${event.subject}`)
    this.event = event
  }
}

/**
 * The registry of somebody who only reads the log beside its engine, with a
 * declaration that may be newer than what is registered. New schemas are
 * checked as ever and known to this process alone, under ids of their own:
 * those of the journal stay free for whoever writes it.
 */
export async function readerRegistry(read: SchemaJournal['read']): Promise<SchemaRegistry> {
  const registered = await embeddedRegistry({
    read,
    append: (event) => Promise.reject(new Withheld(event)),
  })
  const own = new Map<string, RegisteredSchema>()
  const schemas = new Map<number, AvroSchema>()
  return {
    async register(subject: string, schema: AvroSchema, mode?: CompatibilityMode): Promise<RegisteredSchema> {
      try {
        return await registered.register(subject, schema, mode)
      } catch (error) {
        if (!(error instanceof Withheld)) throw error
        const identity = `${subject} ${JSON.stringify(schema)}`
        const known = own.get(identity)
        if (known !== undefined) return known
        const version = error.event.kind === 'schema-registered' ? error.event.version : 1
        const added = { id: firstOwnId + own.size, version }
        own.set(identity, added)
        schemas.set(added.id, schema)
        return added
      }
    },
    schemaById: async (id) => schemas.get(id) ?? registered.schemaById(id),
    versions: (subject) => registered.versions(subject),
    subjects: () => registered.subjects(),
    latest: (subject) => registered.latest(subject),
    compatibility: (subject) => registered.compatibility(subject),
    setCompatibility: (subject, mode) => registered.setCompatibility(subject, mode),
    checkCompatibility: (subject, schema) => registered.checkCompatibility(subject, schema),
  }
}

/**
 * The same over a registry that others share: it is asked, and never told.
 * Schemas that it does not have are known to this process alone.
 *
 * @throws EngineError `contract-incompatible` from `register`, for a schema that the registry would refuse
 */
export function sharedReaderRegistry(shared: SchemaRegistry): SchemaRegistry {
  const own = new Map<string, number>()
  const schemas = new Map<number, AvroSchema>()
  const refuseWrite = (subject: string): Promise<never> =>
    Promise.reject(
      new EngineError('log-read-only', { path: `registry subject ${subject}`, operation: 'change' }),
    )
  return {
    async register(subject: string, schema: AvroSchema): Promise<RegisteredSchema> {
      const identity = schemaIdentity(schema)
      const versions = await shared.versions(subject)
      const known = versions.find((version) => schemaIdentity(version.schema) === identity)
      if (known !== undefined) return { id: known.id, version: known.version }
      refuse(subject, await shared.compatibility(subject), await shared.checkCompatibility(subject, schema))
      const id = own.get(identity) ?? firstOwnId + own.size
      own.set(identity, id)
      schemas.set(id, schema)
      return { id, version: versions.length + 1 }
    },
    schemaById: async (id) => schemas.get(id) ?? shared.schemaById(id),
    versions: (subject) => shared.versions(subject),
    subjects: () => shared.subjects(),
    latest: (subject) => shared.latest(subject),
    compatibility: (subject) => shared.compatibility(subject),
    setCompatibility: refuseWrite,
    checkCompatibility: (subject, schema) => shared.checkCompatibility(subject, schema),
  }
}
