/**
 * The engines that the end-to-end tests run on, and in what each is known to differ from what the tests say.
 *
 * An engine is a pair of layers: an `HttpServer` to be balanced and an `HttpClient` to reach backends with.
 */
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import type * as Layer from "effect/Layer"
import * as NodeEngine from "../../../src/layers/NodeEngine.ts"
import * as Wire from "../../../src/layers/Wire.ts"
import type { Settings } from "../../../src/services/Configuration.ts"

export interface Engine {
  readonly name: EngineName
  readonly layer: (settings: Settings) => Layer.Layer<HttpServer.HttpServer | HttpClient.HttpClient, ServeError>
}

export type EngineName = "node" | "wire"

/** Our own HTTP/1.1 on both sides. */
const wire: Engine = { name: "wire", layer: Wire.layer }

/** node:http in front, undici behind. */
const node: Engine = { name: "node", layer: NodeEngine.layer }

export const engines: ReadonlyArray<Engine> = [wire, node]

/**
 * In what an engine is known to differ: `fails` always, so that a test that begins to pass is noticed; `races`
 * sometimes, so that the test is not run on it.
 */
export type Differences = Readonly<
  Partial<Record<EngineName, { readonly fails: string } | { readonly races: string }>>
>
