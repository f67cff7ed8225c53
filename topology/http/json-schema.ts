import {
  isNullable,
  type PrimitiveNode,
  type RecordNode,
  type SchemaNode,
  unqualified,
} from '../../state/contracts/schema-node.ts'

export type JsonSchema = Readonly<Record<string, unknown>>

const firstInt = -(2 ** 31)
const lastInt = 2 ** 31 - 1
const greatestFloat = 3.4028234663852886e38

/**
 * Avro types as JSON Schemas (draft 2020-12) of what `contract.parse` takes.
 * Records and enumerations become named definitions, one for each type, and
 * references to them; types of one name that differ get names that differ.
 */
export class SchemaDefinitions {
  readonly #byName = new Map<string, JsonSchema>()
  readonly #names = new Map<SchemaNode, string>()
  readonly #reserved: ReadonlySet<string>

  /** @param reserved names that others use */
  constructor(reserved: Iterable<string>) {
    this.#reserved = new Set(reserved)
  }

  /** The definitions so far, by name. */
  get all(): Readonly<Record<string, JsonSchema>> {
    return Object.fromEntries(this.#byName)
  }

  /** A schema of the values of a type; a reference for a type with a name. */
  of(node: SchemaNode): JsonSchema {
    switch (node.kind) {
      case 'record':
        return this.#named(node, node.name, () => this.recordOf(node))
      case 'enum':
        return this.#named(node, node.name, () => ({ type: 'string', enum: node.symbols }))
      case 'array':
        return { type: 'array', items: this.of(node.items) }
      case 'map':
        return { type: 'object', additionalProperties: this.of(node.values) }
      case 'union':
        return {
          anyOf: node.branches.map((branch, index) => {
            const schema = this.of(branch)
            return node.tagged && branch.kind !== 'null'
              ? taggedBy(node.tags[index] as string, schema)
              : schema
          }),
        }
      case 'fixed':
        return node.decimal ? decimalText(node.decimal.scale) : base64Text(node.sizeBytes)
      default:
        return primitiveSchema(node)
    }
  }

  /**
   * A record in place, not as a reference. Fields with a default and those
   * that may be null can be left out, and so can the `optional` ones.
   */
  recordOf(node: RecordNode, optional: ReadonlySet<string> = new Set()): JsonSchema {
    const required = node.fields
      .filter(({ name, hasDefault, type }) => !hasDefault && !isNullable(type) && !optional.has(name))
      .map(({ name }) => name)
    return {
      type: 'object',
      properties: Object.fromEntries(node.fields.map(({ name, type }) => [name, this.of(type)])),
      ...(required.length === 0 ? {} : { required }),
      additionalProperties: false,
    }
  }

  #named(node: SchemaNode, fullName: string, schema: () => JsonSchema): JsonSchema {
    let name = this.#names.get(node)
    if (name === undefined) {
      name = this.#freeName(fullName)
      // Taken before the fields are looked at: a record may hold itself.
      this.#names.set(node, name)
      this.#byName.set(name, {})
      this.#byName.set(name, schema())
    }
    return { $ref: `#/components/schemas/${name}` }
  }

  #freeName(fullName: string): string {
    const isFree = (name: string) => !this.#byName.has(name) && !this.#reserved.has(name)
    const short = unqualified(fullName)
    if (isFree(short)) return short
    if (isFree(fullName)) return fullName
    for (let number = 2; ; number++) if (isFree(`${fullName}-${number}`)) return `${fullName}-${number}`
  }
}

const taggedBy = (tag: string, schema: JsonSchema): JsonSchema => ({
  type: 'object',
  properties: { [tag]: schema },
  required: [tag],
  additionalProperties: false,
})

function primitiveSchema(node: PrimitiveNode): JsonSchema {
  switch (node.kind) {
    case 'bytes':
      return node.decimal ? decimalText(node.decimal.scale) : base64Text()
    case 'int':
      return { type: 'integer', minimum: firstInt, maximum: lastInt }
    case 'long':
      return longSchema(node)
    case 'float':
      return { type: 'number', minimum: -greatestFloat, maximum: greatestFloat }
    case 'double':
      return { type: 'number' }
    case 'string':
      return { type: 'string' }
    case 'boolean':
    case 'null':
      return { type: node.kind }
  }
}

function longSchema({ bigint, logicalType }: PrimitiveNode): JsonSchema {
  const integer = { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }
  if (bigint) {
    const digits = { type: 'string', pattern: '^-?[0-9]{1,19}$' }
    return { anyOf: [digits, integer], description: 'A whole number of 64 bits; digits as text are exact.' }
  }
  if (logicalType !== 'timestamp-millis' && logicalType !== 'timestamp-micros') return integer
  const unit = logicalType === 'timestamp-millis' ? 'Milliseconds' : 'Microseconds'
  const text = {
    type: 'string',
    pattern:
      '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2}))?$',
  }
  return { anyOf: [integer, text], description: `${unit} since 1970, or ISO-8601 text with a time zone.` }
}

const decimalText = (scale: number): JsonSchema => ({
  type: 'string',
  pattern: scale === 0 ? '^-?[0-9]+$' : `^-?[0-9]+(\\.[0-9]{1,${scale}}0*)?$`,
  description: `A decimal with up to ${scale} digits after the point.`,
})

const sextet = '[A-Za-z0-9+/]'

function base64Text(sizeBytes?: number): JsonSchema {
  const rest = [`(${sextet}{2}==|${sextet}{3}=)?`, `${sextet}{2}==`, `${sextet}{3}=`]
  const pattern =
    sizeBytes === undefined
      ? `^(${sextet}{4})*${rest[0]}$`
      : `^(${sextet}{4}){${Math.floor(sizeBytes / 3)}}${sizeBytes % 3 === 0 ? '' : rest[sizeBytes % 3]}$`
  return { type: 'string', contentEncoding: 'base64', pattern }
}
