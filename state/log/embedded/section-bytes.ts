import { EngineError } from '../../contracts/engine-error.ts'
import { isSectionWhole } from '../section.ts'
import type { ReadPlan } from '../section-read.ts'
import type { Journal } from './journal.ts'
import { diskError } from './log-files.ts'
import { StaleSegment } from './segment.ts'

/** The planned sections in memory: section i begins at `places[i]` of `bytes`. */
export interface SectionBytes {
  readonly bytes: Buffer
  readonly places: readonly number[]
}

/** Sections with no more than this between them are read in one go. */
const joinedGapBytes = 32 << 10

/**
 * The sections of a plan, which lie in one segment: from memory where the
 * journal's tail has them, else from the file, checked.
 *
 * @throws EngineError `log-damaged`, `log-disk`; StaleSegment
 */
export async function sectionBytes(journal: Journal, plan: ReadPlan): Promise<SectionBytes> {
  const { positions, byteLengths } = plan
  const segment = plan.segments[0]!
  const first = positions[0]!
  const end = positions.at(-1)! + byteLengths.at(-1)!
  const chunk = journal.tail.find(segment, first)
  if (chunk !== undefined && end <= chunk.to) {
    return { bytes: chunk.bytes, places: positions.map((position) => position - chunk.from) }
  }
  return readFromFile(journal, segment, positions, byteLengths)
}

async function readFromFile(
  journal: Journal,
  number: number,
  positions: readonly number[],
  byteLengths: readonly number[],
): Promise<SectionBytes> {
  const runs = joinedRuns(positions, byteLengths)
  const places: number[] = []
  const bytes = Buffer.allocUnsafeSlow(runs.reduce((sum, { from, to }) => sum + to - from, 0))
  const { segment, file } = journal.acquire(number)
  try {
    let at = 0
    for (const { from, to, sections } of runs) {
      for (const section of sections) places[section] = at + positions[section]! - from
      await readExactly(journal, segment.path, file, bytes, at, to - from, from)
      at += to - from
    }
  } finally {
    segment.release()
  }
  for (const [index, place] of places.entries()) {
    if (isSectionWhole(bytes, place, byteLengths[index]!)) continue
    throw new EngineError('log-damaged', {
      path: segment.path,
      position: positions[index]!,
      detail: 'the checksum of a section is wrong',
    })
  }
  return { bytes, places }
}

interface Run {
  readonly from: number
  to: number
  readonly sections: number[]
}

function joinedRuns(positions: readonly number[], byteLengths: readonly number[]): readonly Run[] {
  const runs: Run[] = []
  for (const [index, position] of positions.entries()) {
    const end = position + byteLengths[index]!
    const last = runs.at(-1)
    if (last !== undefined && position - last.to <= joinedGapBytes) {
      last.to = end
      last.sections.push(index)
    } else {
      runs.push({ from: position, to: end, sections: [index] })
    }
  }
  return runs
}

async function readExactly(
  journal: Journal,
  path: string,
  file: number,
  target: Buffer,
  at: number,
  count: number,
  position: number,
): Promise<void> {
  for (let done = 0; done < count; ) {
    let got: number
    try {
      got = await journal.files.readLater(file, target, at + done, count - done, position + done)
    } catch (error) {
      throw diskError(path, 'read', error)
    }
    if (got === 0) {
      throw new EngineError('log-damaged', {
        path,
        position: position + done,
        detail: 'the file ends before its sections do',
      })
    }
    done += got
  }
}

/** Runs a read again, after `refresh`, when cleaning replaced the segment under it. */
export async function withFreshIndex<Result>(
  read: () => Promise<Result>,
  refresh: () => void,
): Promise<Result> {
  for (let tries = 0; ; tries++) {
    try {
      return await read()
    } catch (error) {
      if (!(error instanceof StaleSegment) || tries === 3) throw error
      refresh()
    }
  }
}
