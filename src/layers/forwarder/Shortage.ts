/**
 * Says, once in a while, what this process lacks for connections to backends, such as file descriptors: a failed try in
 * the log has a word for it and names the backend, which is not to blame.
 */
import type * as Clock from "effect/Clock"
import type { AccessLog } from "../../services/AccessLog.ts"

/** Milliseconds between two such lines, of which there could be one for each request. */
const every = 10_000

/** What is to be called with each cause. */
export const make = (log: AccessLog["Service"], clock: Clock.Clock) => {
  let saidAt = -Infinity
  return (cause: string): void => {
    const now = clock.currentTimeMillisUnsafe()
    // The clock may have been set back.
    if (now >= saidAt && now - saidAt < every) return
    saidAt = now
    log.write({ _tag: "Notice", level: "WARN", message: `No connection to a backend was to be had: ${cause}` })
  }
}
