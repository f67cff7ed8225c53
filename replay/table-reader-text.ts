import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { ColumnType } from './table-column.ts'
import type { TableChunk, TableReader } from './table-reader.ts'

const chunkRows = 20_000

/** The type that all values of a column fit, learnt as they pass. */
class TypeGuess {
  #isLong = true
  #isDouble = true
  #isBoolean = true
  #seen = false

  add(value: unknown): void {
    if (value === null) return
    this.#seen = true
    if (this.#isBoolean && value !== 'true' && value !== 'false' && typeof value !== 'boolean') {
      this.#isBoolean = false
    }
    if (!this.#isDouble) return
    if (typeof value === 'number') {
      if (!Number.isSafeInteger(value)) this.#isLong = false
      return
    }
    // A leading zero or plus is text that looks like a number, as in a postcode.
    const isNumber = typeof value === 'string' && /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(value)
    if (!isNumber) this.#isDouble = false
    if (!isNumber || !/^-?\d{1,18}$/.test(value)) this.#isLong = false
  }

  get type(): ColumnType {
    if (!this.#seen) return 'string'
    if (this.#isBoolean) return 'boolean'
    if (!this.#isDouble) return 'string'
    return this.#isLong ? 'long' : 'double'
  }
}

type Records = () => AsyncGenerator<readonly unknown[]>

class TextReader implements TableReader {
  readonly names: readonly string[]
  readonly #records: Records
  readonly #guesses: readonly TypeGuess[]

  constructor(names: readonly string[], records: Records) {
    this.names = names
    this.#records = records
    this.#guesses = names.map(() => new TypeGuess())
  }

  typeOf(name: string): ColumnType {
    return this.#guesses[this.names.indexOf(name)]?.type ?? 'string'
  }

  async *chunks(): AsyncGenerator<TableChunk> {
    let columns: unknown[][] = this.names.map(() => [])
    let count = 0
    for await (const record of this.#records()) {
      for (let index = 0; index < columns.length; index++) {
        const value = record[index] ?? null
        this.#guesses[index]!.add(value)
        columns[index]!.push(value)
      }
      if (++count === chunkRows) {
        yield this.#chunk(columns, count)
        columns = this.names.map(() => [])
        count = 0
      }
    }
    if (count > 0) yield this.#chunk(columns, count)
  }

  #chunk(columns: readonly unknown[][], count: number): TableChunk {
    return { count, columns: new Map(this.names.map((name, index) => [name, columns[index]!])) }
  }
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const file = createReadStream(path)
  const text = path.endsWith('.gz') ? file.pipe(createGunzip()) : file
  let failure: unknown
  const lines = createInterface({ input: text, crlfDelay: Number.POSITIVE_INFINITY })
  for (const stream of [file, text]) {
    stream.on('error', (error: unknown) => {
      failure = error
      lines.close()
    })
  }
  yield* lines
  if (failure !== undefined) throw failure
}

/** The records of a CSV file as RFC 4180 has them; an empty field without quotes is null. */
async function* csvRecords(path: string): AsyncGenerator<readonly (string | null)[]> {
  let open = ''
  let line = 0
  for await (const each of linesOf(path)) {
    line++
    const text = open === '' ? each : `${open}\n${each}`
    // A record goes on in the next line while one of its fields is still quoted.
    if (((text.match(/"/g)?.length ?? 0) & 1) === 1) {
      open = text
      continue
    }
    open = ''
    if (text !== '') yield fieldsOf(line === 1 ? text.replace(/^\uFEFF/, '') : text)
  }
  if (open !== '')
    throw new RangeError(`a quoted field does not end before the file does: ${open.slice(0, 80)}`)
}

function fieldsOf(text: string): readonly (string | null)[] {
  const plain = (field: string) => (field === '' ? null : field)
  if (!text.includes('"')) return text.split(',').map(plain)
  const fields: (string | null)[] = []
  for (const [, quoted, bare = ''] of text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))(?=,|$)/g)) {
    fields.push(quoted === undefined ? plain(bare) : quoted.replaceAll('""', '"'))
  }
  return fields
}

export async function csvTable(path: string): Promise<TableReader> {
  let names: readonly string[] | undefined
  for await (const record of csvRecords(path)) {
    names = record.map((name) => name ?? '')
    break
  }
  if (names === undefined) throw refused(path, 'an empty file', 'a header and a row a line')
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw refused(path, `two columns named "${twice}"`, 'a name for each')
  const width = names.length
  return new TextReader(names, async function* () {
    let line = 0
    for await (const record of csvRecords(path)) {
      if (line++ === 0) continue
      if (record.length !== width) {
        throw refused(path, `${record.length} fields in record ${line}`, `${width} as in the header`)
      }
      yield record
    }
  })
}

/** The columns are the fields of the first object; later ones may lack some. */
export async function ndjsonTable(path: string): Promise<TableReader> {
  const objects = async function* (): AsyncGenerator<Record<string, unknown>> {
    let line = 0
    for await (const text of linesOf(path)) {
      line++
      if (text.trim() === '') continue
      let value: unknown
      try {
        value = JSON.parse(text)
      } catch {
        throw refused(path, `line ${line} is no JSON: ${text.slice(0, 80)}`, 'one JSON object a line')
      }
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw refused(path, `line ${line} is no object`, 'one JSON object a line')
      }
      yield value as Record<string, unknown>
    }
  }
  let names: readonly string[] | undefined
  for await (const object of objects()) {
    names = Object.keys(object)
    break
  }
  if (names === undefined) throw refused(path, 'an empty file', 'one JSON object a line')
  const fields = names
  return new TextReader(fields, async function* () {
    let row = 0
    for await (const object of objects()) {
      row++
      const other = Object.keys(object).find((name) => !fields.includes(name))
      if (other !== undefined) {
        throw refused(
          path,
          `row ${row} has a field "${other}"`,
          `the fields of the first row: ${fields.join(', ')}`,
        )
      }
      yield fields.map((name) => object[name])
    }
  })
}

const refused = (path: string, found: string, expected: string): EngineError<'table-unreadable'> =>
  new EngineError('table-unreadable', { path: resolve(path), found, expected })
