import { expect, test } from 'vitest'
import { CliError } from '../../../topology/cli/cli-error.ts'
import { rangeOption } from '../../../topology/cli/range-option.ts'

const read: readonly (readonly [string, unknown])[] = [
  ['2024-05-01', { kind: 'time', atMs: Date.UTC(2024, 4, 1) }],
  ['2024-05-01T12:00:00Z', { kind: 'time', atMs: Date.UTC(2024, 4, 1, 12) }],
  ['2024', { kind: 'time', atMs: Date.UTC(2024, 0, 1) }],
  ['1700000000000', { kind: 'time', atMs: 1_700_000_000_000 }],
  ['0', { kind: 'time', atMs: 0 }],
  ['#0', { kind: 'commit', sequence: 0 }],
  ['#1234', { kind: 'commit', sequence: 1234 }],
  ['ratings[0]:500', { kind: 'record', topic: 'ratings', partition: 0, offset: 500 }],
  ['shop.orders-2[13]:0', { kind: 'record', topic: 'shop.orders-2', partition: 13, offset: 0 }],
]

for (const [text, edge] of read) {
  test(`${text} is read as a ${(edge as { kind: string }).kind}`, () => {
    expect(rangeOption({ from: text })).toEqual({ from: edge })
    expect(rangeOption({ to: text })).toEqual({ to: edge })
  })
}

const refused: readonly (readonly [{ from?: string; to?: string }, string])[] = [
  [{ from: 'yesterday' }, '--from takes a time as'],
  [{ to: '' }, '--to takes a time as'],
  [{ from: '#' }, '--from takes a commit as # and its number, as "#1234"; got "#"'],
  [{ to: '#-1' }, 'got "#-1"'],
  [{ from: '#12a' }, 'got "#12a"'],
  [
    { to: 'ratings[0]' },
    '--to takes a record as topic[partition]:offset, as "ratings[0]:500"; got "ratings[0]"',
  ],
  [{ to: 'ratings[x]:5' }, 'got "ratings[x]:5"'],
  [{ to: '[0]:5' }, 'got "[0]:5"'],
  [{ from: '2024-02-01', to: '2024-02-01' }, 'begin before it ends, got 2024-02-01 to 2024-02-01'],
  [{ from: '#7', to: '#7' }, 'got #7 to #7'],
  [{ from: 'a[0]:9', to: 'a[0]:3' }, 'got a[0]:9 to a[0]:3'],
]

for (const [options, problem] of refused) {
  test(`${JSON.stringify(options)} is refused with what it takes`, () => {
    expect(() => rangeOption(options)).toThrow(CliError)
    expect(() => rangeOption(options)).toThrow(problem)
  })
}

test('the ends of a range may be of two kinds, and are named by their option', () => {
  expect(rangeOption({ from: 'a[0]:9', to: 'a[1]:3' })).toEqual({
    from: { kind: 'record', topic: 'a', partition: 0, offset: 9 },
    to: { kind: 'record', topic: 'a', partition: 1, offset: 3 },
  })
  expect(rangeOption({ from: '2024-01-01', to: '#3' })).toEqual({
    from: { kind: 'time', atMs: Date.UTC(2024, 0, 1) },
    to: { kind: 'commit', sequence: 3 },
  })
  expect(rangeOption({})).toEqual({})
  expect(() => rangeOption({ from: 'soon' }, 'reference-')).toThrow('--reference-from takes')
})
