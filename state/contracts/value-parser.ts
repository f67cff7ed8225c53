import { defaultValue } from './schema-default.ts'
import {
  isNullable,
  nestingLimit,
  type PrimitiveNode,
  type RecordNode,
  type SchemaNode,
  type UnionNode,
  valueClass,
} from './schema-node.ts'
import { parseTimestamp } from './timestamp-text.ts'
import { ValueViolation, violation } from './value-violation.ts'
import { expectedOf } from './value-writer.ts'

/** Checks one value and returns it in the form that writers take. Throws ValueViolation. */
export type ValueParser = (input: unknown, depth: number) => unknown

/**
 * Makes the check of values that come from outside: JSON or untyped code.
 *
 * Beside the TypeScript value itself it takes what JSON can say: ISO-8601
 * text for a timestamp, digits for a bigint, decimal text for a decimal,
 * base64 for bytes, and nothing at all for a field with a default (or one that
 * may be null). It refuses unknown fields, numbers out of range, NaN and
 * infinities (a missing number is null), halves of surrogate pairs, and values
 * that nest too deep.
 */
export function compileParser(node: SchemaNode): ValueParser {
  return parserOf(node, new Map())
}

function parserOf(node: SchemaNode, known: Map<SchemaNode, ValueParser>): ValueParser {
  const made = known.get(node)
  if (made) return made
  // A recursive type meets this stand-in while its own parser is being made.
  let parser: ValueParser | undefined
  known.set(node, (input, depth) => (parser as ValueParser)(input, depth))
  parser = makeParser(node, known)
  known.set(node, parser)
  return parser
}

function makeParser(node: SchemaNode, known: Map<SchemaNode, ValueParser>): ValueParser {
  switch (node.kind) {
    case 'record':
      return recordParser(node, known)
    case 'array': {
      const item = parserOf(node.items, known)
      return (input, depth) => {
        if (!Array.isArray(input)) return violation('', input, 'an array')
        checkDepth(depth)
        return Array.from(input, (each, index) => within(`[${index}]`, item, each, depth + 1))
      }
    }
    case 'map': {
      const value = parserOf(node.values, known)
      return (input, depth) => {
        checkDepth(depth)
        const map: Record<string, unknown> = Object.create(null)
        for (const key of keysOf(input, 'a map')) {
          if (!isWellFormed(key)) violation('', key, 'keys without lone surrogates')
          map[key] = within(`[${JSON.stringify(key)}]`, value, (input as Attributes)[key], depth + 1)
        }
        return map
      }
    }
    case 'union':
      return unionParser(node, known)
    case 'enum':
      return (input) =>
        typeof input === 'string' && node.symbols.includes(input)
          ? input
          : violation('', input, `one of ${node.symbols.join(', ')}`)
    case 'fixed':
      return (input) => {
        if (node.decimal) return parseDecimal(input, node.decimal.precision, node.decimal.scale)
        const bytes = parseBytes(input)
        return bytes.length === node.sizeBytes ? bytes : violation('', input, `${node.sizeBytes} bytes`)
      }
    default:
      return primitiveParser(node)
  }
}

type Attributes = Readonly<Record<string, unknown>>

function within(key: string, parser: ValueParser, input: unknown, depth: number): unknown {
  try {
    return parser(input, depth)
  } catch (error) {
    throw error instanceof ValueViolation ? error.under(key) : error
  }
}

function checkDepth(depth: number): void {
  if (depth > nestingLimit) {
    throw new ValueViolation('', 'nested too deep', `at most ${nestingLimit} levels`)
  }
}

/** Own keys of a plain object. `__proto__` is refused: what copies values key by key would follow it. */
function keysOf(input: unknown, expected: string): string[] {
  const isObject = typeof input === 'object' && input !== null
  if (!isObject || Array.isArray(input) || input instanceof Uint8Array) return violation('', input, expected)
  const keys = Object.keys(input)
  if (keys.includes('__proto__')) {
    throw new ValueViolation('__proto__', 'a key that reaches the prototype', 'no such key')
  }
  return keys
}

function recordParser(node: RecordNode, known: Map<SchemaNode, ValueParser>): ValueParser {
  const fields = node.fields.map((field) => ({ ...field, parser: parserOf(field.type, known) }))
  const names = new Set(fields.map(({ name }) => name))
  return (input, depth) => {
    checkDepth(depth)
    const unknown = keysOf(input, `a record ${node.name}`).find((key) => !names.has(key))
    if (unknown !== undefined) {
      throw new ValueViolation(unknown, 'an unknown field', `one of ${[...names].join(', ')}`)
    }
    const value: Record<string, unknown> = {}
    for (const { name, type, parser, hasDefault, defaultJson } of fields) {
      const given = Object.hasOwn(input as object, name) ? (input as Attributes)[name] : undefined
      if (given !== undefined) value[name] = within(name, parser, given, depth + 1)
      else if (hasDefault) value[name] = defaultValue(type, defaultJson, name)
      else if (isNullable(type)) value[name] = null
      else throw new ValueViolation(name, 'missing', expectedType(type))
    }
    return value
  }
}

const expectedType = (node: SchemaNode): string => (node.kind === 'union' ? expectedOf(node) : node.kind)

