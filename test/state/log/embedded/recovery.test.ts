import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { EngineError } from '../../../../state/contracts/engine-error.ts'
import { crc32c } from '../../../../state/log/crc32c.ts'
import { type EmbeddedLogOptions, openEmbeddedLog } from '../../../../state/log/embedded/embedded-log.ts'
import { writeFrameHeader } from '../../../../state/log/embedded/frame.ts'
import type { TornTail } from '../../../../state/log/embedded/recovery.ts'
import { verifyLog } from '../../../../state/log/embedded/verify.ts'
import { appendValues, LogFolders, segmentsIn } from '../../../support/log-folders.ts'
import { readAll, writeRecord } from '../../../support/log-records.ts'

const now = () => 1_000
const segment1 = '0000000000000001.log'
const fileHeader = 64
const frameHeader = 40
let folders: LogFolders

beforeAll(() => {
  folders = new LogFolders()
})
afterAll(() => folders.remove())

const valuesIn = async (path: string): Promise<(string | null)[]> => {
  const log = await openEmbeddedLog({ path, now, readOnly: true })
  const values = (await readAll(log, 'a', 0)).map(({ value }) => value)
  await log.close()
  return values
}

/** A log of these values, each in a durable frame of its own, as a killed process leaves it. */
async function killed(values: readonly string[], tuning: Partial<EmbeddedLogOptions> = {}): Promise<string> {
  const path = folders.fresh()
  const log = await openEmbeddedLog({ path, now, ...tuning })
  await log.createTopic({ name: 'a', partitions: 1 })
  await appendValues(log, 'a', values)
  const copy = folders.copy(path)
  await log.close()
  return copy
}

/** Where each frame of a segment file begins, and its end. */
function framesOf(bytes: Buffer): number[] {
  const places: number[] = []
  let at = fileHeader
  for (; at < bytes.length; at += bytes.readUInt32LE(at + 8)) places.push(at)
  return [...places, at]
}

const errorOf = async (work: Promise<unknown>): Promise<EngineError> => {
  const error = await work.then(
    () => new Error('it did not fail'),
    (caught: unknown) => caught,
  )
  if (!(error instanceof EngineError)) throw error
  return error
}

async function openedAfter(path: string): Promise<TornTail[]> {
  const torn: TornTail[] = []
  const log = await openEmbeddedLog({ path, now, onTornTail: (tail) => torn.push(tail) })
  const writer = await log.writer('test')
  writeRecord(writer, 'a', 0, { key: 'k', value: 'after', timestampMs: 1 })
  await (await writer.commit()).durable
  await log.close()
  return torn
}

describe('a torn tail', () => {
  test('is cut at every byte of the last frame, and the log goes on behind what was whole', async () => {
    const path = await killed(['v0', 'v1', 'v2'])
    const file = join(path, segment1)
    const whole = readFileSync(file)
    const last = framesOf(whole).at(-2)!
    for (let size = last; size <= whole.length; size++) {
      rmSync(path, { recursive: true })
      mkdirSync(path)
      writeFileSync(file, whole.subarray(0, size))
      const isTorn = size > last && size < whole.length
      const kept = size === whole.length ? ['v0', 'v1', 'v2'] : ['v0', 'v1']
      expect(await valuesIn(path)).toEqual(kept)
      expect(readFileSync(file).length).toBe(size)
      const torn = await openedAfter(path)
      expect(torn.map(({ position, bytes }) => ({ position, bytes }))).toEqual(
        isTorn ? [{ position: last, bytes: size - last }] : [],
      )
      expect(await valuesIn(path)).toEqual([...kept, 'after'])
    }
  })

  test('of zeros or of any bytes is cut too', async () => {
    for (const tail of [Buffer.alloc(5_000), Buffer.alloc(300, 'HWF1'), Buffer.alloc(70, 0xff)]) {
      const path = await killed(['v0'])
      appendFileSync(join(path, segment1), tail)
      expect(await openedAfter(path)).toMatchObject([{ bytes: tail.length }])
      expect(await valuesIn(path)).toEqual(['v0', 'after'])
    }
  })

  test('at every byte of a new segment is as if that segment had not been begun', async () => {
    const values = Array.from({ length: 6 }, (_, index) => `${index}`.repeat(400))
    const path = await killed(values, { segmentBytes: 2_000 })
    const names = segmentsIn(path)
    expect(names.length).toBeGreaterThan(1)
    const newest = readFileSync(join(path, names.at(-1)!))
    const firstFrameEnd = framesOf(newest)[1]!
    const kept = await valuesIn(path)
    const inNewest = framesOf(newest).length - 2
    for (let size = 0; size < firstFrameEnd; size += 7) {
      const copy = folders.copy(path)
      truncateSync(join(copy, names.at(-1)!), size)
      await openedAfter(copy)
      expect(await valuesIn(copy)).toEqual([...kept.slice(0, kept.length - inNewest), 'after'])
      rmSync(copy, { recursive: true })
    }
  })

  test('whose frames reached the disk out of order was never acknowledged and is cut as a whole', async () => {
    const path = folders.fresh()
    const log = await openEmbeddedLog({ path, now })
    await log.createTopic({ name: 'a', partitions: 1 })
    const writer = await appendValues(log, 'a', ['kept'])
    for (const value of ['lost', 'arrived']) {
      writeRecord(writer, 'a', 0, { key: 'k', value, timestampMs: 1 })
      await writer.commit()
    }
    const copy = folders.copy(path)
    await log.close()
    const bytes = readFileSync(join(copy, segment1))
    const lost = framesOf(bytes).at(-3)!
    bytes.fill(0, lost, framesOf(bytes).at(-2))
    writeFileSync(join(copy, segment1), bytes)
    expect(await openedAfter(copy)).toMatchObject([{ position: lost, bytes: bytes.length - lost }])
    expect(await valuesIn(copy)).toEqual(['kept', 'after'])
  })
})

