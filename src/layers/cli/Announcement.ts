/** What the log says first, once the server listens: where, for which backends, and what is odd about the settings. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import { AccessLog, type Notice } from "../../services/AccessLog.ts"
import type { Backend } from "../../services/Backend.ts"
import * as Configuration from "../Configuration.ts"

const describe = ({ origin, tier, weight, zone }: Backend): string => {
  const more = [
    ...(weight === 1 ? [] : [`weight ${weight}`]),
    ...(zone === undefined ? [] : [`zone ${zone}`]),
    ...(tier === 0 ? [] : [tier === 1 ? "backup" : `tier ${tier}`])
  ]
  return more.length === 0 ? origin : `${origin} (${more.join(", ")})`
}

const describeChecks = ({ health }: Configuration.Settings): string =>
  health.kind === "off"
    ? "Health checker is off"
    : `Health checker started (checking every ${Duration.format(health.interval)})`

/** Announces the load balancer. `more` are lines that follow, for the port that it listens on. */
export const layer = (
  { settings, warnings }: Configuration.Loaded,
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
      for (const warning of [...warnings, ...(yield* Configuration.oddities(settings))]) say("WARN", warning)
    })
  )
