import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

/** A data set as a learner sees it: one row an example, in the file's order. */
export interface GoldenData {
  readonly featureNames: readonly string[]
  readonly rows: readonly Float64Array[]
  /** Values, or class indices in order of first appearance where the label is text. */
  readonly labels: Float64Array
  readonly classCount: number
}

interface DataFile {
  readonly file: string
  readonly label: string
  /** What the expected weights call the features, where the file names them otherwise. */
  readonly names?: Readonly<Record<string, string>>
}

const files: Readonly<Record<string, DataFile>> = {
  Phishing: { file: 'phishing.csv.gz', label: 'is_phishing' },
  Bananas: { file: 'bananas.csv.gz', label: 'is_banana', names: { x1: '1', x2: '2' } },
  ImageSegments: { file: 'image-segments.csv.gz', label: 'category' },
  TrumpApproval: { file: 'trump_approval.csv.gz', label: 'five_thirty_eight' },
  ChickWeights: { file: 'chick-weights.csv', label: 'weight' },
}

const read = new Map<string, GoldenData>()

/** Undefined for a data set that is not in the folder. */
export function goldenData(name: string, folder: string): GoldenData | undefined {
  const source = files[name]
  if (source === undefined) return undefined
  const path = join(folder, source.file)
  if (!existsSync(path)) return undefined
  const data = read.get(path) ?? parse(path, source)
  read.set(path, data)
  return data
}

function parse(path: string, { label, names = {} }: DataFile): GoldenData {
  const bytes = readFileSync(path)
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8')
  const [header = '', ...lines] = text.trim().split(/\r?\n/)
  const columns = header.split(',')
  const labelAt = columns.indexOf(label)
  const classes = new Map<string, number>()
  const rows: Float64Array[] = []
  const labels: number[] = []
  for (const line of lines) {
    const cells = line.split(',')
    const [given = ''] = cells.splice(labelAt, 1)
    rows.push(Float64Array.from(cells, Number))
    if (Number.isNaN(Number(given)) && !classes.has(given)) classes.set(given, classes.size)
    labels.push(classes.get(given) ?? Number(given))
  }
  const featureNames = columns.filter((column) => column !== label).map((column) => names[column] ?? column)
  return { featureNames, rows, labels: Float64Array.from(labels), classCount: Math.max(2, classes.size) }
}
