/** A stream of a file of expected results: its digits, or how to generate it. */
interface StreamSource {
  readonly digits?: string | number
  readonly values?: readonly number[]
  readonly generator?: string
  readonly length?: number
}

/** The values of a named stream; undefined where the file says too little. */
export function driftStream(
  name: string,
  streams: Readonly<Record<string, unknown>>,
): Float64Array | undefined {
  const source = streams[name] as StreamSource | readonly number[] | undefined
  if (source === undefined) return undefined
  if (Array.isArray(source)) return Float64Array.from(source as readonly number[])
  const { digits, values, generator = '', length = 0 } = source as StreamSource
  if (values !== undefined) return Float64Array.from(values)
  if (typeof digits === 'string') return Float64Array.from(digits, Number)
  return generated(generator, length, streams)
}

const recurrence = /x0=(\d+); x=\((\d+)\*x\+(\d+)\) mod 2\^(\d+)/
const stepValue = /value = u<\(i<(\d+)\?([\d.]+):([\d.]+)\)/
const shiftValue = /value = u \+ \(i>=(\d+) \? ([\d.]+) : ([\d.]+)\)/

/** Linear congruences: `x0=…; x=(a*x+c) mod 2^b; u=x/2^b; value = …`, or `same LCG; value = …` as another stream. */
function generated(
  generator: string,
  length: number,
  streams: Readonly<Record<string, unknown>>,
): Float64Array | undefined {
  const texts = [generator, ...Object.values(streams).map((each) => (each as StreamSource).generator ?? '')]
  const found = generator.startsWith('same LCG')
    ? texts.map((text) => recurrence.exec(text)).find((match) => match !== null)
    : recurrence.exec(generator)
  if (found === null || found === undefined) return undefined
  const [start, factor, add, bits] = found.slice(1).map(BigInt) as [bigint, bigint, bigint, bigint]
  const size = 1n << bits
  const step = stepValue.exec(generator)?.slice(1).map(Number)
  const shift = shiftValue.exec(generator)?.slice(1).map(Number)
  let x = start
  return Float64Array.from({ length }, (_, index) => {
    x = (factor * x + add) % size
    const u = Number(x) / Number(size)
    if (step !== undefined) return u < (index < step[0]! ? step[1]! : step[2]!) ? 1 : 0
    return shift === undefined ? u : u + (index >= shift[0]! ? shift[1]! : shift[2]!)
  })
}
