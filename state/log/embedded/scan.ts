import { type FrameHeader, frameHeaderBytes, markBytes, readFrameBody, readFrameHeader } from './frame.ts'
import { type LogFiles, onDisk, readFully } from './log-files.ts'
import type { Segment } from './segment.ts'
import { areSectionsSound } from './sound-section.ts'

/** A valid frame: the sections' places are in `bytes`, which begin at `position` of the file. */
export interface ScannedFrame {
  readonly header: FrameHeader
  readonly bytes: Buffer
  readonly sections: readonly number[]
  /** Position in the file of byte 0 of `bytes`. */
  readonly origin: number
  /** Position of the frame in the file. */
  readonly position: number
}

/** Where a scan stopped: at the end of the file, or before something that is not a valid frame. */
export interface ScanEnd {
  readonly position: number
  readonly defect?: string
  /** The frame's header is valid and says that it reaches past the end of the file. */
  readonly isCutShort?: boolean
}

const windowBytes = 1 << 20

/**
 * Reads the frames of an open file from `from` to `to`, in order, until the
 * end or the first that is not valid.
 */
export class FrameScan {
  readonly #files: LogFiles
  readonly #file: number
  readonly #segment: Segment
  readonly #to: number
  #window: Buffer = Buffer.alloc(0)
  #origin = 0

  constructor(files: LogFiles, file: number, segment: Segment, to: number) {
    this.#files = files
    this.#file = file
    this.#segment = segment
    this.#to = to
  }

  /** Calls `onFrame` for each; sequences must go up from `after`. */
  run(from: number, after: number, onFrame: (frame: ScannedFrame) => void): ScanEnd {
    let position = from
    let sequence = after
    while (position < this.#to) {
      const frame = this.frameAt(position)
      if ('defect' in frame) return { position, ...frame }
      if (!this.#follows(frame.header.sequence, sequence)) {
        return { position, defect: `frame ${frame.header.sequence} follows frame ${sequence}` }
      }
      sequence = frame.header.sequence
      onFrame(frame)
      position += frame.header.byteLength
    }
    return { position }
  }

  /** In a segment as it was written no sequence is missing; cleaning leaves gaps. */
  #follows(sequence: number, before: number): boolean {
    if (this.#segment.header.coveredSequence === 0) return sequence === before + 1
    return sequence > before && sequence <= this.#segment.header.coveredSequence
  }

  frameAt(position: number): ScannedFrame | { readonly defect: string; readonly isCutShort?: boolean } {
    const { salt } = this.#segment.header
    if (this.#to - position < frameHeaderBytes) {
      return { defect: `${this.#to - position} bytes are no frame` }
    }
    this.#load(position, frameHeaderBytes)
    const header = readFrameHeader(this.#window, position - this.#origin, salt)
    if (header === undefined) return { defect: 'the header of a frame is wrong' }
    if (position + header.byteLength > this.#to) {
      return { defect: `a frame of ${header.byteLength} bytes is cut short`, isCutShort: true }
    }
    this.#load(position, header.byteLength)
    const at = position - this.#origin
    const body = readFrameBody(this.#window, at, header)
    if ('damagedAt' in body) {
      return {
        defect: `a section of frame ${header.sequence} at byte ${body.damagedAt + this.#origin} is wrong`,
      }
    }
    if (!areSectionsSound(this.#window, body.sections)) {
      return { defect: `a section of frame ${header.sequence} says what cannot be` }
    }
    return { header, bytes: this.#window, sections: body.sections, origin: this.#origin, position }
  }

  /**
   * Whether the stop at `end`, before frame `lost`, is damage: a valid frame
   * behind it says that `lost` was on the disk. Otherwise it is the torn end
   * of a log whose process or machine died, and nothing from there on was
   * acknowledged.
   */
  isDamage(end: ScanEnd, lost: number): boolean {
    // Its length is right, since its header is, so nothing can lie behind it.
    if (end.isCutShort === true) return false
    return this.#findFrame(end.position + 1, ({ durableSequence }) => durableSequence >= lost)
  }

  #findFrame(from: number, isWanted: (header: FrameHeader) => boolean): boolean {
    for (let position = from; position + frameHeaderBytes <= this.#to; ) {
      this.#load(position, frameHeaderBytes)
      const found = this.#window.indexOf(markBytes, position - this.#origin)
      if (found < 0) {
        // The mark may lie across the end of the window.
        position = this.#origin + this.#window.length - markBytes.length + 1
        continue
      }
      position = this.#origin + found
      const frame = this.frameAt(position)
      if ('defect' in frame) position += 1
      else if (isWanted(frame.header)) return true
      else position += frame.header.byteLength
    }
    return false
  }

  /** Makes the window hold `count` bytes from `position`; frames that were handed out keep the old one. */
  #load(position: number, count: number): void {
    if (position >= this.#origin && position + count <= this.#origin + this.#window.length) return
    const wanted = Math.min(Math.max(windowBytes, count), this.#to - position)
    const window = Buffer.allocUnsafeSlow(wanted)
    const got = onDisk(this.#segment.path, 'read', () =>
      readFully(this.#files, this.#file, window, 0, wanted, position),
    )
    this.#window = window.subarray(0, got)
    this.#origin = position
  }
}
