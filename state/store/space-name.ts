const limitBytes = 255

/**
 * The name of a space as the bytes that a database keeps it under: 1 to 255
 * of them, so that what works in memory works on the disk too.
 *
 * @throws RangeError
 */
export function spaceNameBytes(space: string): Buffer {
  const name = Buffer.from(space)
  if (name.length === 0 || name.length > limitBytes) {
    throw new RangeError(
      `the name of a space has 1 to ${limitBytes} bytes, got ${name.length}: ${JSON.stringify(space)}`,
    )
  }
  // Two names with different lone surrogates would be the same bytes.
  if (!space.isWellFormed()) {
    throw new RangeError(`the name of a space is well-formed Unicode, got ${JSON.stringify(space)}`)
  }
  return name
}
