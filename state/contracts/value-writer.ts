import type { ByteWriter } from './byte-writer.ts'
import {
  nestingLimit,
  type PrimitiveNode,
  type RecordNode,
  type SchemaNode,
  typeName,
  type UnionNode,
  type ValueClass,
  valueClass,
} from './schema-node.ts'
import { violation } from './value-violation.ts'

/** Appends one value in Avro's binary form. Throws ValueViolation; then what was appended is to be cut off. */
export type ValueWriter = (value: unknown, out: ByteWriter) => void

/**
 * Makes the writer of a schema's values, as a generated function that checks
 * each value's type and range, since bytes written wrongly cannot be read by
 * anybody. A missing nullable value is written as null.
 */
export function compileWriter(node: SchemaNode): ValueWriter {
  const program: Program = { functions: [], constants: [], open: new Map(), nextId: 0 }
  const body = writeSource(program, node, 'v', '')
  const source = `'use strict';
const { violation, soleKey, writeBigint, writeBytes, writeDecimal, writeInt, writeLong, writeText } = runtime;
${program.functions.join('\n')}
return function write(v, out) {
  const d = 0;
  let b = out.bytes, w = out.data, p = out.length;
  ${reserveSource(fixedMaxBytes(node) ?? 0)}
  ${body}
  out.length = p;
}`
  return new Function('runtime', 'constants', source)(runtime, program.constants) as ValueWriter
}

interface Program {
  readonly functions: string[]
  readonly constants: unknown[]
  /** Functions that are being made, by record: a record inside itself calls the one it is in. */
  readonly open: Map<RecordNode, string>
  nextId: number
}

const fresh = (program: Program, prefix: string): string => `${prefix}${program.nextId++}`

function constant(program: Program, value: unknown): string {
  program.constants.push(value)
  return `constants[${program.constants.length - 1}]`
}

/** The most bytes a value takes, where no value of the type is longer; undefined for types of any length. */
function fixedMaxBytes(node: SchemaNode): number | undefined {
  switch (node.kind) {
    case 'null':
      return 0
    case 'boolean':
      return 1
    case 'int':
    case 'enum':
      return 5
    case 'long':
      return 10
    case 'float':
      return 4
    case 'double':
      return 8
    case 'fixed':
      return node.sizeBytes
    case 'union': {
      const sizes = node.branches.map(fixedMaxBytes)
      return sizes.every((size) => size !== undefined) ? 5 + Math.max(...sizes) : undefined
    }
    default:
      return undefined
  }
}

const reserveSource = (size: number | string): string =>
  size === 0
    ? ''
    : `if (b.length - p < ${size}) { out.length = p; out.reserve(${size}); b = out.bytes; w = out.data }`

/** After a call that may have replaced the memory. */
const reloadSource = 'b = out.bytes; w = out.data;'

/**
 * Statements that write the value in the variable `value` at `p`. Types with
 * a `fixedMaxBytes` rely on memory that the caller reserved; others reserve.
 */
function writeSource(program: Program, node: SchemaNode, value: string, path: string): string {
  const refuse = (expected: string) =>
    `violation(${JSON.stringify(path)}, ${value}, ${JSON.stringify(expected)})`
  switch (node.kind) {
    case 'record':
      return `if (typeof ${value} !== 'object' || ${value} === null) ${refuse(`a record ${node.name}`)};
  out.length = p; ${recordFunction(program, node, path)}(${value}, out, d + 1); ${reloadSource} p = out.length;`
    case 'array':
      return arraySource(program, node.items, value, path)
    case 'map':
      return mapSource(program, node.values, value, path)
    case 'union':
      return unionSource(program, node, value, path)
    case 'enum': {
      const index = fresh(program, 'i')
      const indices = constant(program, new Map(node.symbols.map((symbol, at) => [symbol, at])))
      return `const ${index} = ${indices}.get(${value});
  if (${index} === undefined) ${refuse(`one of ${node.symbols.join(', ')}`)}; p = writeInt(b, p, ${index});`
    }
    case 'fixed': {
      const size = node.sizeBytes
      if (node.decimal) return decimalSource(program, node.decimal.precision, size, value, path)
      return `if (!(${value} instanceof Uint8Array) || ${value}.length !== ${size}) ${refuse(`${size} bytes`)};
  b.set(${value}, p); p += ${size};`
    }
    default:
      return primitiveSource(program, node, value, path)
  }
}

