/**
 * A parsed Avro schema: names resolved, attributes checked. A recursive type
 * refers to its own node, so a walk over nodes must remember where it was.
 */
export type SchemaNode = PrimitiveNode | FixedNode | EnumNode | ArrayNode | MapNode | UnionNode | RecordNode

/** How deep a schema, and a value under it, may nest. */
export const nestingLimit = 64

export type PrimitiveKind = 'null' | 'boolean' | 'int' | 'long' | 'float' | 'double' | 'bytes' | 'string'

export interface PrimitiveNode {
  readonly kind: PrimitiveKind
  /** A logical type that is valid here; unknown ones are ignored, as Avro asks. */
  readonly logicalType?: string
  /** A long whose TypeScript value is a bigint. */
  readonly bigint: boolean
  readonly decimal?: DecimalShape
}

/** A decimal's TypeScript value is the unscaled bigint: 12.34 at scale 2 is 1234n. */
export interface DecimalShape {
  readonly precision: number
  readonly scale: number
}

export interface FixedNode {
  readonly kind: 'fixed'
  readonly name: string
  readonly aliases: readonly string[]
  readonly sizeBytes: number
  readonly decimal?: DecimalShape
}

export interface EnumNode {
  readonly kind: 'enum'
  readonly name: string
  readonly aliases: readonly string[]
  readonly symbols: readonly string[]
  readonly default?: string
}

export interface ArrayNode {
  readonly kind: 'array'
  readonly items: SchemaNode
}

export interface MapNode {
  readonly kind: 'map'
  readonly values: SchemaNode
}

export interface UnionNode {
  readonly kind: 'union'
  readonly branches: readonly SchemaNode[]
  /**
   * False: a value stands for itself, because no two branches share a JavaScript
   * class. True: each value but null is `{ [tag]: value }`, as in Avro's JSON.
   */
  readonly tagged: boolean
  /** One a branch: the primitive's or the type's unqualified name. */
  readonly tags: readonly string[]
}

export interface RecordNode {
  readonly kind: 'record'
  readonly name: string
  readonly aliases: readonly string[]
  readonly fields: readonly RecordField[]
}

export interface RecordField {
  readonly name: string
  readonly aliases: readonly string[]
  readonly type: SchemaNode
  readonly hasDefault: boolean
  /** The default as JSON in the schema; meaningful when `hasDefault`. */
  readonly defaultJson: unknown
}

/** Which class of JavaScript value a node's values have. */
export type ValueClass = 'null' | 'boolean' | 'number' | 'bigint' | 'string' | 'bytes' | 'array' | 'object'

export function valueClass(node: SchemaNode): ValueClass {
  switch (node.kind) {
    case 'null':
    case 'boolean':
    case 'array':
    case 'string':
      return node.kind
    case 'int':
    case 'float':
    case 'double':
      return 'number'
    case 'long':
      return node.bigint ? 'bigint' : 'number'
    case 'bytes':
    case 'fixed':
      return node.decimal ? 'bigint' : 'bytes'
    case 'enum':
      return 'string'
    case 'map':
    case 'record':
      return 'object'
    case 'union':
      throw new RangeError('a union holds no union')
  }
}

/** Avro's name of a node: the full name of a named type, else the kind. */
export const typeName = (node: SchemaNode): string => ('name' in node ? node.name : node.kind)

export const unqualified = (fullName: string): string => fullName.slice(fullName.lastIndexOf('.') + 1)

/** The node without its null branch, where it is a union of null and one other; itself otherwise. */
export function withoutNull(node: SchemaNode): SchemaNode {
  if (node.kind !== 'union' || node.branches.length !== 2) return node
  const [first, second] = node.branches
  if (first?.kind === 'null' && second) return second
  if (second?.kind === 'null' && first) return first
  return node
}

export const isNullable = (node: SchemaNode): boolean =>
  node.kind === 'null' || (node.kind === 'union' && node.branches.some(({ kind }) => kind === 'null'))

/**
 * The fewest bytes any value takes in Avro's binary form, Infinity when no
 * value is finite. It bounds how many items a block of n bytes can hold.
 */
export function minSizeBytes(node: SchemaNode): number {
  const known = minSizes.get(node)
  if (known !== undefined) return known
  // Least fixed point from above: recursive types make the sizes depend on each other.
  const sizes = new Map<SchemaNode, number>()
  for (const each of reachable(node)) sizes.set(each, Number.POSITIVE_INFINITY)
  for (let changed = true; changed; ) {
    changed = false
    for (const [each, before] of sizes) {
      const size = ownMinSize(each, sizes)
      if (size === before) continue
      sizes.set(each, size)
      changed = true
    }
  }
  for (const [each, size] of sizes) minSizes.set(each, size)
  return sizes.get(node) ?? 0
}

const minSizes = new WeakMap<SchemaNode, number>()

function ownMinSize(node: SchemaNode, sizes: ReadonlyMap<SchemaNode, number>): number {
  const of = (part: SchemaNode) => sizes.get(part) ?? 0
  switch (node.kind) {
    case 'null':
      return 0
    case 'float':
      return 4
    case 'double':
      return 8
    case 'fixed':
      return node.sizeBytes
    case 'record':
      return node.fields.reduce((sum, { type }) => sum + of(type), 0)
    case 'union':
      return 1 + Math.min(...node.branches.map(of))
    default:
      return 1
  }
}

/** The node and everything inside it, each once. */
export function reachable(node: SchemaNode): Set<SchemaNode> {
  const found = new Set<SchemaNode>([node])
  for (const each of found) for (const part of parts(each)) found.add(part)
  return found
}

function parts(node: SchemaNode): readonly SchemaNode[] {
  switch (node.kind) {
    case 'array':
      return [node.items]
    case 'map':
      return [node.values]
    case 'union':
      return node.branches
    case 'record':
      return node.fields.map(({ type }) => type)
    default:
      return []
  }
}
