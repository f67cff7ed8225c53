import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'

/**
 * The rows of a CSV file, gzipped where its name ends in `.gz`, as arrays of
 * text; the header row first. Fields may be quoted, without line breaks.
 */
export async function* csvRows(path: string): AsyncGenerator<readonly string[]> {
  const file = createReadStream(path)
  const text = path.endsWith('.gz') ? file.pipe(createGunzip()) : file
  // A failed read or unpack has to end the loop below, not the process.
  let failure: unknown
  for (const stream of [file, text]) {
    stream.on('error', (error: unknown) => {
      failure = error
      lines.close()
    })
  }
  const lines = createInterface({ input: text, crlfDelay: Number.POSITIVE_INFINITY })
  for await (const line of lines) if (line !== '') yield fieldsOf(line)
  if (failure !== undefined) throw failure
}

function fieldsOf(line: string): readonly string[] {
  if (!line.includes('"')) return line.split(',')
  const fields: string[] = []
  let at = 0
  while (at <= line.length) {
    if (line[at] === '"') {
      let text = ''
      let end = at + 1
      for (;;) {
        const quote = line.indexOf('"', end)
        if (quote < 0) throw new RangeError(`a quoted field does not end: ${line}`)
        text += line.slice(end, quote)
        if (line[quote + 1] !== '"') {
          at = quote + 2
          break
        }
        text += '"'
        end = quote + 2
      }
      fields.push(text)
    } else {
      const comma = line.indexOf(',', at)
      const end = comma < 0 ? line.length : comma
      fields.push(line.slice(at, end))
      at = end + 1
    }
  }
  return fields
}