function primitiveSource(program: Program, node: PrimitiveNode, value: string, path: string): string {
  const check = (condition: string, expected: string) =>
    `if (!(${condition})) violation(${JSON.stringify(path)}, ${value}, ${JSON.stringify(expected)});`
  switch (node.kind) {
    case 'null':
      return check(`${value} === null || ${value} === undefined`, 'null')
    case 'boolean':
      return `${check(`typeof ${value} === 'boolean'`, 'a boolean')} b[p++] = ${value} ? 1 : 0;`
    case 'int':
      // A bigint cannot meet `|` with a number, so the type is looked at first.
      return `${check(`typeof ${value} === 'number' && (${value} | 0) === ${value}`, 'a whole number of 32 bits')} ${intSource(value)}`
    case 'long':
      return node.bigint
        ? `${check(`typeof ${value} === 'bigint' && BigInt.asIntN(64, ${value}) === ${value}`, 'a bigint of 64 bits')}
  p = writeBigint(b, p, ${value});`
        : `if (typeof ${value} === 'number' && (${value} | 0) === ${value}) { ${intSource(value)} } else {
  ${check(`Number.isSafeInteger(${value})`, 'a whole number up to 2^53 - 1')} p = writeLong(b, p, ${value}); }`
    case 'float':
      return `${check(`typeof ${value} === 'number'`, 'a number')} w.setFloat32(p, ${value}, true); p += 4;`
    case 'double':
      return `${check(`typeof ${value} === 'number'`, 'a number')} w.setFloat64(p, ${value} === ${value} ? ${value} : NaN, true); p += 8;`
    case 'string':
      return `${check(`typeof ${value} === 'string'`, 'a string')}
  p = writeText(out, p, ${value}, ${JSON.stringify(path)}); ${reloadSource}`
    case 'bytes':
      if (node.decimal) return decimalSource(program, node.decimal.precision, undefined, value, path)
      return `${check(`${value} instanceof Uint8Array`, 'bytes')} p = writeBytes(out, p, ${value}); ${reloadSource}`
  }
}

/** Ints of one byte are written in place. */
const intSource = (value: string): string =>
  `if (${value} >= -64 && ${value} < 64) b[p++] = (${value} << 1) ^ (${value} >> 31);
  else p = writeInt(b, p, ${value});`

function decimalSource(
  program: Program,
  precision: number,
  sizeBytes: number | undefined,
  value: string,
  path: string,
): string {
  const limit = constant(program, 10n ** BigInt(precision))
  return `if (typeof ${value} !== 'bigint' || ${value} >= ${limit} || -${value} >= ${limit})
    violation(${JSON.stringify(path)}, ${value}, 'a bigint of at most ${precision} digits');
  p = writeDecimal(out, p, ${value}, ${sizeBytes}); ${reloadSource}`
}

function arraySource(program: Program, items: SchemaNode, value: string, path: string): string {
  const [item, index] = [fresh(program, 'x'), fresh(program, 'i')]
  const itemBytes = fixedMaxBytes(items)
  const body = writeSource(program, items, item, `${path}[]`)
  return `if (!Array.isArray(${value})) violation(${JSON.stringify(path)}, ${value}, 'an array');
  ${reserveSource(itemBytes === undefined ? 11 : `(11 + ${value}.length * ${itemBytes})`)}
  if (${value}.length > 0) p = writeInt(b, p, ${value}.length);
  for (let ${index} = 0; ${index} < ${value}.length; ${index}++) { const ${item} = ${value}[${index}];
    ${body} }
  ${itemBytes === undefined ? reserveSource(1) : ''} b[p++] = 0;`
}

