import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { adwin } from '../../../models/drift/adwin.ts'
import { ddm } from '../../../models/drift/ddm.ts'
import { eddm } from '../../../models/drift/eddm.ts'
import { hddmA } from '../../../models/drift/hddm-a.ts'
import { hddmW } from '../../../models/drift/hddm-w.ts'
import { kswin } from '../../../models/drift/kswin.ts'
import { pageHinkley } from '../../../models/drift/page-hinkley.ts'
import { SeededGenerator } from '../../../models/policy/seeded-generator.ts'

const builders = {
  adwin: () => adwin(),
  'adwin that keeps its window': () => adwin({ resetOnDrift: false, delta: 0.1, clock: 1 }),
  ddm: () => ddm(),
  eddm: () => eddm(),
  'hddm-a': () => hddmA({ twoSided: true }),
  'hddm-w': () => hddmW({ twoSided: true }),
  kswin: () => kswin({ windowSize: 80, statSize: 30 }),
  'page-hinkley': () => pageHinkley({ threshold: 5 }),
}

/** Errors at one rate, then at another. */
function errors(count: number, before: number, after: number, seed: number): number[] {
  const generator = SeededGenerator.of(seed)
  return Array.from({ length: count }, (_, index) =>
    generator.uniform() < (index < count / 2 ? before : after) ? 1 : 0,
  )
}

describe.each(Object.entries(builders))('%s', (_, build) => {
  test('goes on from what it saved, at any point, as if it had not stopped', () => {
    fc.assert(
      fc.property(fc.nat(299), fc.nat(1_000), (cut, seed) => {
        const values = errors(300, 0.1, 0.6, seed)
        const whole = build()
        const states = values.map((value) => whole.update(value))
        const first = build()
        for (const value of values.slice(0, cut)) first.update(value)
        const second = build()
        second.update(1)
        second.restore(first.save())
        expect(values.slice(cut).map((value) => second.update(value))).toEqual(states.slice(cut))
        expect(second.save()).toEqual(whole.save())
      }),
      { numRuns: 25 },
    )
  })

  test('sees the rate of errors jump, soon after it does', () => {
    const detector = build()
    const values = errors(4_000, 0.1, 0.7, 3)
    const after = values.map((value) => detector.update(value)).indexOf('drift', 2_000)
    expect(after).toBeGreaterThanOrEqual(2_000)
    expect(after).toBeLessThan(2_300)
  })

  test('does not look at values that are not finite', () => {
    const detector = build()
    detector.update(1)
    const before = detector.save()
    expect([NaN, Infinity, -Infinity].map((value) => detector.update(value))).toEqual([
      'steady',
      'steady',
      'steady',
    ])
    expect(detector.save()).toEqual(before)
  })

  test('refuses bytes that are not its own', () => {
    const detector = build()
    const saved = detector.save()
    expect(() => detector.restore(saved.subarray(0, 3))).toThrowError(/snapshot/)
    expect(() => detector.restore(pageHinkley({ delta: 0.7 }).save())).toThrowError(/snapshot/)
  })
})
