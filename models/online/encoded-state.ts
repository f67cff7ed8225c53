import { ByteWriter } from '../../state/contracts/byte-writer.ts'
import { type LearnerState, refuseSnapshot, type StatePage } from '../learner.ts'
import { ByteCursor } from './byte-cursor.ts'
import { openSnapshot, startSnapshot } from './snapshot-header.ts'

/** A part of a state that grows, such as a tree: written as a whole when it changed. */
export interface EncodedPart {
  /** Set by the learner with every change. */
  changed: boolean
  /** Canonical: equal parts write equal bytes. */
  write(out: ByteWriter): void
  read(cursor: ByteCursor): void
}

/**
 * State of a fixed list of growing parts, one page each.
 *
 *     [ 'HWE1' | name: string | size: varint, bytes | … ]
 */
export class EncodedState<Part extends EncodedPart = EncodedPart> implements LearnerState {
  readonly parts: readonly Part[]
  readonly #name: string
  /** Bytes of each part when it was last written. */
  readonly #sizes: number[]

  constructor(name: string, parts: readonly Part[]) {
    this.#name = name
    this.parts = parts
    this.#sizes = parts.map(() => 256)
  }

  get dirtyBytes(): number {
    // By their last size: encoding a forest to learn how large it is would cost as much as saving it.
    return this.parts.reduce((sum, part, page) => sum + (part.changed ? this.#sizes[page]! : 0), 0)
  }

  save(): StatePage[] {
    const pages: StatePage[] = []
    for (const [page, part] of this.parts.entries()) {
      if (!part.changed) continue
      part.changed = false
      const bytes = bytesOf(part)
      this.#sizes[page] = bytes.length
      pages.push({ page, bytes })
    }
    return pages
  }

  restore(pages: Iterable<StatePage>): void {
    this.#guard(() => {
      for (const { page, bytes } of pages) {
        const part = this.parts[page]
        if (!part) throw new RangeError(`it has no page ${page}`)
        part.read(new ByteCursor(bytes))
        part.changed = false
      }
    })
  }

  snapshot(): Uint8Array {
    const out = new ByteWriter(1024)
    startSnapshot(out, magic, this.#name)
    for (const part of this.parts) {
      const bytes = bytesOf(part)
      out.varint(bytes.length)
      out.raw(bytes)
    }
    return out.take()
  }

  load(snapshot: Uint8Array): void {
    this.#guard(() => {
      const cursor = openSnapshot(snapshot, magic, this.#name)
      for (const part of this.parts) {
        part.read(new ByteCursor(cursor.take(cursor.varint())))
        part.changed = true
      }
    })
  }

  #guard(read: () => void): void {
    try {
      read()
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause
      refuseSnapshot(this.#name, cause.message)
    }
  }
}

const magic = 'HWE1'

function bytesOf(part: EncodedPart): Uint8Array {
  const out = new ByteWriter(1024)
  part.write(out)
  return out.take()
}
