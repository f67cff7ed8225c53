import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** An Apache Kafka cluster for the tests. */
export interface KafkaBroker {
  readonly brokers: readonly string[]
  /** The same brokers where they want a name and a password (SASL PLAIN); absent for a cluster found by its address. */
  readonly guarded?: {
    readonly brokers: readonly string[]
    readonly username: string
    readonly password: string
    /** Another user, with the same password, who may do nothing. */
    readonly guest: string
  }
  /** Absent for a cluster found by its address, whose process is none of ours. */
  readonly process?: BrokerProcess
  stop(): Promise<void>
}

export interface BrokerProcess {
  /** Its id; another one after a crash. */
  pid(): number | undefined
  /** Stops the world for the broker: it holds its connections and answers nothing. */
  freeze(): void
  thaw(): void
  /** Kills it as a power cut would, and starts it again on the same folder and port. */
  crash(): Promise<void>
}

const kafkaVersion = '4.4.0'
const log4jVersion = '2.25.5'
const readyLine = 'Kafka Server started'
const readyWithinMs = 90_000
const lockFolder = join(tmpdir(), 'headwater-kafka-broker.lock')

/**
 * A broker, or the reason why there is none. Found by the addresses in
 * KAFKA_BROKERS; otherwise one node is started from the jars of Apache Kafka,
 * which Maven fetches once into the user's cache folder. A container is never
 * started: the jars do without Docker.
 *
 * One broker at a time on a machine: a second caller waits for the first to
 * stop its own.
 *
 * @throws Error where the environment says CI and no broker can be had, so that the tests do not pass by not running
 */
export async function startKafkaBroker(): Promise<KafkaBroker | { readonly missing: string }> {
  const addresses = process.env['KAFKA_BROKERS']
  if (addresses !== undefined && addresses !== '') {
    return { brokers: addresses.split(','), stop: async () => {} }
  }
  const release = await takeLock()
  try {
    return await startNode(await jarFolder(), release)
  } catch (error) {
    release()
    const missing = `no Kafka broker: ${(error as Error).message}`
    if (!['', 'false'].includes(process.env['CI'] ?? '')) throw new Error(missing)
    console.warn(`SKIPPED: ${missing}. Set KAFKA_BROKERS, or install Java 17 and Maven.`)
    return { missing }
  }
}

