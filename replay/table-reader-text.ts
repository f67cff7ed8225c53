import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { ColumnType, TableChunk, TableReader } from './table-column.ts'

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
    // Text, once and for all.
    if (!this.#isDouble && !this.#isBoolean) return
    if (typeof value === 'string' && isShortWhole(value)) {
      this.#isBoolean = false
      return
    }
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

/** A whole number without a sign that no closer look is needed for: most are. */
function isShortWhole(text: string): boolean {
  const { length } = text
  if (length === 0 || length > 15 || (length > 1 && text.charCodeAt(0) === 48)) return false
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at)
    if (code < 48 || code > 57) return false
  }
  return true
}

type Records = () => AsyncGenerator<readonly (readonly unknown[])[]>

class TextReader implements TableReader {
  readonly names: readonly string[]
  readonly #records: Records
  readonly #guesses: readonly TypeGuess[]
  /** All values have passed once. */
  #isGuessed = false

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
    for await (const records of this.#records()) {
      for (const record of records) {
        for (let index = 0; index < columns.length; index++) {
          const value = record[index] ?? null
          if (!this.#isGuessed) this.#guesses[index]!.add(value)
          columns[index]!.push(value)
        }
        if (++count === chunkRows) {
          yield this.#chunk(columns, count)
          columns = this.names.map(() => [])
          count = 0
        }
      }
    }
    if (count > 0) yield this.#chunk(columns, count)
    this.#isGuessed = true
  }

  #chunk(columns: readonly unknown[][], count: number): TableChunk {
    return { count, columns: new Map(this.names.map((name, index) => [name, columns[index]!])) }
  }
}

/** The lines of a file, as many at a time as a read of it brings; a rejected read ends the loop. */
async function* linesOf(path: string): AsyncGenerator<readonly string[]> {
  const file = createReadStream(path, { highWaterMark: 1 << 18 })
  // A pipeline hands a failed read on to whoever reads its end.
  const text = path.endsWith('.gz') ? pipeline(file, createGunzip(), () => {}) : file
  text.setEncoding('utf8')
  let rest = ''
  for await (const chunk of text) {
    const lines = (rest + (chunk as string)).split('\n')
    rest = lines.pop()!
    yield lines.map(withoutReturn)
  }
  if (rest !== '') yield [withoutReturn(rest)]
}

const withoutReturn = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line)

/** The records of a CSV file as RFC 4180 has them, some at a time; an empty field without quotes is null. */
async function* csvRecords(path: string): AsyncGenerator<readonly (readonly (string | null)[])[]> {
  let open: string | undefined
  let isFirst = true
  for await (const lines of linesOf(path)) {
    const records: (readonly (string | null)[])[] = []
    for (const line of lines) {
      const text = open === undefined ? (isFirst ? line.replace(/^\uFEFF/, '') : line) : `${open}\n${line}`
      isFirst = false
      // A record goes on in the next line while one of its fields is still quoted.
      if (text.includes('"') && ((text.match(/"/g)?.length ?? 0) & 1) === 1) {
        open = text
        continue
      }
      open = undefined
      if (text !== '') records.push(fieldsOf(text))
    }
    yield records
  }
  if (open !== undefined) {
    throw new RangeError(`a quoted field does not end before the file does: ${open.slice(0, 80)}`)
  }
}

function fieldsOf(text: string): readonly (string | null)[] {
  if (!text.includes('"')) {
    const split: (string | null)[] = text.split(',')
    for (let index = 0; index < split.length; index++) if (split[index] === '') split[index] = null
    return split
  }
  const fields: (string | null)[] = []
  for (let at = 0; at <= text.length; ) {
    if (text[at] !== '"') {
      const comma = text.indexOf(',', at)
      const end = comma < 0 ? text.length : comma
      fields.push(end === at ? null : text.slice(at, end))
      at = end + 1
      continue
    }
    let end = at + 1
    while (end < text.length && (text[end] !== '"' || text[end + 1] === '"')) end += text[end] === '"' ? 2 : 1
    fields.push(text.slice(at + 1, end).replaceAll('""', '"'))
    at = end + 2
  }
  return fields
}

export async function csvTable(path: string): Promise<TableReader> {
  const names = (await firstOf(csvRecords(path)))?.map((name) => name ?? '')
  if (names === undefined) throw refused(path, 'an empty file', 'a header and a row a line')
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw refused(path, `two columns named "${twice}"`, 'a name for each')
  const width = names.length
  return new TextReader(names, async function* () {
    let passed = 0
    for await (const records of csvRecords(path)) {
      const odd = records.findIndex(({ length }) => length !== width)
      if (odd >= 0) {
        const found = `${records[odd]!.length} fields in record ${passed + odd + 1}`
        throw refused(path, found, `${width} as in the header`)
      }
      yield passed === 0 ? records.slice(1) : records
      passed += records.length
    }
  })
}

async function firstOf<Item>(groups: AsyncIterable<readonly Item[]>): Promise<Item | undefined> {
  for await (const [first] of groups) if (first !== undefined) return first
  return undefined
}

/** The columns are the fields of the first object; later ones may lack some. */
export async function ndjsonTable(path: string): Promise<TableReader> {
  const first = await firstOf(jsonObjects(path))
  if (first === undefined) throw refused(path, 'an empty file', 'one JSON object a line')
  const fields = Object.keys(first)
  const known = new Set(fields)
  return new TextReader(fields, async function* () {
    let passed = 0
    for await (const objects of jsonObjects(path)) {
      for (const [index, object] of objects.entries()) {
        const other = Object.keys(object).find((name) => !known.has(name))
        if (other === undefined) continue
        const found = `row ${passed + index + 1} has a field "${other}"`
        throw refused(path, found, `the fields of the first row: ${fields.join(', ')}`)
      }
      yield objects.map((object) => fields.map((name) => object[name]))
      passed += objects.length
    }
  })
}

async function* jsonObjects(path: string): AsyncGenerator<readonly Record<string, unknown>[]> {
  let line = 0
  for await (const lines of linesOf(path)) {
    const objects: Record<string, unknown>[] = []
    for (const text of lines) {
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
      objects.push(value as Record<string, unknown>)
    }
    yield objects
  }
}

const refused = (path: string, found: string, expected: string): EngineError<'table-unreadable'> =>
  new EngineError('table-unreadable', { path: resolve(path), found, expected })
