import { entityKeys } from '../../processors/feature/entity-key.ts'
import { isWithoutNumber } from '../../processors/feature/feature.ts'
import { ViewState } from '../../processors/feature/view-state.ts'
import type { Database, DatabaseWrite } from '../../state/store/database.ts'
import type { Row } from './point-in-time-case.ts'
import type { ViewFeed } from './point-in-time-feeds.ts'

/** Gives a database that `save` has written to. */
export type DatabaseOf = (save: (into: Database) => Promise<void>) => Promise<Database>

/** Folds the feed's events into the state of its view and reads it where the feed asks. */
export async function runViewFeed(feed: ViewFeed, restart?: DatabaseOf): Promise<unknown> {
  let state = new ViewState(feed.view)
  const keys = entityKeys(feed.view.entity)
  const rows: Row[] = []
  for (const [index, step] of feed.steps.entries()) {
    if (restart !== undefined && index === Math.floor(feed.steps.length / 2)) {
      const stopped = state
      const database = await restart(async (into) => {
        const writes: DatabaseWrite[] = []
        for (const store of stopped.stores) store.collect(writes)
        await into.write(writes)
      })
      state = new ViewState(feed.view)
      for (const store of state.stores) await store.restore(database)
    }
    if (step.kind === 'event') {
      state.update(step.topic, step.atMs, step.event)
      continue
    }
    const values = new Float64Array(state.featureNames.length)
    state.readOne(keys.keyOf(step.entity), step.atMs, values, 0)
    const numbers = Object.fromEntries(
      state.featureNames.map((name, place) => [name, Number.isNaN(values[place]) ? null : values[place]!]),
    )
    const isOfNumbers = ![...feed.view.features.values()].some(isWithoutNumber)
    const features = isOfNumbers ? numbers : state.values(keys.keyOf(step.entity), step.atMs)
    rows.push({ ...step.shown, ...features })
  }
  return feed.result(rows)
}
