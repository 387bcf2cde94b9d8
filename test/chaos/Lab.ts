/** The real layers between the fakes, for the settings of a plan. Web Crypto is the only other thing that is not real. */
import * as WebCrypto from "effect/crypto/WebCrypto"
import * as Layer from "effect/Layer"
import type * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { createHmac } from "node:crypto"
import * as LoadBalancer from "../../src/layers/LoadBalancer.ts"
import { strategyOf } from "../../src/layers/strategies/index.ts"
import * as FakeBackends from "../../src/layers/testing/FakeBackends.ts"
import * as FakeServer from "../../src/layers/testing/FakeServer.ts"
import { AccessLog, type Entry } from "../../src/services/AccessLog.ts"
import type { Backend } from "../../src/services/Backend.ts"
import { Discovery } from "../../src/services/Discovery.ts"
import { type Plan, stickyKey } from "./Plan.ts"

/** What is at the ends of the layers. */
export interface Ends {
  readonly discovered: Queue.Dequeue<ReadonlyArray<Backend>>
  readonly log: (entry: Entry) => void
  readonly scripts: Readonly<Record<string, FakeBackends.Behaviour>>
}

/** The tag of a cookie. */
export const tagOf = (text: string | Uint8Array): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(createHmac("sha256", stickyKey).update(text).digest())

/** The same tags without threads, which would be ready at another moment each time. */
const immediateCrypto = WebCrypto.layer(Object.create(globalThis.crypto, {
  subtle: {
    value: Object.create(globalThis.crypto.subtle, {
      importKey: { value: () => Promise.resolve({}) },
      sign: { value: (_name: string, _key: object, data: Uint8Array) => Promise.resolve(tagOf(data).buffer) }
    })
  }
}))

export const layer = ({ backends, settings }: Plan, { discovered, log, scripts }: Ends) => {
  const { connect, idle, response } = settings.timeout
  const discovery = Stream.concat(Stream.succeed(backends), Stream.fromQueue(discovered))
  return LoadBalancer.layerServe.pipe(
    Layer.provideMerge(LoadBalancer.layerForwarder(settings)),
    Layer.provide([
      strategyOf(settings),
      Layer.succeed(AccessLog, { write: log }),
      Layer.succeed(Discovery, { name: "chaos", backends: discovery }),
      immediateCrypto
    ]),
    Layer.provideMerge([
      FakeServer.layer,
      FakeBackends.layer(scripts, { connectTimeout: connect, responseTimeout: response, idleTimeout: idle })
    ])
  )
}
