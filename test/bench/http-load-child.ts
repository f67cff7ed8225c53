import { connect } from 'node:net'

/*
 * The caller of the HTTP bench, in a process of its own: some connections that
 * are kept open, each with one request under way at all times.
 *
 *     node --import tsx test/bench/http-load-child.ts PORT CONNECTIONS SECONDS
 *
 * Prints one JSON line: requests a second, refused, and latencies in ms.
 */

const [port = 0, connections = 0, seconds = 0] = process.argv.slice(2).map(Number)
const latencies: number[] = []
let refused = 0
let next = 0
const endsAt = performance.now() + seconds * 1000
const warmUntil = performance.now() + Math.min(2, seconds / 4) * 1000

function request(): Buffer {
  next++
  const body = JSON.stringify({
    paymentId: `load-${next}`,
    customer: (next * 7_919) % 5_000,
    terminal: (next * 104_729) % 10_000,
    amount: (next % 997) / 7,
  })
  return Buffer.from(
    `POST /v1/models/fraud/predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

function drive(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    let received = ''
    let sentAt = 0
    const send = () => {
      sentAt = performance.now()
      if (sentAt > endsAt) {
        socket.end()
        resolve()
        return
      }
      socket.write(request())
    }
    socket.on('connect', send)
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      const headEnd = received.indexOf('\r\n\r\n')
      if (headEnd < 0) return
      const length = Number(/content-length: (\d+)/i.exec(received)?.[1] ?? 0)
      if (received.length < headEnd + 4 + length) return
      if (!received.startsWith('HTTP/1.1 200')) refused++
      else if (sentAt > warmUntil) latencies.push(performance.now() - sentAt)
      received = ''
      send()
    })
  })
}

await Promise.all(Array.from({ length: connections }, drive))
latencies.sort((a, b) => a - b)
const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN
process.stdout.write(
  `${JSON.stringify({ perSecond: (latencies.length / (endsAt - warmUntil)) * 1000, refused, p50: at(0.5), p99: at(0.99) })}\n`,
)