/**
 * A union of distinct classes takes the branch of the value's own class; only
 * where there is none may a text stand for something else, as JSON must.
 */
function unionParser(node: UnionNode, known: Map<SchemaNode, ValueParser>): ValueParser {
  const parsers = node.branches.map((branch) => parserOf(branch, known))
  const refuse = (input: unknown) => violation('', input, expectedOf(node))
  if (node.tagged) {
    return (input, depth) => {
      if (input === null && isNullable(node)) return null
      const keys = keysOf(input, expectedOf(node))
      const index = node.tags.indexOf(keys[0] ?? '')
      const parser = parsers[index]
      const tag = node.tags[index]
      if (keys.length !== 1 || !parser || tag === undefined || node.branches[index]?.kind === 'null') {
        return refuse(input)
      }
      return { [tag]: within(tag, parser, (input as Attributes)[tag], depth) }
    }
  }
  const classes: readonly string[] = node.branches.map(valueClass)
  const values = parsers.filter((_, index) => classes[index] !== 'null')
  return (input, depth) => {
    const exact = parsers[classes.indexOf(classOf(input))]
    if (exact) return exact(input, depth)
    // With one branch beside null its own message is the better one.
    if (values.length === 1 && input !== null) return (values[0] as ValueParser)(input, depth)
    for (const parser of values) {
      try {
        return parser(input, depth)
      } catch (error) {
        if (!(error instanceof ValueViolation)) throw error
      }
    }
    return refuse(input)
  }
}

function classOf(input: unknown): string {
  if (input === null) return 'null'
  if (Array.isArray(input)) return 'array'
  if (input instanceof Uint8Array) return 'bytes'
  return typeof input
}

function primitiveParser(node: PrimitiveNode): ValueParser {
  switch (node.kind) {
    case 'null':
      return (input) => (input === null ? null : violation('', input, 'null'))
    case 'boolean':
      return (input) => (typeof input === 'boolean' ? input : violation('', input, 'true or false'))
    case 'int':
      return (input) =>
        typeof input === 'number' && (input | 0) === input
          ? input + 0
          : violation('', input, 'a whole number from -2^31 to 2^31 - 1')
    case 'long':
      return longParser(node)
    case 'float':
      return (input) =>
        typeof input === 'number' && Number.isFinite(Math.fround(input))
          ? Math.fround(input)
          : violation('', input, 'a finite number in the range of a float')
    case 'double':
      return (input) =>
        typeof input === 'number' && Number.isFinite(input) ? input : violation('', input, 'a finite number')
    case 'string':
      return (input) =>
        typeof input === 'string' && isWellFormed(input)
          ? input
          : violation('', input, 'a string without lone surrogates')
    case 'bytes': {
      const { decimal } = node
      return decimal ? (input) => parseDecimal(input, decimal.precision, decimal.scale) : parseBytes
    }
  }
}

function longParser(node: PrimitiveNode): ValueParser {
  if (node.bigint) return parseBigint
  if (node.logicalType === 'timestamp-millis' || node.logicalType === 'timestamp-micros') {
    const perMs = node.logicalType === 'timestamp-millis' ? 1 : 1_000
    return (input) => {
      const value = typeof input === 'string' ? (parseTimestamp(input) ?? Number.NaN) * perMs : input
      if (Number.isSafeInteger(value)) return (value as number) + 0
      return violation('', input, 'whole milliseconds since 1970, or ISO-8601 text with a time zone')
    }
  }
  return (input) =>
    Number.isSafeInteger(input)
      ? (input as number) + 0
      : violation('', input, 'a whole number from -(2^53 - 1) to 2^53 - 1')
}

function parseBigint(input: unknown): bigint {
  // Twenty characters hold every 64-bit integer; longer text is not even converted.
  const isDigits = typeof input === 'string' && /^-?\d{1,19}$/.test(input)
  const value = isDigits || Number.isSafeInteger(input) ? BigInt(input as string | number) : input
  if (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) return value
  return violation('', input, 'a bigint of 64 bits, or its digits')
}

/** A bigint is the unscaled value; text is the number itself, so '12.3' at scale 2 is 1230n. */
function parseDecimal(input: unknown, precision: number, scale: number): bigint {
  let value = input
  const parts = typeof input === 'string' ? /^(-?)(\d{1,400})(?:\.(\d{1,400}))?$/.exec(input) : null
  const fraction = (parts?.[3] ?? '').replace(/0+$/, '')
  if (parts && fraction.length <= scale) {
    const unscaled = BigInt(`${parts[2]}${fraction.padEnd(scale, '0')}`)
    value = parts[1] === '-' ? -unscaled : unscaled
  }
  const limit = 10n ** BigInt(precision)
  if (typeof value === 'bigint' && value < limit && -value < limit) return value
  return violation('', input, `a decimal of ${precision} digits, ${scale} of them after the point`)
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

function parseBytes(input: unknown): Uint8Array {
  if (input instanceof Uint8Array) return input
  if (typeof input === 'string' && base64.test(input)) return Buffer.from(input, 'base64')
  return violation('', input, 'bytes, or their base64 text')
}

const loneSurrogate = /\p{Surrogate}/u

const isWellFormed = (text: string): boolean => !loneSurrogate.test(text)
