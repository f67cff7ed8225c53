import { featureLimit } from '../predictor.ts'
import { hashText, mix32 } from './hash-text.ts'
import { type StandardScaler, standardScaler } from './standard-scaler.ts'

/** What one position of the feature vector means to a hashed model. */
export type HashedColumn =
  /** A quantity: one weight, times the value, standardised unless `scale` is 'none'. */
  | { readonly name: string; readonly kind: 'numeric'; readonly scale?: 'standard' | 'none' }
  /** A quantity with a weight for each bucket; the bucket of x is the number of `edges` <= x, so edges ascend. */
  | { readonly name: string; readonly kind: 'bucketed'; readonly edges: readonly number[] }
  /** An identifier, a number or the `hashText` of one: a weight for each value. */
  | { readonly name: string; readonly kind: 'categorical' }
  /** In the vector, not in the model. */
  | { readonly name: string; readonly kind: 'unused' }

export interface HashedColumnsOptions {
  /** One for each feature, in the vector's order. */
  readonly columns: readonly HashedColumn[]
  /** Pairs of categorical or bucketed columns, by name, that get a weight for each combination. */
  readonly crosses?: readonly (readonly [string, string])[]
  /** The combinations and identifiers share 2^bits slots; 18 unless given, 1 to 26. */
  readonly bits?: number
}

/**
 * Which weights an example uses, and with what values. Filled anew for each
 * example, without allocating: slot 0 is the constant, then one slot for each
 * numeric column, then the hashed ones.
 */
export interface HashedColumns {
  /** The declaration as text; part of a learner's name. */
  readonly id: string
  readonly featureCount: number
  readonly slotCount: number
  readonly scaler: StandardScaler
  /** The constant, the columns in use, then the crosses. */
  readonly termNames: readonly string[]
  readonly slots: Int32Array
  readonly values: Float64Array
  /** Index into `termNames` of each slot. */
  readonly terms: Int32Array
  /** Fills the arrays above from the features and returns how many slots are in use; a missing value uses none. */
  fill(cells: Float64Array, scalerAt: number, features: Float64Array): number
}

const defaultBits = 18

interface Sources {
  readonly scaled: readonly number[]
  readonly plain: readonly number[]
  readonly identified: readonly Identified[]
  readonly crossed: readonly Crossed[]
}

interface Identified {
  readonly column: number
  readonly edges: Float64Array | undefined
  readonly seed: number
  readonly term: number
}

/** Positions in the list of identified columns. */
interface Crossed {
  readonly first: number
  readonly second: number
  readonly seed: number
  readonly term: number
}

