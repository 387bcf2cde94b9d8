/** Makes a connection as the client of the wire engine does, and closes it. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Net from "node:net"
import { Connector } from "../../services/Connector.ts"
import { TransportFailure } from "../../services/Failure.ts"
import { connect, explainConnecting, targetOf } from "./Connect.ts"

/** Nothing is read: what a backend says first is not asked for. */
const nobody = { receive: () => false }

/** Connects over TCP, TLS or a unix socket. */
export const layer: Layer.Layer<Connector> = Layer.succeed(Connector)({
  connect: (origin) =>
    Effect.callback((resume) => {
      const target = targetOf(origin)
      if (target === undefined) {
        const message = `no address to connect to: ${origin}`
        return resume(TransportFailure.make({ reason: "bad_request", message }))
      }
      let socket: Net.Socket | undefined
      connect(target, (connecting, connectedEvent) => {
        socket = connecting
        connecting.once(connectedEvent, () => {
          connecting.destroy()
          resume(Effect.void)
        })
        connecting.on("error", (error) => resume(explainConnecting(error)))
        return nobody
      })
      return Effect.sync(() => socket?.destroy())
    })
})
