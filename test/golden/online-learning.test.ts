import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { onlineLearningCases, runOnlineLearningCase } from './online-learning-cases.ts'

const dataFolder = fileURLToPath(new URL('./online-learning', import.meta.url))
const families = new Set([
  'learner',
  'learner_documented',
  'learner_exact',
  'vw',
  'scaler',
  'delayed',
  'explain',
])
const cases = onlineLearningCases(dataFolder).filter(({ family }) => families.has(family))

describe('expected results of online learners', () => {
  for (const goldenCase of cases) {
    const result = runOnlineLearningCase(goldenCase, dataFolder)
    const title = `${goldenCase.id} ${goldenCase.title}`
    if (result.status === 'not-applicable') {
      test.skip(`${title}: ${result.reason}`, () => {})
      continue
    }
    test(`${title} are met`, () => {
      expect(result).toMatchObject({ status: 'passed', reason: '' })
    })
    test(`${title} are met by a learner that is stopped, saved and restored on the way`, () => {
      const restarted = runOnlineLearningCase(goldenCase, dataFolder, { restart: true })
      expect(restarted).toMatchObject({ status: 'passed', reason: '' })
      expect(restarted.got).toEqual(result.got)
    })
  }
})