export function hashedColumns({
  columns,
  crosses = [],
  bits = defaultBits,
}: HashedColumnsOptions): HashedColumns {
  if (!(Number.isInteger(bits) && bits >= 1 && bits <= 26)) {
    throw new RangeError(`bits must be a whole number from 1 to 26, got ${bits}`)
  }
  const { scaled, plain, identified, crossed } = sourcesOf(columns, crosses)
  const used = columns.filter(({ kind }) => kind !== 'unused')
  const termNames = ['constant', ...used.map(({ name }) => name), ...crosses.map((pair) => pair.join('*'))]
  const termOf = new Map(termNames.map((name, index) => [name, index]))
  const numericTerms = [...scaled, ...plain].map((index) => termOf.get(columns[index]!.name)!)

  const slots = new Int32Array(termNames.length)
  const values = new Float64Array(termNames.length)
  const terms = new Int32Array(termNames.length)
  const scaler = standardScaler(scaled)
  const scaledValues = new Float64Array(scaled.length)
  const ids = new Float64Array(identified.length)
  const bytes = new DataView(new ArrayBuffer(16))
  const hashedAt = 1 + scaled.length + plain.length
  const mask = 2 ** bits - 1

  function fill(cells: Float64Array, scalerAt: number, features: Float64Array): number {
    slots[0] = 0
    values[0] = 1
    terms[0] = 0
    let count = 1
    if (scaled.length > 0) scaler.transform(cells, scalerAt, features, scaledValues)
    for (let index = 0; index < numericTerms.length; index++) {
      const value = index < scaled.length ? scaledValues[index]! : features[plain[index - scaled.length]!]!
      if (!(value <= featureLimit && value >= -featureLimit)) continue
      slots[count] = 1 + index
      values[count] = value
      terms[count++] = numericTerms[index]!
    }
    for (let index = 0; index < identified.length; index++) {
      const { column, edges, seed, term } = identified[index]!
      const value = features[column]!
      if (!(value <= featureLimit && value >= -featureLimit)) {
        ids[index] = Number.NaN
        continue
      }
      // Adding 0 makes one value of 0 and -0.
      const id = edges === undefined ? value + 0 : bucketOf(edges, value)
      ids[index] = id
      bytes.setFloat64(0, id, true)
      slots[count] =
        hashedAt + (mix32(mix32(seed ^ bytes.getInt32(0, true)) ^ bytes.getInt32(4, true)) & mask)
      values[count] = 1
      terms[count++] = term
    }
    for (let index = 0; index < crossed.length; index++) {
      const { first, second, seed, term } = crossed[index]!
      const firstId = ids[first]!
      const secondId = ids[second]!
      if (Number.isNaN(firstId) || Number.isNaN(secondId)) continue
      bytes.setFloat64(0, firstId, true)
      bytes.setFloat64(8, secondId, true)
      let hash = mix32(mix32(seed ^ bytes.getInt32(0, true)) ^ bytes.getInt32(4, true))
      hash = mix32(mix32(hash ^ bytes.getInt32(8, true)) ^ bytes.getInt32(12, true))
      slots[count] = hashedAt + (hash & mask)
      values[count] = 1
      terms[count++] = term
    }
    return count
  }

  return {
    id: JSON.stringify({ columns, crosses, bits }),
    featureCount: columns.length,
    slotCount: hashedAt + 2 ** bits,
    scaler,
    termNames,
    slots,
    values,
    terms,
    fill,
  }
}

/** The number of edges <= value. */
function bucketOf(edges: Float64Array, value: number): number {
  let low = 0
  let high = edges.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (edges[middle]! <= value) low = middle + 1
    else high = middle
  }
  return low
}

function sourcesOf(
  columns: readonly HashedColumn[],
  crosses: readonly (readonly [string, string])[],
): Sources {
  const scaled: number[] = []
  const plain: number[] = []
  const identified: Identified[] = []
  const positions = new Map<string, number>()
  let term = 1
  const names = new Set<string>()
  for (const [index, column] of columns.entries()) {
    if (names.has(column.name)) throw new RangeError(`there are two columns named "${column.name}"`)
    names.add(column.name)
    if (column.kind === 'unused') continue
    if (column.kind === 'numeric') {
      if (column.scale === 'none') plain.push(index)
      else scaled.push(index)
    } else {
      positions.set(column.name, identified.length)
      const edges = column.kind === 'bucketed' ? edgesOf(column.name, column.edges) : undefined
      identified.push({ column: index, edges, seed: seedOf(column.name), term })
    }
    term++
  }
  const crossed = crosses.map(([first, second], index) => {
    const [a, b] = [positions.get(first), positions.get(second)]
    if (a === undefined || b === undefined) {
      const wrong = a === undefined ? first : second
      throw new RangeError(`a cross needs categorical or bucketed columns; "${wrong}" is none`)
    }
    return { first: a, second: b, seed: seedOf(`${first}*${second}`), term: term + index }
  })
  return { scaled, plain, identified, crossed }
}

function edgesOf(name: string, edges: readonly number[]): Float64Array {
  if (edges.some((edge, index) => !(Number.isFinite(edge) && (index === 0 || edge > edges[index - 1]!)))) {
    throw new RangeError(`the edges of column "${name}" must be finite and ascend`)
  }
  return Float64Array.from(edges)
}

const seedOf = (name: string): number => hashText(name) | 0