describe('a flipped byte', () => {
  test('anywhere before the last frame is damage with its segment and place, to writer, reader and verify', async () => {
    const path = await killed(['v0', 'v1', 'v2'])
    const file = join(path, segment1)
    const whole = readFileSync(file)
    const frames = framesOf(whole)
    for (let at = 0; at < frames.at(-2)!; at++) {
      // The format number is no damage: it is the future.
      if (at >= 8 && at < 12) continue
      const bytes = Buffer.from(whole)
      bytes[at]! ^= 0x40
      writeFileSync(file, bytes)
      const position = frames.findLast((frame) => frame <= at) ?? 0
      const expected = { code: 'log-damaged', context: { path: file, position } }
      expect(await errorOf(openEmbeddedLog({ path, now }))).toMatchObject(expected)
      expect(readFileSync(file).equals(bytes)).toBe(true)
      if (at % 5 > 0) continue
      expect(await errorOf(openEmbeddedLog({ path, now, readOnly: true }))).toMatchObject(expected)
    }
  })

  test('in the last frame of a log that was closed in order is damage', async () => {
    const path = folders.fresh()
    const log = await openEmbeddedLog({ path, now })
    await log.createTopic({ name: 'a', partitions: 1 })
    await appendValues(log, 'a', ['v0', 'v1'])
    await log.close()
    const bytes = readFileSync(join(path, segment1))
    const last = framesOf(bytes).at(-3)!
    bytes[last + 60]! ^= 1
    writeFileSync(join(path, segment1), bytes)
    expect((await verifyLog({ path })).damage).toMatchObject({ position: last })
    expect(await errorOf(openEmbeddedLog({ path, now }))).toMatchObject({ context: { position: last } })
  })

  test('in a sealed segment is found by verify at every place, and by the read that comes upon it', async () => {
    const values = Array.from({ length: 12 }, (_, index) => `value ${index}`)
    const path = await killed(values, { segmentBytes: 900 })
    const file = join(path, segment1)
    const whole = readFileSync(file)
    const frames = framesOf(whole)
    for (let at = fileHeader; at < whole.length; at += 3) {
      const bytes = Buffer.from(whole)
      bytes[at]! ^= 0x08
      writeFileSync(file, bytes)
      const position = frames.findLast((frame) => frame <= at)!
      expect((await verifyLog({ path })).damage).toMatchObject({ path: file, position })
    }
    // A key of the first frame with records, which opening by the index does not look at.
    const bytes = Buffer.from(whole)
    const section = frames[2]! + frameHeader
    bytes[frames[3]! - 1]! ^= 0x08
    writeFileSync(file, bytes)
    const log = await openEmbeddedLog({ path, now })
    expect(await errorOf(readAll(log, 'a', 0))).toMatchObject({
      code: 'log-damaged',
      context: { path: file, position: section },
    })
    expect((await readAll(log, 'a', 0, 4)).map(({ value }) => value)).toEqual(values.slice(4))
    await log.close()
  })
})

