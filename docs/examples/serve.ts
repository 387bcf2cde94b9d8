// A program that is a load balancer and nothing else.
import { NodeRuntime, NodeStdio } from "@effect/platform-node"
import { Layer } from "effect"
import { HttpServer } from "effect/http"
import * as AccessLog from "evenkeel/layers/AccessLog"
import * as Configuration from "evenkeel/layers/Configuration"
import * as LoadBalancer from "evenkeel/layers/LoadBalancer"
import * as Wire from "evenkeel/layers/Wire"

// Port 0 is any free port.
const settings = Configuration.make({ listen: "localhost:0", to: ["http://localhost:3001", "http://localhost:3002"] })

LoadBalancer.layer(settings).pipe(
  HttpServer.withLogAddress,
  Layer.provide([Wire.layer(settings), AccessLog.layer("pretty")]),
  Layer.provide(NodeStdio.layer),
  Layer.launch,
  NodeRuntime.runMain
)
