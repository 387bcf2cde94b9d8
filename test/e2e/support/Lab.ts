/**
 * A balancer on an engine, backends that do as they are told, and raw clients, all on ports of the loopback that nobody
 * else has. What a test opens is closed after it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as AccessLog from "../../../src/layers/AccessLog.ts"
import * as Configuration from "../../../src/layers/Configuration.ts"
import * as Static from "../../../src/layers/discovery/Static.ts"
import * as LoadBalancer from "../../../src/layers/LoadBalancer.ts"
import { strategies, type StrategyName, strategyOf } from "../../../src/layers/strategies/index.ts"
import type { Completed, Entry } from "../../../src/services/AccessLog.ts"
import * as Backend from "../../../src/services/Backend.ts"
import { Balancer as BalancerService } from "../../../src/services/Balancer.ts"
import type { Settings } from "../../../src/services/Configuration.ts"
import { Drain } from "../../../src/services/Drain.ts"
import { Forwarder } from "../../../src/services/Forwarder.ts"
import * as Health from "../../../src/services/Health.ts"
import * as Pool from "../../../src/services/Pool.ts"
import { Strategy } from "../../../src/services/Strategy.ts"
import { type Differences, type Engine, type EngineName, engines } from "./Engines.ts"
import { type Asked, Peer, probePath } from "./Peer.ts"
import { impatiently, Waiting } from "./Waiting.ts"

/** The log in memory, with a way to wait for what it says. */
class Journal extends Array<Entry> {
  private readonly waiting = new Waiting()

  override push(...entries: Array<Entry>): number {
    const length = super.push(...entries)
    this.waiting.wake()
    return length
  }

  get completed(): ReadonlyArray<Completed> {
    return Array.from(this).filter((entry) => entry._tag === "Completed")
  }

  until(condition: () => boolean, what: string): Promise<void> {
    return this.waiting.until(condition, what, () => JSON.stringify(Array.from(this).slice(-20)))
  }
}

/** What a test may want otherwise than usual. Times are in milliseconds. */
export interface Wishes {
  readonly strategy?: StrategyName
  readonly hostHeader?: Settings["hostHeader"]
  readonly trustedProxies?: Settings["trustedProxies"]
  readonly healthInterval?: number
  readonly rise?: number
  readonly health?: Partial<Settings["health"]>
  readonly connect?: number
  readonly response?: number
  readonly idle?: number
  readonly head?: number
  readonly backendKeepAlive?: number
  readonly backendLifetime?: number
  readonly shutdown?: number
  readonly port?: number
  readonly limit?: Partial<Settings["limit"]>
  readonly retry?: Partial<Settings["retry"]>
  readonly hedge?: Partial<Settings["hedge"]>
  readonly exchange?: number
  readonly sticky?: Partial<Settings["sticky"]>
  /** Keeps each response back for a while, as a middleware of an embedding application may. */
  readonly hold?: number
}

const defaults = Configuration.make()

const settingsOf = (origins: ReadonlyArray<string>, wishes: Wishes): Settings<StrategyName> => ({
  ...defaults,
  listen: { host: "127.0.0.1", port: wishes.port ?? 0 },
  to: origins.map((origin) => Backend.make(origin)),
  strategy: wishes.strategy ?? "round-robin",
  health: {
    ...defaults.health,
    path: probePath,
    interval: Duration.millis(wishes.healthInterval ?? 3_600_000),
    timeout: Duration.seconds(1),
    rise: wishes.rise ?? 1,
    fall: 1,
    ...wishes.health
  },
  timeout: {
    ...defaults.timeout,
    connect: Duration.millis(wishes.connect ?? 1_000),
    response: Duration.millis(wishes.response ?? 5_000),
    exchange: wishes.exchange === undefined ? undefined : Duration.millis(wishes.exchange),
    idle: Duration.millis(wishes.idle ?? 5_000),
    head: Duration.millis(wishes.head ?? 5_000),
    backendKeepAlive: Duration.millis(wishes.backendKeepAlive ?? 4_000),
    backendLifetime: Duration.millis(wishes.backendLifetime ?? 3_600_000),
    shutdown: Duration.millis(wishes.shutdown ?? 2_000)
  },
  limit: { ...defaults.limit, ...wishes.limit },
  retry: { ...defaults.retry, ...wishes.retry },
  hedge: { ...defaults.hedge, ...wishes.hedge },
  sticky: { ...defaults.sticky, ...wishes.sticky },
  hostHeader: wishes.hostHeader ?? "preserve",
  trustedProxies: wishes.trustedProxies ?? []
})

