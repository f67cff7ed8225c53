import type { RecoveryProgress } from '../../replay/assembly.ts'
import { Progress } from './progress.ts'

/** Tells of a restore from the changelog, then of the commits that are followed behind it. */
export class RecoveryLines {
  readonly #silent: boolean
  readonly #recovering: Progress
  #restoring: Progress | undefined
  #restored: number | undefined
  #isRecovering = false

  constructor(silent: boolean) {
    this.#silent = silent
    this.#recovering = new Progress('recovering', { unit: 'records', silent })
  }

  update({ records, restore }: RecoveryProgress): void {
    if (restore === undefined) {
      this.#endRestore()
      this.#isRecovering = true
      this.#recovering.update(records)
      return
    }
    this.#restoring ??= new Progress('restoring from the changelog', {
      unit: 'records',
      total: restore.of,
      silent: this.#silent,
    })
    this.#restored = restore.records
    this.#restoring.update(restore.records)
  }

  /** The last lines, kept; none of what was followed while another ran the task. */
  end({ records }: RecoveryProgress): void {
    this.#endRestore()
    if (this.#isRecovering && records > 0) this.#recovering.end(records)
  }

  #endRestore(): void {
    if (this.#restored === undefined) return
    this.#restoring?.end(this.#restored)
    this.#restored = undefined
  }
}
