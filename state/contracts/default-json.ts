import type { AvroSchema } from './avro-schema.ts'
import type { SchemaNode, UnionNode } from './schema-node.ts'
import { parseSchema } from './schema-parser.ts'
import { compileParser } from './value-parser.ts'
import { ValueViolation } from './value-violation.ts'
import { twosComplement } from './value-writer.ts'

/**
 * How a schema says that a value is the default. The branch of a union that
 * the value belongs to moves to the front, where Avro looks for it.
 */
export function defaultJson(schema: AvroSchema, value: unknown): { schema: AvroSchema; json: unknown } {
  if (!Array.isArray(schema)) return { schema, json: jsonOf(parseSchema(schema), value) }
  const branches = schema as readonly AvroSchema[]
  const union = parseSchema(branches) as UnionNode
  for (const [index, branch] of branches.entries()) {
    const node = union.branches[index] as SchemaNode
    const inner = union.tagged && node.kind !== 'null' ? untag(value, union.tags[index] ?? '') : value
    let json: unknown
    try {
      json = jsonOf(node, inner)
    } catch (error) {
      if (error instanceof RangeError) continue
      throw error
    }
    return { schema: [branch, ...branches.filter((other) => other !== branch)], json }
  }
  throw new RangeError(`the default ${String(value)} fits no branch of the union`)
}

const untag = (value: unknown, tag: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[tag] : undefined

/** Throws RangeError if the value is not of the type, or cannot be said in JSON. */
function jsonOf(node: SchemaNode, value: unknown): unknown {
  try {
    return toJson(node, compileParser(node)(value, 0))
  } catch (error) {
    throw error instanceof ValueViolation ? new RangeError(`the default ${error.message}`) : error
  }
}

function toJson(node: SchemaNode, value: unknown): unknown {
  switch (node.kind) {
    case 'long': {
      const json = Number(value)
      if (!Number.isSafeInteger(json)) throw new RangeError(`the default ${value} is beyond 2^53 - 1`)
      return json
    }
    case 'bytes':
    case 'fixed': {
      const size = node.kind === 'fixed' ? node.sizeBytes : undefined
      const bytes = typeof value === 'bigint' ? twosComplement(value, size) : Buffer.from(value as Uint8Array)
      return bytes.toString('latin1')
    }
    case 'array':
      return (value as unknown[]).map((item) => toJson(node.items, item))
    case 'map':
      return Object.fromEntries(
        Object.entries(value as object).map(([key, item]) => [key, toJson(node.values, item)]),
      )
    case 'record':
      return Object.fromEntries(
        node.fields.map(({ name, type }) => [name, toJson(type, (value as Record<string, unknown>)[name])]),
      )
    case 'union':
      // Which branch an inner default means would depend on the reader's version of Avro.
      if (value === null && node.branches[0]?.kind === 'null') return null
      throw new RangeError('a default inside a default can be null or of one type only')
    default:
      return value
  }
}
