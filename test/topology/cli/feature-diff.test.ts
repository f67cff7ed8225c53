import { describe, expect, it } from 'vitest'
import type { Feature } from '../../../processors/feature/feature.ts'
import { days, hours } from '../../../state/contracts/units.ts'
import { diffViews } from '../../../topology/cli/feature-diff.ts'
import { event, featureView, latest, mean, sum, topology } from '../../../topology/index.ts'

const ride = event('ride', { driver: 'string', km: 'double', at: 'timestamp' }, { key: 'driver', time: 'at' })

const distance = mean(ride, 'km', { over: days(7), hop: hours(1) })

const declared = (features: Readonly<Record<string, Feature>>, { version = 1, owner = 'ana' } = {}) =>
  topology('rides', {
    events: [ride],
    features: [featureView('driver', { entity: 'driver', owner, description: 'rides', version, features })],
    models: [],
    partitions: 1,
  })

describe('the difference between two declarations', () => {
  it('is nothing for the same views declared twice', () => {
    const again = mean(ride, 'km', { over: days(7), hop: hours(1) })
    expect(diffViews(declared({ distance }), declared({ distance: again }))).toEqual([])
  })

  it('names the old and the new meaning, and the version that is needed', () => {
    const longer = sum(ride, 'km', { over: days(14), hop: hours(1), default: 0 })
    const [found] = diffViews(declared({ distance }), declared({ distance: longer }))
    expect(found).toMatchObject({ view: 'driver', change: 'changed', raiseTo: 2, added: [], removed: [] })
    expect(found?.changed.filter(({ what }) => what !== 'parameters')).toEqual([
      { feature: 'distance', what: 'default', before: 'null', after: '0' },
      { feature: 'distance', what: 'aggregate', before: 'mean', after: 'sum' },
      { feature: 'distance', what: 'window', before: '604800000 ms', after: '1209600000 ms' },
    ])
  })

  it('asks for no version once it was raised', () => {
    const hourly = mean(ride, 'km', { over: days(7), hop: hours(2) })
    const [found] = diffViews(declared({ distance }), declared({ distance: hourly }, { version: 2 }))
    expect(found).toMatchObject({ versionBefore: 1, versionAfter: 2 })
    expect(found).not.toHaveProperty('raiseTo')
  })

  it('asks for no version for an owner or a feature that is added, and for one where a feature is removed', () => {
    const both = { distance, last: latest(ride, 'km', { ttl: days(1) }) }
    const [added] = diffViews(declared({ distance }), declared(both, { owner: 'ben' }))
    expect(added).toEqual({
      view: 'driver',
      change: 'changed',
      versionBefore: 1,
      versionAfter: 1,
      added: ['last'],
      removed: [],
      changed: [],
      described: [{ what: 'owner', before: 'ana', after: 'ben' }],
    })
    expect(diffViews(declared(both), declared({ distance }))).toMatchObject([
      { removed: ['last'], raiseTo: 2 },
    ])
  })

  it('asks for the old version again where a version was lowered', () => {
    expect(diffViews(declared({ distance }, { version: 3 }), declared({ distance }))).toMatchObject([
      { versionBefore: 3, versionAfter: 1, raiseTo: 3 },
    ])
  })
})
