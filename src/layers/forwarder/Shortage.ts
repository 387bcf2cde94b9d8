/**
 * Says, once in a while, what this process lacks for connections to backends, such as file descriptors: a failed try in
 * the log has a word for it and names the backend, which is not to blame.
 */
import type * as Clock from "effect/Clock"
import type { AccessLog } from "../../services/AccessLog.ts"
import * as Occasionally from "../../services/Occasionally.ts"

/** What is to be called with each cause. */
export const make = (log: AccessLog["Service"], clock: Clock.Clock) => {
  const occasionally = Occasionally.make(clock)
  return (cause: string): void =>
    occasionally(() =>
      log.write({ _tag: "Notice", level: "WARN", message: `No connection to a backend was to be had: ${cause}` })
    )
}
