import { readTwosComplement } from './byte-reader.ts'
import type { FixedNode, PrimitiveNode, SchemaNode, UnionNode } from './schema-node.ts'

/** Whether a default fits its type. Throws RangeError that names the field. */
export function checkDefault(node: SchemaNode, json: unknown, path: string): void {
  defaultValue(node, json, path)
}

/**
 * The TypeScript value that a default in a schema stands for; a new one at
 * each call, so that nobody shares an array or a map. In a union the first
 * branch that fits counts (Avro up to 1.11 allowed the first branch only).
 */
export function defaultValue(node: SchemaNode, json: unknown, path: string): unknown {
  switch (node.kind) {
    case 'null':
      return json === null ? null : refuse(node, json, path)
    case 'boolean':
      return typeof json === 'boolean' ? json : refuse(node, json, path)
    case 'int':
      return typeof json === 'number' && (json | 0) === json ? json : refuse(node, json, path)
    case 'long':
      if (!Number.isSafeInteger(json)) return refuse(node, json, path)
      return node.bigint ? BigInt(json as number) : json
    case 'float':
      return typeof json === 'number' ? Math.fround(json) : refuse(node, json, path)
    case 'double':
      return typeof json === 'number' ? json : refuse(node, json, path)
    case 'string':
      return typeof json === 'string' ? json : refuse(node, json, path)
    case 'bytes':
    case 'fixed':
      return defaultBytes(node, json, path)
    case 'enum':
      return typeof json === 'string' && node.symbols.includes(json) ? json : refuse(node, json, path)
    case 'array':
      if (!Array.isArray(json)) return refuse(node, json, path)
      return json.map((item) => defaultValue(node.items, item, `${path}[]`))
    case 'map': {
      const map: Record<string, unknown> = Object.create(null)
      for (const [key, item] of entriesOf(node, json, path)) {
        map[key] = defaultValue(node.values, item, `${path}.${key}`)
      }
      return map
    }
    case 'record': {
      const given = new Map(entriesOf(node, json, path))
      return Object.fromEntries(
        node.fields.map(({ name, type, hasDefault, defaultJson }) => {
          if (!given.has(name) && !hasDefault) refuse(node, json, path)
          return [
            name,
            defaultValue(type, given.has(name) ? given.get(name) : defaultJson, `${path}.${name}`),
          ]
        }),
      )
    }
    case 'union':
      return defaultOfUnion(node, json, path)
  }
}

function defaultOfUnion(node: UnionNode, json: unknown, path: string): unknown {
  for (const [index, branch] of node.branches.entries()) {
    let value: unknown
    try {
      value = defaultValue(branch, json, path)
    } catch (error) {
      if (error instanceof RangeError) continue
      throw error
    }
    return node.tagged && branch.kind !== 'null' ? { [node.tags[index] ?? '']: value } : value
  }
  return refuse(node, json, path)
}

/** Bytes are written in schemas as a string of code points 0 to 255. */
function defaultBytes(node: FixedNode | PrimitiveNode, json: unknown, path: string): Buffer | bigint {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: any byte may occur
  if (typeof json !== 'string' || !/^[\u0000-\u00ff]*$/.test(json)) return refuse(node, json, path)
  if (node.kind === 'fixed' && json.length !== node.sizeBytes) return refuse(node, json, path)
  const bytes = Buffer.from(json, 'latin1')
  return node.decimal ? readTwosComplement(bytes, 0, bytes.length) : bytes
}

function entriesOf(node: SchemaNode, json: unknown, path: string): [string, unknown][] {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return refuse(node, json, path)
  const entries = Object.entries(json)
  if (entries.some(([key]) => key === '__proto__')) refuse(node, json, path)
  return entries
}

function refuse(node: SchemaNode, json: unknown, path: string): never {
  throw new RangeError(`field "${path}" has the default ${JSON.stringify(json)}, which is no ${node.kind}`)
}
