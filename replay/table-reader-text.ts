import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import { pipeline } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { ChunkOptions, ColumnType, TableChunk, TableReader } from './table-column.ts'
import { TextColumns, TypeGuess } from './text-columns.ts'

const chunkRows = 20_000

/** Puts the records of the file in, and pauses wherever a chunk may end. */
type Records = (into: TextColumns) => AsyncGenerator<void>

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

  async *chunks(options: ChunkOptions = {}): AsyncGenerator<TableChunk> {
    const columns = new TextColumns(this.names, this.#guesses, this.#isGuessed, options)
    for await (const _ of this.#records(columns)) if (columns.count >= chunkRows) yield columns.take()
    if (columns.count > 0) yield columns.take()
    this.#isGuessed = true
  }
}

/** The text of a file, up to the end of a line each time; a rejected read ends the loop. */
async function* wholeLinesOf(path: string): AsyncGenerator<string> {
  const file = createReadStream(path, { highWaterMark: 1 << 18 })
  // A pipeline hands a failed read on to whoever reads its end.
  const text = path.endsWith('.gz') ? pipeline(file, createGunzip(), () => {}) : file
  text.setEncoding('utf8')
  let rest = ''
  for await (const chunk of text) {
    const all = rest + (chunk as string)
    const end = all.lastIndexOf('\n') + 1
    rest = all.slice(end)
    if (end > 0) yield all.slice(0, end)
  }
  if (rest !== '') yield `${rest}\n`
}

/** The same by line, without the breaks. */
async function* linesOf(path: string): AsyncGenerator<readonly string[]> {
  for await (const text of wholeLinesOf(path)) yield text.slice(0, -1).split('\n').map(withoutReturn)
}

const withoutReturn = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line)

/** Records of a CSV file as RFC 4180 has them, from the header on; an empty field without quotes is null. */
class CsvRecords {
  readonly #path: string
  readonly #into: TextColumns
  /** What a quoted field holds of lines that have ended before it. */
  #open: string | undefined
  /** Records so far, the header too. */
  #passed = 0

  constructor(path: string, into: TextColumns) {
    this.#path = path
    this.#into = into
  }

  async *read(): AsyncGenerator<void> {
    let isFirst = true
    for await (const chunk of wholeLinesOf(this.#path)) {
      let text = isFirst ? chunk.replace(/^\uFEFF/, '') : chunk
      isFirst = false
      if (this.#passed === 0) text = this.#withoutHeader(text)
      if (this.#open !== undefined || text.includes('"')) this.#takeQuoted(text)
      else this.#takePlain(text)
      yield
    }
    if (this.#open !== undefined) {
      throw new RangeError(`a quoted field does not end before the file does: ${this.#open.slice(0, 80)}`)
    }
  }

  /** Line by line, until a record is whole; then the header is behind. */
  #withoutHeader(text: string): string {
    let at = 0
    while (at < text.length && this.#passed === 0) {
      const end = text.indexOf('\n', at)
      if (this.#recordOf(withoutReturn(text.slice(at, end))) !== undefined) this.#passed++
      at = end + 1
    }
    return text.slice(at)
  }

  /** Whole lines without a quote, in one pass over their characters. */
  #takePlain(text: string): void {
    const into = this.#into
    const { width } = into
    let record = 0
    let field = 0
    let index = 0
    let whole = 0
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (code >= 48 && code <= 57) {
        whole = whole * 10 + (code - 48)
      } else if (code === comma) {
        if (index < width) into.putPart(index, text, field, at, whole)
        index++
        field = at + 1
        whole = 0
      } else if (code === lineFeed) {
        const end = at > field && text.charCodeAt(at - 1) === carriageReturn ? at - 1 : at
        if (end > record) {
          if (index < width) into.putPart(index, text, field, end, whole)
          this.#end(index + 1)
        }
        record = at + 1
        field = at + 1
        index = 0
        whole = 0
      } else if (code !== carriageReturn || text.charCodeAt(at + 1) !== lineFeed) {
        whole = Number.NaN
      }
    }
  }

  #takeQuoted(text: string): void {
    for (const line of text.slice(0, -1).split('\n')) {
      const record = this.#recordOf(withoutReturn(line))
      if (record === undefined) continue
      if (record.length === this.#into.width) {
        for (let index = 0; index < record.length; index++) this.#into.put(index, record[index])
      }
      this.#end(record.length)
    }
  }

  /** undefined: the line is empty, or the record goes on in the next one. */
  #recordOf(line: string): readonly (string | null)[] | undefined {
    const text = this.#open === undefined ? line : `${this.#open}\n${line}`
    // A record goes on while one of its fields is still quoted.
    if (text.includes('"') && ((text.match(/"/g)?.length ?? 0) & 1) === 1) {
      this.#open = text
      return undefined
    }
    this.#open = undefined
    return text === '' ? undefined : fieldsOf(text)
  }

  #end(fields: number): void {
    this.#passed++
    this.#into.count++
    if (fields === this.#into.width) return
    throw refused(
      this.#path,
      `${fields} fields in record ${this.#passed}`,
      `${this.#into.width} as in the header`,
    )
  }
}

const comma = 44
const lineFeed = 10
const carriageReturn = 13

/** The first record of a CSV file. */
async function headerOf(path: string): Promise<readonly (string | null)[] | undefined> {
  let open = ''
  for await (const lines of linesOf(path)) {
    for (const line of lines) {
      open = open === '' ? line.replace(/^\uFEFF/, '') : `${open}\n${line}`
      if (((open.match(/"/g)?.length ?? 0) & 1) === 1) continue
      if (open !== '') return fieldsOf(open)
    }
  }
  if (open === '') return undefined
  throw new RangeError(`a quoted field does not end before the file does: ${open.slice(0, 80)}`)
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
  const names = (await headerOf(path))?.map((name) => name ?? '')
  if (names === undefined) throw refused(path, 'an empty file', 'a header and a row a line')
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw refused(path, `two columns named "${twice}"`, 'a name for each')
  return new TextReader(names, (into) => new CsvRecords(path, into).read())
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
  return new TextReader(fields, async function* (into) {
    let passed = 0
    for await (const objects of jsonObjects(path)) {
      for (const [index, object] of objects.entries()) {
        const other = Object.keys(object).find((name) => !known.has(name))
        if (other === undefined) continue
        const found = `row ${passed + index + 1} has a field "${other}"`
        throw refused(path, found, `the fields of the first row: ${fields.join(', ')}`)
      }
      for (const object of objects) {
        for (let place = 0; place < fields.length; place++) into.put(place, object[fields[place]!] ?? null)
        into.count++
      }
      passed += objects.length
      yield
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
