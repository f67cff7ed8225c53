import type { ByteWriter } from '../contracts/byte-writer.ts'
import type { RecordHeader } from './record-batch.ts'

/**
 * Where a batch's outputs go before the commit. Encoders write the key and
 * the value straight into the sink's memory; there is no object per record.
 *
 *     const out = sink.begin(topic, partition, timestampMs)
 *     keyCodec.write(key, out)          // nothing written = null key
 *     sink.beginValue()
 *     valueCodec.write(value, out)      // nothing written = tombstone
 *     sink.end()
 */
export interface RecordSink {
  /** Number of whole records held. */
  readonly count: number
  readonly sizeBytes: number
  begin(topic: string, partition: number, timestampMs: number): ByteWriter
  beginValue(): void
  /** Closes the record; an over-long one is taken back and throws `record-too-large`. */
  end(headers?: readonly RecordHeader[]): void
  /** Takes back the record that was begun and not ended. */
  cancel(): void
  /** Drops everything held. */
  clear(): void
}
