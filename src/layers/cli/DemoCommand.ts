/** What the demo adds to `serve`: three backends in the same process, and a few words on what to try. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { isDeepStrictEqual } from "node:util"
import type { AccessLog } from "../../services/AccessLog.ts"
import { formatListen } from "../../services/configuration/ListenAddress.ts"
import * as Configuration from "../Configuration.ts"
import * as Demo from "../Demo.ts"
import type { CommandFailed } from "./CommandFailed.ts"
import * as ListenError from "./ListenError.ts"
import type { Companions } from "./Serve.ts"

const ports = [3001, 3002, 3003]

const { to } = Configuration.make({ to: ports.map((port) => `http://localhost:${port}`) })

/** The settings with the backends of the demo instead of their own, and a warning if those are others. */
export const withBackends = ({ settings, warnings }: Configuration.Loaded): Configuration.Loaded => ({
  settings: { ...settings, to },
  warnings: isDeepStrictEqual(settings.to, to)
    ? warnings
    : [...warnings, "to has no effect in the demo, which has backends of its own"]
})

const backends: Layer.Layer<never, CommandFailed, AccessLog> = Layer.effectDiscard(
  Effect.forEach(ports, (port, i) =>
    Demo.start({ name: `backend ${i + 1}`, port, downtime: Demo.downtime }).pipe(
      Effect.mapError((error) =>
        ListenError.toFailure({ host: "localhost", port }, error, `the demo needs it for backend ${i + 1}`)
      )
    ))
)

/** The backends, and what the log says about them. */
export const companions = ({ settings: { listen } }: Configuration.Loaded): Companions => ({
  layer: backends,
  lines: (port) => [
    `Demo: the backends run in this process. Try a few times: curl ${
      formatListen({ host: listen.host ?? "localhost", port })
    }`,
    `Demo: to stop one for ${Duration.format(Demo.downtime)} while requests go on: curl -X POST localhost:${
      ports[1]
    }/stop`
  ]
})