function mapSource(program: Program, values: SchemaNode, value: string, path: string): string {
  const [keys, item, key] = [fresh(program, 'k'), fresh(program, 'x'), fresh(program, 'k')]
  const text = JSON.stringify(path)
  return `if (typeof ${value} !== 'object' || ${value} === null || Array.isArray(${value}))
    violation(${text}, ${value}, 'a map');
  const ${keys} = Object.keys(${value});
  ${reserveSource(11)}
  if (${keys}.length > 0) p = writeInt(b, p, ${keys}.length);
  for (const ${key} of ${keys}) { const ${item} = ${value}[${key}];
    if (${key} === '__proto__') violation(${text}, ${key}, 'another key');
    p = writeText(out, p, ${key}, ${text}); ${reloadSource}
    ${reserveSource(fixedMaxBytes(values) ?? 0)}
    ${writeSource(program, values, item, `${path}{}`)} }
  ${reserveSource(1)} b[p++] = 0;`
}

/** How generated code tells the classes of values apart, narrow ones before `object`. */
const classTests: readonly (readonly [ValueClass, (value: string) => string])[] = [
  ['null', (value) => `${value} === null || ${value} === undefined`],
  ['number', (value) => `typeof ${value} === 'number'`],
  ['string', (value) => `typeof ${value} === 'string'`],
  ['boolean', (value) => `typeof ${value} === 'boolean'`],
  ['bigint', (value) => `typeof ${value} === 'bigint'`],
  ['bytes', (value) => `${value} instanceof Uint8Array`],
  ['array', (value) => `Array.isArray(${value})`],
  ['object', (value) => `typeof ${value} === 'object'`],
]

function unionSource(program: Program, node: UnionNode, value: string, path: string): string {
  const reserved = fixedMaxBytes(node) !== undefined
  const write = (branch: SchemaNode, inner: string) => {
    const size = fixedMaxBytes(branch)
    const index = intSource(String(node.branches.indexOf(branch)))
    const room = reserved ? '' : reserveSource(5 + (size ?? 0))
    return `${room} ${index} ${writeSource(program, branch, inner, path)}`
  }
  const refuse = `violation(${JSON.stringify(path)}, ${value}, ${JSON.stringify(expectedOf(node))})`
  if (!node.tagged) {
    const cases = classTests.flatMap(([name, test]) => {
      const branch = node.branches.find((each) => valueClass(each) === name)
      return branch ? [`if (${test(value)}) { ${write(branch, value)} }`] : []
    })
    return `${cases.join(' else ')} else ${refuse};`
  }
  const inner = fresh(program, 'x')
  const tag = fresh(program, 't')
  const cases = node.branches.map((branch, index) => {
    const label = JSON.stringify(branch.kind === 'null' ? null : node.tags[index])
    return `case ${label}: { ${write(branch, inner)} break }`
  })
  return `const ${tag} = soleKey(${value}), ${inner} = ${tag} ? ${value}[${tag}] : null;
  switch (${tag}) { ${cases.join('\n')} default: ${refuse} }`
}

/** What a union takes, in words. */
export function expectedOf(node: UnionNode): string {
  return node.branches
    .map((branch, index) =>
      node.tagged && branch.kind !== 'null' ? `{ ${node.tags[index]}: … }` : typeName(branch),
    )
    .join(' or ')
}

function recordFunction(program: Program, node: RecordNode, path: string): string {
  const known = program.open.get(node)
  if (known !== undefined) return known
  const name = fresh(program, 'write')
  program.open.set(node, name)
  const steps: string[] = []
  for (const [index, field] of node.fields.entries()) {
    const size = fixedMaxBytes(field.type)
    const before = node.fields[index - 1]
    if (size !== undefined && (!before || fixedMaxBytes(before.type) === undefined)) {
      steps.push(reserveSource(runBytes(node, index)))
    }
    const value = fresh(program, 'x')
    const at = path === '' ? field.name : `${path}.${field.name}`
    steps.push(`const ${value} = v[${JSON.stringify(field.name)}];`)
    steps.push(writeSource(program, field.type, value, at))
  }
  program.functions.push(`function ${name}(v, out, d) {
  if (d > ${nestingLimit}) violation(${JSON.stringify(path)}, v, 'values that nest at most ${nestingLimit} deep');
  let b = out.bytes, w = out.data, p = out.length;
  ${steps.join('\n  ')}
  out.length = p;
}`)
  // Elsewhere the same record is made anew, so that a violation names the path it was met at.
  program.open.delete(node)
  return name
}

