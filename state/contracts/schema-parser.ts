import type { AvroField, AvroSchema, AvroTypeObject } from './avro-schema.ts'
import { EngineError } from './engine-error.ts'
import { checkDefault } from './schema-default.ts'
import {
  type DecimalShape,
  minSizeBytes,
  nestingLimit,
  type PrimitiveKind,
  type RecordField,
  type SchemaNode,
  typeName,
  unqualified,
  valueClass,
} from './schema-node.ts'

const primitives: ReadonlySet<string> = new Set<PrimitiveKind>([
  'null',
  'boolean',
  'int',
  'long',
  'float',
  'double',
  'bytes',
  'string',
])

const logicalTypes: Readonly<Record<string, readonly string[]>> = {
  int: ['date', 'time-millis'],
  long: [
    'time-micros',
    'timestamp-millis',
    'timestamp-micros',
    'timestamp-nanos',
    'local-timestamp-millis',
    'local-timestamp-micros',
    'local-timestamp-nanos',
  ],
  string: ['uuid'],
  bytes: ['decimal'],
}

const namePattern = /^[A-Za-z_][A-Za-z0-9_]*$/

/** True for a name that Avro allows and that is safe as a property of a JavaScript object. */
export const isAvroName = (name: string): boolean => namePattern.test(name) && name !== '__proto__'

/**
 * Checks an Avro schema and resolves its names. Recursive types are allowed
 * where a value can end (through a union, an array or a map).
 *
 * @throws RangeError that names the place and what is wrong there
 */
export function parseSchema(schema: AvroSchema): SchemaNode {
  const names = new Map<string, SchemaNode>()
  const later: (() => void)[] = []
  const node = parseType(schema, { names, later, namespace: '', path: '', depth: 0 })
  for (const named of names.values()) {
    if (minSizeBytes(named) === Number.POSITIVE_INFINITY) {
      throw new RangeError(`type "${typeName(named)}" contains itself with no way to end`)
    }
  }
  for (const check of later) check()
  return node
}

/** The same for a schema of a registry's subject: a bad one is an EngineError `schema-invalid`. */
export function parseRegistered(subject: string, schema: AvroSchema): SchemaNode {
  try {
    return parseSchema(schema)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new EngineError('schema-invalid', { subject, reason: error.message }, { cause: error })
  }
}

interface Scope {
  readonly names: Map<string, SchemaNode>
  /** Checks of defaults, which need whole types. */
  readonly later: (() => void)[]
  readonly namespace: string
  readonly path: string
  readonly depth: number
}

/** What an object in a schema may say; anything else in it is metadata. */
type Attributes = { readonly [Key in keyof AvroTypeObject | keyof AvroField]?: unknown }

function parseType(schema: unknown, scope: Scope): SchemaNode {
  if (scope.depth > nestingLimit) fail(scope, `nests deeper than ${nestingLimit}`)
  const inner = { ...scope, depth: scope.depth + 1 }
  if (typeof schema === 'string') return parseName(schema, scope)
  if (Array.isArray(schema)) return parseUnion(schema, inner)
  if (typeof schema !== 'object' || schema === null) fail(scope, 'is not an Avro type')
  const attributes = schema as Attributes
  const type = attributes.type
  if (typeof type !== 'string') return parseType(type, inner)
  switch (type) {
    case 'record':
    case 'error':
      return parseRecord(attributes, inner)
    case 'enum':
      return parseEnum(attributes, inner)
    case 'fixed':
      return parseFixed(attributes, inner)
    case 'array':
      return { kind: 'array', items: parseType(attributes.items, { ...inner, path: `${scope.path}[]` }) }
    case 'map':
      return { kind: 'map', values: parseType(attributes.values, { ...inner, path: `${scope.path}{}` }) }
    default:
      return primitives.has(type)
        ? parsePrimitive(type as PrimitiveKind, attributes, scope)
        : parseName(type, scope)
  }
}

function parseName(name: string, scope: Scope): SchemaNode {
  if (primitives.has(name)) return { kind: name as PrimitiveKind, bigint: false }
  const found = scope.names.get(qualify(name, scope.namespace)) ?? scope.names.get(name)
  return found ?? fail(scope, `has the unknown type "${name}"`)
}

function parsePrimitive(kind: PrimitiveKind, attributes: Attributes, scope: Scope): SchemaNode {
  const { logicalType, jsType } = attributes
  const bigint = jsType === 'bigint'
  if (bigint && kind !== 'long') fail(scope, `has jsType bigint on ${kind}; only a long can be a bigint`)
  if (typeof logicalType !== 'string' || !logicalTypes[kind]?.includes(logicalType)) return { kind, bigint }
  if (logicalType !== 'decimal') return { kind, bigint, logicalType }
  const decimal = decimalShape(attributes, Number.POSITIVE_INFINITY)
  return decimal ? { kind, bigint, logicalType, decimal } : { kind, bigint }
}

/** Undefined for a decimal that Avro calls invalid: then it is read as its plain bytes. */
function decimalShape(attributes: Attributes, sizeBytes: number): DecimalShape | undefined {
  const { precision, scale = 0 } = attributes
  if (typeof precision !== 'number' || !Number.isInteger(precision) || precision < 1) return undefined
  if (typeof scale !== 'number' || !Number.isInteger(scale) || scale < 0 || scale > precision)
    return undefined
  if (precision > Math.floor(Math.log10(2) * (8 * sizeBytes - 1))) return undefined
  return { precision, scale }
}

