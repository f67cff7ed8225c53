import { ByteWriter } from '../../state/contracts/byte-writer.ts'
import { ByteCursor } from './byte-cursor.ts'

/**
 * Doubles as runs, for arrays that are mostly zero: hashed weights fill a few
 * slots in a thousand.
 *
 *     [ zeros: varint | values: varint | value: f64 LE … ] …
 *
 * Zeros at the end are not written. -0 and NaN count as values, so that what
 * is read back has the same bits.
 */
export function writeRuns(cells: Float64Array, from: number, to: number, out: ByteWriter): void {
  let at = from
  while (at < to) {
    const zerosFrom = at
    while (at < to && isZero(cells[at]!)) at++
    if (at === to) return
    const zeros = at - zerosFrom
    const valuesFrom = at
    while (at < to && !isZero(cells[at]!)) at++
    out.varint(zeros)
    out.varint(at - valuesFrom)
    out.reserve(8 * (at - valuesFrom))
    for (let index = valuesFrom; index < at; index++) out.double(cells[index]!)
  }
}

/** Fills `cells[from … to)` from runs, the rest of it with zeros. */
export function readRuns(bytes: Uint8Array, cells: Float64Array, from: number, to: number): void {
  cells.fill(0, from, to)
  const cursor = new ByteCursor(bytes)
  let cell = from
  while (!cursor.isAtEnd) {
    cell += cursor.varint()
    const values = cursor.count()
    if (!(cell >= from && cell + values <= to)) {
      throw new RangeError(`${cell + values - from} doubles do not fit into ${to - from}`)
    }
    for (let index = 0; index < values; index++) cells[cell++] = cursor.double()
  }
}

/** The runs of a whole array, as bytes of their own. */
export function runsOf(cells: Float64Array, from = 0, to: number = cells.length): Uint8Array {
  const out = new ByteWriter(64)
  writeRuns(cells, from, to, out)
  return out.take()
}

const isZero = (value: number): boolean => value === 0 && 1 / value > 0
