import {
  type Cursor,
  cursor,
  malformed,
  readBigint,
  readBlockCount,
  readBytes,
  readInt,
  readLong,
  readLongAsDouble,
  readSize,
  readText,
  readTwosComplement,
  skipBlock,
  skipVarint,
} from './byte-reader.ts'
import { branchFor, fieldSources, readingProblems } from './compatibility.ts'
import { defaultValue } from './schema-default.ts'
import {
  type ArrayNode,
  type EnumNode,
  type MapNode,
  minSizeBytes,
  nestingLimit,
  type PrimitiveNode,
  type RecordNode,
  type SchemaNode,
  type UnionNode,
} from './schema-node.ts'

/** Reads one value from `start`; `cursor.at` is where it ended. Throws MalformedBytes. */
export type ValueReader = (bytes: Buffer, start: number, end: number) => unknown

/**
 * Makes the reader of values that were written under `writer` and are wanted
 * under `reader`, as a generated function: every bound is checked, fields that
 * nobody wants are stepped over, and nothing is allocated but the value.
 *
 * Text from a schema enters the source through JSON.stringify only.
 *
 * @throws RangeError if the two do not resolve; ask `readingProblems` before
 */
export function compileReader(writer: SchemaNode, reader: SchemaNode): ValueReader {
  const problem = readingProblems(reader, writer)[0]
  if (problem) throw new RangeError(`${problem.field}: ${problem.detail}`)
  const program: Program = { functions: [], constants: [], names: new Map(), nextId: 0 }
  const body = readSource(program, writer, reader, 'v')
  const source = `'use strict';
const { cursor, malformed, readBigint, readBlockCount, readBytes, readInt, readLong, readLongAsDouble,
  readSize, readText, readTwosComplement, skipBlock, skipVarint } = runtime;
let data = new DataView(new ArrayBuffer(0)), viewed;
${program.functions.join('\n')}
return function read(b, p, e) {
  if (b !== viewed) { viewed = b; data = new DataView(b.buffer, b.byteOffset, b.byteLength) }
  cursor.emptyItems = 0;
  const d = 0;
  let x = 0, v;
  ${body}
  cursor.at = p;
  return v;
}`
  return new Function('runtime', 'constants', source)(runtime, program.constants) as ValueReader
}

const runtime = {
  cursor: cursor as Cursor,
  malformed,
  readBigint,
  readBlockCount,
  readBytes,
  readInt,
  readLong,
  readLongAsDouble,
  readSize,
  readText,
  readTwosComplement,
  skipBlock,
  skipVarint,
}

interface Program {
  readonly functions: string[]
  /** Values that the source refers to by index. */
  readonly constants: unknown[]
  /** Functions made so far, by written record and wanted record (the written one twice: skip it). */
  readonly names: Map<SchemaNode, Map<SchemaNode | null, string>>
  nextId: number
}

const fresh = (program: Program, prefix: string): string => `${prefix}${program.nextId++}`

function constant(program: Program, value: unknown): string {
  program.constants.push(value)
  return `constants[${program.constants.length - 1}]`
}

/** Statements that read a written value at `p` and leave the wanted one in `into`. */
function readSource(program: Program, writer: SchemaNode, reader: SchemaNode, into: string): string {
  if (writer.kind === 'union') return unionSource(program, writer, reader, into)
  if (reader.kind === 'union') {
    const index = branchFor(reader.branches, writer)
    const branch = reader.branches[index] as SchemaNode
    return `${readSource(program, writer, branch, into)} ${tagSource(reader, index, into)}`
  }
  switch (writer.kind) {
    case 'record':
      return `${into} = ${recordFunction(program, writer, reader as RecordNode)}(b, p, e, d + 1); p = cursor.at;`
    case 'array':
      return arraySource(program, writer, reader as ArrayNode, into)
    case 'map':
      return mapSource(program, writer, reader as MapNode, into)
    case 'enum':
      return enumSource(program, writer, reader as EnumNode, into)
    case 'fixed': {
      const size = writer.sizeBytes
      const value = bytesSource(reader.kind === 'fixed' && reader.decimal !== undefined, `${size}`)
      return `if (e - p < ${size}) malformed('a fixed is cut short', p); ${into} = ${value}; p += ${size};`
    }
    default:
      return primitiveSource(writer, reader as PrimitiveNode, into)
  }
}

