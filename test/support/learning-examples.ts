import type { Example } from '../conformance/learner.suite.ts'

/** A repeatable stream of numbers in [0, 1): a 32-bit congruential generator with a finaliser. */
export function draws(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(1_664_525, state) + 1_013_904_223) >>> 0
    let hash = state
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
  }
}

export interface ExampleShape {
  readonly count: number
  readonly features: number
  /** 0: a value; else the number of classes. */
  readonly classes: number
  /** Share of features that are missing. */
  readonly missing?: number
  /** These features are whole numbers below the given one. */
  readonly levels?: number
  readonly seed?: number
}

/** Examples whose label depends on their features, with some noise. */
export function learningExamples({
  count,
  features,
  classes,
  missing = 0.05,
  levels,
  seed = 7,
}: ExampleShape): Example[] {
  const draw = draws(seed)
  return Array.from({ length: count }, () => {
    const vector = Float64Array.from({ length: features }, () =>
      levels === undefined ? draw() * 4 - 2 : Math.floor(draw() * levels),
    )
    const score = vector.reduce((sum, value, index) => sum + value * (1 - (index % 3)), draw() - 0.5)
    const label = classes === 0 ? score : ((Math.round(score) % classes) + classes) % classes
    const seen = vector.map((value) => (draw() < missing ? Number.NaN : value))
    return { features: seen, label, weight: 0.5 + draw() }
  })
}
