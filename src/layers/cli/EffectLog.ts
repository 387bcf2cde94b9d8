/** Sends what is logged through Effect (`Effect.logError` and its like) to our own log, so that there is one format. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Formatter from "effect/Formatter"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type { LogLevel } from "effect/LogLevel"
import { AccessLog, type Notice } from "../../services/AccessLog.ts"

const levelOf = (level: LogLevel): Notice["level"] =>
  level === "Error" || level === "Fatal" ? "ERROR" : level === "Warn" ? "WARN" : "INFO"

const words = (message: unknown): ReadonlyArray<string> =>
  (Array.isArray(message) ? message : [message]).map((part) => typeof part === "string" ? part : Formatter.format(part))

/** The messages, then the cause with its stack, all on one line. */
const oneLine = (message: unknown, cause: Cause.Cause<unknown>): string =>
  [...words(message), ...(cause.reasons.length === 0 ? [] : [Cause.pretty(cause)])].join(": ").replace(
    /\s*\n\s*/g,
    " | "
  )

/** Replaces Effect's own logger. */
export const layer: Layer.Layer<never, never, AccessLog> = Layer.unwrap(Effect.map(AccessLog, (log) =>
  Logger.layer([
    Logger.make(({ cause, logLevel, message }) =>
      log.write({ _tag: "Notice", level: levelOf(logLevel), message: oneLine(message, cause) })
    )
  ])))
