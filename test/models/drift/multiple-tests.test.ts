import { expect, test } from 'vitest'
import { adjustedPvalues } from '../../../models/drift/multiple-tests.ts'

const round = (values: number[]) => values.map((value) => Number(value.toFixed(12)))

test('Holm multiplies the least by the number of tests, the next by one less, and never falls', () => {
  expect(round(adjustedPvalues([0.01, 0.04, 0.03, 0.005], 'holm'))).toEqual([0.03, 0.06, 0.06, 0.02])
})

test('Benjamini and Hochberg divide by the rank, and never rise towards smaller ones', () => {
  expect(round(adjustedPvalues([0.01, 0.04, 0.03, 0.005], 'benjamini-hochberg'))).toEqual([
    0.02, 0.04, 0.04, 0.02,
  ])
})

test('no p-value passes 1, and none of none is none', () => {
  expect(adjustedPvalues([0.9, 0.8], 'holm')).toEqual([1, 1])
  expect(adjustedPvalues([], 'holm')).toEqual([])
})