function tagSource(union: UnionNode, index: number, into: string): string {
  if (!union.tagged || union.branches[index]?.kind === 'null') return ''
  return `${into} = { ${JSON.stringify(union.tags[index])}: ${into} };`
}

function primitiveSource(writer: PrimitiveNode, reader: PrimitiveNode, into: string): string {
  switch (writer.kind) {
    case 'null':
      return `${into} = null;`
    case 'boolean':
      return `if (p >= e) malformed('a boolean is cut short', p); x = b[p++];
  if (x > 1) malformed('a boolean is neither 0 nor 1', p - 1); ${into} = x === 1;`
    case 'int': {
      const promoted = reader.kind === 'float' ? 'Math.fround(x)' : reader.bigint ? 'BigInt(x)' : 'x'
      return `${intSource('x')} ${into} = ${promoted};`
    }
    case 'long':
      return longSource(reader, into)
    case 'float':
      return `if (e - p < 4) malformed('a float is cut short', p); ${into} = data.getFloat32(p, true); p += 4;`
    case 'double':
      return `if (e - p < 8) malformed('a double is cut short', p); ${into} = data.getFloat64(p, true); p += 8;`
    default: {
      const value =
        reader.kind === 'string' ? 'readText(b, p, x)' : bytesSource(reader.decimal !== undefined, 'x')
      return `${sizeSource} ${into} = ${value}; p += x;`
    }
  }
}

const bytesSource = (isDecimal: boolean, size: string): string =>
  isDecimal ? `readTwosComplement(b, p, p + ${size})` : `readBytes(b, p, ${size})`

/** One byte is by far the most frequent size of an int, so it is read in place. */
const intSource = (into: string): string =>
  `if (p < e && (${into} = b[p]) < 128) { p++; ${into} = (${into} >>> 1) ^ -(${into} & 1) }
  else { ${into} = readInt(b, p, e); p = cursor.at }`

const sizeSource = `if (p < e && (x = b[p]) < 128 && (x & 1) === 0 && (x >>= 1) < e - p) p++;
  else { x = readSize(b, p, e); p = cursor.at }`

function longSource(reader: PrimitiveNode, into: string): string {
  const read = reader.bigint
    ? 'readBigint(b, p, e)'
    : reader.kind === 'double'
      ? 'readLongAsDouble(b, p, e)'
      : reader.kind === 'float'
        ? 'Math.fround(readLongAsDouble(b, p, e))'
        : 'readLong(b, p, e)'
  return `${into} = ${read}; p = cursor.at;`
}

function enumSource(program: Program, writer: EnumNode, reader: EnumNode, into: string): string {
  const symbols = writer.symbols.map((symbol) => (reader.symbols.includes(symbol) ? symbol : reader.default))
  return `${intSource('x')}
  if (x < 0 || x >= ${symbols.length}) malformed('an enum has no symbol ' + x, p);
  ${into} = ${constant(program, symbols)}[x];`
}

function unionSource(program: Program, writer: UnionNode, reader: SchemaNode, into: string): string {
  const cases = writer.branches.map((branch, index) => {
    // Records of one writer type stay in the branch of that type, whatever else would also take them.
    const read = readSource(program, branch, reader, into)
    return `case ${index}: { ${read} break }`
  })
  return `${intSource('x')}
  switch (x) { ${cases.join('\n')} default: malformed('a union has no branch ' + x, p) }`
}

function arraySource(program: Program, writer: ArrayNode, reader: ArrayNode, into: string): string {
  const [list, count, item] = [fresh(program, 'a'), fresh(program, 'n'), fresh(program, 'v')]
  return `{ const ${list} = []; let ${count}, ${item};
  while ((${count} = readBlockCount(b, p, e, ${minSizeBytes(writer.items)})) > 0) { p = cursor.at;
    while (${count}-- > 0) { ${readSource(program, writer.items, reader.items, item)} ${list}.push(${item}) } }
  p = cursor.at; ${into} = ${list}; }`
}

/** Maps have no prototype, so that a key from outside never meets an inherited property. */
function mapSource(program: Program, writer: MapNode, reader: MapNode, into: string): string {
  const [map, count, key, item] = ['m', 'n', 'k', 'v'].map((prefix) => fresh(program, prefix))
  return `{ const ${map} = { __proto__: null }; let ${count}, ${key}, ${item};
  while ((${count} = readBlockCount(b, p, e, ${1 + minSizeBytes(writer.values)})) > 0) { p = cursor.at;
    while (${count}-- > 0) { ${sizeSource} ${key} = readText(b, p, x); p += x;
      if (${key} === '__proto__') malformed('a map has the key __proto__', p);
      ${readSource(program, writer.values, reader.values, item as string)} ${map}[${key}] = ${item} } }
  p = cursor.at; ${into} = ${map}; }`
}

