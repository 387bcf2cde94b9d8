/**
 * Connections to backends, as undici makes them: to what an origin says and nothing else, for the client as for checks.
 */
import type { buildConnector } from "@effect/platform-node/Undici"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Struct from "effect/Struct"
import * as Dns from "node:dns"
import type * as Net from "node:net"
import { parseOrigin, urlOf } from "../../services/Backend.ts"
import { Connector } from "../../services/Connector.ts"
import { TransportFailure } from "../../services/Failure.ts"
import { defaultLimits, type Limits } from "./Limits.ts"
import { failureOf } from "./UndiciErrors.ts"
import * as UnixOrigin from "./UnixOrigin.ts"

/** It takes a fifth of the time to start, and is loaded only where it is used. */
export const loadUndici = Effect.promise(() => import("@effect/platform-node/Undici"))

/**
 * `localhost` is both loopback addresses (RFC 6761 §6.3), whatever the hosts file says. Which of them listens
 * shows when connecting.
 */
const lookup: Net.LookupFunction = (hostname, options, callback) =>
  hostname === "localhost" && options.all
    ? callback(null, [{ address: "127.0.0.1", family: 4 }, { address: "::1", family: 6 }])
    : Dns.lookup(hostname, options, callback)

/** undici takes a reset for the end of a body without a length; under another name it is an error (RFC 9112 §8). */
export const withResets = (connect: buildConnector.connector): buildConnector.connector => (options, callback) =>
  connect(options, (...[error, socket]) => {
    if (error !== null) return callback(error, null)
    socket.prependListener("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNRESET") error.code = "EPIPE"
    })
    callback(null, socket)
  })

/** How connections are made, unless the signal says that they are not wanted any more. */
const connecting = ({ connectTimeout }: Limits, signal?: AbortSignal) => ({
  timeout: Duration.toMillis(connectTimeout),
  allowH2: false,
  lookup,
  ...(signal === undefined ? {} : { signal })
})

/**
 * Connects to what an origin says: a name and a port, or a unix socket. The name that a certificate is checked against,
 * and that is asked for (SNI), is that of the origin as well, and never one of the request.
 */
export const connectorOf = (
  build: typeof buildConnector,
  limits: Limits,
  signal?: AbortSignal
): buildConnector.connector => {
  const options = connecting(limits, signal)
  const connect = build(options)
  return (asked, callback) => {
    const to = Struct.omit(asked, ["servername"])
    const socketPath = UnixOrigin.pathOf(to.hostname)
    return socketPath === undefined ? connect(to, callback) : build({ ...options, socketPath })(to, callback)
  }
}

/** Makes a connection as the client does, and closes it. Other origins than those of backends of HTTP fail. */
export const layer = (limits: Limits = defaultLimits): Layer.Layer<Connector> =>
  Layer.effect(
    Connector,
    Effect.map(loadUndici, ({ buildConnector }) =>
      Connector.of({
        connect: (origin) =>
          Effect.callback((resume, signal) => {
            const url = parseOrigin(origin) === origin
              ? new URL(UnixOrigin.ofUrl(urlOf(origin, "")) ?? origin)
              : undefined
            if (url === undefined) {
              const message = `no address to connect to: ${origin}`
              return resume(TransportFailure.make({ reason: "bad_request", message }))
            }
            const { host, port, protocol } = url
            const hostname = url.hostname.replace(/^\[|\]$/g, "")
            const connect = connectorOf(buildConnector, limits, signal)
            connect({ host, hostname, port, protocol }, (...[error, socket]) => {
              socket?.destroy()
              resume(error === null ? Effect.void : failureOf(error, false))
            })
          })
      }))
  )
