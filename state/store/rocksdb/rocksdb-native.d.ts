/** The part of rocksdb-native (installed as `rocksdb`) that the adapter uses; the package has no types. */
declare module 'rocksdb' {
  interface RocksDBOptions {
    readonly readOnly?: boolean
    readonly writeBufferSize?: number
    readonly maxBackgroundJobs?: number
    readonly tableBlockSize?: number
  }

  interface ReadBatch {
    /** null where there is no such key. */
    get(key: Uint8Array): Promise<Buffer | null>
    flush(): Promise<void>
    tryFlush(): void
    destroy(): void
  }

  export interface WriteBatch {
    tryPut(key: Uint8Array, value: Uint8Array): void
    tryDelete(key: Uint8Array): void
    tryDeleteRange(start: Uint8Array, end: Uint8Array): void
    flush(): Promise<void>
    destroy(): void
  }

  interface IteratorRange {
    readonly gte?: Uint8Array
    readonly lt?: Uint8Array
  }

  export interface RocksIterator extends AsyncIterable<{ readonly key: Buffer; readonly value: Buffer }> {
    destroy(): void
  }

  export default class RocksDB {
    constructor(path: string, options?: RocksDBOptions)
    ready(): Promise<void>
    snapshot(): RocksDB
    read(options?: { readonly capacity?: number; readonly autoDestroy?: boolean }): ReadBatch
    write(options?: { readonly capacity?: number; readonly autoDestroy?: boolean }): WriteBatch
    iterator(range: IteratorRange, options?: { readonly capacity?: number }): RocksIterator
    close(options?: { readonly force?: boolean }): Promise<void>
  }
}
