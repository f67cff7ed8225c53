import { join } from 'node:path'
import { isEngineError } from '../../contracts/engine-error.ts'
import { readSectionHeader, sectionKinds } from '../section.ts'
import { Journal } from './journal.ts'
import { type LogFiles, nodeFiles, onDisk, readFully } from './log-files.ts'
import { recover } from './recovery.ts'
import { FrameScan } from './scan.ts'
import { decodeSegmentHeader, Segment, segmentHeaderBytes, segmentName, segmentNumbers } from './segment.ts'

/** What reading every byte of a log found. */
export interface LogReport {
  readonly segments: number
  readonly frames: number
  readonly records: number
  readonly bytes: number
  /** Bytes of a frame at the very end that was never written whole; the next opening cuts them. */
  readonly tornBytes: number
  /** The first place that is wrong; absent when the log is whole. */
  readonly damage?: { readonly path: string; readonly position: number; readonly detail: string }
}

export interface VerifyOptions {
  readonly path: string
  /** Gets the bytes read so far, after each segment. */
  readonly onProgress?: (bytes: number) => void
  readonly files?: LogFiles
}

/** Checks every checksum, the order of the frames and that no offset is missing. Writes nothing. */
export async function verifyLog({ path, onProgress, files = nodeFiles }: VerifyOptions): Promise<LogReport> {
  const total = { segments: 0, frames: 0, records: 0, bytes: 0, tornBytes: 0 }
  const numbers = segmentNumbers(onDisk(path, 'list', () => files.list(path)))
  let damage: LogReport['damage']
  for (const [index, number] of numbers.entries()) {
    const found = verifySegment(files, path, number, index === numbers.length - 1, total)
    damage ??= found
    onProgress?.(total.bytes)
    // A turn of the event loop for the progress to be shown and ^C to be heard.
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  damage ??= findGap(files, path)
  return { ...total, ...(damage === undefined ? {} : { damage }) }
}

type Total = { -readonly [Name in Exclude<keyof LogReport, 'damage'>]: LogReport[Name] }

function verifySegment(
  files: LogFiles,
  folder: string,
  number: number,
  isLast: boolean,
  total: Total,
): LogReport['damage'] {
  const path = join(folder, segmentName(number))
  const file = onDisk(path, 'open', () => files.open(path, 'read'))
  try {
    total.segments++
    const sizeBytes = files.sizeBytes(file)
    const bytes = Buffer.alloc(segmentHeaderBytes)
    const got = readFully(files, file, bytes, 0, segmentHeaderBytes, 0)
    const header = decodeSegmentHeader(bytes.subarray(0, got), path)
    if (typeof header === 'string') {
      total.tornBytes += isLast ? sizeBytes : 0
      return isLast ? undefined : { path, position: 0, detail: header }
    }
    const segment = new Segment(files, folder, header, segmentHeaderBytes)
    const scan = new FrameScan(files, file, segment, sizeBytes)
    const end = scan.run(segmentHeaderBytes, header.firstSequence - 1, (frame) => {
      total.frames++
      segment.lastSequence = frame.header.sequence
      for (const at of frame.sections) {
        const section = readSectionHeader(frame.bytes, at)
        if (section.kind !== sectionKinds.catalog) total.records += section.count
      }
    })
    total.bytes += sizeBytes
    if (end.defect === undefined) return undefined
    if (!isLast || scan.isDamage(end, segment.lastSequence + 1)) {
      return { path, position: end.position, detail: end.defect }
    }
    total.tornBytes += sizeBytes - end.position
    return undefined
  } finally {
    files.close(file)
  }
}

/** Opening a log checks that its segments and offsets follow one another. */
function findGap(files: LogFiles, path: string): LogReport['damage'] {
  const journal = new Journal({ path, files, segmentBytes: 0, tailBytes: 0, now: () => 0 })
  try {
    recover(journal, false)
    return undefined
  } catch (error) {
    if (isEngineError(error, 'log-damaged')) return error.context
    throw error
  } finally {
    journal.close()
  }
}
