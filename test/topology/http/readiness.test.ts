import { expect, test } from 'vitest'
import { Readiness } from '../../../topology/http/readiness.ts'

const at = (isCaughtUp: boolean, ...inputs: readonly (readonly [position: number, endOffset: number])[]) => ({
  isCaughtUp,
  inputs: async () =>
    inputs.map(([position, endOffset], partition) => ({
      topic: 'visit',
      partition,
      position,
      endOffset,
      lag: endOffset - position,
    })),
})

/** What one readiness says of an engine that goes from state to state. */
async function saidOf(...states: readonly ReturnType<typeof at>[]): Promise<readonly number[]> {
  let state = states[0] as ReturnType<typeof at>
  const readiness = new Readiness({
    get isCaughtUp() {
      return state.isCaughtUp
    },
    inputs: () => state.inputs(),
  })
  const said: number[] = []
  for (state of states) said.push(await readiness.behind())
  return said
}

test('an engine is behind until it has processed what was there when somebody first asked', async () => {
  const said = await saidOf(
    at(false, [0, 5], [2, 4]),
    at(false, [4, 90], [4, 50]),
    at(false, [5, 95], [4, 55]),
  )
  expect(said).toEqual([7, 1, 0])
})

test('an engine that was ready stays so while more comes', async () => {
  expect(await saidOf(at(true, [5, 5]), at(false, [5, 9]))).toEqual([0, 0])
  expect(await saidOf(at(false, [5, 5]), at(false, [5, 9]))).toEqual([0, 0])
  expect(await saidOf(at(false, [4, 5]), at(true, [5, 5]), at(false, [5, 9]))).toEqual([1, 0, 0])
})
