import { cursor, MalformedBytes } from './byte-reader.ts'
import { headerBytes, schemaIdOf } from './codec.ts'
import { EngineError } from './engine-error.ts'
import { parseSchema } from './schema-parser.ts'
import type { SchemaRegistry } from './schema-registry.ts'
import { compileReader, type ValueReader } from './value-reader.ts'

/**
 * Reads values of any topic as they were written, without a contract: for
 * tools that look at a log and know nothing of its application.
 */
export class AnyDecoder {
  readonly #registry: SchemaRegistry
  readonly #readers = new Map<number, ValueReader>()

  constructor(registry: SchemaRegistry) {
    this.#registry = registry
  }

  /**
   * Bytes `[start, end)` in the wire format, under the schema that wrote them.
   * @throws EngineError `record-undecodable`, `schema-unknown`
   */
  async decode(topic: string, bytes: Buffer, start: number, end: number): Promise<unknown> {
    const id = schemaIdOf(bytes, start, end)
    if (id === -1) {
      throw new EngineError('record-undecodable', { topic, reason: 'it does not begin with a schema id' })
    }
    const read = this.#readers.get(id) ?? (await this.#learn(id))
    try {
      const value = read(bytes, start + headerBytes, end)
      if (cursor.at === end) return value
    } catch (error) {
      if (!(error instanceof MalformedBytes)) throw error
      throw new EngineError('record-undecodable', { topic, reason: error.message })
    }
    throw new EngineError('record-undecodable', { topic, reason: 'bytes are left after the value' })
  }

  async #learn(id: number): Promise<ValueReader> {
    const schema = await this.#registry.schemaById(id)
    if (schema === undefined) throw new EngineError('schema-unknown', { id })
    const node = parseSchema(schema)
    const reader = compileReader(node, node)
    this.#readers.set(id, reader)
    return reader
  }
}
