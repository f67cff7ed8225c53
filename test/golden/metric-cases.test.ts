import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { onlineLearningCases, runOnlineLearningCase } from './online-learning-cases.ts'

const dataFolder = fileURLToPath(new URL('./online-learning', import.meta.url))
/** The one that shows another library's error on purpose. */
const shown = (title: string): boolean => !title.startsWith('river_binned')

describe('expected values of metrics', () => {
  const cases = onlineLearningCases(dataFolder).filter(
    ({ family, title }) => family === 'metric' && shown(title),
  )
  test('are there', () => expect(cases.length).toBeGreaterThanOrEqual(45))
  for (const goldenCase of cases) {
    test(`${goldenCase.id} ${goldenCase.title} is met`, () => {
      expect(runOnlineLearningCase(goldenCase, dataFolder)).toMatchObject({ status: 'passed', reason: '' })
    })
  }
})
