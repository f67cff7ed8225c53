/**
 * Records of one topic partition as columns over one buffer: nothing is
 * allocated per record until somebody asks for it.
 *
 * `keyStart[i] === -1` is a null key, `valueStart[i] === -1` a tombstone.
 * The bytes stay valid as long as the batch is referenced.
 */
export interface RecordBatch {
  readonly topic: string
  readonly partition: number
  readonly count: number
  /** Offset of record i is `baseOffset + offsetDeltas[i]`. Dense batches share one delta table. */
  readonly baseOffset: bigint
  readonly offsetDeltas: Int32Array
  /** Where to read on: past the last record, and past gaps that compaction or markers left. */
  readonly nextOffset: bigint
  readonly bytes: Buffer
  /** Event times. */
  readonly timestampsMs: Float64Array
  /** When the log took the record in; only for observation and for the accepted range of event times. */
  readonly appendedAtMs: Float64Array
  readonly keyStart: Int32Array
  readonly keyEnd: Int32Array
  readonly valueStart: Int32Array
  readonly valueEnd: Int32Array
  headers(index: number): readonly RecordHeader[]
}

export interface RecordHeader {
  readonly name: string
  readonly value: Uint8Array
}
