import { expect, test } from 'vitest'
import { checkedHttpOptions, isLoopback } from '../../../topology/http/http-options.ts'

test('what is not given has its default', () => {
  expect(checkedHttpOptions({ port: undefined } as object)).toEqual({
    host: '127.0.0.1',
    port: 7070,
    token: undefined,
    open: false,
    maxBodyBytes: 1_048_576,
    maxBatchEvents: 10_000,
    maxJsonDepth: 64,
    maxConcurrentRequests: 256,
    maxConnections: 1_024,
    receiveTimeoutMs: 10_000,
    answerTimeoutMs: 30_000,
    closeTimeoutMs: 5_000,
  })
})

test.each([
  [{ prot: 1 }, '"prot" is not known; there are answerTimeoutMs, closeTimeoutMs, host'],
  [{ toString: 1 }, '"toString" is not known'],
  [{ port: '80' }, '"port" must be a whole number from 0 to 65535, got "80"'],
  [{ port: -1 }, '"port" must be a whole number from 0 to 65535, got -1'],
  [{ port: 65_536 }, '"port" must be a whole number'],
  [{ maxBodyBytes: 0.5 }, '"maxBodyBytes" must be a whole number from 1'],
  [{ maxBatchEvents: 0 }, '"maxBatchEvents" must be a whole number from 1'],
  [{ answerTimeoutMs: 2 ** 31 }, '"answerTimeoutMs" must be a whole number from 1 to 2147483647'],
  [{ maxJsonDepth: 1_001 }, '"maxJsonDepth" must be a whole number from 1 to 1000'],
  [{ open: 'yes' }, '"open" must be true or false, got "yes"'],
  [{ host: '' }, '"host" must be a text that is not empty'],
  [{ token: '' }, '"token" must be a text that is not empty, got a string'],
  [{ token: 5 }, '"token" must be a text that is not empty, got a number'],
])('options that do not fit are named: %j', (options, message) => {
  expect(() => checkedHttpOptions(options as object)).toThrow(message)
})

test('loopback is the addresses of this machine only', () => {
  const hosts = ['localhost', 'LOCALHOST', '127.0.0.1', '127.255.0.3', '::1', '[::1]']
  expect(hosts.filter((host) => !isLoopback(host))).toEqual([])
  const others = ['', '0.0.0.0', '::', '128.0.0.1', '127.0.0.1.example', '127.1', '127.0.0.256', 'localhost.']
  expect(others.filter(isLoopback)).toEqual([])
})
