import { type LogFiles, nodeFiles } from '../../state/log/embedded/log-files.ts'

export type FileOperation = keyof LogFiles

/** One call of the file system that changes something: what a failure may hit. */
export interface FileCall {
  readonly operation: FileOperation
  readonly path: string
}

/** What becomes of a call: done, refused, done by half and then refused. */
export type Verdict = 'done' | 'refused' | 'half'

export function diskFull(): Error {
  return Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
}

/** The real file system, where `judge` decides about every call that changes something. */
export function faultyFiles(judge: (call: FileCall) => Verdict, error: () => Error = diskFull): LogFiles {
  const paths = new Map<number, string>()
  const judged = <Result>(
    operation: FileOperation,
    path: string,
    work: () => Result,
    half?: () => void,
  ): Result => {
    const verdict = judge({ operation, path })
    if (verdict === 'done') return work()
    if (verdict === 'half') half?.()
    throw error()
  }
  const of = (file: number) => paths.get(file) ?? ''
  return {
    ...nodeFiles,
    makeFolder: (path) => judged('makeFolder', path, () => nodeFiles.makeFolder(path)),
    open: (path, mode) => {
      const open = () => nodeFiles.open(path, mode)
      const file = mode === 'create' ? judged('open', path, open) : open()
      paths.set(file, path)
      return file
    },
    write: (file, source, at, count, position) =>
      judged(
        'write',
        of(file),
        () => nodeFiles.write(file, source, at, count, position),
        () => {
          nodeFiles.write(file, source, at, Math.ceil(count / 2), position)
        },
      ),
    truncate: (file, sizeBytes) => judged('truncate', of(file), () => nodeFiles.truncate(file, sizeBytes)),
    sync: (file) => judged('sync', of(file), () => nodeFiles.sync(file)),
    syncLater: async (file) => judged('syncLater', of(file), () => nodeFiles.syncLater(file)),
    syncFolder: (path) => judged('syncFolder', path, () => nodeFiles.syncFolder(path)),
    rename: (from, to) => judged('rename', from, () => nodeFiles.rename(from, to)),
    remove: (path) => judged('remove', path, () => nodeFiles.remove(path)),
  }
}
