/**
 * The whole composition, top to bottom: who needs whom. It has no logic of its own.
 *
 *   layerServe -> HttpServer, Forwarder
 *   Forwarder -> Balancer, Drain, HttpClient, AccessLog; Affinity, where clients are pinned
 *   Drain -> Balancer, Pool
 *   Balancer -> Strategy, Ejection, Pool
 *   HealthChecker -> Probe, Pool; HttpProbe -> HttpClient; TcpProbe -> Connector
 *   Affinity, Ejection, HealthLog, and what follows the source of Discovery -> Pool
 *
 * A layer that is one value for all balancers is `Layer.fresh` here: Effect builds what is the same value once for a
 * whole program, so a second balancer in it would have none.
 */
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { AccessLog } from "../services/AccessLog.ts"
import type * as BalancerService from "../services/Balancer.ts"
import type { Settings } from "../services/Configuration.ts"
import { Connector } from "../services/Connector.ts"
import type * as DiscoveryService from "../services/Discovery.ts"
import type * as DrainService from "../services/Drain.ts"
import type * as EjectionService from "../services/Ejection.ts"
import * as ForwarderService from "../services/Forwarder.ts"
import type { Extract } from "../services/HashKey.ts"
import * as Policies from "../services/Policies.ts"
import type * as PoolService from "../services/Pool.ts"
import type { Probe } from "../services/Probe.ts"
import type { Strategy } from "../services/Strategy.ts"
import * as Affinity from "./Affinity.ts"
import * as Balancer from "./Balancer.ts"
import * as Discovery from "./Discovery.ts"
import * as Static from "./discovery/Static.ts"
import * as Drain from "./Drain.ts"
import * as Ejection from "./Ejection.ts"
import * as Forwarder from "./Forwarder.ts"
import * as HealthChecker from "./HealthChecker.ts"
import * as HealthLog from "./HealthLog.ts"
import * as HttpProbe from "./HttpProbe.ts"
import * as Pool from "./Pool.ts"
import { type StrategyName, strategyOf } from "./strategies/index.ts"
import * as TcpProbe from "./TcpProbe.ts"

/** How a balancer judges and limits. What is left out has its default. */
export interface BalancerOptions {
  readonly pool?: PoolService.Policy | undefined
  readonly limits?: BalancerService.Options | undefined
  /** Without it no failure of what runs on a backend ejects it: only you know which are the backend's. */
  readonly ejection?: EjectionService.Policy | undefined
}

/**
 * Only the choosing, of whatever there is to choose from: a balancer over a pool that follows discovery. Nobody checks
 * these backends, so all of them are offered traffic.
 */
export const layerBalancer = ({ ejection, limits, pool }: BalancerOptions = {}): Layer.Layer<
  BalancerService.Balancer | PoolService.Pool,
  never,
  DiscoveryService.Discovery | Strategy
> =>
  Layer.merge(Balancer.layer(limits), Layer.fresh(Discovery.layer)).pipe(
    Layer.provide(ejection === undefined ? Ejection.layerNone : Ejection.layer(ejection)),
    Layer.provideMerge(Pool.layer(pool))
  )

/** The `Connector` of the context. It is not in the types, because clients without one do for all but TCP checks. */
const connector = Layer.effect(
  Connector,
  Effect.flatMap(Effect.serviceOption(Connector), (found) =>
    Option.isSome(found)
      ? Effect.succeed(found.value)
      : Effect.die(new Error("TCP checks need a Connector, which Wire and NodeEngine have")))
)

/** What only a program can say. */
export interface Options {
  /** The key of a request for strategies that hash one, in place of `hash.key`. Without one, any backend may get it. */
  readonly hashKey?: Extract | undefined
  /**
   * What a check is, in place of what `health.kind` says, unless that is `off`. When checks are made, how long they may
   * take and what follows is as the settings of `health` say.
   */
  readonly probe?: Layer.Layer<Probe, never, HttpClient.HttpClient> | undefined
}

const probeOf = ({ health }: Settings): NonNullable<Options["probe"]> =>
  health.kind === "tcp" ? Layer.provide(TcpProbe.layer(health), Layer.fresh(connector)) : HttpProbe.layer(health)

/** The checks of the settings, unless they are off. */
const layerChecks = (
  settings: Settings,
  probe = probeOf(settings)
): Layer.Layer<never, never, HttpClient.HttpClient | PoolService.Pool> => {
  const { interval, kind, timeout } = settings.health
  return kind === "off" ? Layer.empty : Layer.provide(HealthChecker.layer({ interval, timeout }), probe)
}

/** Sticky sessions, where the settings have a cookie for them. */
const layerAffinity = ({ sticky: { cookie, ...more } }: Settings): Layer.Layer<never, never, PoolService.Pool> =>
  cookie === undefined ? Layer.empty : Affinity.layer({ cookie, ...more })

/** Everything but the two ends: the pool, kept up to date, and a forwarder over it. */
export const layerForwarder = (settings: Settings, { hashKey, probe }: Options = {}): Layer.Layer<
  ForwarderService.Forwarder | BalancerService.Balancer | DrainService.Drain | PoolService.Pool,
  never,
  AccessLog | DiscoveryService.Discovery | HttpClient.HttpClient | Strategy
> =>
  Forwarder.layer({ ...Policies.forwarder(settings), ...(hashKey === undefined ? {} : { hashKey }) }).pipe(
    Layer.provide(layerAffinity(settings)),
    Layer.merge(Layer.fresh(HealthLog.layer)),
    Layer.merge(layerChecks(settings, probe)),
    Layer.provideMerge(Drain.layer({ tunnels: settings.timeout.drain })),
    Layer.provideMerge(layerBalancer({
      pool: Policies.pool(settings),
      limits: Policies.balancer(settings),
      ejection: Policies.ejection(settings)
    }))
  )

/** Answers the requests of an `HttpServer` with the forwarder. */
export const layerServe: Layer.Layer<never, never, ForwarderService.Forwarder | HttpServer.HttpServer> = Layer.fresh(
  Layer.unwrap(Effect.map(ForwarderService.Forwarder, ({ handle }) => HttpServer.serve(handle)))
)

/**
 * The load balancer between an `HttpServer` and an `HttpClient`, with the strategy and the backends of the settings.
 */
export const layer = (settings: Settings<StrategyName>, options: Options = {}): Layer.Layer<
  ForwarderService.Forwarder | BalancerService.Balancer | DrainService.Drain | PoolService.Pool,
  never,
  AccessLog | HttpClient.HttpClient | HttpServer.HttpServer
> =>
  layerServe.pipe(
    Layer.provideMerge(layerForwarder(settings, options)),
    Layer.provide([strategyOf(settings), Static.layer(settings.to)])
  )
