import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import type { Contract } from '../state/contracts/contract.ts'
import { EngineError, isEngineError } from '../state/contracts/engine-error.ts'
import { isNullable, type RecordField, valueClass, withoutNull } from '../state/contracts/schema-node.ts'
import type { DurationMs, TimestampMs } from '../state/contracts/units.ts'
import type { TableFormat, TableReader } from './table-column.ts'
import { fileDigest, openTable } from './table-reader.ts'

/** Unit of times that are written as plain numbers. */
export type TimeUnit = 's' | 'ms' | 'us' | 'ns'

export interface BackfillFileOptions {
  readonly path: string
  /** By the name of the file unless given. */
  readonly format?: TableFormat
  readonly contract: Contract<object>
  /** Column of a field, where it is not named as the field. */
  readonly columns?: Readonly<Record<string, string>>
  /** Default `ms`. Times as ISO 8601 and Parquet's own timestamps need none. */
  readonly timeUnit?: TimeUnit
  /** Event time of all rows, where the file has no column of it. */
  readonly atMs?: TimestampMs
  /** Rows later than this and the allowance are refused. */
  readonly nowMs: TimestampMs
  readonly maxAheadMs: DurationMs
}

/** Rows that were refused for one reason. */
export interface RefusedRows {
  /** A short stable word, with the field where there is one. */
  readonly reason: string
  readonly count: number
  /** The first of them: its number from 1, what was found and what was expected. */
  readonly firstRow: number
  readonly detail: string
}

export interface FileScan {
  readonly rows: number
  readonly accepted: number
  readonly refused: readonly RefusedRows[]
  /** Event times of the accepted rows; null where there are none. */
  readonly fromMs: TimestampMs | null
  readonly toMs: TimestampMs | null
}

/** A row as an event, or why it is none. */
export type FileRow =
  | { readonly value: object }
  | { readonly value?: undefined; readonly reason: string; readonly detail: string }

const unitsPerMs: Readonly<Record<TimeUnit, number>> = { s: 0.001, ms: 1, us: 1_000, ns: 1_000_000 }
/** In ms this is March 1973; a present time in seconds stays below it until the year 5138. */
const firstPlausibleMs = 100_000_000_000

/**
 * The rows of a Parquet, CSV or NDJSON file as events of one contract, in the
 * order of the file. Numbers and times in text are read as the contract has
 * them, NaN and empty fields are null. A row that does not fit is refused
 * with a reason and counted, and the next one is read.
 */
export class BackfillFile {
  readonly #options: BackfillFileOptions
  readonly #table: TableReader
  readonly #cells: readonly Cell[]
  /** Of every row, in the unit of its field; undefined where rows have their own. */
  readonly #givenTime: unknown
  #refused = new Map<string, { count: number; firstRow: number; detail: string }>()

  private constructor(options: BackfillFileOptions, table: TableReader) {
    this.#options = options
    this.#table = table
    this.#cells = cellsOf(options, table)
    const { atMs, contract } = options
    const field = contract.record.fields.find(({ name }) => name === contract.timeField)
    if (atMs !== undefined && field !== undefined && !this.hasTimeColumn) {
      this.#givenTime = readerOf(field, 1)(atMs)
    }
  }

  /** @throws EngineError `table-unreadable`, also where the file lacks a column that the event needs */
  static async open(options: BackfillFileOptions): Promise<BackfillFile> {
    const table = await openTable(options.path, options.format ?? formatOf(options.path))
    return new BackfillFile(options, table)
  }

  /** False where every row has the same event time, that of the options. */
  get hasTimeColumn(): boolean {
    return this.#cells.some(({ field }) => field === this.#options.contract.timeField)
  }

  /**
   * Names the rows for ever: by what the file holds, wherever it lies, and by
   * how it is read. The same file is brought in once.
   */
  async name(): Promise<string> {
    const { path, contract, columns = {}, timeUnit = 'ms' } = this.#options
    const how = JSON.stringify([await fileDigest(path), Object.entries(columns).sort(), timeUnit])
    return `backfill ${contract.name} ${createHash('sha256').update(how).digest('hex').slice(0, 32)}`
  }

  /** Every row, in order; each time from the beginning. */
  async *rows(): AsyncGenerator<FileRow> {
    this.#refused = new Map()
    let number = 0
    for await (const { count, columns } of this.#table.chunks()) {
      const found = this.#cells.map(({ column }) => columns.get(column))
      for (let index = 0; index < count; index++) {
        number++
        const row = this.#row(found, index)
        if (row.value === undefined) this.#refuse(row.reason, row.detail, number)
        yield row
      }
    }
  }

  /** Reads the whole file and brings nothing anywhere. */
  async scan(onRows: (rows: number) => void = () => {}): Promise<FileScan> {
    let rows = 0
    let accepted = 0
    let fromMs = Number.POSITIVE_INFINITY
    let toMs = Number.NEGATIVE_INFINITY
    for await (const { value } of this.rows()) {
      if (++rows % 10_000 === 0) onRows(rows)
      if (value === undefined) continue
      accepted++
      const atMs = this.#options.contract.timeOf(value)
      fromMs = Math.min(fromMs, atMs)
      toMs = Math.max(toMs, atMs)
    }
    const times = accepted > 0 ? { fromMs, toMs } : { fromMs: null, toMs: null }
    return { rows, accepted, refused: this.refused(), ...times }
  }

  /** Refused rows of the last reading, the most frequent reason first. */
  refused(): readonly RefusedRows[] {
    return [...this.#refused]
      .map(([reason, { count, firstRow, detail }]) => ({ reason, count, firstRow, detail }))
      .sort((left, right) => right.count - left.count || left.firstRow - right.firstRow)
  }

  #refuse(reason: string, detail: string, row: number): void {
    const known = this.#refused.get(reason)
    if (known === undefined) this.#refused.set(reason, { count: 1, firstRow: row, detail })
    else known.count++
  }

