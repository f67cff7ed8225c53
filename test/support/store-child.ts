import { openRocksdbDatabase } from '../../state/store/rocksdb/rocksdb-database.ts'
import { numberedBatch } from './numbered-batches.ts'

/*
 * A process that has a RocksDB folder open.
 *
 *     store-child <folder> hold            says "open" and lives until it is killed
 *     store-child <folder> write <first>   writes numbered batches from <first> on until it is killed,
 *                                          and says each number that was acknowledged
 *     store-child <folder> fill <last>     writes numbered batches from 0 to <last>, says "done <count>",
 *                                          or at an error what happened then, as JSON
 */

const [, , path = '', task = '', number = '0'] = process.argv
const database = await openRocksdbDatabase({ path })
const say = (line: string) => process.stdout.write(`${line}\n`)

async function fill(last: number): Promise<void> {
  let written = 0
  try {
    for (; written <= last; written++) await database.write(numberedBatch(written, 2_000))
    say(`done ${written}`)
  } catch (error) {
    const again = await database.write(numberedBatch(written, 2_000)).catch((next: unknown) => next)
    const cleared = await database.clear('a').catch((next: unknown) => next)
    const [last] = await database.getMany('a', [numberedBatch(written - 1, 1)[0]!.key])
    say(
      JSON.stringify({
        written,
        errors: [error, again, cleared].map((each) => (each as { code?: string } | undefined)?.code),
        detail: String((again as Error).message),
        lastIsThere: last !== undefined,
      }),
    )
  }
  await database.close()
}

if (task === 'hold') {
  say('open')
  setInterval(() => {}, 1_000)
} else if (task === 'write') {
  say('open')
  for (let next = Number(number); ; next++) {
    await database.write(numberedBatch(next, 40))
    say(String(next))
  }
} else if (task === 'fill') await fill(Number(number))