/** The forwarder behind a middleware that keeps each response back. */
const layerHolding = (millis: number) =>
  Layer.unwrap(Effect.map(Forwarder, ({ handle }) => HttpServer.serve(Effect.tap(handle, Effect.sleep(millis)))))

const layerOf = (settings: Settings<StrategyName>, { hold }: Wishes) =>
  hold === undefined ? LoadBalancer.layer(settings) : layerHolding(hold).pipe(
    Layer.provideMerge(LoadBalancer.layerForwarder(settings)),
    Layer.provide([strategyOf(settings), Static.layer(settings.to)])
  )

/** A backend, whatever it speaks. */
export interface Target {
  readonly origin: string
  readonly port: number
  /** Connections that are open now. */
  readonly connections: ReadonlySet<Net.Socket>
  /** Stops listening and cuts all connections. */
  readonly stop: () => Promise<void>
}

/** A backend that speaks bytes. */
export interface RawTarget extends Target {
  /** Every connection that was ever made, in order. */
  readonly peers: ReadonlyArray<Peer>
  /** Waits until this many requests were read, and gives the connection of the last one. */
  readonly asked: (count?: number) => Promise<Peer>
  /** Waits until the balancer has ended all connections. */
  readonly deserted: () => Promise<void>
}

/** A balancer that runs. */
export class Balancer {
  readonly port: number
  readonly journal: Journal
  private readonly pool: Pool.Pool["Service"]
  private readonly drains: Drain["Service"]
  private readonly balancing: BalancerService["Service"]
  private readonly scope: Scope.Closeable
  private closing: Promise<void> | undefined

  constructor(
    port: number,
    journal: Journal,
    services: Context.Context<BalancerService | Drain | Pool.Pool>,
    scope: Scope.Closeable
  ) {
    this.port = port
    this.journal = journal
    this.pool = Context.get(services, Pool.Pool)
    this.drains = Context.get(services, Drain)
    this.balancing = Context.get(services, BalancerService)
    this.scope = scope
  }

  /** Drains a backend. Resolves when that is done; tunnels have so many milliseconds. */
  drain(origin: string, tunnels = 60_000): Promise<void> {
    return Effect.runPromise(this.drains.drain(origin, "a test", { tunnels: Duration.millis(tunnels) }))
  }

  get host(): string {
    return `127.0.0.1:${this.port}`
  }

  get members(): ReadonlyArray<Pool.Member> {
    return Ref.getUnsafe(this.pool.state).members
  }

  get inFlight(): number {
    return this.members.reduce((sum, { endpoint }) => sum + endpoint.load.inFlight, 0)
  }

  /** Does what an operator does with a backend. */
  setMode({ origin }: Pick<Target, "origin">, mode: Health.Mode): Promise<void> {
    return Effect.runPromise(this.pool.signal(origin, { _tag: "ModeSet", mode, why: "told so" }))
  }

  /** Goes on with another strategy. */
  use(name: StrategyName): Promise<void> {
    return Effect.runPromise(Effect.flatMap(Strategy, this.balancing.swap).pipe(Effect.provide(strategies[name])))
  }

