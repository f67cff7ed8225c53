import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Database, DatabaseEntry, KeyRange } from '../../state/store/database.ts'

const bytes = (text: string) => Buffer.from(text)

async function entriesOf(database: Database, space: string, range?: KeyRange): Promise<[string, string][]> {
  const found: [string, string][] = []
  for await (const chunk of database.scan(space, range)) {
    for (const { key, value } of chunk) {
      found.push([Buffer.from(key).toString('latin1'), Buffer.from(value).toString('latin1')])
    }
  }
  return found
}

/** What every database does, whatever it is built on. `open` gives an empty one; the caller closes it. */
export function databaseSuite(open: () => Promise<Database>): void {
  const using = async (work: (database: Database) => Promise<void>) => {
    const database = await open()
    try {
      await work(database)
    } finally {
      await database.close()
    }
  }

  describe('a database', () => {
    it('gives values in the order of the keys asked for, undefined where there is none', () =>
      using(async (database) => {
        await database.write([
          { space: 'a', key: bytes('k1'), value: bytes('v1') },
          { space: 'a', key: bytes('k2'), value: bytes('v2') },
        ])
        const found = await database.getMany('a', [bytes('k2'), bytes('k0'), bytes('k1'), bytes('k2')])
        expect(found.map((value) => value && Buffer.from(value).toString())).toEqual([
          'v2',
          undefined,
          'v1',
          'v2',
        ])
        expect(await database.getMany('a', [])).toEqual([])
      }))

    it('gives a thousand keys at once in their order, repeated and missing ones too', () =>
      using(async (database) => {
        const names = Array.from({ length: 1_001 }, (_, at) => `k${(at * 7) % 600}`)
        const known = names.filter((name) => Number(name.slice(1)) % 3 !== 0)
        await database.write(
          known.map((name) => ({ space: 'a', key: bytes(name), value: bytes(`of ${name}`) })),
        )
        for (const count of [31, 63, 64, 127, 128, 1_001]) {
          const asked = names.slice(0, count)
          const found = await database.getMany('a', asked.map(bytes))
          expect(found.map((value) => value && Buffer.from(value).toString())).toEqual(
            asked.map((name) => (known.includes(name) ? `of ${name}` : undefined)),
          )
        }
      }))

    it('keeps an empty key and an empty value', () =>
      using(async (database) => {
        await database.write([{ space: 'a', key: bytes(''), value: bytes('') }])
        expect(await entriesOf(database, 'a')).toEqual([['', '']])
        expect((await database.getMany('a', [bytes('')]))[0]?.length).toBe(0)
      }))

    it('keeps spaces apart, also those whose names begin alike', () =>
      using(async (database) => {
        await database.write([
          { space: 'a', key: bytes('bc'), value: bytes('1') },
          { space: 'ab', key: bytes('c'), value: bytes('2') },
          { space: 'abc', key: bytes(''), value: bytes('3') },
        ])
        expect(await entriesOf(database, 'a')).toEqual([['bc', '1']])
        expect(await entriesOf(database, 'ab')).toEqual([['c', '2']])
        await database.clear('ab')
        expect(await entriesOf(database, 'ab')).toEqual([])
        expect(await entriesOf(database, 'a')).toEqual([['bc', '1']])
        expect(await entriesOf(database, 'abc')).toEqual([['', '3']])
      }))

    it('lets the last of several writes of a key in one batch win', () =>
      using(async (database) => {
        await database.write([
          { space: 'a', key: bytes('k'), value: bytes('1') },
          { space: 'a', key: bytes('k') },
          { space: 'a', key: bytes('k'), value: bytes('2') },
          { space: 'a', key: bytes('gone'), value: bytes('1') },
          { space: 'a', key: bytes('gone') },
        ])
        expect(await entriesOf(database, 'a')).toEqual([['k', '2']])
      }))

    it('scans what was there when the scan began, whatever is written meanwhile', () =>
      using(async (database) => {
        const key = (index: number) => Buffer.of(index >> 8, index & 255)
        await database.write(
          Array.from({ length: 2_000 }, (_, index) => ({ space: 'a', key: key(index), value: bytes('old') })),
        )
        const found: DatabaseEntry[] = []
        for await (const chunk of database.scan('a')) {
          found.push(...chunk)
          await database.write([
            { space: 'a', key: key(1_999), value: bytes('new') },
            { space: 'a', key: key(1_998) },
            { space: 'a', key: key(3_000), value: bytes('new') },
          ])
        }
        expect(found.length).toBe(2_000)
        expect(found.every(({ value }) => Buffer.from(value).toString() === 'old')).toBe(true)
        expect((await entriesOf(database, 'a')).length).toBe(2_000)
      }))

    it('scans the moment of the call, not that of the first read', () =>
      using(async (database) => {
        await database.write([{ space: 'a', key: bytes('k'), value: bytes('old') }])
        const scan = database.scan('a')
        await database.write([
          { space: 'a', key: bytes('k'), value: bytes('new') },
          { space: 'a', key: bytes('l'), value: bytes('new') },
        ])
        const cleared = database.scan('a')
        await database.clear('a')
        const read = async (chunks: AsyncIterable<readonly DatabaseEntry[]>) => {
          const values: string[] = []
          for await (const chunk of chunks) {
            for (const { value } of chunk) values.push(Buffer.from(value).toString())
          }
          return values
        }
        expect(await read(scan)).toEqual(['old'])
        expect(await read(cleared)).toEqual(['new', 'new'])
        expect(await entriesOf(database, 'a')).toEqual([])
      }))

    it('refuses a batch with an unusable space whole', () =>
      using(async (database) => {
        for (const space of ['', 'x'.repeat(256), '\ud800']) {
          const write = async () =>
            database.write([
              { space: 'a', key: bytes('k'), value: bytes('v') },
              { space, key: bytes('k'), value: bytes('v') },
            ])
          await expect(write()).rejects.toThrow(RangeError)
          await expect((async () => database.getMany(space, [bytes('k')]))()).rejects.toThrow(RangeError)
          await expect((async () => database.clear(space))()).rejects.toThrow(RangeError)
          await expect(entriesOf(database, space)).rejects.toThrow(RangeError)
        }
        expect(await entriesOf(database, 'a')).toEqual([])
        const longest = 'x'.repeat(255)
        await database.write([{ space: longest, key: bytes('k'), value: bytes('v') }])
        expect(await entriesOf(database, longest)).toEqual([['k', 'v']])
      }))

    it('can be left in the middle of a scan', () =>
      using(async (database) => {
        await database.write(
          Array.from({ length: 2_000 }, (_, index) => ({
            space: 'a',
            key: bytes(String(index)),
            value: bytes('v'),
          })),
        )
        for await (const chunk of database.scan('a')) {
          expect(chunk.length).toBeGreaterThan(0)
          break
        }
      }))

    it('agrees with a sorted map, for any writes, clears and ranges', async () => {
      const key = fc.uint8Array({ maxLength: 3 })
      const space = fc.constantFrom('s', 'st', 'é')
      const write = fc.record({
        space,
        key,
        value: fc.option(fc.uint8Array({ maxLength: 3 }), { nil: undefined }),
      })
      const step = fc.oneof(
        { weight: 8, arbitrary: fc.array(write, { maxLength: 20 }) },
        { weight: 1, arbitrary: space },
      )
      const range = fc.record({
        from: fc.option(key, { nil: undefined }),
        to: fc.option(key, { nil: undefined }),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), space, range, async (steps, asked, bounds) =>
          using(async (database) => {
            const oracle = new Map<string, Map<string, string>>()
            const spaceOf = (name: string) => {
              const known = oracle.get(name) ?? new Map<string, string>()
              oracle.set(name, known)
              return known
            }
            const text = (value: Uint8Array) => Buffer.from(value).toString('latin1')
            for (const each of steps) {
              if (typeof each === 'string') {
                await database.clear(each)
                spaceOf(each).clear()
                continue
              }
              await database.write(
                each.map(({ value, ...rest }) => (value === undefined ? rest : { ...rest, value })),
              )
              for (const { space: name, key: at, value } of each) {
                if (value === undefined) spaceOf(name).delete(text(at))
                else spaceOf(name).set(text(at), text(value))
              }
            }
            const { from, to } = bounds
            const expected = [...spaceOf(asked)]
              .filter(
                ([at]) => (from === undefined || at >= text(from)) && (to === undefined || at < text(to)),
              )
              .sort(([a], [b]) => (a < b ? -1 : 1))
            const given = { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }
            expect(await entriesOf(database, asked, given)).toEqual(expected)
          }),
        ),
        { numRuns: 40, seed: 7 },
      )
    })

    it('refuses every operation once it is closed, and closing twice is closing', async () => {
      const database = await open()
      await database.close()
      await database.close()
      const closed = { code: 'store-failed', context: { detail: 'the database is closed' } }
      await expect(database.getMany('a', [bytes('k')])).rejects.toMatchObject(closed)
      await expect(database.write([{ space: 'a', key: bytes('k') }])).rejects.toMatchObject(closed)
      await expect(database.clear('a')).rejects.toMatchObject(closed)
      await expect(entriesOf(database, 'a')).rejects.toMatchObject(closed)
    })

    it('ends the scans that run when it is closed, with an error and not as if they were done', async () => {
      const database = await open()
      await database.write(
        Array.from({ length: 5_000 }, (_, index) => ({
          space: 'a',
          key: Buffer.of(index >> 8, index & 255),
          value: bytes('v'),
        })),
      )
      const unread = database.scan('a')
      let chunks = 0
      const reading = (async () => {
        for await (const chunk of database.scan('a')) {
          expect(chunk.length).toBeGreaterThan(0)
          // Waited for inside of the loop: closing must not wait for the loop in turn.
          if (++chunks === 1) await database.close()
        }
      })()
      const closed = { code: 'store-failed', context: { detail: 'the database is closed' } }
      await expect(reading).rejects.toMatchObject(closed)
      expect(chunks).toBe(1)
      await expect(unread[Symbol.asyncIterator]().next()).rejects.toMatchObject(closed)
    })

    it('never gives a part of a space as the whole, whenever it is closed', async () => {
      const count = 3_000
      for (let turns = 0; turns < 12; turns++) {
        const database = await open()
        await database.write(
          Array.from({ length: count }, (_, index) => ({
            space: 'a',
            key: Buffer.of(index >> 8, index & 255),
            value: bytes('v'),
          })),
        )
        const reading = entriesOf(database, 'a').then(
          (entries) => entries.length,
          (error: { readonly context: { readonly detail: string } }) => error.context.detail,
        )
        for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
        await database.close()
        expect([count, 'the database is closed']).toContain(await reading)
      }
    })

    it('survives operations that race with closing: each is done or refused', async () => {
      for (let round = 0; round < 5; round++) {
        const database = await open()
        const running: Promise<unknown>[] = []
        for (let index = 0; index < 40; index++) {
          if (index === 20) running.push(database.close())
          const key = bytes(String(index))
          running.push(database.write([{ space: 'a', key, value: key }]))
          running.push(database.getMany('a', [key]))
          running.push(entriesOf(database, 'a'))
        }
        const outcomes = await Promise.allSettled(running)
        const reasons = outcomes.flatMap((each) =>
          each.status === 'rejected' ? [(each.reason as { code: string }).code] : [],
        )
        expect(new Set(reasons)).toEqual(new Set(['store-failed']))
        expect(reasons.length).toBeGreaterThanOrEqual(60)
      }
    })

    it('finishes what runs before it closes', async () => {
      const database = await open()
      const writing = database.write([{ space: 'a', key: bytes('k'), value: bytes('v') }])
      const reading = database.getMany('a', [bytes('k')])
      await database.close()
      await writing
      expect((await reading).length).toBe(1)
    })
  })
}
