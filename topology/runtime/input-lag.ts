import type { Task } from '../../processors/task.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { Log } from '../../state/log/log.ts'

export interface InputStatus {
  readonly topic: string
  readonly partition: number
  readonly position: number
  readonly endOffset: number
  readonly lag: number
}

export interface InputLag {
  readonly topic: string
  readonly partition: number
  readonly position: number
  readonly endOffset: number
  readonly lagRecords: number
  /** Since the oldest record that is not processed was appended. */
  readonly lagSeconds: number
}

/** Where a task stands in each partition it reads; one that is read by writer stands where the first of them does. */
export function inputStatus({ inputs }: Task, log: Log): Promise<readonly InputStatus[]> {
  const places = new Map<string, Pick<InputStatus, 'topic' | 'partition' | 'position'>>()
  for (const { topic, partition, position } of inputs) {
    const place = `${topic} ${partition}`
    const before = places.get(place)?.position ?? position
    places.set(place, { topic, partition, position: Math.min(before, position) })
  }
  return Promise.all(
    [...places.values()].map(async ({ topic, partition, position }) => {
      const endOffset = Number((await log.offsets(topic, partition)).end)
      return { topic, partition, position, endOffset, lag: endOffset - position }
    }),
  )
}

/** What is on the log and not processed yet, by input. */
export async function inputLag(task: Task, log: Log, nowMs: TimestampMs): Promise<readonly InputLag[]> {
  return Promise.all(
    (await inputStatus(task, log)).map(async ({ topic, partition, position, endOffset, lag }) => {
      const place = { topic, partition, position, endOffset, lagRecords: lag }
      if (lag === 0) return { ...place, lagSeconds: 0 }
      const oldest = { topic, partition, offset: BigInt(position), maxBytes: 1, maxRecords: 1 }
      const { appendedAtMs } = await log.read(oldest)
      return { ...place, lagSeconds: Math.max(0, nowMs - (appendedAtMs[0] ?? nowMs)) / 1_000 }
    }),
  )
}