  /** Waits until each backend, in the order of the settings, has this status. */
  async untilStatus(...wanted: ReadonlyArray<Health.Status>): Promise<void> {
    const statuses = () => this.members.map((member) => Health.status(member.health))
    await this.journal.until(() => statuses().join() === wanted.join(), wanted.join())
  }

  /** Waits until each backend was checked. */
  async untilChecked(): Promise<void> {
    await this.journal.until(
      () => this.members.length > 0 && this.members.every(({ health }) => health.probe.state !== "Unknown"),
      "first checks"
    )
  }

  /** Waits until this many exchanges are over and gives the last one. Nothing may then be in flight. */
  async completed(count = 1): Promise<Completed> {
    await this.journal.until(() => this.journal.completed.length >= count, `${count} exchanges`)
    return this.journal.completed[count - 1]!
  }

  /** Waits until nothing is in flight on the backend with this number. */
  untilIdle(nth: number): Promise<void> {
    return this.journal.until(() => this.members[nth]!.endpoint.load.inFlight === 0, "an idle backend")
  }

  /** Closes the layers. Resolves when that is done. */
  close(): Promise<void> {
    return this.closing ??= Effect.runPromise(Scope.close(this.scope, Exit.void))
  }
}

const listen = (server: Net.Server, host: string, port = 0): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject)
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === "object" && address !== null ? address.port : 0)
    })
  })

const originOf = (host: string, port: number): string => `http://${host.includes(":") ? `[${host}]` : host}:${port}`

export class Lab {
  private readonly engine: Engine
  private readonly closers: Array<() => unknown> = []

  constructor(engine: Engine) {
    this.engine = engine
  }

  /** Runs this after the test, last things first. */
  afterwards(closer: () => unknown): void {
    this.closers.push(closer)
  }

  async close(): Promise<void> {
    for (const closer of this.closers.toReversed()) await closer()
  }

