import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { joinKafkaGroup } from '../../../../state/log/kafka/kafka-group.ts'
import type { GroupMember, GroupRound } from '../../../../state/log/member-group.ts'
import { type KafkaBroker, startKafkaBroker } from '../../../support/kafka-broker.ts'

let broker: KafkaBroker | { readonly missing: string }
beforeAll(async () => {
  broker = await startKafkaBroker()
}, 900_000)
afterAll(async () => {
  if ('stop' in broker) await broker.stop()
})

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')

/** A member that says its name, and gives as leader to each how many there are and who it is. */
async function join(group: string, name: string, rest: { readonly formerMemberId?: string } = {}) {
  if (!('brokers' in broker)) throw new Error(broker.missing)
  const rounds: GroupRound[] = []
  const lost: string[] = []
  let said = name
  const options = { brokers: broker.brokers, clientId: 'group-test', now: () => 0 }
  const member: GroupMember = await joinKafkaGroup(options, {
    group,
    sessionTimeoutMs: 2_000,
    ...rest,
    describe: () => Buffer.from(said),
    assign(peers) {
      const names = peers.map(({ description }) => text(description)).sort()
      return new Map(
        peers.map(({ memberId, description }) => [
          memberId,
          Buffer.from(`${text(description)} of ${names.join(',')}`),
        ]),
      )
    },
    onRound: (round) => rounds.push(round),
    onLost: (reason) => lost.push(reason),
  })
  return {
    member,
    rounds,
    lost,
    say(words: string) {
      said = words
      member.rejoin()
    },
    last: () => text(rounds.at(-1)!.assignment),
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(10)
}

describe('a group at a Kafka cluster', () => {
  test('knows who is there as members come, say something new and leave', async (context) => {
    if (!('brokers' in broker)) return context.skip(broker.missing)
    const group = `comings-${process.pid}`
    const ada = await join(group, 'ada')
    expect(ada.last()).toBe('ada of ada')
    const bob = await join(group, 'bob')
    await until(() => ada.last() === 'ada of ada,bob')
    expect(bob.last()).toBe('bob of ada,bob')
    expect(ada.rounds.at(-1)!.generation).toBe(bob.rounds.at(-1)!.generation)
    bob.say('bea')
    await until(() => ada.last() === 'ada of ada,bea' && bob.last() === 'bea of ada,bea')
    await ada.member.close()
    await until(() => bob.last() === 'bea of bea')
    await bob.member.close()
    expect([...ada.lost, ...bob.lost]).toEqual([])
  })

  test('does not wait for the one that a restarted member was before', async (context) => {
    if (!('brokers' in broker)) return context.skip(broker.missing)
    const group = `restarts-${process.pid}`
    const before = await join(group, 'before')
    const { memberId } = before.rounds.at(-1)!
    const after = await join(group, 'after', { formerMemberId: memberId })
    // The one before lives on here: it hears that it is out, and comes back as a member of its own.
    expect(after.last()).toBe('after of after')
    await until(() => before.last() === 'before of after,before')
    expect(before.lost).toEqual(['the group went on without this member'])
    expect(before.rounds.at(-1)!.memberId).not.toBe(memberId)
    await before.member.close()
    await after.member.close()
  })

  test('takes a session time that the cluster does not allow as a refusal', async (context) => {
    if (!('brokers' in broker)) return context.skip(broker.missing)
    const options = { brokers: broker.brokers, clientId: 'group-test', now: () => 0 }
    const joining = joinKafkaGroup(options, {
      group: `refusal-${process.pid}`,
      sessionTimeoutMs: 10,
      describe: () => Buffer.alloc(0),
      assign: () => new Map(),
      onRound: () => {},
      onLost: () => {},
    })
    await expect(joining).rejects.toMatchObject({
      code: 'kafka-refused',
      message: expect.stringContaining('INVALID_SESSION_TIMEOUT: asked for 10 ms, the brokers take'),
    })
  })
})
