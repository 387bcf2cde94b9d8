/**
 * Where log lines go: to standard output, as many at once as there are, by a fiber of its own.
 *
 * Writing never waits for a reader. If standard output is slower than the traffic for long, lines are lost, and their
 * number is said as soon as there is room; so memory stays bounded. The same holds while it cannot be written to at all,
 * which is said on standard error, once.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { AccessLog, type Entry, json, pretty } from "../services/AccessLog.ts"

/**
 * `pretty` for people, `json` for machines, one line for each exchange; `off` leaves out what concerns single requests.
 */
export type Format = "pretty" | "json" | "off"

/** Lines that may wait for a slow reader. */
const capacity = 16_384

/** How long the end of the program waits for a reader that takes nothing any more. */
const flushTimeout = Duration.seconds(1)

/** A disk that is full may have room again. A reader that has gone away (`| head`) does not come back. */
const retryInterval = Duration.seconds(1)
const retryText = `it is tried again every ${Duration.format(retryInterval)}, and lines are lost until then`

/** What the system has said: the innermost of the errors. */
const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : reasonOf(error.cause)
}

const isAboutOneRequest = (entry: Entry): boolean => entry._tag === "Sent" || entry._tag === "Completed"

/**
 * Logs to standard output. Without a format, `pretty` on a terminal and `json` otherwise, which `off` also uses for
 * what it does not leave out.
 */
export const layer = (format?: Format): Layer.Layer<AccessLog, never, Stdio.Stdio> =>
  Layer.effect(
    AccessLog,
    Effect.gen(function*() {
      const stdio = yield* Stdio.Stdio
      const clock = yield* Clock.Clock
      const isTerminal = yield* stdio.stdoutIsTerminal
      const usesJson = format === "json" || (format !== "pretty" && !isTerminal)
      /** Nothing for what is left out. */
      const render = (entry: Entry): string | undefined => {
        if (format === "off" && isAboutOneRequest(entry)) return undefined
        if (!usesJson) return pretty(entry)
        return entry._tag === "Sent" ? undefined : json(entry, clock.currentTimeMillisUnsafe())
      }

      let dropped = 0
      /** How many lines are lost if the current write fails. */
      let atStake = 0
      let isTold = false
      const queue = yield* Queue.dropping<string, Cause.Done>(capacity)
      const writer = yield* Stream.fromQueue(queue).pipe(
        Stream.mapArray((lines) => {
          const missing = dropped
          dropped = 0
          atStake = lines.length + missing
          const note: Entry = { _tag: "Notice", level: "WARN", message: `${missing} log lines were lost` }
          return [`${missing === 0 ? lines.join("\n") : [...lines, render(note)].join("\n")}\n`]
        }),
        Stream.run(stdio.stdout()),
        Effect.sandbox,
        Effect.tapError((cause) => {
          dropped += atStake
          atStake = 0
          if (isTold) return Effect.void
          isTold = true
          return Console.error(`error: cannot write the log: ${reasonOf(Cause.squash(cause))}; ${retryText}`)
        }),
        Effect.retry(Schedule.spaced(retryInterval)),
        Effect.forkDetach
      )
      yield* Effect.addFinalizer(() =>
        Effect.andThen(
          Queue.end(queue),
          Effect.timeoutOrElse(Effect.interruptible(Fiber.await(writer)), {
            duration: flushTimeout,
            orElse: () => Effect.sync(() => writer.interruptUnsafe())
          })
        )
      )

      return AccessLog.of({
        write: (entry) => {
          const line = render(entry)
          if (line !== undefined && !Queue.offerUnsafe(queue, line)) dropped++
        }
      })
    })
  )

/** Logs nothing, for embedding. */
export const layerNone: Layer.Layer<AccessLog> = Layer.succeed(AccessLog, { write: () => {} })

/** Keeps what is logged, for tests. */
export const layerMemory = (entries: Array<Entry>): Layer.Layer<AccessLog> =>
  Layer.succeed(AccessLog, { write: (entry) => void entries.push(entry) })
