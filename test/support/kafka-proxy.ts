import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Kafka's numbers of the requests that the tests lose answers of. */
export const requestKeys = { produce: 0, endTransaction: 26 } as const

/** Stands between a client and a broker, on loopback, and can lose an answer. */
export interface KafkaProxy {
  readonly port: number
  /**
   * The next request of this kind reaches the broker, and the connection is cut before the answer comes back.
   * With `and-refuse`, no connection is taken from then on.
   */
  cutAnswerTo(requestKey: number, then?: 'and-refuse'): void
  /** How many answers were cut. */
  readonly cuts: number
  close(): Promise<void>
}

export async function startKafkaProxy(brokerPort: number): Promise<KafkaProxy> {
  const sockets = new Set<Socket>()
  let wanted: number | undefined
  let cuts = 0
  let isRefusing = false
  let refusesAfterCut = false
  const server = createServer((client) => {
    if (isRefusing) {
      client.destroy()
      return
    }
    const broker = connect({ host: '127.0.0.1', port: brokerPort })
    let isCut = false
    const end = () => {
      client.destroy()
      broker.destroy()
    }
    for (const socket of [client, broker]) {
      sockets.add(socket)
      socket.on('error', end)
      socket.on('close', () => {
        sockets.delete(socket)
        end()
      })
    }
    const seen = requestReader((key) => {
      if (key !== wanted) return
      wanted = undefined
      cuts++
      isCut = true
      isRefusing = refusesAfterCut
    })
    client.on('data', (chunk: Buffer) => {
      broker.write(chunk)
      seen(chunk)
    })
    broker.on('data', (chunk: Buffer) => {
      if (isCut) end()
      else client.write(chunk)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    cutAnswerTo(requestKey, then) {
      wanted = requestKey
      refusesAfterCut = then === 'and-refuse'
    },
    get cuts() {
      return cuts
    },
    async close() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}

/** Calls `found` with the kind of each request in a stream of them: a length of four bytes, then the kind in two. */
function requestReader(found: (key: number) => void): (chunk: Buffer) => void {
  let held = Buffer.alloc(0)
  let skip = 0
  return (chunk) => {
    held = Buffer.concat([held, chunk])
    for (;;) {
      const skipped = Math.min(skip, held.length)
      held = held.subarray(skipped)
      skip -= skipped
      if (skip > 0 || held.length < 6) return
      found(held.readInt16BE(4))
      skip = 4 + held.readInt32BE(0)
    }
  }
}
