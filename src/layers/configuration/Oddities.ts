/**
 * What is odd about valid settings, however they were given: it depends on the strategy, on the backends, or on what is
 * outside, such as browsers.
 *
 * What has no effect although it was given is in `services/configuration/Ineffective`.
 */
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import { isUnixSocket } from "../../services/Backend.ts"
import type * as Configuration from "../../services/Configuration.ts"
import { Strategy } from "../../services/Strategy.ts"
import { strategies, type StrategyName } from "../strategies/index.ts"

type Settings = Configuration.Settings<StrategyName>

/** The strategies of which something is true. */
const namesWhere = (isTrue: (strategy: Strategy["Service"]) => boolean): Effect.Effect<ReadonlyArray<StrategyName>> =>
  Effect.filter(
    Struct.keys(strategies),
    (name) => Effect.map(Strategy, isTrue).pipe(Effect.provide(strategies[name]))
  )

/** Weights that the strategy does not look at. */
const aboutWeights = Effect.fnUntraced(function*({ strategy, to }: Settings) {
  if (to.every(({ weight }) => weight === 1)) return []
  const others = yield* namesWhere(({ ignoresWeights }) => ignoresWeights !== true)
  if (others.includes(strategy)) return []
  return [`The strategy ${strategy} ignores weights; these honour them: ${others.join(", ")}`]
})

/** A key that the strategy does not look at. */
const aboutKey = Effect.fnUntraced(function*({ hash: { key }, strategy }: Settings) {
  if (key.from === "client") return []
  const others = yield* namesWhere(({ usesKey }) => usesKey === true)
  if (others.includes(strategy)) return []
  return [`hash.key has no effect with the strategy ${strategy}; these hash it: ${others.join(", ")}`]
})

/** A zone in which no backend is, or backends in zones of which none is the balancer's. */
const aboutZone = ({ to, zone }: Settings): ReadonlyArray<string> => {
  if (zone !== undefined) {
    return to.some((backend) => backend.zone === zone)
      ? []
      : [`No backend is in the zone ${zone}`]
  }
  return to.some((backend) => backend.zone !== undefined) ? ["Zones of backends have no effect without zone"] : []
}

/** A subset that other balancers have as well. */
const aboutSubset = ({ subset }: Settings): ReadonlyArray<string> =>
  subset.size === undefined || subset.id !== "evenkeel"
    ? []
    : [`subset.id is ${subset.id}, as for every balancer without one of its own: all of these use the same backends`]

/** A check that cannot find what it looks for. */
const aboutChecks = ({ health }: Settings): ReadonlyArray<string> =>
  health.kind === "http" && health.method === "HEAD" && health.body !== undefined
    ? ["health.body cannot be found: there is no body in the answer to HEAD"]
    : []

/** Sockets, which have no port to be checked at elsewhere. */
const aboutSockets = ({ health: { address, kind, port }, to }: Settings): ReadonlyArray<string> => {
  if (kind === "off" || address === undefined || port !== undefined) return []
  const sockets = to.map(({ origin }) => origin).filter(isUnixSocket)
  return sockets.length === 0 ? [] : [`health.address has no effect on ${sockets.join(", ")} without health.port`]
}

/** Sessions that do not outlast the process, and a cookie that browsers refuse (RFC 6265bis §4.1.3.2). */
const aboutSticky = ({ sticky: { cookie, keys, path } }: Settings): ReadonlyArray<string> =>
  cookie === undefined ? [] : [
    ...(keys.length > 0
      ? []
      : ["Without sticky.keys, a restart forgets who is pinned to which backend, and other balancers do not know"]),
    ...(/^__host-/i.test(cookie) && path !== "/"
      ? [`Browsers refuse the cookie ${cookie} unless sticky.path is /`]
      : [])
  ]

const loopback = ["127.0.0.1", "[::1]"]

/** The addresses behind a host to listen on, or of a backend; of all addresses of the machine, the loopback ones. */
const addressesOf = (host: string): ReadonlyArray<string> => {
  if (host === "localhost" || host === "::") return loopback
  if (host === "0.0.0.0") return ["127.0.0.1"]
  return [host.includes(":") && !host.startsWith("[") ? `[${host}]` : host]
}

/** A backend that is the load balancer itself. */
const aboutItself = ({ listen: { host = "::", port }, to }: Settings): ReadonlyArray<string> => {
  const own = addressesOf(host)
  return to.flatMap(({ origin }) => {
    const url = new URL(origin)
    const isItself = url.protocol === "http:" && Number(url.port || 80) === port &&
      addressesOf(url.hostname).some((address) => own.includes(address))
    return isItself
      ? [`${origin} is where this load balancer listens, so that its requests would go round and round`]
      : []
  })
}

/** A line for each. */
export const of = Effect.fnUntraced(function*(settings: Settings) {
  return [
    ...aboutItself(settings),
    ...aboutZone(settings),
    ...aboutSubset(settings),
    ...aboutChecks(settings),
    ...aboutSockets(settings),
    ...aboutSticky(settings),
    ...(yield* aboutWeights(settings)),
    ...(yield* aboutKey(settings))
  ]
})
