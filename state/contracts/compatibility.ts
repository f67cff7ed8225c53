import {
  type EnumNode,
  type FixedNode,
  type RecordField,
  type RecordNode,
  type SchemaNode,
  typeName,
  unqualified,
} from './schema-node.ts'

/**
 * What a new version of a subject must be able to do with the earlier ones:
 * BACKWARD reads their records, FORWARD is read by them, FULL both. The plain
 * modes look at the latest version, `_TRANSITIVE` at all (Confluent's terms).
 */
export type CompatibilityMode =
  | 'NONE'
  | 'BACKWARD'
  | 'BACKWARD_TRANSITIVE'
  | 'FORWARD'
  | 'FORWARD_TRANSITIVE'
  | 'FULL'
  | 'FULL_TRANSITIVE'

export const compatibilityModes: readonly CompatibilityMode[] = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
]

/** The rule of schema resolution that a pair of schemas breaks. */
export type CompatibilityRule =
  | 'same-type'
  | 'same-name'
  | 'default-for-new-field'
  | 'known-symbols'
  | 'same-size'
  | 'branch-for-every-type'
  | 'same-decimal'
  | 'same-unit'
  | 'own-rule-of-the-registry'

export interface Incompatibility {
  /** Path from the record down, such as `place.zone` or `tags[]`; `(root)` for the whole. */
  readonly field: string
  readonly rule: CompatibilityRule
  readonly detail: string
}

export interface EarlierVersion {
  readonly version: number
  readonly schema: SchemaNode
}

/** What stands between `next` and being the version after `earlier` (oldest first) under a mode; empty is fine. */
export function checkEvolution(
  mode: CompatibilityMode,
  next: SchemaNode,
  earlier: readonly EarlierVersion[],
): Incompatibility[] {
  if (mode === 'NONE') return []
  const backward = mode.startsWith('BACKWARD') || mode.startsWith('FULL')
  const forward = mode.startsWith('FORWARD') || mode.startsWith('FULL')
  const against = mode.endsWith('_TRANSITIVE') ? earlier : earlier.slice(-1)
  return against.flatMap(({ version, schema }) => [
    ...(backward ? about(readingProblems(next, schema), `reading records of version ${version}`) : []),
    ...(forward ? about(readingProblems(schema, next), `records read by version ${version}`) : []),
  ])
}

const about = (problems: readonly Incompatibility[], when: string): Incompatibility[] =>
  problems.map(({ field, rule, detail }) => ({ field, rule, detail: `${detail} (${when})` }))

/**
 * Why records written under `writer` cannot be read under `reader`, by the
 * section "Schema Resolution" of the Apache Avro 1.12 specification; empty if
 * they can. Stricter in one thing: a change of a decimal's scale or of a
 * time's unit is refused, since Avro would silently read other values.
 */
export function readingProblems(reader: SchemaNode, writer: SchemaNode): Incompatibility[] {
  return compare(reader, writer, '', new Map())
}

/**
 * Which branch of a union takes a value written under `writer`; -1 if none.
 * A branch of the same type goes before one that the value must be promoted to.
 */
export function branchFor(
  branches: readonly SchemaNode[],
  writer: SchemaNode,
  within: Pairs = new Map(),
): number {
  const reads = (branch: SchemaNode) => compare(branch, writer, '', within).length === 0
  const same = branches.findIndex((branch) => typeName(branch) === typeName(writer) && reads(branch))
  return same >= 0 ? same : branches.findIndex(reads)
}

/** Reader and writer types that are being compared further up: fine here if they are fine there. */
type Pairs = Map<SchemaNode, Set<SchemaNode>>

function compare(reader: SchemaNode, writer: SchemaNode, path: string, within: Pairs): Incompatibility[] {
  if (reader === writer) return []
  const partners = within.get(reader) ?? new Set()
  if (partners.has(writer)) return []
  within.set(reader, partners.add(writer))
  const problems = compareOnce(reader, writer, path, within)
  partners.delete(writer)
  return problems
}

function compareOnce(reader: SchemaNode, writer: SchemaNode, path: string, within: Pairs): Incompatibility[] {
  if (writer.kind === 'union') return compareWriterUnion(reader, writer.branches, path, within)
  if (reader.kind === 'union') return compareReaderUnion(reader.branches, writer, path, within)
  if (reader.kind === 'record' && writer.kind === 'record')
    return compareRecords(reader, writer, path, within)
  if (reader.kind === 'array' && writer.kind === 'array') {
    return compare(reader.items, writer.items, `${path}[]`, within)
  }
  if (reader.kind === 'map' && writer.kind === 'map') {
    return compare(reader.values, writer.values, `${path}{}`, within)
  }
  if (reader.kind === 'enum' && writer.kind === 'enum') return compareEnums(reader, writer, path)
  if (reader.kind === 'fixed' && writer.kind === 'fixed') return compareFixed(reader, writer, path)
  return comparePrimitives(reader, writer, path)
}

function compareWriterUnion(
  reader: SchemaNode,
  branches: readonly SchemaNode[],
  path: string,
  within: Pairs,
): Incompatibility[] {
  return branches.flatMap((branch) => {
    const problems =
      reader.kind === 'union'
        ? compareReaderUnion(reader.branches, branch, path, within)
        : compare(reader, branch, path, within)
    if (problems.length === 0 || reader.kind === 'union') return problems
    const detail = `was a union; its branch ${typeName(branch)} cannot be read as ${typeName(reader)}`
    return [problem(path, 'branch-for-every-type', detail)]
  })
}

