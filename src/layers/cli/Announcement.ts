/**
 * What the log says first, once the server really listens: where, for which backends, and what is
 * odd about the settings.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Struct from "effect/Struct"
import { AccessLog, type Notice } from "../../services/AccessLog.ts"
import type { Backend } from "../../services/Backend.ts"
import { Strategy } from "../../services/Strategy.ts"
import type { Loaded } from "../Configuration.ts"
import { strategies, type StrategyName } from "../strategies/index.ts"

const ignoresWeights = (name: StrategyName): Effect.Effect<boolean> =>
  Effect.map(Strategy, (strategy) => strategy.ignoresWeights === true).pipe(Effect.provide(strategies[name]))

/** A warning when backends have weights that the strategy does not look at. */
const aboutWeights = Effect.fnUntraced(function*(backends: ReadonlyArray<Backend>, chosen: StrategyName) {
  if (backends.every((backend) => backend.weight === 1) || !(yield* ignoresWeights(chosen))) return []
  const others = yield* Effect.filter(
    Struct.keys(strategies),
    (name) => Effect.map(ignoresWeights(name), (yes) => !yes)
  )
  return [`The strategy ${chosen} ignores weights; these honour them: ${others.join(", ")}`]
})

const usesKey = (name: StrategyName): Effect.Effect<boolean> =>
  Effect.map(Strategy, (strategy) => strategy.usesKey === true).pipe(Effect.provide(strategies[name]))

/** A warning when a key is named that the strategy does not look at. */
const aboutKey = Effect.fnUntraced(function*({ hash: { key }, strategy }: Loaded["settings"]) {
  if (key.from === "client" || (yield* usesKey(strategy))) return []
  const others = yield* Effect.filter(Struct.keys(strategies), usesKey)
  return [`hash.key has no effect with the strategy ${strategy}; these hash it: ${others.join(", ")}`]
})

/** A warning when the balancer is in a zone where no backend is. */
const aboutZone = ({ to, zone }: Loaded["settings"]): ReadonlyArray<string> =>
  zone === undefined || to.some((backend) => backend.zone === zone) ? [] : [`No backend is in the zone ${zone}`]

const describe = ({ origin, tier, weight, zone }: Backend): string => {
  const more = [
    ...(weight === 1 ? [] : [`weight ${weight}`]),
    ...(zone === undefined ? [] : [`zone ${zone}`]),
    ...(tier === 0 ? [] : [tier === 1 ? "backup" : `tier ${tier}`])
  ]
  return more.length === 0 ? origin : `${origin} (${more.join(", ")})`
}

/** A warning when all balancers would use the same part of the backends. */
const aboutSubset = ({ subset }: Loaded["settings"]): ReadonlyArray<string> =>
  subset.size === undefined || subset.id !== "evenkeel"
    ? []
    : [`subset.id is ${subset.id}, as for every balancer without one of its own: all of these use the same backends`]

/** What the settings ask of a health check and cannot get. */
const aboutChecks = ({ health }: Loaded["settings"]): ReadonlyArray<string> =>
  health.kind === "http" && health.method === "HEAD" && health.body !== undefined
    ? ["health.body cannot be found: there is no body in the answer to HEAD"]
    : []

/** A warning when sessions do not outlast the process. */
const aboutSticky = ({ sticky: { cookie, keys } }: Loaded["settings"]): ReadonlyArray<string> =>
  cookie === undefined || keys.length > 0
    ? []
    : ["Without sticky.keys, a restart forgets who is pinned to which backend, and other balancers do not know"]

const describeChecks = ({ health }: Loaded["settings"]): string =>
  health.kind === "off"
    ? "Health checker is off"
    : `Health checker started (checking every ${Duration.format(health.interval)})`

/** Announces the load balancer. `more` are lines that follow, for the port that it listens on. */
export const layer = (
  { settings, warnings }: Loaded,
  more: (port: number) => ReadonlyArray<string>
): Layer.Layer<never, never, AccessLog | HttpServer.HttpServer> =>
  Layer.effectDiscard(
    Effect.gen(function*() {
      const log = yield* AccessLog
      const { address } = yield* HttpServer.HttpServer
      const say = (level: Notice["level"], message: string) => log.write({ _tag: "Notice", level, message })
      const port = NetAddress.isInetAddress(address) ? address.port : settings.listen.port
      const host = settings.listen.host === undefined ? "" : ` of ${settings.listen.host}`
      const startedIn = yield* Effect.sync(() => Math.round(process.uptime() * 1000))
      say("INFO", `Load balancer running on port ${port}${host} (started in ${startedIn} ms)`)
      say("INFO", `Backend servers: ${settings.to.map(describe).join(", ")}`)
      say("INFO", describeChecks(settings))
      for (const line of more(port)) say("INFO", line)
      const about = [aboutZone, aboutSubset, aboutChecks, aboutSticky]
      const complaints = [...warnings, ...about.flatMap((complain) => complain(settings))]
      for (const warning of complaints) say("WARN", warning)
      for (const warning of yield* aboutWeights(settings.to, settings.strategy)) say("WARN", warning)
      for (const warning of yield* aboutKey(settings)) say("WARN", warning)
    })
  )
