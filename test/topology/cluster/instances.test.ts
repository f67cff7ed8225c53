import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Engine } from '../../../topology/index.ts'
import { endAll } from '../../support/command-line.ts'
import { call, ndjson } from '../../support/http-calls.ts'
import { startKafkaBroker } from '../../support/kafka-broker.ts'
import { ledger } from '../../support/ledger-topology.ts'
import { type RunningInstance, startInstance, statusOf } from '../../support/running-instances.ts'
import { seeded } from '../../support/shop-topology.ts'
import { contents } from '../../support/topic-contents.ts'

/*
 * Three processes of one application; the active one is killed again and again
 * while events come in. `INSTANCE_KILLS=100` makes a long run of it.
 */

const kills = Number(process.env['INSTANCE_KILLS'] ?? 10)
const seed = Number(process.env['INSTANCE_SEED'] ?? 20_261_123)
const sessionMs = 1_500
const firstAt = 1_700_000_000_000

const broker = await startKafkaBroker()
const module = fileURLToPath(new URL('../../support/ledger-topology.ts', import.meta.url))

let root = ''
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'headwater-instances-'))
})
afterAll(async () => {
  endAll()
  rmSync(root, { recursive: true, force: true })
  if ('stop' in broker) await broker.stop()
})

interface Deposit {
  readonly depositId: string
  readonly account: string
  readonly amount: number
  readonly at: number
}

interface Balance {
  readonly depositId: string
  readonly account: string
  readonly deposits: number
  readonly before: number
  readonly at: number
}

/** The process that runs the task, as soon as one does. */
async function activeOf(
  running: ReadonlyMap<string, RunningInstance>,
  except?: string,
): Promise<RunningInstance> {
  for (;;) {
    for (const each of running.values()) {
      if (each.name === except) continue
      if ((await statusOf(each))?.tasks[0]?.stage === 'active') return each
    }
    await sleep(10)
  }
}

const appenders = 4
const depositsPerAppend = 5

/**
 * Appends deposits, a few at a time, each few until some process says that
 * they are on the log. Those that were, though nobody said so, come twice.
 */
function appendDeposits(running: ReadonlyMap<string, RunningInstance>) {
  const acknowledged: string[] = []
  let repeated = 0
  let isStopped = false
  const append = async (random: () => number, deposits: readonly Deposit[]) => {
    for (;;) {
      const all = [...running.values()]
      const { url } = all[Math.floor(random() * all.length)]!
      const body = deposits.map((each) => JSON.stringify(each)).join('\n')
      const answer = await call(url, '/v1/events/deposit', {
        method: 'POST',
        headers: ndjson,
        body,
        signal: AbortSignal.timeout(1_000),
      }).catch(() => undefined)
      if (answer?.status === 200) return
      if (answer !== undefined) expect(answer).toMatchObject({ status: 503 })
      repeated++
      await sleep(20)
    }
  }
  const work = Array.from({ length: appenders }, async (_, appender) => {
    const random = seeded(seed + appender + 1)
    for (let number = 0; !isStopped; number += depositsPerAppend) {
      const deposits = Array.from({ length: depositsPerAppend }, (_, index) => ({
        depositId: `d${appender}-${number + index}`,
        account: `a${Math.floor(random() * 20)}`,
        amount: 1 + Math.floor(random() * 100),
        at: firstAt + number + index,
      }))
      await append(random, deposits)
      acknowledged.push(...deposits.map(({ depositId }) => depositId))
      await sleep(2)
    }
  })
  return {
    acknowledged,
    repeated: () => repeated,
    async stop() {
      isStopped = true
      await Promise.all(work)
    },
  }
}

/** What each deposit finds, from the list of those before it. */
function balancesOf(deposits: readonly Deposit[]): Balance[] {
  return deposits.map(({ depositId, account, at }, index) => {
    const earlier = deposits.slice(0, index).filter((each) => each.account === account && each.at < at)
    const before = earlier.reduce((sum, each) => sum + each.amount, 0)
    return { depositId, account, deposits: earlier.length, before, at }
  })
}