  #row(columns: readonly (readonly unknown[] | undefined)[], index: number): FileRow {
    const input: Record<string, unknown> = {}
    for (let place = 0; place < this.#cells.length; place++) {
      const { field, read, isNullable: nullable } = this.#cells[place]!
      const raw = columns[place]?.[index]
      const isNull = raw === null || raw === undefined || (typeof raw === 'number' && Number.isNaN(raw))
      if (!isNull) input[field] = read(raw)
      else if (nullable) input[field] = null
    }
    const { contract } = this.#options
    if (this.#givenTime !== undefined) input[contract.timeField] = this.#givenTime
    let value: object
    try {
      value = contract.parse(input)
    } catch (error) {
      if (!isEngineError(error, 'contract-violation')) throw error
      return { reason: `contract-violation: ${error.context.field}`, detail: error.message }
    }
    if (contract.keyFields.length > 0 && contract.keyOf(value) === null) {
      return { reason: 'null-key', detail: `key ${contract.keyFields.join(', ')} is null` }
    }
    return this.#timeProblem(contract.timeOf(value)) ?? { value }
  }

  #timeProblem(atMs: TimestampMs): FileRow | undefined {
    const { contract, nowMs, maxAheadMs } = this.#options
    const shown = `${contract.timeField} is ${atMs} ms`
    if (atMs > nowMs + maxAheadMs) {
      const detail = `${shown}, later than ${nowMs + maxAheadMs}; is it in microseconds or nanoseconds? say so with the time unit us or ns`
      return { reason: 'time-in-the-future', detail }
    }
    if (atMs >= firstPlausibleMs) return undefined
    const detail = `${shown}, before March 1973; is it in seconds? say so with the time unit s`
    return { reason: atMs < 0 ? 'time-before-epoch' : 'time-too-early', detail }
  }
}

/** How a field gets its value from a column. */
interface Cell {
  readonly field: string
  readonly column: string
  readonly isNullable: boolean
  readonly read: (raw: unknown) => unknown
}

function formatOf(path: string): TableFormat {
  const name = path.toLowerCase().replace(/\.gz$/, '')
  if (name.endsWith('.parquet')) return 'parquet'
  if (name.endsWith('.csv')) return 'csv'
  if (name.endsWith('.ndjson') || name.endsWith('.jsonl')) return 'ndjson'
  throw new EngineError('table-unreadable', {
    path: resolve(path),
    found: 'a name that tells no format',
    expected: '.parquet, .csv, .ndjson or .jsonl, the text formats also with .gz behind it',
  })
}

function cellsOf(options: BackfillFileOptions, table: TableReader): readonly Cell[] {
  const { path, contract, columns = {}, timeUnit = 'ms', atMs } = options
  const { names } = table
  const refuse = (expected: string): never => {
    throw new EngineError('table-unreadable', {
      path: resolve(path),
      found: `the columns ${names.join(', ')}`,
      expected,
    })
  }
  for (const [field, column] of Object.entries(columns)) {
    if (!contract.fieldNames.includes(field)) {
      refuse(
        `columns for fields of "${contract.name}" (${contract.fieldNames.join(', ')}), got one for "${field}"`,
      )
    }
    if (!names.includes(column)) refuse(`a column "${column}" for field "${field}"`)
  }
  return contract.record.fields.flatMap((each) => {
    const column = columns[each.name] ?? each.name
    if (!names.includes(column)) {
      if (atMs !== undefined && each.name === contract.timeField) return []
      if (each.hasDefault || isNullable(each.type)) return []
      refuse(`a column for field "${each.name}" of "${contract.name}", of its name or named for it`)
    }
    const isTime = table.typeOf(column) === 'timestamp'
    return [
      {
        field: each.name,
        column,
        isNullable: isNullable(each.type),
        read: readerOf(each, isTime ? 1 : unitsPerMs[timeUnit]),
      },
    ]
  })
}

const digits = /^[+-]?\d+(\.\d+)?$/

function readerOf({ type }: RecordField, perMs: number): (raw: unknown) => unknown {
  const node = withoutNull(type)
  if (node.kind === 'union') return fromJson
  if (node.kind === 'long' && node.logicalType?.startsWith('timestamp')) {
    const scale = node.logicalType === 'timestamp-micros' ? 1_000 : 1
    return (raw) => {
      if (raw instanceof Date) return raw.getTime() * scale
      const isNumber = typeof raw === 'string' ? digits.test(raw) : true
      return isNumber ? Math.floor((Number(raw) / perMs) * scale) : raw
    }
  }
  switch (valueClass(node)) {
    case 'number':
      return (raw) => {
        if (typeof raw === 'bigint') return Number(raw)
        if (typeof raw !== 'string' || raw.trim() === '') return raw
        const number = Number(raw)
        return Number.isNaN(number) ? raw : number
      }
    case 'bigint':
      return (raw) => (typeof raw === 'number' && node.kind !== 'long' ? String(raw) : raw)
    case 'boolean':
      return (raw) => (raw === 'true' ? true : raw === 'false' ? false : raw)
    case 'string':
      return (raw) => (typeof raw === 'number' || typeof raw === 'bigint' ? String(raw) : raw)
    case 'bytes':
      return (raw) => raw
    default:
      return fromJson
  }
}

/** Lists and objects are JSON in a text column. */
function fromJson(raw: unknown): unknown {
  if (typeof raw !== 'string' || !/^\s*[[{]/.test(raw)) return raw
  try {
    return JSON.parse(raw)
  } catch {
    return raw
  }
}
