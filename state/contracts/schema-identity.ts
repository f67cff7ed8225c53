import type { AvroSchema } from './avro-schema.ts'

/**
 * A text that is equal for two schemas exactly if they are the same schema:
 * names in full, attributes in one order, no formatting. Unlike Avro's
 * "Parsing Canonical Form" it keeps docs, defaults, aliases and logical types,
 * as Confluent's registry does: readers see them, so they make a new version.
 */
export const schemaIdentity = (schema: AvroSchema): string => JSON.stringify(canonical(schema, ''))

type Attributes = Readonly<Record<string, unknown>>

const primitives = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])

function canonical(type: unknown, namespace: string): unknown {
  if (typeof type === 'string') return primitives.has(type) ? type : qualify(type, namespace)
  if (Array.isArray(type)) return type.map((branch) => canonical(branch, namespace))
  if (typeof type !== 'object' || type === null) return type
  const { type: kind, name, namespace: own, ...rest } = type as Attributes
  if (typeof kind !== 'string') return canonical(kind, namespace)
  if (name === undefined && own === undefined && Object.keys(rest).length === 0)
    return canonical(kind, namespace)
  const scope = typeof own === 'string' ? own : namespace
  const fullName = typeof name === 'string' ? qualify(name, scope) : undefined
  const inside = fullName?.includes('.') ? fullName.slice(0, fullName.lastIndexOf('.')) : namespace
  const attributes = Object.entries(rest)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, value]) => [key, attribute(key, value, inside)])
  return {
    type: kind,
    ...(fullName === undefined ? {} : { name: fullName }),
    ...Object.fromEntries(attributes),
  }
}

function attribute(key: string, value: unknown, namespace: string): unknown {
  if (key === 'items' || key === 'values') return canonical(value, namespace)
  if (key === 'fields' && Array.isArray(value)) return value.map((field) => canonicalField(field, namespace))
  if (key === 'aliases' && Array.isArray(value))
    return value.map((alias) => qualify(String(alias), namespace))
  return sorted(value)
}

function canonicalField(field: Attributes, namespace: string): Attributes {
  const { name, type, ...rest } = field
  return { name, type: canonical(type, namespace), ...(sorted(rest) as Attributes) }
}

/** JSON with the keys of its objects in order; they have no order of their own. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]))
}

const qualify = (name: string, namespace: string): string =>
  name.includes('.') || namespace === '' ? name : `${namespace}.${name}`
