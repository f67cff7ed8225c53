import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  count,
  Engine,
  event,
  minutes,
  stream,
  topology,
  tumbling,
  windowAggregate,
  windowFold,
} from '../../../topology/index.ts'

const click = event('click', { user: 'int', page: 'int', at: 'timestamp' }, { key: 'user', time: 'at' })
const byPage = event(
  'click-by-page',
  { user: 'int', page: 'int', at: 'timestamp' },
  { key: 'page', time: 'at' },
)
const pageMinutes = event(
  'page-minutes',
  { page: 'int', start: 'timestamp', clicks: 'double', at: 'timestamp' },
  { key: 'page', time: 'at' },
)

/** Pages are another key than users: their windows lie behind an internal topic. */
const clicks = topology('clicks', {
  events: [click, byPage, pageMinutes],
  streams: [
    stream(click).to(byPage, ({ value }) => value),
    stream(byPage)
      .pipe(
        windowAggregate({
          name: 'by-page',
          windows: tumbling({ sizeMs: minutes(1), graceMs: 0 }),
          aggregate: windowFold(count()),
          input: () => 1,
          emit: 'close',
        }),
      )
      .to(pageMinutes, ({ key, value, timestampMs }) => ({
        page: Number(key.key),
        start: key.startMs,
        clicks: value ?? 0,
        at: timestampMs,
      })),
  ],
})

const startMs = 1_700_000_040_000
const events = Array.from({ length: 600 }, (_, index) => ({
  user: index % 7,
  page: (index * 13) % 5,
  at: startMs + index * 1_000,
}))

/** Of each page and minute that is over: by what the last of all clicks says. */
function wanted(): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { page, at } of events) {
    const minute = Math.floor(at / 60_000) * 60_000
    if (minute + 60_000 > events.at(-1)!.at) continue
    counts.set(`${page} ${minute}`, (counts.get(`${page} ${minute}`) ?? 0) + 1)
  }
  return counts
}

async function given(engine: Engine): Promise<Map<string, number>> {
  const bound = engine.assembly.events.get('page-minutes')!
  const counts = new Map<string, number>()
  for (let partition = 0; partition < engine.declaration.partitions; partition++) {
    const { start, end } = await engine.log.offsets('page-minutes', partition)
    for (let offset = start; offset < end; ) {
      const batch = await engine.log.read({ topic: 'page-minutes', partition, offset, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        const row = bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!) as {
          page: number
          start: number
          clicks: number
        }
        counts.set(`${row.page} ${row.start}`, row.clicks)
      }
      offset = batch.nextOffset
    }
  }
  return counts
}

test('a backlog loses nothing in windows behind an internal topic, without any grace and over restarts', async () => {
  const data = mkdtempSync(join(tmpdir(), 'headwater-internal-topic-'))
  const options = { topology: clicks, data, now: () => 1_800_000_000_000, task: { batchRecords: 100 } }
  try {
    const first = await Engine.open(options)
    for (const each of events) await first.append('click', [each])
    // A few batches, then a stop without a checkpoint: the next start folds them again.
    for (let batch = 0; batch < 3; batch++) await first.assembly.task.step()
    await first.abort()
    const second = await Engine.open(options)
    second.run()
    await second.caughtUp()
    expect(second.assembly.graph.drops.counts()).toEqual([])
    expect(await given(second)).toEqual(wanted())
    await second.close()
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
})
