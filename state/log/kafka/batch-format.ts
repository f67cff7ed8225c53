/**
 * Kafka's record batch, version 2, big-endian.
 *
 *      0  i64  offset of the first record; set by the broker
 *      8  i32  bytes that follow
 *     12  i32  leader epoch; set by the broker
 *     16  i8   version: 2
 *     17  u32  CRC-32C of everything after it
 *     21  i16  attributes: 0-2 compression, 3 time is the broker's, 4 transactional, 5 control
 *     23  i32  offset of the last record, minus the first's
 *     27  i64  event time that the records' deltas count from, ms
 *     35  i64  greatest event time, ms
 *     43  i64  producer id
 *     51  i16  producer epoch
 *     53  i32  sequence of the first record
 *     57  i32  count of records
 *     61       the records, compressed together or not at all
 *
 * A record, numbers as zig-zag varints: bytes that follow; attributes (i8);
 * time delta; offset delta; key, value, each a length (-1 is null) and bytes;
 * count of headers; of each its name and its value, with lengths.
 *
 * Source: Apache Kafka documentation, "Message Format".
 */
export const batchHeaderBytes = 61
export const batchAt = {
  length: 8,
  leaderEpoch: 12,
  version: 16,
  checksum: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  count: 57,
} as const

export const batchAttributes = { compression: 7, brokerTime: 8, transactional: 16, control: 32 } as const

/**
 * Kafka keeps one time a record, here the event time. When the log took a
 * record in matters only where the event time is later than that, so only
 * those records carry it: a header of this name, an IEEE 754 double.
 */
export const appendedHeader = 'headwater-appended'
