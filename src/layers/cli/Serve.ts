/** Runs the load balancer until it is interrupted, and then lets what is in flight finish. */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { ServeError } from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import type { Stdio } from "effect/Stdio"
import { setFlagsFromString } from "node:v8"
import { AccessLog } from "../../services/AccessLog.ts"
import { Forwarder } from "../../services/Forwarder.ts"
import * as AccessLogLayer from "../AccessLog.ts"
import type { Loaded, Settings } from "../Configuration.ts"
import * as LoadBalancer from "../LoadBalancer.ts"
import * as Wire from "../Wire.ts"
import * as Announcement from "./Announcement.ts"
import { CommandFailed, exitCodes } from "./CommandFailed.ts"
import * as EffectLog from "./EffectLog.ts"
import * as ListenError from "./ListenError.ts"

/**
 * V8 guesses where objects live long from the first seconds, in which everything survives, and then keeps what a
 * request leaves behind until the next full collection: 6 of those for 100,000 requests instead of 1 or 2.
 */
const withoutPretenuring = Effect.sync(() => setFlagsFromString("--no-allocation-site-pretenuring"))

/** What a command runs besides the load balancer. */
export interface Companions {
  /** Is there before the load balancer listens, and until it has stopped. */
  readonly layer: Layer.Layer<never, CommandFailed, AccessLog>
  /** Lines that follow the announcement, for the port that the load balancer listens on. */
  readonly lines: (port: number) => ReadonlyArray<string>
}

/** undici is loaded only where it is used: it takes a fifth of the time to start. */
const engineOf = (settings: Settings) =>
  settings.engine === "wire" ? Wire.layer(settings) : Layer.unwrap(
    Effect.map(Effect.promise(() => import("../NodeEngine.ts")), (NodeEngine) => NodeEngine.layer(settings))
  )

/** The load balancer on the engine of the settings. Every setting ends here or in `LoadBalancer.layer`. */
const layer = (loaded: Loaded, companions: Companions): Layer.Layer<Forwarder, CommandFailed | ServeError, AccessLog> =>
  LoadBalancer.layer(loaded.settings).pipe(
    // Before the health checker, so that its results come after these lines.
    Layer.provide(Announcement.layer(loaded, companions.lines)),
    Layer.provide(engineOf(loaded.settings)),
    Layer.provide(companions.layer)
  )

/** What is still to be done when the program is told to stop. */
const remaining = (inFlight: number, limit: Duration.Duration): string => {
  if (inFlight === 0) return "nothing is in flight"
  return `waiting for ${inFlight} request${inFlight === 1 ? "" : "s"} in flight, ${Duration.format(limit)} at most`
}

const run = Effect.fnUntraced(
  function*(loaded: Loaded, companions: Companions) {
    const log = yield* AccessLog
    const say = (message: string) => Effect.sync(() => log.write({ _tag: "Notice", level: "INFO", message }))
    return yield* Effect.gen(function*() {
      const { inFlight } = Context.get(yield* Layer.build(layer(loaded, companions)), Forwarder)
      const { shutdown } = loaded.settings.timeout
      return yield* Effect.onInterrupt(
        Effect.never,
        () => Effect.flatMap(inFlight, (count) => say(`Shutting down: ${remaining(count, shutdown)}`))
      )
    }).pipe(
      // Closing the scope stops the server first and waits.
      Effect.scoped,
      Effect.onInterrupt(() => say("Stopped"))
    )
  },
  (effect, { settings: { listen } }) =>
    Effect.catchTag(
      effect,
      "ServeError",
      (error) => ListenError.toFailure(listen, error, "choose another one with --listen")
    )
)

/** What nobody has foreseen goes to the log, with its stack. */
const logUnforeseen = <A, R>(effect: Effect.Effect<A, CommandFailed, R>): Effect.Effect<A, CommandFailed, R> =>
  Effect.catchCauseIf(effect, Cause.hasDies, (cause) =>
    Effect.andThen(
      Effect.logError("The load balancer had to stop", cause),
      CommandFailed.make({ lines: [], exitCode: exitCodes.failed })
    ))

/** Serves until it is interrupted. Fails when it cannot begin. */
export const serve = (
  loaded: Loaded,
  companions: Companions = { layer: Layer.empty, lines: () => [] }
): Effect.Effect<void, CommandFailed, Stdio> =>
  Effect.andThen(withoutPretenuring, run(loaded, companions)).pipe(
    logUnforeseen,
    Effect.provide(Layer.provideMerge(EffectLog.layer, AccessLogLayer.layer(loaded.settings.accessLog)))
  )