function compareReaderUnion(
  branches: readonly SchemaNode[],
  writer: SchemaNode,
  path: string,
  within: Pairs,
): Incompatibility[] {
  if (branchFor(branches, writer, within) >= 0) return []
  const sameType = branches.find((branch) => typeName(branch) === typeName(writer))
  // The branch that was meant says more than "none fits".
  if (sameType) return compare(sameType, writer, path, within)
  const detail = `${typeName(writer)} fits no branch of [${branches.map(typeName).join(', ')}]`
  return [problem(path, 'branch-for-every-type', detail)]
}

function compareRecords(
  reader: RecordNode,
  writer: RecordNode,
  path: string,
  within: Pairs,
): Incompatibility[] {
  const named = compareNames(reader, writer, path)
  if (named.length > 0) return named
  const sources = fieldSources(writer, reader)
  return reader.fields.flatMap((field) => {
    const at = path === '' ? field.name : `${path}.${field.name}`
    const written = sources.get(field)
    if (written) return compare(field.type, written.type, at, within)
    if (field.hasDefault) return []
    const detail = 'is not in the written records and has no default'
    return [problem(at, 'default-for-new-field', detail)]
  })
}

/**
 * Which written field each field of the reader takes its value from: the one
 * of the same name, else one that an alias names and that no other field takes.
 */
export function fieldSources(writer: RecordNode, reader: RecordNode): Map<RecordField, RecordField> {
  const sources = new Map<RecordField, RecordField>()
  const byName = new Map(writer.fields.map((field) => [field.name, field]))
  for (const field of reader.fields) {
    const written = byName.get(field.name)
    if (written) sources.set(field, written)
  }
  const taken = new Set(sources.values())
  for (const field of reader.fields) {
    if (sources.has(field)) continue
    const written = field.aliases
      .map((alias) => byName.get(alias))
      .find((found) => found && !taken.has(found))
    if (!written) continue
    sources.set(field, written)
    taken.add(written)
  }
  return sources
}

function compareNames(
  reader: { readonly name: string; readonly aliases: readonly string[] },
  writer: { readonly name: string },
  path: string,
): Incompatibility[] {
  const known = [reader.name, ...reader.aliases]
  if (known.includes(writer.name) || unqualified(reader.name) === unqualified(writer.name)) return []
  return [problem(path, 'same-name', `was written as "${writer.name}", the reader calls it "${reader.name}"`)]
}

function compareEnums(reader: EnumNode, writer: EnumNode, path: string): Incompatibility[] {
  const named = compareNames(reader, writer, path)
  if (named.length > 0 || reader.default !== undefined) return named
  const missing = writer.symbols.filter((symbol) => !reader.symbols.includes(symbol))
  if (missing.length === 0) return []
  const detail = `the symbols ${missing.join(', ')} are unknown to the reader, which has no default symbol`
  return [problem(path, 'known-symbols', detail)]
}

function compareFixed(reader: FixedNode, writer: FixedNode, path: string): Incompatibility[] {
  const named = compareNames(reader, writer, path)
  if (named.length > 0) return named
  if (reader.sizeBytes !== writer.sizeBytes) {
    return [
      problem(path, 'same-size', `was ${writer.sizeBytes} bytes, the reader expects ${reader.sizeBytes}`),
    ]
  }
  return compareDecimals(reader, writer, path)
}

/** Types that a written type may be read as, beside itself. */
const promotions: Readonly<Record<string, readonly string[]>> = {
  int: ['long', 'float', 'double'],
  long: ['float', 'double'],
  float: ['double'],
  string: ['bytes'],
  bytes: ['string'],
}

function comparePrimitives(reader: SchemaNode, writer: SchemaNode, path: string): Incompatibility[] {
  if (reader.kind !== writer.kind && !promotions[writer.kind]?.includes(reader.kind)) {
    return [problem(path, 'same-type', `${writer.kind} cannot be read as ${reader.kind}`)]
  }
  const units = [unitOf(reader), unitOf(writer)]
  if (units[0] !== undefined && units[1] !== undefined && units[0] !== units[1]) {
    return [problem(path, 'same-unit', `was ${units[1]}, the reader takes it for ${units[0]}`)]
  }
  return compareDecimals(reader, writer, path)
}

function unitOf(node: SchemaNode): string | undefined {
  const logicalType = 'logicalType' in node ? node.logicalType : undefined
  return logicalType === 'uuid' || logicalType === 'decimal' ? undefined : logicalType
}

function compareDecimals(reader: SchemaNode, writer: SchemaNode, path: string): Incompatibility[] {
  const read = 'decimal' in reader ? reader.decimal : undefined
  const written = 'decimal' in writer ? writer.decimal : undefined
  if (read === undefined && written === undefined) return []
  if (read && written && read.scale === written.scale && read.precision >= written.precision) return []
  const show = (shape: typeof read) => (shape ? `decimal(${shape.precision}, ${shape.scale})` : 'no decimal')
  return [problem(path, 'same-decimal', `was ${show(written)}, the reader takes it for ${show(read)}`)]
}

const problem = (path: string, rule: CompatibilityRule, detail: string): Incompatibility => ({
  field: path === '' ? '(root)' : path,
  rule,
  detail,
})
