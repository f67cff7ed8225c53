import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Log, LogWriter } from '../../state/log/log.ts'
import { Engine } from '../../topology/index.ts'
import { shop } from '../support/shop-topology.ts'

/*
 * Records that no door of the engine lets in, written to the log as a foreign
 * producer might: each goes to the dead letters with its reason and its bytes,
 * processing goes on, and nothing else is lost.
 */

const appendedAt = 1_800_000_000_000
let engine: Engine
let log: Log
let writer: LogWriter

beforeAll(async () => {
  engine = await Engine.open({ topology: shop, now: () => appendedAt })
  engine.run()
  log = engine.log
  writer = await log.writer('foreign')
})
afterAll(async () => {
  await engine.close()
})

interface DeadLetter {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly reason: string
  readonly detail: string
  readonly schemaId: number | null
  readonly value: Uint8Array | null
}

async function deadLetters(): Promise<readonly DeadLetter[]> {
  const bound = engine.assembly.engine.deadLetter
  const batch = await log.read({ topic: bound.contract.topic, partition: 0, offset: 0n, maxBytes: 1 << 24 })
  return Array.from({ length: batch.count }, (_, index) =>
    bound.readValue(batch.bytes, batch.valueStart[index]!, batch.valueEnd[index]!),
  ) as unknown as DeadLetter[]
}

async function put(value: Uint8Array | null, key = 'key'): Promise<void> {
  const out = writer.sink.begin('visit', 0, 1_700_000_000_000)
  out.raw(Buffer.from(key))
  writer.sink.beginValue()
  if (value !== null) out.raw(value)
  writer.sink.end()
  await writer.commit()
}

/** A value as the contract writes it, to be spoilt. */
async function goodBytes(more: object = {}): Promise<Buffer> {
  const bound = engine.assembly.events.get('visit')!
  const { ByteWriter } = await import('../../state/contracts/byte-writer.ts')
  const out = new ByteWriter(64)
  bound.writeValue({ visitId: 'bad', visitor: 'mallory', page: '/p', at: 1_700_000_000_000, ...more }, out)
  return Buffer.from(out.take())
}

const spoilt: readonly [
  name: string,
  bytes: () => Promise<Uint8Array | null>,
  reason: string,
  detail: RegExp,
][] = [
  [
    'bytes that are no wire format',
    async () => Buffer.from('{"visitId":"x"}'),
    'record-undecodable',
    /wire format begins with 0/,
  ],
  ['an empty envelope', async () => Buffer.of(0, 0), 'record-undecodable', /header alone has 5/],
  [
    'a schema id that nobody registered',
    async () => Buffer.from((await goodBytes()).fill(0xfe, 1, 5)),
    'schema-unknown',
    /is not in the registry/,
  ],
  [
    'a value that is cut short',
    async () => (await goodBytes()).subarray(0, 12),
    'record-undecodable',
    /byte \d+ of 12/,
  ],
  [
    'bytes after the value',
    async () => Buffer.concat([await goodBytes(), Buffer.of(1, 2, 3)]),
    'record-undecodable',
    /3 bytes are left/,
  ],
  [
    'a text that claims to have four billion bytes',
    async () => Buffer.concat([(await goodBytes()).subarray(0, 5), Buffer.from('8080808010', 'hex')]),
    'record-undecodable',
    /byte/,
  ],
  ['a tombstone on an event stream', async () => null, 'tombstone', /no tombstones/],
  [
    'a time far in the future, as microseconds give',
    async () => goodBytes({ at: 1_700_000_000_000_000 }),
    'time-in-the-future',
    /microseconds/,
  ],
  ['a time before 1970', async () => goodBytes({ at: -5 }), 'time-before-epoch', /before 1970/],
]

describe('a record that cannot be used', () => {
  test.each(spoilt)('%s', async (_name, bytes, reason, detail) => {
    const value = await bytes()
    const before = await deadLetters()
    const { end } = await log.offsets('visit', 0)
    await put(value)
    // The good one behind it is processed.
    const answer = await engine.predict('buys', { visitor: 'good', page: null })
    expect(answer.model).toBe('buys')
    const letters = (await deadLetters()).slice(before.length)
    expect(letters.length).toBe(1)
    expect(letters[0]).toMatchObject({ topic: 'visit', partition: 0, offset: Number(end), reason })
    expect(letters[0]!.detail).toMatch(detail)
    expect(letters[0]!.value === null ? null : Buffer.from(letters[0]!.value).toString('hex')).toBe(
      value === null ? null : Buffer.from(value).toString('hex'),
    )
  })

  test('a far future does not push stream time there: windows stay open', async () => {
    const { streamTimeMs } = engine.assembly.graph
    expect(streamTimeMs).toBeLessThanOrEqual(appendedAt)
    await put(await goodBytes({ at: 32_472_144_000_000 }))
    await engine.predict('buys', { visitor: 'good', page: null })
    expect(engine.assembly.graph.streamTimeMs).toBeLessThanOrEqual(appendedAt)
  })

  test('can be appended again once its cause is mended, and is then processed', async () => {
    const letters = await deadLetters()
    const number = letters.findIndex(({ reason }) => reason === 'record-undecodable')
    const again = await engine.reinject(number)
    expect(again).toMatchObject({ topic: 'visit', partition: 0 })
    await engine.caughtUp()
    expect((await deadLetters()).at(-1)).toMatchObject({ offset: again.offset, reason: 'record-undecodable' })
    await expect(engine.reinject(10_000)).rejects.toMatchObject({ code: 'dead-letter-unknown' })
  })

  test('a record over the limit is refused to its writer, who can go on', async () => {
    await expect(put(Buffer.alloc(17 << 20))).rejects.toMatchObject({ code: 'record-too-large' })
    await put(await goodBytes({ visitId: 'after' }))
    await engine.caughtUp()
    expect((await engine.prediction('buys', 'after'))?.requestId).toBe('after')
  })

  test('no other record was lost: what is on the log is predicted or a dead letter', async () => {
    await engine.caughtUp()
    let visits = 0
    for (let partition = 0; partition < shop.partitions; partition++) {
      visits += Number((await log.offsets('visit', partition)).end)
    }
    const { predictions } = engine.model('buys').tally()
    expect(predictions + (await deadLetters()).length).toBe(visits)
  })
})
