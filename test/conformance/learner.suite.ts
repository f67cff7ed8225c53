import { describe, expect, test } from 'vitest'
import { fromSnapshot, type Learner, type LearnerState, type StatePage } from '../../models/learner.ts'
import type { FeatureVector } from '../../models/predictor.ts'

export interface Example {
  readonly features: FeatureVector
  readonly label: number
  readonly weight?: number
}

/** The laws in `models/learner.ts`, for any learner. */
export function learnerSuite(title: string, learner: Learner, examples: readonly Example[]): void {
  const teach = (state: LearnerState, slice: readonly Example[]): LearnerState => {
    for (const { features, label, weight } of slice) learner.learn(state, features, label, weight)
    return state
  }
  const answers = (state: LearnerState): number[] =>
    examples.map(({ features }) => learner.predict(state, features))
  const half = Math.floor(examples.length / 2)
  const whole = (): LearnerState => teach(learner.init(), examples)
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

  describe(`learner ${title}`, () => {
    test('it learns something', () => {
      expect(hex(whole().snapshot())).not.toBe(hex(learner.init().snapshot()))
    })

    test('predict changes nothing', () => {
      const state = whole()
      const before = hex(state.snapshot())
      answers(state)
      expect(hex(state.snapshot())).toBe(before)
    })

    test('learn and predict leave the features alone', () => {
      const before = examples.map(({ features }) => features.slice())
      answers(whole())
      expect(examples.map(({ features }) => features)).toEqual(before)
    })

    test('learning is the same every time, whatever else the learner learns in between', () => {
      const alone = whole()
      const first = learner.init()
      const second = learner.init()
      for (const [index, { features, label, weight }] of examples.entries()) {
        learner.learn(first, features, label, weight)
        const other = examples[examples.length - 1 - index]!
        learner.learn(second, other.features, other.label, other.weight)
        learner.predict(second, features)
      }
      expect(hex(first.snapshot())).toBe(hex(alone.snapshot()))
    })

    test('saving and restoring half way changes no bit', () => {
      const pages = new Map<number, StatePage>()
      const keep = (state: LearnerState): void => {
        for (const page of state.save()) pages.set(page.page, { page: page.page, bytes: page.bytes.slice() })
      }
      const saved = learner.init()
      const step = Math.max(1, Math.floor(half / 3))
      for (let start = 0; start < half; start += step) {
        teach(saved, examples.slice(start, Math.min(half, start + step)))
        keep(saved)
      }
      const restored = learner.init()
      restored.restore([...pages.values()].reverse())
      expect(hex(restored.snapshot())).toBe(hex(saved.snapshot()))
      teach(restored, examples.slice(half))
      const unbroken = whole()
      expect(hex(restored.snapshot())).toBe(hex(unbroken.snapshot()))
      expect(answers(restored)).toEqual(answers(unbroken))
    })

    test('a save after a save has nothing to write, and says so', () => {
      const state = whole()
      expect(state.dirtyBytes).toBeGreaterThan(0)
      state.save()
      expect(state.dirtyBytes).toBe(0)
      expect(state.save()).toEqual([])
    })

    test('a snapshot half way keeps every bit', () => {
      const saved = teach(learner.init(), examples.slice(0, half))
      const restored = fromSnapshot(learner, saved.snapshot())
      expect(hex(restored.snapshot())).toBe(hex(saved.snapshot()))
      teach(restored, examples.slice(half))
      const unbroken = whole()
      expect(hex(restored.snapshot())).toBe(hex(unbroken.snapshot()))
      expect(answers(restored)).toEqual(answers(unbroken))
    })

    test('pages saved after a snapshot was loaded give that state, whatever was saved before', () => {
      const state = whole()
      const pages = new Map(state.save().map((page) => [page.page, page]))
      const early = teach(learner.init(), examples.slice(0, 3)).snapshot()
      state.load(early)
      for (const page of state.save()) pages.set(page.page, page)
      const restored = learner.init()
      restored.restore(pages.values())
      expect(hex(restored.snapshot())).toBe(hex(early))
    })

    test('bytes that are no snapshot of it are refused', () => {
      expect(() => learner.init().load(new Uint8Array([1, 2, 3]))).toThrow(/cannot be used/)
      const foreign = whole().snapshot().slice()
      foreign[6] = foreign[6]! ^ 1
      expect(() => learner.init().load(foreign)).toThrow(/cannot be used/)
    })

    test('features that are NaN, infinite or huge leave every answer finite', () => {
      const state = whole()
      const poison = [
        Number.NaN,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
        1e300,
        -1e300,
        1e50,
        -1e50,
      ]
      for (const value of poison) {
        for (const { features, label } of examples.slice(0, 8)) {
          const broken = features.slice()
          for (let index = 0; index < broken.length; index += 2) broken[index] = value
          expect(learner.predict(state, broken)).not.toBeNaN()
          learner.learn(state, broken, label)
          learner.learn(state, new Float64Array(features.length).fill(value), label)
        }
      }
      for (const answer of answers(state)) expect(Number.isFinite(answer)).toBe(true)
    })

    test('a label or a weight that is not usable is passed over', () => {
      const state = whole()
      const before = hex(state.snapshot())
      const { features, label } = examples[0]!
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        learner.learn(state, features, value)
        learner.learn(state, features, label, value)
      }
      learner.learn(state, features, label, -1)
      expect(hex(state.snapshot())).toBe(before)
    })

    test('an example of weight 0 changes nothing', () => {
      const state = whole()
      const before = hex(state.snapshot())
      for (const { features, label } of examples) learner.learn(state, features, label, 0)
      expect(hex(state.snapshot())).toBe(before)
    })

    test.runIf(learner.laws.orderInsensitive)('the order of the examples does not matter', () => {
      const forwards = answers(whole())
      const backwards = answers(teach(learner.init(), [...examples].reverse()))
      for (const [index, answer] of forwards.entries()) expect(backwards[index]).toBeCloseTo(answer, 9)
    })
  })
}
