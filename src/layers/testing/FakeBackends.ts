/**
 * Backends without sockets, for tests: an `HttpClient` that answers by origin from scripts, so that the real pool,
 * health checker, strategy, balancer and forwarder run over it.
 *
 * ```ts
 * FakeBackends.layer({
 *   "http://a": FakeBackends.respond("hello from a"),
 *   "http://b": FakeBackends.delayed("20 millis", FakeBackends.respond("hello from b"))
 * })
 * ```
 *
 * It fails as the engines do: for the same reasons and after the same time limits. An origin
 * without a script refuses connections. What backends can do is in `Behaviour`; `FakeServer` is the clients' end.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cookies from "effect/http/Cookies"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, TransportError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { originOf, parseOrigin } from "../../services/Backend.ts"
import { Connector } from "../../services/Connector.ts"
import { TransportFailure } from "../../services/Failure.ts"
import * as Monotonic from "../../services/Monotonic.ts"
import type { Outcome } from "../../services/Outcome.ts"
import { withStream } from "../../services/PlatformResponse.ts"
import { probeUserAgent } from "../../services/Probe.ts"
import { type Behaviour, bodyOf, connectionRefused, cutBy } from "./Behaviour.ts"
import { type Received, Reception } from "./Received.ts"

export {
  type Answer,
  type Attempt,
  type Behaviour,
  breaksOff,
  delayed,
  down,
  during,
  freezes,
  garbles,
  handle,
  hangs,
  inTurn,
  onPath,
  type Period,
  refuses,
  repeats,
  resets,
  respond,
  sometimes,
  stalls,
  trickles,
  unreachable
} from "./Behaviour.ts"
export type { Received } from "./Received.ts"

/** The time limits of the client layer, which are the engines' unless they are given. */
export interface Options {
  /** For a connection to a backend. */
  readonly connectTimeout?: Duration.Input | undefined
  /** From the end of the request to the head of the response. */
  readonly responseTimeout?: Duration.Input | undefined
  /** Between two reads of a response's body. */
  readonly idleTimeout?: Duration.Input | undefined
}

/**
 * The backends of a test, to be looked at and to be changed while they run. Asking for an origin that never had a
 * script is a mistake in the test, and throws.
 */
export class FakeBackends extends Context.Service<FakeBackends, {
  /** Kills a backend: from now on it refuses connections, and those that are open break off. */
  readonly stop: (origin: string) => Effect.Effect<void>
  /** Starts a stopped backend again, with the same script. */
  readonly start: (origin: string) => Effect.Effect<void>
  /** Gives a backend another script, or adds a backend. What is in flight goes on as it began. */
  readonly script: (origin: string, behaviour: Behaviour) => Effect.Effect<void>
  /** What clients have sent to a backend, oldest first, without health checks. */
  readonly received: (origin: string) => ReadonlyArray<Received>
  /** The health checks that a backend has received, oldest first. */
  readonly probes: (origin: string) => ReadonlyArray<Received>
  /** How many requests of clients a backend has received and neither answered to the end nor lost. */
  readonly inFlight: (origin: string) => number
}>()("evenkeel/layers/testing/FakeBackends") {}

/** One backend. */
class Host {
  behaviour: Behaviour
  /** The end of the life that it has now, while it has one. */
  death: Deferred.Deferred<void> | undefined = Deferred.makeUnsafe()
  turns = 0
  readonly received: Array<Received> = []
  readonly probes: Array<Received> = []
  readonly open = new Set<Reception>()

  constructor(behaviour: Behaviour) {
    this.behaviour = behaviour
  }

  settle(reception: Reception, outcome: Outcome): void {
    if (this.open.delete(reception)) reception.outcome = outcome
  }

  stop(): void {
    if (this.death !== undefined) Deferred.doneUnsafe(this.death, Effect.void)
    this.death = undefined
    for (const reception of this.open) this.settle(reception, "failure")
  }

  start(): void {
    this.death ??= Deferred.makeUnsafe()
  }
}