/** The name of the function that reads a record; records may contain themselves, so each is a function. */
function recordFunction(program: Program, writer: RecordNode, reader: RecordNode): string {
  const known = functionName(program, writer, reader)
  if (!known.isNew) return known.name
  const sources = fieldSources(writer, reader)
  const taken = new Map([...sources].map(([field, written]) => [written, field]))
  const values = new Map(reader.fields.map((field) => [field, fresh(program, 'f')]))
  const steps = writer.fields.map((written) => {
    const field = taken.get(written)
    return field
      ? readSource(program, written.type, field.type, values.get(field) as string)
      : skipSource(program, written.type)
  })
  for (const field of reader.fields) {
    if (sources.has(field)) continue
    const make = () => defaultValue(field.type, field.defaultJson, field.name)
    const value = make()
    const isShared = typeof value !== 'object' || value === null
    steps.push(`${values.get(field)} = ${constant(program, isShared ? value : make)}${isShared ? '' : '()'};`)
  }
  const members = reader.fields.map((field) => `${JSON.stringify(field.name)}: ${values.get(field)}`)
  program.functions.push(`function ${known.name}(b, p, e, d) {
  if (d > ${nestingLimit}) malformed('values nest deeper than ${nestingLimit}', p);
  let x = 0${[...values.values()].map((name) => `, ${name}`).join('')};
  ${steps.join('\n  ')}
  cursor.at = p;
  return { ${members.join(', ')} };
}`)
  return known.name
}

function functionName(
  program: Program,
  writer: SchemaNode,
  reader: SchemaNode | null,
): { name: string; isNew: boolean } {
  const byReader = program.names.get(writer) ?? new Map<SchemaNode | null, string>()
  program.names.set(writer, byReader)
  const known = byReader.get(reader)
  if (known !== undefined) return { name: known, isNew: false }
  const name = fresh(program, reader === null ? 'skip' : 'read')
  byReader.set(reader, name)
  return { name, isNew: true }
}

/** Statements that step over a written value at `p`. */
function skipSource(program: Program, writer: SchemaNode): string {
  switch (writer.kind) {
    case 'null':
      return ''
    case 'boolean':
      return skipBytesSource(1)
    case 'float':
      return skipBytesSource(4)
    case 'double':
      return skipBytesSource(8)
    case 'fixed':
      return skipBytesSource(writer.sizeBytes)
    case 'int':
    case 'long':
    case 'enum':
      return 'p = skipVarint(b, p, e);'
    case 'string':
    case 'bytes':
      return `${sizeSource} p += x;`
    case 'array':
      return skipBlocksSource(program, writer.items, '')
    case 'map':
      return skipBlocksSource(program, writer.values, `${sizeSource} p += x;`)
    case 'union': {
      const cases = writer.branches.map(
        (branch, index) => `case ${index}: { ${skipSource(program, branch)} break }`,
      )
      return `${intSource('x')}
  switch (x) { ${cases.join('\n')} default: malformed('a union has no branch ' + x, p) }`
    }
    case 'record': {
      const known = functionName(program, writer, null)
      if (known.isNew) {
        const steps = writer.fields.map(({ type }) => skipSource(program, type))
        program.functions.push(`function ${known.name}(b, p, e, d) {
  if (d > ${nestingLimit}) malformed('values nest deeper than ${nestingLimit}', p);
  let x = 0;
  ${steps.join('\n  ')}
  return p;
}`)
      }
      return `p = ${known.name}(b, p, e, d + 1);`
    }
  }
}

const skipBytesSource = (size: number): string =>
  `if (e - p < ${size}) malformed('a value is cut short', p); p += ${size};`

function skipBlocksSource(program: Program, items: SchemaNode, key: string): string {
  const count = fresh(program, 'n')
  const minBytes = minSizeBytes(items) + (key === '' ? 0 : 1)
  return `{ let ${count};
  while ((${count} = skipBlock(b, p, e, ${minBytes})) !== 0) { p = cursor.at;
    while (${count}-- > 0) { ${key} ${skipSource(program, items)} } }
  p = cursor.at; }`
}