/** Most bytes that the fields of bounded size take, from a field up to the first of any length. */
function runBytes(node: RecordNode, from: number): number {
  let sum = 0
  for (const { type } of node.fields.slice(from)) {
    const size = fixedMaxBytes(type)
    if (size === undefined) break
    sum += size
  }
  return sum
}

/** The only key of a tagged value; null for null, undefined for anything else. */
function soleKey(value: unknown): string | null | undefined {
  if (value === null || value === undefined) return null
  if (typeof value !== 'object') return undefined
  const keys = Object.keys(value)
  return keys.length === 1 ? keys[0] : undefined
}

function writeInt(bytes: Buffer, start: number, value: number): number {
  let at = start
  let rest = (value << 1) ^ (value >> 31)
  while (rest & ~0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

/** A safe integer of more than 32 bits: 28 bits in four bytes, then the rest, both in integer arithmetic. */
function writeLong(bytes: Buffer, start: number, value: number): number {
  const half = value < 0 ? -value - 1 : value
  const high = Math.floor(half / 0x8000000)
  const low = (half - high * 0x8000000) * 2 + (value < 0 ? 1 : 0)
  bytes[start] = (low & 0x7f) | 0x80
  bytes[start + 1] = ((low >>> 7) & 0x7f) | 0x80
  bytes[start + 2] = ((low >>> 14) & 0x7f) | 0x80
  bytes[start + 3] = (low >>> 21) | 0x80
  let at = start + 4
  let rest = high
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

function writeBigint(bytes: Buffer, start: number, value: bigint): number {
  let at = start
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
  while (rest >= 0x80n) {
    bytes[at++] = Number(rest & 0x7fn) | 0x80
    rest >>= 7n
  }
  bytes[at++] = Number(rest)
  return at
}

/** Short ASCII, the usual case, is written here: the call into native code costs more than the text. */
function writeText(out: ByteWriter, start: number, text: string, path: string): number {
  const size = text.length
  out.length = start
  if (size < 64) {
    out.reserve(size + 1)
    const { bytes } = out
    bytes[start] = size << 1
    let at = start + 1
    for (let index = 0; index < size; index++) {
      const code = text.charCodeAt(index)
      if (code > 0x7f) return writeLongText(out, start, text, path)
      bytes[at++] = code
    }
    return at
  }
  return writeLongText(out, start, text, path)
}

const loneSurrogate = /\p{Surrogate}/u

function writeLongText(out: ByteWriter, start: number, text: string, path: string): number {
  const size = Buffer.byteLength(text)
  // Half a character cannot be written as UTF-8; the encoder would put U+FFFD in its place.
  if (size !== text.length && loneSurrogate.test(text))
    violation(path, text, 'a string without lone surrogates')
  out.reserve(size + 5)
  const at = writeInt(out.bytes, start, size)
  out.bytes.write(text, at, size, 'utf8')
  return at + size
}

function writeBytes(out: ByteWriter, start: number, source: Uint8Array): number {
  out.length = start
  out.reserve(source.length + 5)
  const at = writeInt(out.bytes, start, source.length)
  out.bytes.set(source, at)
  return at + source.length
}

function writeDecimal(out: ByteWriter, start: number, value: bigint, fixedBytes: number | undefined): number {
  const bytes = twosComplement(value, fixedBytes)
  if (fixedBytes === undefined) return writeBytes(out, start, bytes)
  out.bytes.set(bytes, start)
  return start + fixedBytes
}

/** Two's complement, big-endian; as short as the value allows, or of a fixed size with the sign in front. */
export function twosComplement(value: bigint, fixedBytes?: number): Buffer {
  let size = fixedBytes ?? 1
  while (fixedBytes === undefined && BigInt.asIntN(size * 8, value) !== value) size++
  const text = BigInt.asUintN(size * 8, value).toString(16)
  return Buffer.from(text.padStart(size * 2, '0'), 'hex')
}

const runtime = {
  violation,
  soleKey,
  writeBigint,
  writeBytes,
  writeDecimal,
  writeInt,
  writeLong,
  writeText,
}
