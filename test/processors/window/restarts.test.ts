import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { rebuild } from '../../../replay/rebuild.ts'
import { Engine } from '../../../topology/index.ts'
import { wire } from '../../../topology/runtime/wire.ts'
import { shop, shopEvents } from '../../support/shop-topology.ts'

test('windows that were interrupted by restarts have the state of one uninterrupted fold', async () => {
  const data = mkdtempSync(join(tmpdir(), 'headwater-restarts-'))
  const now = () => 1_800_000_000_000
  const events = shopEvents(600)
  try {
    for (let sitting = 1; sitting <= 12; sitting++) {
      const engine = await Engine.open({ topology: shop, data, now })
      await engine.importer.run(
        'shop-events',
        events.slice(0, sitting * 50).map((event) => [event]),
      )
      engine.run()
      await engine.caughtUp()
      await engine.close()
    }
    const wiring = await wire({ data, now })
    try {
      const report = await rebuild({ declaration: shop, ...wiring, fresh: await wiring.scratch() })
      expect(report.records).toBeGreaterThan(600)
      expect(report.after).toBe(report.before)
    } finally {
      await wiring.close()
    }
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
})