/** A folder is made by one process only; the holder's id in it tells a lock that its holder left behind. */
async function takeLock(): Promise<() => void> {
  const holder = join(lockFolder, 'pid')
  for (;;) {
    try {
      await mkdir(lockFolder)
      await writeFile(holder, `${process.pid}`)
      return () => rmSync(lockFolder, { recursive: true, force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (isLeftBehind(holder)) rmSync(lockFolder, { recursive: true, force: true })
      else await sleep(200)
    }
  }
}

function isLeftBehind(holder: string): boolean {
  try {
    process.kill(Number(readFileSync(holder, 'utf8')), 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

async function jarFolder(): Promise<string> {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const folder = join(cache, 'headwater-test', `kafka-${kafkaVersion}`)
  if (existsSync(folder)) return folder
  const work = `${folder}.${process.pid}`
  await mkdir(work, { recursive: true })
  try {
    await writeFile(join(work, 'pom.xml'), pom)
    const goal = 'dependency:copy-dependencies'
    await runToEnd('mvn', ['-B', '-q', goal, '-DincludeScope=runtime', '-DoutputDirectory=lib'], work)
    await rename(join(work, 'lib'), folder)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return folder
}

const dependency = (group: string, artifact: string, version: string): string =>
  `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local.test</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    ${dependency('org.apache.kafka', 'kafka_2.13', kafkaVersion)}
    ${dependency('org.apache.logging.log4j', 'log4j-slf4j-impl', log4jVersion)}
  </dependencies>
</project>
`

async function runToEnd(command: string, args: readonly string[], cwd: string): Promise<void> {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const keep = (chunk: Buffer) => {
    output = `${output}${chunk}`.slice(-2_000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const [code] = await once(child, 'close').catch((error: unknown) => {
    throw new Error(`${command} cannot be run (${(error as Error).message})`)
  })
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${output}`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

// The quick compiler and the plain collector halve the CPU of the start.
const javaFlags = ['-Xms256m', '-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']

async function startNode(jars: string, release: () => void): Promise<KafkaBroker> {
  if ((await readdir(jars)).length === 0) throw new Error(`${jars} is empty; remove it and try again`)
  const base = await mkdtemp(join(tmpdir(), 'headwater-kafka-'))
  let node: ChildProcess | undefined
  let watch: ChildProcess | undefined
  const stop = async () => {
    if (node !== undefined) await stopProcess(node)
    endWatch(watch)
    await rm(base, { recursive: true, force: true })
    release()
  }
  try {
    const port = await freePort()
    const classPath = `${jars}/*`
    const properties = join(base, 'server.properties')
    const guardedPort = await freePort()
    await writeFile(properties, serverProperties(base, port, guardedPort, await freePort()))
    await writeFile(join(base, 'log4j2.yaml'), logging)
    // The letter in front keeps the id from beginning with a dash, which would read as an option.
    const clusterId = `A${randomBytes(16).toString('base64url').slice(1, 21)}A`
    const format = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', properties]
    await runToEnd('java', [...javaFlags, '-cp', classPath, ...format], base)
    const start = async () => {
      const config = `-Dlog4j2.configurationFile=${join(base, 'log4j2.yaml')}`
      const args = [
        ...javaFlags,
        '-Djava.awt.headless=true',
        config,
        '-cp',
        classPath,
        'kafka.Kafka',
        properties,
      ]
      node = spawn('java', args, { cwd: base, stdio: ['ignore', 'ignore', 'pipe'] })
      watch = endWithThisProcess(node, base)
      await untilReady(node)
    }
    await start()
    const crash = async () => {
      endWatch(watch)
      node?.kill('SIGKILL')
      if (node !== undefined) await once(node, 'close')
      await start()
    }
    const pid = () => node?.pid
    const freeze = () => void node?.kill('SIGSTOP')
    const thaw = () => void node?.kill('SIGCONT')
    const guarded = { brokers: [`127.0.0.1:${guardedPort}`], username, password, guest }
    return { brokers: [`127.0.0.1:${port}`], guarded, process: { pid, freeze, thaw, crash }, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/**
 * Ends the broker when this process is gone, however it went: a test runner
 * kills its workers without a word. The pipe to the watching shell closes then.
 */
function endWithThisProcess(node: ChildProcess, base: string): ChildProcess {
  const script = 'cat > /dev/null; kill -9 "$0"; rm -rf "$1"'
  const watch = spawn('sh', ['-c', script, `${node.pid}`, base], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watch.unref()
  return watch
}

/** The shell and what it runs, which are a process group of their own. */
function endWatch(watch: ChildProcess | undefined): void {
  if (watch?.pid !== undefined && watch.exitCode === null) process.kill(-watch.pid)
}

async function untilReady(node: ChildProcess): Promise<void> {
  let output = ''
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`the broker ${why}: ${output.slice(-2_000)}`))
    const timer = setTimeout(() => fail(`was not ready within ${readyWithinMs} ms`), readyWithinMs)
    node.once('error', (error) => fail(`cannot be started (${error.message})`))
    node.once('close', (code) => fail(`ended with ${code}`))
    node.stderr?.on('data', (chunk: Buffer) => {
      output = `${output}${chunk}`.slice(-8_000)
      if (!output.includes(readyLine)) return
      clearTimeout(timer)
      resolve()
    })
  })
}

async function stopProcess(node: ChildProcess): Promise<void> {
  if (node.exitCode !== null || node.signalCode !== null) return
  const closed = once(node, 'close')
  node.kill('SIGCONT')
  node.kill('SIGTERM')
  const timer = setTimeout(() => node.kill('SIGKILL'), 5_000)
  await closed
  clearTimeout(timer)
}

const username = 'headwater'
const guest = 'guest'
const password = 'a password for tests'
const plainLogin = 'org.apache.kafka.common.security.plain.PlainLoginModule'

const serverProperties = (
  base: string,
  port: number,
  guardedPort: number,
  controllerPort: number,
): string => `
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controllerPort}
listeners=PLAINTEXT://127.0.0.1:${port},GUARDED://127.0.0.1:${guardedPort},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=PLAINTEXT://127.0.0.1:${port},GUARDED://127.0.0.1:${guardedPort}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,GUARDED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
listener.name.guarded.sasl.enabled.mechanisms=PLAIN
listener.name.guarded.plain.sasl.jaas.config=${plainLogin} required user_${username}="${password}" user_${guest}="${password}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:${username}
log.dirs=${base}/data
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
num.network.threads=2
num.io.threads=4
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.backoff.ms=500
log.segment.bytes=67108864
`

const logging = `Configuration:
  status: warn
  Appenders:
    Console: { name: out, target: SYSTEM_ERR, PatternLayout: { pattern: "%d{HH:mm:ss.SSS} %p %c{1} %m%n" } }
  Loggers:
    Root: { level: WARN, AppenderRef: [ { ref: out } ] }
    Logger: [ { name: kafka.server.KafkaRaftServer, level: INFO } ]
`
