/**
 * The whole composition, top to bottom: who needs whom. It has no logic of its own.
 *
 *   HttpServer -> Forwarder -> Balancer -> Strategy
 *                     |           |
 *                HttpClient     Pool <- Discovery
 *                     |           ^
 *                   Probe -> HealthChecker
 */
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import type { AccessLog } from "../services/AccessLog.ts"
import type * as BalancerService from "../services/Balancer.ts"
import type { Settings } from "../services/Configuration.ts"
import type * as DiscoveryService from "../services/Discovery.ts"
import * as ForwarderService from "../services/Forwarder.ts"
import * as Health from "../services/Health.ts"
import type * as PoolService from "../services/Pool.ts"
import type { Strategy } from "../services/Strategy.ts"
import * as Balancer from "./Balancer.ts"
import * as Discovery from "./Discovery.ts"
import { sources } from "./discovery/index.ts"
import * as Forwarder from "./Forwarder.ts"
import * as HealthChecker from "./HealthChecker.ts"
import * as HealthLog from "./HealthLog.ts"
import * as HttpProbe from "./HttpProbe.ts"
import * as Pool from "./Pool.ts"
import { strategies, type StrategyName } from "./strategies/index.ts"

/**
 * Only the choosing, of whatever there is to choose from: a balancer over a pool that follows discovery. Nobody checks these
 * backends, so all of them are offered traffic.
 */
export const layerBalancer = (policy: Health.Policy = Health.defaultPolicy): Layer.Layer<
  BalancerService.Balancer | PoolService.Pool,
  never,
  DiscoveryService.Discovery | Strategy
> => Layer.merge(Balancer.layer, Discovery.layer).pipe(Layer.provideMerge(Pool.layer(policy)))

/** Everything but the two ends: the pool, kept up to date, and a forwarder over it. */
export const layerForwarder = (settings: Settings): Layer.Layer<
  ForwarderService.Forwarder | BalancerService.Balancer | PoolService.Pool,
  never,
  AccessLog | DiscoveryService.Discovery | HttpClient.HttpClient | Strategy
> =>
  Forwarder.layer(ForwarderService.optionsOf(settings)).pipe(
    Layer.merge(HealthLog.layer),
    Layer.merge(HealthChecker.layer({ interval: settings.health.interval })),
    Layer.provide(HttpProbe.layer({ path: settings.health.path, timeout: settings.health.timeout })),
    Layer.provideMerge(
      layerBalancer({ ...Health.defaultPolicy, rise: settings.health.rise, fall: settings.health.fall })
    )
  )

/** Answers the requests of an `HttpServer` with the forwarder. */
export const layerServe: Layer.Layer<never, never, ForwarderService.Forwarder | HttpServer.HttpServer> = Layer.unwrap(
  Effect.map(ForwarderService.Forwarder, ({ handle }) => HttpServer.serve(handle))
)

/** The load balancer between an `HttpServer` and an `HttpClient`, with the strategy and the backends of the settings. */
export const layer = (settings: Settings<StrategyName>): Layer.Layer<
  ForwarderService.Forwarder | BalancerService.Balancer | PoolService.Pool,
  never,
  AccessLog | HttpClient.HttpClient | HttpServer.HttpServer
> =>
  layerServe.pipe(
    Layer.provideMerge(layerForwarder(settings)),
    Layer.provide([strategies[settings.strategy], sources.static(settings.to)])
  )
