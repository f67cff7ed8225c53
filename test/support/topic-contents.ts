import { AnyDecoder } from '../../state/contracts/any-decoder.ts'
import { type WireOptions, wire } from '../../topology/runtime/wire.ts'

/** The committed events of a topic, by partition, with longs as numbers. */
export async function contents<Value>(
  options: WireOptions,
  topic: string,
  partitionCount: number,
): Promise<readonly Value[][]> {
  const { log, registry, close } = await wire({ ...options, readOnly: true })
  try {
    const decoder = new AnyDecoder(registry)
    const partitions: Value[][] = []
    for (let partition = 0; partition < partitionCount; partition++) {
      const values: Value[] = []
      const { start: first, end } = await log.offsets(topic, partition)
      for (let offset = first; offset < end; ) {
        const batch = await log.read({ topic, partition, offset, maxBytes: 1 << 22 })
        for (let index = 0; index < batch.count; index++) {
          const [from, to] = [batch.valueStart[index]!, batch.valueEnd[index]!]
          const value = await decoder.decode(topic, batch.bytes, from, to)
          values.push(
            JSON.parse(JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? Number(part) : part))),
          )
        }
        offset = batch.nextOffset
      }
      partitions.push(values)
    }
    return partitions
  } finally {
    await close()
  }
}
