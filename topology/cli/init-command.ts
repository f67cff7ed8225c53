import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CliError } from './cli-error.ts'

export interface InitOptions {
  readonly javascript?: boolean
}

/** The starter: the same text is valid TypeScript and JavaScript. */
const starter = `import {
  byKey, computed, count, days, event, featureView, forever, globalMean, hashedLogistic, hours, model, request, sum, topology,
} from 'headwater'

// What happens in the shop. Each visit asks: will this visitor buy?
const visit = event(
  'visit',
  { visitId: 'string', visitorId: 'string', page: 'string', at: 'timestamp' },
  { key: 'visitorId', time: 'at' },
)
// What came of it: the label, some time later.
const outcome = event(
  'outcome',
  { visitId: 'string', visitorId: 'string', page: 'string', bought: 'boolean', at: 'timestamp' },
  { key: 'visitorId', time: 'at' },
)

const visitor = featureView('visitor', {
  entity: 'visitorId',
  owner: 'shop',
  description: 'What a visitor did so far',
  features: {
    visits1h: count(visit, { over: hours(1) }),
    visits7d: count(visit, { over: days(7), hop: hours(1) }),
    purchases: sum(outcome, ({ bought }) => (bought ? 1 : 0), { over: forever, default: 0 }),
  },
})

const buys = model('buys', {
  on: visit,
  features: [
    visitor,
    computed({ logVisits: { of: ['visits7d'], value: (n) => Math.log1p(n) } }),
    request(visit, { pageLength: ({ page }) => page.length }),
  ],
  label: { from: outcome, join: 'visitId', value: ({ bought }) => bought, within: hours(6) },
  learner: hashedLogistic({ unused: ['visits7d'] }),
  baselines: [globalMean(), byKey('visitorId')],
})

export default topology('shop', {
  events: [visit, outcome],
  models: [buys],
  tryIt: [
    \`curl -s {url}/v1/models/buys/predict -H 'content-type: application/json' -d '{"visitId":"v1","visitorId":"ada","page":"/shoes"}'\`,
    \`curl -s {url}/v1/events/outcome -H 'content-type: application/json' -d '{"visitId":"v1","visitorId":"ada","page":"/shoes","bought":true,"at":"'$(date -u +%FT%TZ)'"}'\`,
    'curl -s {url}/v1/features/visitor/ada',
  ],
})
`

const tsconfig = `{
  "compilerOptions": {
    "module": "nodenext",
    "target": "es2023",
    "strict": true,
    "noEmit": true,
    "skipLibCheck": true
  }
}
`

/** `init`: writes the starter beside what is there; overwrites nothing. */
export async function initCommand(folder: string, { javascript = false }: InitOptions): Promise<number> {
  mkdirSync(folder, { recursive: true })
  const main = javascript ? 'topology.js' : 'topology.ts'
  const path = join(folder, main)
  if (existsSync(path)) throw new CliError(`${path} is there already; remove it, or give another folder`)
  const written = [main]
  writeFileSync(path, starter)
  const optional: Record<string, string> = {
    'package.json': `${JSON.stringify({ name: 'my-topology', private: true, type: 'module' }, null, 2)}\n`,
    ...(javascript ? {} : { 'tsconfig.json': tsconfig }),
  }
  for (const [name, text] of Object.entries(optional)) {
    if (existsSync(join(folder, name))) continue
    writeFileSync(join(folder, name), text)
    written.push(name)
  }
  process.stdout.write(
    `wrote ${written.join(', ')}\nrun it: headwater run ${path.startsWith('/') ? path : `./${path}`}\n`,
  )
  return 0
}
