import type { IncomingHttpHeaders } from 'node:http'

/** True for a body of one JSON value a line. */
export const isNdjson = (headers: IncomingHttpHeaders): boolean =>
  /^application\/x-ndjson\s*(;|$)/i.test(headers['content-type'] ?? '')