  private async target(server: Net.Server, host: string, wantedPort = 0): Promise<Target> {
    const connections = new Set<Net.Socket>()
    server.on("connection", (socket: Net.Socket) => {
      connections.add(socket)
      socket.on("close", () => connections.delete(socket))
    })
    const port = await listen(server, host, wantedPort)
    const stop = () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        for (const socket of connections) socket.destroy()
      })
    this.afterwards(stop)
    return { origin: originOf(host, port), port, connections, stop }
  }

  /** A backend on node:http. Health checks are answered for it. */
  http(handler: Http.RequestListener, host = "127.0.0.1", port = 0): Promise<Target> {
    const server = Http.createServer((request, response) => {
      if (request.url === probePath) return response.writeHead(200, { "content-length": 0 }).end()
      return handler(request, response)
    })
    return this.target(server, host, port)
  }

  /** A backend over TLS, with this key and certificate, and the names that it was asked for (SNI). */
  async https(pem: string, handler: Http.RequestListener): Promise<Target & { readonly names: ReadonlyArray<string> }> {
    const names: Array<string> = []
    const SNICallback = (name: string, goOn: (error: null) => void) => {
      names.push(name)
      goOn(null)
    }
    const target = await this.target(Https.createServer({ key: pem, cert: pem, SNICallback }, handler), "127.0.0.1")
    return { ...target, origin: `https://localhost:${target.port}`, names }
  }

  /** A backend that answers everything with 200 and its name. */
  named(name: string, host?: string, port?: number): Promise<Target> {
    return this.http(
      (request, response) => {
        request.resume()
        response.end(name)
      },
      host,
      port
    )
  }

  /** A backend that speaks bytes: `script` runs for each connection. What it throws after the test does not count. */
  async raw(script: (peer: Peer, nth: number) => Promise<unknown> | undefined, host = "127.0.0.1"): Promise<RawTarget> {
    const peers: Array<Peer> = []
    const waiting = new Waiting()
    let last: Peer | undefined
    const state = () =>
      JSON.stringify(peers.map(({ closed, requestsRead, unread }) => ({ closed, requestsRead, unread })))
    const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
      let seen = 0
      const peer: Peer = new Peer(socket, () => {
        if (peer.requestsRead > seen) last = peer
        seen = peer.requestsRead
        waiting.wake()
      })
      peers.push(peer)
      script(peer, peers.length - 1)?.catch(() => peer.destroy())
    })
    const requestsRead = () => peers.reduce((sum, peer) => sum + peer.requestsRead, 0)
    return {
      ...(await this.target(server, host)),
      peers,
      asked: async (count = 1) => {
        await waiting.until(() => requestsRead() >= count, `${count} requests`, state)
        return last ?? assert.fail("nobody was asked")
      },
      deserted: () => waiting.until(() => peers.every((peer) => peer.over), "the end of all connections", state)
    }
  }

  /** A backend that answers each request with the same bytes, and the requests that it got. */
  async answering(
    bytes: string | Uint8Array | ((request: Asked) => string | Uint8Array)
  ): Promise<RawTarget & { readonly requests: ReadonlyArray<Asked> }> {
    const requests: Array<Asked> = []
    const target = await this.raw(async (peer) => {
      while (true) {
        const request = await peer.request()
        requests.push(request)
        await peer.send(typeof bytes === "function" ? bytes(request) : bytes)
      }
    })
    return { ...target, requests }
  }

  /** An origin that nobody listens on. */
  async nobody(): Promise<string> {
    const server = Net.createServer()
    const port = await listen(server, "127.0.0.1")
    await new Promise((resolve) => server.close(resolve))
    return originOf("127.0.0.1", port)
  }

  /** Starts a balancer and waits until it has checked its backends. */
  async balancer(targets: ReadonlyArray<{ readonly origin: string }>, wishes: Wishes = {}): Promise<Balancer> {
    const settings = settingsOf(targets.map((target) => target.origin), wishes)
    const journal = new Journal()
    const scope = Scope.makeUnsafe()
    const context = await Effect.runPromise(Layer.buildWithScope(
      layerOf(settings, wishes).pipe(
        Layer.provideMerge(this.engine.layer(settings)),
        Layer.provide(AccessLog.layerMemory(journal))
      ),
      scope
    ))
    const { address } = Context.get(context, HttpServer.HttpServer)
    const port = address._tag === "UnixPathAddress" ? 0 : address.port
    const balancer = new Balancer(port, journal, context, scope)
    this.afterwards(() => balancer.close())
    if (settings.health.kind !== "off") await balancer.untilChecked()
    return balancer
  }

  /** Connects a raw client. */
  async connect(balancer: Balancer): Promise<Peer> {
    const peer = await Peer.connect(balancer.port)
    this.afterwards(() => peer.destroy())
    return peer
  }
}

/** Declares a test on real sockets and the live clock. */
export type Declare = (name: string, run: (lab: Lab) => Promise<void>, differences?: Differences) => void

const mustFail = (run: () => Promise<void>): Promise<void> =>
  impatiently(run).then(
    () => assert.fail("the engine no longer differs: take the note away"),
    () => {}
  )

/** Declares a group of tests for each engine. */
export const onEachEngine = (group: string, declare: (test: Declare, engine: EngineName) => void): void => {
  describe.each(engines)(`${group}, on the $name engine`, (engine) => {
    declare((name, run, differences = {}) => {
      const difference = differences[engine.name]
      const body = (lab: Lab) => difference === undefined ? run(lab) : mustFail(() => run(lab))
      const test = () =>
        Effect.acquireUseRelease(
          Effect.sync(() => new Lab(engine)),
          (lab) => Effect.promise(() => body(lab)),
          (lab) => Effect.promise(() => lab.close())
        )
      if (difference === undefined) it.live(name, test)
      else if ("fails" in difference) it.live(`${name} [not on this engine: ${difference.fails}]`, test)
      else it.live.skip(`${name} [a race on this engine: ${difference.races}]`, test)
    }, engine.name)
  })
}

export { assert }
