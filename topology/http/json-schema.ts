import type { Contract } from '../../state/contracts/contract.ts'
import type { SchemaNode } from '../../state/contracts/schema-node.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

/** What `contract.parse` takes, as JSON Schema; named types go into `definitions`, once each. */
export function jsonSchemaOf(contract: Contract, definitions: Map<string, JsonSchema>): JsonSchema {
  return schemaOf(contract.record, definitions, contract.timeField)
}

const reference = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${encodeURIComponent(name)}` })

function schemaOf(node: SchemaNode, definitions: Map<string, JsonSchema>, timeField?: string): JsonSchema {
  switch (node.kind) {
    case 'record': {
      if (!definitions.has(node.name)) {
        // Set before the fields are looked at: a record may hold itself.
        definitions.set(node.name, {})
        definitions.set(node.name, {
          type: 'object',
          properties: Object.fromEntries(
            node.fields.map((field) => [
              field.name,
              {
                ...schemaOf(field.type, definitions),
                ...(field.name === timeField ? { description: 'Event time.' } : {}),
              },
            ]),
          ),
          required: node.fields.filter(({ hasDefault }) => !hasDefault).map(({ name }) => name),
          additionalProperties: false,
        })
      }
      return reference(node.name)
    }
    case 'enum':
      if (!definitions.has(node.name)) definitions.set(node.name, { type: 'string', enum: node.symbols })
      return reference(node.name)
    case 'array':
      return { type: 'array', items: schemaOf(node.items, definitions) }
    case 'map':
      return { type: 'object', additionalProperties: schemaOf(node.values, definitions) }
    case 'union':
      return {
        anyOf: node.branches.map((branch, index) => {
          const schema = schemaOf(branch, definitions)
          if (!node.tagged || branch.kind === 'null') return schema
          const tag = node.tags[index] as string
          return {
            type: 'object',
            properties: { [tag]: schema },
            required: [tag],
            additionalProperties: false,
          }
        }),
      }
    case 'fixed':
    case 'bytes':
      return node.decimal
        ? { type: 'string', description: `Decimal digits, ${node.decimal.scale} after the point.` }
        : { type: 'string', contentEncoding: 'base64' }
    case 'int':
      return { type: 'integer', minimum: -(2 ** 31), maximum: 2 ** 31 - 1 }
    case 'long':
      if (node.bigint)
        return { type: ['string', 'integer'], description: 'A whole number of 64 bits; digits as text.' }
      return node.logicalType === 'timestamp-millis'
        ? { type: ['integer', 'string'], description: 'Milliseconds since 1970, or ISO-8601 text.' }
        : { type: 'integer', minimum: -(2 ** 53) + 1, maximum: 2 ** 53 - 1 }
    case 'float':
    case 'double':
      return { type: 'number' }
    case 'string':
      return node.logicalType === 'uuid' ? { type: 'string', format: 'uuid' } : { type: 'string' }
    case 'boolean':
    case 'null':
      return { type: node.kind }
  }
}
