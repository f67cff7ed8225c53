import type { ByteSink, ColumnType, ColumnValues, TableColumn, TableWriter } from './table-column.ts'

/** Times as ISO 8601 in UTC; bigints as digits. */
function plain(type: ColumnType, value: unknown): unknown {
  if (value === null || value === undefined || Number.isNaN(value)) return null
  if (type === 'timestamp') return new Date(value as number).toISOString()
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString()
  return value
}

/** Comma-separated values as RFC 4180 has them; null is an empty field, a list is joined by `;`. */
export class CsvTable implements TableWriter {
  readonly #sink: ByteSink
  readonly #columns: readonly TableColumn[]

  constructor(sink: ByteSink, columns: readonly TableColumn[]) {
    this.#sink = sink
    this.#columns = columns
    sink.write(Buffer.from(`${columns.map(({ name }) => quoted(name)).join(',')}\n`))
  }

  write(columns: readonly ColumnValues[]): void {
    const rows = columns[0]?.length ?? 0
    const lines: string[] = new Array(rows)
    for (let row = 0; row < rows; row++) {
      lines[row] = this.#columns
        .map(({ type }, index) => {
          const value = plain(type, columns[index]![row])
          if (value === null) return ''
          // An empty text is not a missing one.
          if (value === '') return '""'
          return quoted(Array.isArray(value) ? value.join(';') : String(value))
        })
        .join(',')
    }
    if (rows > 0) this.#sink.write(Buffer.from(`${lines.join('\n')}\n`))
  }

  finish(): void {}
}

const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)

/** One JSON object a line. */
export class NdjsonTable implements TableWriter {
  readonly #sink: ByteSink
  readonly #columns: readonly TableColumn[]

  constructor(sink: ByteSink, columns: readonly TableColumn[]) {
    this.#sink = sink
    this.#columns = columns
  }

  write(columns: readonly ColumnValues[]): void {
    const rows = columns[0]?.length ?? 0
    const lines: string[] = new Array(rows)
    for (let row = 0; row < rows; row++) {
      lines[row] = JSON.stringify(
        Object.fromEntries(
          this.#columns.map(({ name, type }, index) => [name, plain(type, columns[index]![row])]),
        ),
      )
    }
    if (rows > 0) this.#sink.write(Buffer.from(`${lines.join('\n')}\n`))
  }

  finish(): void {}
}
