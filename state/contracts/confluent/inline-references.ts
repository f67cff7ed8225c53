import type { AvroField, AvroSchema, AvroTypeObject } from '../avro-schema.ts'

/**
 * Puts the named types that a schema takes from other schemas into it, each
 * where it is first used, since Avro itself knows nothing of other subjects.
 * Types that nobody uses stay out.
 */
export function inlineReferences(schema: AvroSchema, others: readonly AvroSchema[]): AvroSchema {
  const missing = new Map<string, AvroTypeObject>()
  for (const other of others) collect(other, '', missing)
  return place(schema, '', missing)
}

const isTypeObject = (type: AvroSchema): type is AvroTypeObject =>
  typeof type === 'object' && !Array.isArray(type)

const qualify = (name: string, namespace: string): string =>
  name.includes('.') || namespace === '' ? name : `${namespace}.${name}`

function scopeOf(type: AvroTypeObject, namespace: string): { name: string | undefined; inside: string } {
  if (type.name === undefined) return { name: undefined, inside: namespace }
  const name = qualify(type.name, type.namespace ?? namespace)
  return { name, inside: name.includes('.') ? name.slice(0, name.lastIndexOf('.')) : '' }
}

/** Remembers every named type by its full name, with names inside it made full too. */
function collect(type: AvroSchema, namespace: string, into: Map<string, AvroTypeObject>): AvroSchema {
  if (typeof type === 'string') return isPrimitive(type) ? type : qualify(type, namespace)
  if (!isTypeObject(type))
    return (type as readonly AvroSchema[]).map((branch) => collect(branch, namespace, into))
  const { name, inside } = scopeOf(type, namespace)
  const full = mapParts(type, (part) => collect(part, inside, into))
  if (name === undefined) return full
  const { namespace: _, ...rest } = full
  // Without this a name of no namespace would take that of the type it is put into.
  into.set(name, { ...rest, name, ...(name.includes('.') ? {} : { namespace: '' }) })
  return name
}

function place(type: AvroSchema, namespace: string, missing: Map<string, AvroTypeObject>): AvroSchema {
  if (typeof type === 'string') {
    if (isPrimitive(type)) return type
    const name = missing.has(qualify(type, namespace)) ? qualify(type, namespace) : type
    const found = missing.get(name)
    if (!found) return type
    missing.delete(name)
    return mapParts(found, (part) => place(part, '', missing))
  }
  if (!isTypeObject(type))
    return (type as readonly AvroSchema[]).map((branch) => place(branch, namespace, missing))
  const { name, inside } = scopeOf(type, namespace)
  if (name !== undefined) missing.delete(name)
  return mapParts(type, (part) => place(part, inside, missing))
}

function mapParts(type: AvroTypeObject, change: (part: AvroSchema) => AvroSchema): AvroTypeObject {
  return {
    ...type,
    ...(typeof type.type === 'string' ? {} : { type: change(type.type) }),
    ...(type.items === undefined ? {} : { items: change(type.items) }),
    ...(type.values === undefined ? {} : { values: change(type.values) }),
    ...(type.fields === undefined
      ? {}
      : { fields: type.fields.map((field): AvroField => ({ ...field, type: change(field.type) })) }),
  }
}

const primitives = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])

const isPrimitive = (name: string): boolean => primitives.has(name)
