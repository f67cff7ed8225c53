import type { AvroSchema } from './avro-schema.ts'
import type { CompatibilityMode, Incompatibility } from './compatibility.ts'

export interface RegisteredSchema {
  /** One id for one schema text, in all subjects. */
  readonly id: number
  /** From 1 in each subject. */
  readonly version: number
}

export interface SchemaVersion extends RegisteredSchema {
  readonly subject: string
  readonly schema: AvroSchema
}

/**
 * Where the schemas of all subjects are kept, with the rules of their change.
 *
 * Every adapter passes `test/conformance/schema-registry.suite.ts`. Two schemas
 * are the same if they differ in formatting only: a changed doc, default or
 * alias is another version, since readers see it.
 */
export interface SchemaRegistry {
  /**
   * Adds a version to a subject; a schema that the subject has already gives
   * its id and version again, with no check. `mode` becomes the mode of a new
   * subject. One that has versions keeps its own, and the schema must pass
   * both: a declaration can tighten what was agreed on, never loosen it.
   *
   * @throws EngineError `contract-incompatible` with the first field and rule broken, `schema-invalid`
   */
  register(subject: string, schema: AvroSchema, mode?: CompatibilityMode): Promise<RegisteredSchema>
  /** Ids are never given again, so what is found may be kept for ever. */
  schemaById(id: number): Promise<AvroSchema | undefined>
  /** Oldest first; empty for an unknown subject. */
  versions(subject: string): Promise<readonly SchemaVersion[]>
  /** Sorted by name. */
  subjects(): Promise<readonly string[]>
  latest(subject: string): Promise<SchemaVersion | undefined>
  /** The subject's own mode, else the registry's default. */
  compatibility(subject: string): Promise<CompatibilityMode>
  setCompatibility(subject: string, mode: CompatibilityMode): Promise<void>
  /** What `register` would refuse under the subject's mode, all of it; empty if nothing. */
  checkCompatibility(subject: string, schema: AvroSchema): Promise<readonly Incompatibility[]>
}

/** What happened in a registry, as plain data. The registry is the fold of these. */
export type SchemaEvent =
  | {
      readonly kind: 'schema-registered'
      readonly subject: string
      readonly version: number
      readonly id: number
      readonly schema: AvroSchema
    }
  | { readonly kind: 'compatibility-set'; readonly subject: string; readonly mode: CompatibilityMode }

/** Where the events of a registry are kept, in order. */
export interface SchemaJournal {
  read(): AsyncIterable<SchemaEvent>
  /** Resolves when the event would survive a power cut. One writer at a time. */
  append(event: SchemaEvent): Promise<void>
}
