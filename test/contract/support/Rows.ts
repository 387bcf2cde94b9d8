/** Declares rows of the contract: each runs on every subject, with a subject of its own that is closed after it. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import {
  type Client,
  type ClientName,
  clients,
  type Differences,
  type Listening,
  type Served,
  type Server,
  type ServerName,
  servers
} from "./Subjects.ts"

/** Declares a row. */
export type Row<Name extends string, R> = (
  name: string,
  run: Effect.Effect<unknown, unknown, R | Scope.Scope>,
  differences?: Differences<Name>
) => void

const declare = (name: string, run: Effect.Effect<unknown, unknown>, difference: string | undefined): void => {
  if (difference === undefined) return it.live(name, () => run)
  it.live(`${name} [not by this one: ${difference}]`, () =>
    Effect.map(Effect.exit(run), (exit) => {
      assert(Exit.isFailure(exit), "it no longer differs: take the note away")
    }))
}

/** Any port, and not much patience with requests that a test has left behind. */
export const anyPort: Listening = { port: 0, shutdownTimeout: Duration.seconds(2) }

/** Rows with a server that listens. What a row acquires is released before the server is. */
export const onEachServer = (group: string, rows: (row: Row<ServerName, Served>, server: Server) => void): void => {
  describe.each(servers)(`${group}, by $name`, (server) => {
    rows((name, run, differences = {}) => {
      const listening = Layer.suspend(() => server.layer(anyPort))
      declare(name, Effect.provide(Effect.scoped(run), listening, { local: true }), differences[server.name])
    }, server)
  })
}

/** Rows with a client. What a row acquires is released before the client is. */
export const onEachClient = (
  group: string,
  rows: (row: Row<ClientName, HttpClient.HttpClient>, client: Client) => void
): void => {
  describe.each(clients)(`${group}, by $name`, (client) => {
    rows(
      (name, run, differences = {}) =>
        declare(name, Effect.provide(Effect.scoped(run), client.layer, { local: true }), differences[client.name]),
      client
    )
  })
}

export { assert }