describe('what is missing', () => {
  test('an index that is missing, torn, flipped or of another segment is made again', async () => {
    const values = Array.from({ length: 20 }, (_, index) => `value ${index}`)
    const path = await killed(values, { segmentBytes: 900 })
    const index = join(path, '0000000000000001.index')
    const whole = readFileSync(index)
    const spoil: (() => void)[] = [
      () => rmSync(index),
      () => truncateSync(index, 11),
      () => copyFileSync(join(path, '0000000000000002.index'), index),
      () => writeFileSync(index, Buffer.alloc(1 << 20, 7)),
      ...Array.from({ length: whole.length }, (_, at) => () => {
        const bytes = Buffer.from(whole)
        bytes[at]! ^= 0x21
        writeFileSync(index, bytes)
      }),
    ]
    for (const one of spoil) {
      one()
      expect(await valuesIn(path)).toEqual(values)
      await (await openEmbeddedLog({ path, now })).close()
      expect(readFileSync(index).equals(whole)).toBe(true)
    }
  })

  test('a segment that is missing is damage', async () => {
    const path = await killed(
      Array.from({ length: 20 }, () => 'value'),
      { segmentBytes: 900 },
    )
    expect(segmentsIn(path).length).toBeGreaterThan(3)
    for (const name of segmentsIn(path).slice(0, -1)) {
      const copy = folders.copy(path)
      rmSync(join(copy, name))
      expect((await errorOf(openEmbeddedLog({ path: copy, now }))).code).toBe('log-damaged')
      expect((await verifyLog({ path: copy })).damage?.detail).toContain('missing')
    }
  })

  test('a log of a newer format is refused with both formats, and left as it is', async () => {
    const path = await killed(['v'])
    const bytes = readFileSync(join(path, segment1))
    bytes.writeUInt32LE(9, 8)
    bytes.writeUInt32LE(crc32c(bytes, 0, 60), 60)
    writeFileSync(join(path, segment1), bytes)
    for (const readOnly of [true, false]) {
      const error = await errorOf(openEmbeddedLog({ path, now, readOnly }))
      expect(error).toMatchObject({ code: 'log-newer-format', context: { found: 9, supported: 1 } })
      expect(error.message).toContain('use a newer headwater')
    }
    expect(readFileSync(join(path, segment1)).equals(bytes)).toBe(true)
  })

  test('a folder without a log is empty to a reader, and one that is not there an error', async () => {
    const path = folders.fresh()
    expect((await errorOf(openEmbeddedLog({ path, now, readOnly: true }))).code).toBe('log-disk')
    mkdirSync(path)
    const reader = await openEmbeddedLog({ path, now, readOnly: true })
    expect(await reader.topics()).toEqual([])
    const log = await openEmbeddedLog({ path, now })
    await log.createTopic({ name: 'a', partitions: 1 })
    expect((await reader.topics()).map(({ name }) => name)).toEqual(['a'])
    await reader.close()
    await log.close()
  })
})

describe('hostile bytes with right checksums', () => {
  /** Puts numbers into the header of the last frame's section and seals section and frame again. */
  const forge = async (change: (section: Buffer) => void): Promise<string> => {
    const path = await killed(['v0', 'v1'])
    const bytes = readFileSync(join(path, segment1))
    const last = framesOf(bytes).at(-2)!
    const section = bytes.subarray(last + frameHeader)
    change(section)
    section.writeUInt32LE(crc32c(section, 4), 0)
    writeFileSync(join(path, segment1), bytes)
    return path
  }

  test.each([
    ['a count', (section: Buffer) => section.writeUInt32LE(0xffffffff, 20)],
    ['the length of the fields', (section: Buffer) => section.writeUInt32LE(0xfffffff0, 28)],
    ['an offset', (section: Buffer) => section.writeDoubleLE(1e300, 32)],
    ['a partition', (section: Buffer) => section.writeUInt32LE(0xffffffff, 16)],
    ['a kind', (section: Buffer) => section.writeUInt16LE(77, 8)],
  ])('%s that cannot be is not believed', async (_, change) => {
    expect(await openedAfter(await forge(change))).toHaveLength(1)
  })

  test('a frame that claims four gigabytes allocates nothing', async () => {
    const path = await killed(['v0'])
    const bytes = readFileSync(join(path, segment1))
    const frame = Buffer.alloc(200)
    const header = { sectionCount: 0xffffffff, sequence: 4, appendedAtMs: 0, durableSequence: 3 }
    writeFrameHeader(frame, 0, { byteLength: 0xfffffff0, ...header }, bytes.readUInt32LE(12))
    appendFileSync(join(path, segment1), frame)
    expect(await openedAfter(path)).toMatchObject([{ bytes: 200 }])
    expect(await valuesIn(path)).toEqual(['v0', 'after'])
  })
})
