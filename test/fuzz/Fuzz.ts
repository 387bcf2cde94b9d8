/**
 * Plays a plan on real sockets: the whole balancer between raw clients and raw backends, and the oracles beside them,
 * which are asked whenever something comes and when all is over.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Static from "../../src/layers/discovery/Static.ts"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import { strategyOf } from "../../src/layers/strategies/index.ts"
import { AccessLog } from "../../src/services/AccessLog.ts"
import * as Backends from "../../src/services/Backend.ts"
import { Forwarder } from "../../src/services/Forwarder.ts"
import { Pool } from "../../src/services/Pool.ts"
import type { Engine } from "../e2e/support/Engines.ts"
import { answers } from "./Answers.ts"
import * as Backend from "./Backend.ts"
import * as Client from "./Client.ts"
import { sleep } from "./End.ts"
import { Ledger } from "./Ledger.ts"
import { checkLog } from "./Log.ts"
import type { Plan } from "./Plan.ts"
import { requests } from "./Requests.ts"

/** What is left may take so many milliseconds to go, on a busy machine. */
const patience = 5_000

/** Whether this comes true in time. */
const comesTrue = async (condition: () => boolean): Promise<boolean> => {
  const end = performance.now() + patience
  while (!condition() && performance.now() < end) await sleep(5)
  return condition()
}

/** An origin that nobody listens on: a port that was free a moment ago may be a backend of the next plan. */
const absent = "http://127.0.0.1:1"

/** The balancer of a plan, in front of these backends, on a port that nobody else has. */
const balancer = async (ledger: Ledger, engine: Engine) => {
  const settings = {
    ...ledger.plan.settings,
    listen: { host: "127.0.0.1", port: 0 },
    to: ledger.origins.map((origin) => Backends.make(origin))
  }
  const scope = Scope.makeUnsafe()
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    ledger.tell(`${logLevel}: ${String(message)}`)
    if (logLevel === "Error" || logLevel === "Fatal") ledger.complain(`an error is logged: ${String(message)}`)
    if (/did not end|do not end|still going on/.test(String(message))) ledger.complain(`at the end: ${String(message)}`)
  })
  const context = await Effect.runPromise(Layer.buildWithScope(
    LoadBalancer.layerServe.pipe(
      Layer.provideMerge(LoadBalancer.layerForwarder(settings)),
      Layer.provide([strategyOf(settings), Static.layer(settings.to)]),
      Layer.provideMerge(engine.layer(settings)),
      Layer.provide([
        Layer.succeed(AccessLog, { write: (entry) => ledger.log(entry) }),
        Logger.layer([logger])
      ])
    ),
    scope
  ))
  const { address } = Context.get(context, HttpServer.HttpServer)
  const { inFlight } = Context.get(context, Forwarder)
  const { state } = Context.get(context, Pool)
  return {
    port: address._tag === "UnixPathAddress" ? 0 : address.port,
    /** Exchanges that are open, and tries, by the books of the balancer. */
    open: () => ({
      exchanges: Effect.runSync(inFlight),
      tries: Ref.getUnsafe(state).members.reduce((sum, { endpoint: { load } }) => sum + load.inFlight, 0)
    }),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

/** Plays a plan on an engine. */
export const play = async (plan: Plan, engine: Engine): Promise<Ledger> => {
  const ledger = new Ledger(plan, engine.name)
  const note = (error: unknown) =>
    ledger.complain(`nobody has caught ${error instanceof Error ? error.stack : String(error)}`)
  process.on("uncaughtException", note).on("unhandledRejection", note)
  const rules = requests(ledger)
  const backends = await Promise.all(
    Array.from({ length: plan.backends }, (_, number) => Backend.listen(number, ledger, rules))
  )
  ledger.origins = [...backends.map(({ origin }) => origin), ...(plan.hasAbsent ? [absent] : [])]
  const { close, open, port } = await balancer(ledger, engine)

  const ofClients = answers(ledger)
  await Promise.all(plan.visits.map((visit, nth) => Client.visit(port, nth, ledger, visit, ofClients)))
  ledger.tell("ALL CLIENTS HAVE LEFT")
  if (!await comesTrue(() => open().exchanges === 0 && open().tries === 0)) {
    ledger.complain(`${open().exchanges} exchanges and ${open().tries} tries are left`)
  }
  const from = performance.now()
  await close()
  if (performance.now() - from > 1_500) ledger.complain("the end of the balancer has to wait for something")
  const left = () => backends.flatMap(({ sockets }) => [...sockets])
  // Who does not read does not hear of the end.
  const isDeserted = () => left().every((socket) => socket.resume().destroyed)
  if (!await comesTrue(isDeserted)) ledger.complain(`${left().length} connections to backends are left`)
  checkLog(ledger)
  await Promise.all(backends.map(({ stop }) => stop()))
  process.off("uncaughtException", note).off("unhandledRejection", note)
  return ledger
}