test(`${kills} kills and a freeze of the active of three processes lose nothing and double nothing`, {
  timeout: 90_000 + kills * 20_000,
}, async (context) => {
  if (!('brokers' in broker)) return context.skip(broker.missing)
  const topicPrefix = `instances-${process.pid}-`
  const kafka = { brokers: broker.brokers, topicPrefix, clientId: `ledger-${process.pid}` }
  writeFileSync(
    join(root, 'ledger.ts'),
    `import { ledger } from ${JSON.stringify(module)}\nexport default ledger\n`,
  )
  writeFileSync(join(root, 'kafka.json'), JSON.stringify({ topicPrefix, clientId: kafka.clientId }))
  const cluster = ['--kafka', broker.brokers.join(','), '--kafka-config', join(root, 'kafka.json')]
  const setting = { module: join(root, 'ledger.ts'), root, cluster, sessionMs }
  const names = ['one', 'two', 'three']
  const started = await Promise.all(names.map((name) => startInstance(name, setting)))
  const running = new Map(started.map((each) => [each.name, each]))
  await activeOf(running)

  const random = seeded(seed)
  const appender = appendDeposits(running)
  const takeovers: { readonly ms: number; readonly dead: number }[] = []
  for (let kill = 0; kill < kills; kill++) {
    await sleep(random() * 400)
    const active = await activeOf(running)
    // Now and then one of those that could take over dies with it.
    const other = [...running.values()].find(({ name }) => name !== active.name)!
    const victims = random() < 0.3 ? [active, other] : [active]
    for (const { child } of victims) child.kill('SIGKILL')
    const killedAt = performance.now()
    await Promise.all(victims.map(({ ended }) => ended))
    for (const { name } of victims) running.delete(name)
    const restarting = victims.map(({ name }) => startInstance(name, setting))
    const heir = await activeOf(running)
    takeovers.push({ ms: performance.now() - killedAt, dead: victims.length })
    expect(victims.map(({ name }) => name)).not.toContain(heir.name)
    for (const each of await Promise.all(restarting)) running.set(each.name, each)
  }

  const frozen = await activeOf(running)
  frozen.child.kill('SIGSTOP')
  const frozenAt = performance.now()
  await activeOf(running, frozen.name)
  const frozenTakeover = performance.now() - frozenAt
  await sleep(500)
  frozen.child.kill('SIGCONT')
  // It finds out that it is no longer the one, and follows whoever is.
  while ((await statusOf(frozen))?.tasks[0]?.stage === 'active') await sleep(20)
  await sleep(500)

  await appender.stop()
  const active = await activeOf(running)
  const isDrained = async () => {
    const { body } = await call(active.url, '/v1/lag')
    return (body as { lagRecords: number }[]).every(({ lagRecords }) => lagRecords === 0)
  }
  while (!(await isDrained())) await sleep(20)
  for (const { child } of running.values()) child.kill('SIGTERM')
  const endings = await Promise.all([...running.values()].map(({ ended }) => ended))
  expect(endings.map(({ code }) => code)).toEqual([0, 0, 0])

  const now = () => 1_800_000_000_000
  const options = { kafka, app: 'ledger', now }
  const deposits = await contents<Deposit>(options, 'deposit', 3)
  const ids = new Set(deposits.flat().map(({ depositId }) => depositId))
  expect(appender.acknowledged.filter((id) => !ids.has(id))).toEqual([])
  const expected = deposits.map(balancesOf)
  expect(await contents<Balance>(options, 'balance', 3)).toEqual(expected)

  // The same events in the same order in one embedded process come to the same features.
  const embedded = await Engine.open({ topology: ledger, now })
  await embedded.importer.run(
    'deposits',
    deposits.flat().map((each) => [['deposit', each]]),
  )
  embedded.run()
  await embedded.caughtUp()
  const accounts = [...new Set(deposits.flat().map(({ account }) => account))]
  const features = (engine: Engine) =>
    Promise.all(accounts.map((account) => engine.features('account', [account], now())))
  const wanted = await features(embedded)
  const totals = accounts.map((account) => {
    const own = deposits.flat().filter((each) => each.account === account)
    return { deposits: own.length, held: own.reduce((sum, { amount }) => sum + amount, 0) }
  })
  expect(wanted).toEqual(totals)
  await embedded.close()

  // What each process left on its disk is the state that the log comes to when it is folded anew.
  const digests: string[] = []
  for (const name of ['anew', ...names]) {
    const engine = await Engine.open({ topology: ledger, kafka, data: join(root, name), now })
    expect(await features(engine)).toEqual(wanted)
    digests.push(await engine.digest())
    await engine.close()
  }
  expect(new Set(digests).size).toBe(1)

  const figures = (dead: number) => {
    const sorted = takeovers
      .flatMap((each) => (each.dead === dead ? [Math.round(each.ms)] : []))
      .sort((l, r) => l - r)
    return `${sorted.length} times, median ${sorted[sorted.length >> 1]} ms, longest ${sorted.at(-1)} ms`
  }
  console.log(
    `${deposits.flat().length} deposits, ${appender.repeated()} tries repeated. Takeovers with a session of ${sessionMs} ms: the active one killed: ${figures(1)}; another with it: ${figures(2)}; the active one frozen: ${Math.round(frozenTakeover)} ms`,
  )
})
