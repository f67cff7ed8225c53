import { createHash } from 'node:crypto'
import type { AvroSchema } from '../state/contracts/avro-schema.ts'
import { ByteWriter } from '../state/contracts/byte-writer.ts'
import type { ByteSink, ColumnType, ColumnValues, TableColumn, TableWriter } from './table-column.ts'

/** A block is closed behind the row that brings it here. */
const blockBytes = 1 << 18

/**
 * The blocks of an Avro object container file, whose header comes last since
 * it holds what is known at the end: `header` gives the bytes that belong
 * before them. Fields are unions with null; `column` of a field is the
 * column's name where Avro does not allow it as a name.
 *
 * Blocks are not compressed and the sync marker is a digest of the schema:
 * what a compressor writes depends on its version and the processor, and a
 * drawn marker on chance, but the same rows are the same bytes here.
 *
 * Source: Apache Avro 1.11.1 Specification, "Object Container Files".
 */
export class AvroTable implements TableWriter {
  readonly #sink: ByteSink
  readonly #columns: readonly TableColumn[]
  readonly #schema: string
  readonly #marker: Buffer
  readonly #block = new ByteWriter(blockBytes + (1 << 16))
  readonly #head = new ByteWriter(32)
  #rows = 0

  constructor(sink: ByteSink, columns: readonly TableColumn[]) {
    this.#sink = sink
    this.#columns = columns
    this.#schema = JSON.stringify(schemaOf(columns))
    this.#marker = createHash('sha256').update(this.#schema).digest().subarray(0, 16)
  }

  write(columns: readonly ColumnValues[]): void {
    const rows = columns[0]?.length ?? 0
    const block = this.#block
    for (let row = 0; row < rows; row++) {
      for (const [index, { type }] of this.#columns.entries()) writeValue(block, type, columns[index]![row])
      this.#rows++
      if (block.length >= blockBytes) this.#flush()
    }
  }

  finish(): void {
    this.#flush()
  }

  header(metadata: Readonly<Record<string, string>>): Buffer {
    const header = new ByteWriter()
    header.raw(Buffer.from('Obj\u0001', 'latin1'))
    const entries = Object.entries({ 'avro.schema': this.#schema, 'avro.codec': 'null', ...metadata })
    header.varint(entries.length)
    for (const [name, text] of entries) {
      header.string(name)
      header.string(text)
    }
    header.varint(0)
    header.raw(this.#marker)
    return header.take()
  }

  #flush(): void {
    if (this.#rows === 0) return
    this.#head.reset()
    this.#head.varint(this.#rows)
    this.#head.varint(this.#block.length)
    this.#sink.write(this.#head.view())
    this.#sink.write(this.#block.view())
    this.#sink.write(this.#marker)
    this.#block.reset()
    this.#rows = 0
  }
}

function schemaOf(columns: readonly TableColumn[]): AvroSchema {
  const taken = new Set<string>()
  const fields = columns.map(({ name, type }) => {
    const plain = name.replace(/[^A-Za-z0-9_]/g, '_').replace(/^(?=[0-9])|^$/, '_')
    let given = plain
    for (let number = 2; taken.has(given); number++) given = `${plain}_${number}`
    taken.add(given)
    const column = given === name ? {} : { column: name }
    return { name: given, type: ['null', fieldTypes[type]], default: null, ...column }
  })
  return { type: 'record', name: 'Row', namespace: 'headwater.training', fields } as AvroSchema
}

const fieldTypes: Readonly<Record<ColumnType, unknown>> = {
  string: 'string',
  double: 'double',
  long: 'long',
  boolean: 'boolean',
  timestamp: { type: 'long', logicalType: 'timestamp-millis' },
  longs: { type: 'array', items: 'long' },
}

function writeValue(block: ByteWriter, type: ColumnType, value: unknown): void {
  if (value === null || value === undefined || Number.isNaN(value)) {
    block.byte(0)
    return
  }
  // Second branch of the union, zig-zag.
  block.byte(2)
  if (type === 'double') block.double(value as number)
  else if (type === 'string') block.string(value as string)
  else if (type === 'boolean') block.byte(value ? 1 : 0)
  else if (type === 'longs') {
    const list = value as readonly (number | bigint)[]
    if (list.length > 0) {
      block.varint(list.length)
      for (const item of list) writeLong(block, item)
    }
    block.byte(0)
  } else writeLong(block, value as number | bigint)
}

function writeLong(block: ByteWriter, value: number | bigint): void {
  const plain = Number(value)
  if (typeof value === 'number' || Number.isSafeInteger(plain)) {
    block.varint(plain)
    return
  }
  for (let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)); ; rest >>= 7n) {
    const isLast = rest < 0x80n
    block.byte(Number(rest & 0x7fn) | (isLast ? 0 : 0x80))
    if (isLast) return
  }
}