/** A cookie among the header fields is one as any other: clients of the platform look for cookies in one place only. */
const withCookies = (response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse => {
  const line = response.headers["set-cookie"]
  return line === undefined
    ? response
    : HttpServerResponse.mergeCookies(response, Cookies.fromSetCookie(line))
}

const fails = (reason: TransportFailure["reason"], message: string) => () =>
  Effect.fail(TransportFailure.make({ reason, message }))

/** Backends with these scripts, by origin. */
export const layer = (
  scripts: Readonly<Record<string, Behaviour>>,
  options?: Options
): Layer.Layer<Connector | FakeBackends | HttpClient.HttpClient> => {
  const connectTimeout = options?.connectTimeout ?? "2 seconds"
  const responseTimeout = Duration.toMillis(options?.responseTimeout ?? "15 seconds")
  const idleTimeout = options?.idleTimeout ?? "60 seconds"

  return Layer.effectContext(Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const startedAt = Monotonic.millisUnsafe(clock)
    const elapsed = Effect.sync(() => Monotonic.millisUnsafe(clock) - startedAt)
    const hosts = new Map<string, Host>()

    const script = (input: string, behaviour: Behaviour): void => {
      const origin = parseOrigin(input)
      if (origin === undefined) throw new Error(`${input} is no origin, such as http://a or http://b:3000`)
      const host = hosts.get(origin)
      if (host === undefined) hosts.set(origin, new Host(behaviour))
      else host.behaviour = behaviour
    }
    for (const [origin, behaviour] of Object.entries(scripts)) script(origin, behaviour)

    const hostOf = (origin: string): Host => {
      const host = hosts.get(parseOrigin(origin) ?? origin)
      if (host === undefined) {
        throw new Error(`there is no fake backend ${origin}, only ${[...hosts.keys()].join(", ")}`)
      }
      return host
    }

    /** Fails when nothing of the request was read for as long as the head of the response may take. */
    const silence = Effect.fnUntraced(function*(reception: Reception) {
      let left = responseTimeout
      while (left > 0) {
        yield* Effect.sleep(left)
        left = reception.lastRead + responseTimeout - Monotonic.millisUnsafe(clock)
      }
      return yield* fails("headers_timeout", "No answer in time")()
    })

    /** Connects, and gives the work on the request. */
    const accepted = (host: Host, reception: Reception, turn: number) =>
      Effect.timeoutOrElse(host.behaviour({ request: reception.request, turn, elapsed }), {
        duration: connectTimeout,
        orElse: fails("connect_timeout", "Connection timed out")
      })

    const exchange = Effect.fnUntraced(
      function*(host: Host, request: HttpClientRequest.HttpClientRequest, url: URL, signal: AbortSignal) {
        const { death } = host
        const isProbe = request.headers["user-agent"] === probeUserAgent
        const turn = isProbe ? host.turns : host.turns++
        if (death === undefined) return yield* connectionRefused
        const reception = new Reception(request, url, clock)
        const answer = yield* accepted(host, reception, turn)
        ;(isProbe ? host.probes : host.received).push(reception)
        host.open.add(reception)
        signal.addEventListener("abort", () => host.settle(reception, "aborted"), { once: true })
        const settleFailure = (exit: Exit.Exit<unknown, unknown>) =>
          Effect.sync(() => {
            if (Exit.isFailure(exit)) host.settle(reception, Exit.hasInterrupts(exit) ? "aborted" : "failure")
          })

        const response = yield* cutBy(Deferred.await(death))(answer).pipe(
          Effect.raceFirst(silence(reception)),
          Effect.onExit((exit) => settleFailure(exit))
        )
        if (HttpServerResponse.omitsBody(response, request.method === "HEAD")) {
          host.settle(reception, "success")
          return HttpServerResponse.empty(response)
        }
        const idle = { duration: idleTimeout, orElse: fails("reset_mid_body", "The body stopped") }
        return withStream(
          response,
          Stream.transformPull(bodyOf(response), (pull) => Effect.succeed(Effect.timeoutOrElse(pull, idle))).pipe(
            Stream.onEnd(Effect.sync(() => host.settle(reception, "success"))),
            Stream.onExit((exit) => settleFailure(exit))
          )
        )
      }
    )

    const client = HttpClient.make((request, url, signal) => {
      const host = hosts.get(originOf(url))
      return (host === undefined ? Effect.fail(connectionRefused) : exchange(host, request, url, signal)).pipe(
        Effect.map((response) => HttpServerResponse.toClientResponse(withCookies(response), { request })),
        Effect.mapError((cause) => new HttpClientError({ reason: new TransportError({ request, cause }) }))
      )
    })

    /** Only as far as the connection. */
    const connect = Effect.fnUntraced(function*(origin: string) {
      const host = hosts.get(origin)
      if (host?.death === undefined) return yield* connectionRefused
      const request = HttpClientRequest.get(origin, { headers: { "user-agent": probeUserAgent } })
      const reception = new Reception(request, new URL(origin), clock)
      return yield* Effect.asVoid(accepted(host, reception, host.turns))
    })

    return Context.make(HttpClient.HttpClient, client).pipe(
      Context.add(Connector, { connect }),
      Context.add(FakeBackends, {
        stop: (origin) => Effect.sync(() => hostOf(origin).stop()),
        start: (origin) => Effect.sync(() => hostOf(origin).start()),
        script: (origin, behaviour) => Effect.sync(() => script(origin, behaviour)),
        received: (origin) => hostOf(origin).received,
        probes: (origin) => hostOf(origin).probes,
        inFlight: (origin) => hostOf(origin).received.filter(({ outcome }) => outcome === undefined).length
      })
    )
  }))
}
