/** As many rows as are asked for, of those that there are. */
export async function* firstRows<Row>(
  rows: Iterable<Row> | AsyncIterable<Row>,
  most: number,
): AsyncGenerator<Row> {
  let count = 0
  for await (const row of rows) {
    if (count++ === most) return
    yield row
  }
}
