import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeStdio from "@effect/platform-node/NodeStdio"
import * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import * as AccessLog from "./layers/AccessLog.ts"
import * as LoadBalancer from "./layers/LoadBalancer.ts"
import * as NodeEngine from "./layers/NodeEngine.ts"
import * as Backend from "./services/Backend.ts"

LoadBalancer.layer({
  listen: { host: undefined, port: 3000 },
  to: [3001, 3002, 3003].map((port) => Backend.make(`http://localhost:${port}`)),
  strategy: "round-robin",
  health: {
    path: "/",
    interval: Duration.seconds(5),
    timeout: Duration.seconds(2),
    rise: 2,
    fall: 1
  },
  timeout: {
    connect: Duration.seconds(2),
    response: Duration.seconds(15),
    idle: Duration.seconds(60),
    shutdown: Duration.seconds(30)
  },
  hostHeader: "preserve",
  trustedProxies: [],
  accessLog: undefined
}).pipe(
  Layer.provide([
    NodeEngine.layerServer({ port: 3000, shutdownTimeout: Duration.seconds(30) }),
    NodeEngine.layerClient(),
    AccessLog.layer("pretty")
  ]),
  Layer.provide(NodeStdio.layer),
  Layer.launch,
  NodeRuntime.runMain
)