function parseUnion(branches: readonly unknown[], scope: Scope): SchemaNode {
  if (branches.length === 0) fail(scope, 'is an empty union')
  const nodes = branches.map((branch) => parseType(branch, scope))
  const seen = new Set<string>()
  for (const node of nodes) {
    if (node.kind === 'union') fail(scope, 'is a union directly inside a union')
    if (seen.has(typeName(node))) fail(scope, `is a union with "${typeName(node)}" twice`)
    seen.add(typeName(node))
  }
  const short = nodes.map((node) => unqualified(typeName(node)))
  const tags = new Set(short).size === short.length ? short : nodes.map(typeName)
  // The class of a named type that is still being parsed is known already: it is an object.
  const tagged = new Set(nodes.map(valueClass)).size < nodes.length
  return { kind: 'union', branches: nodes, tagged, tags }
}

function parseRecord(attributes: Attributes, scope: Scope): SchemaNode {
  const { name, namespace, aliases } = parseNames(attributes, scope)
  const fields: RecordField[] = []
  const node: SchemaNode = { kind: 'record', name, aliases, fields }
  scope.names.set(name, node)
  const declared = attributes.fields
  if (!Array.isArray(declared)) fail(scope, `is a record "${name}" without fields`)
  const seen = new Set<string>()
  for (const each of declared as unknown[]) {
    const field = (typeof each === 'object' && each !== null ? each : {}) as Attributes
    const fieldName = field.name
    if (typeof fieldName !== 'string' || !isAvroName(fieldName)) {
      fail(scope, `has a field named ${JSON.stringify(fieldName)}; ${nameRule}`)
    }
    if (seen.has(fieldName)) fail(scope, `has the field "${fieldName}" twice`)
    seen.add(fieldName)
    const path = scope.path === '' ? fieldName : `${scope.path}.${fieldName}`
    const type = parseType(field.type, { ...scope, namespace, path })
    const hasDefault = Object.hasOwn(field, 'default')
    const defaultJson = field.default
    if (hasDefault) scope.later.push(() => checkDefault(type, defaultJson, path))
    fields.push({ name: fieldName, aliases: stringList(field.aliases), type, hasDefault, defaultJson })
  }
  return node
}

function parseEnum(attributes: Attributes, scope: Scope): SchemaNode {
  const { name, aliases } = parseNames(attributes, scope)
  const symbols = stringList(attributes.symbols)
  if (symbols.length === 0) fail(scope, `is an enum "${name}" without symbols`)
  if (new Set(symbols).size < symbols.length) fail(scope, `is an enum "${name}" with a symbol twice`)
  const wrong = symbols.find((symbol) => !namePattern.test(symbol))
  if (wrong !== undefined) fail(scope, `is an enum "${name}" with the symbol "${wrong}"; ${nameRule}`)
  const fallback = attributes.default
  if (fallback === undefined) return define(scope, { kind: 'enum', name, aliases, symbols })
  if (typeof fallback !== 'string' || !symbols.includes(fallback)) {
    fail(scope, `is an enum "${name}" whose default is none of its symbols`)
  }
  return define(scope, { kind: 'enum', name, aliases, symbols, default: fallback })
}

function parseFixed(attributes: Attributes, scope: Scope): SchemaNode {
  const { name, aliases } = parseNames(attributes, scope)
  const sizeBytes = attributes.size
  if (typeof sizeBytes !== 'number' || !Number.isInteger(sizeBytes) || sizeBytes < 0 || sizeBytes > 2 ** 20) {
    fail(scope, `is a fixed "${name}" whose size is not a whole number up to ${2 ** 20}`)
  }
  const decimal = attributes.logicalType === 'decimal' ? decimalShape(attributes, sizeBytes) : undefined
  return define(scope, { kind: 'fixed', name, aliases, sizeBytes, ...(decimal ? { decimal } : {}) })
}

function define<Node extends SchemaNode & { name: string }>(scope: Scope, node: Node): Node {
  scope.names.set(node.name, node)
  return node
}

function parseNames(
  attributes: Attributes,
  scope: Scope,
): { name: string; namespace: string; aliases: string[] } {
  const given = attributes.name
  if (typeof given !== 'string') fail(scope, 'is a named type without a name')
  const own = attributes.namespace
  const name = qualify(given, typeof own === 'string' ? own : scope.namespace)
  if (!name.split('.').every(isAvroName)) fail(scope, `has a type named "${name}"; ${nameRule}`)
  if (primitives.has(name)) fail(scope, `redefines the primitive "${name}"`)
  if (scope.names.has(name)) fail(scope, `defines the type "${name}" twice`)
  const namespace = name.includes('.') ? name.slice(0, name.lastIndexOf('.')) : ''
  return {
    name,
    namespace,
    aliases: stringList(attributes.aliases).map((alias) => qualify(alias, namespace)),
  }
}

const nameRule = 'names are letters, digits and _, and do not start with a digit'

const qualify = (name: string, namespace: string): string =>
  name.includes('.') || namespace === '' ? name : `${namespace}.${name}`

function stringList(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : []
}

function fail(scope: Scope, what: string): never {
  throw new RangeError(scope.path === '' ? `the schema ${what}` : `field "${scope.path}" ${what}`)
}
