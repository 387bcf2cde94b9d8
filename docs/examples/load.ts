// The settings of a file, as the program itself reads them, in a program of your own.
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { ConfigProvider, Console, Effect } from "effect"
import * as Configuration from "evenkeel/layers/Configuration"
import { fileURLToPath } from "node:url"

const file = fileURLToPath(new URL("evenkeel.yaml", import.meta.url))

const program = Effect.gen(function*() {
  // Flags by their names without the dashes, each with a list of texts. They beat what is in the file.
  const { settings, warnings } = yield* Configuration.load({ config: [file], strategy: ["weighted-round-robin"] })
  for (const warning of [...warnings, ...(yield* Configuration.oddities(settings))]) {
    yield* Console.warn(`warning: ${warning}`)
  }
  yield* Console.log(settings.strategy, settings.to.map(({ origin }) => origin).join(" "))
})

// Without a provider of your own it is the environment: PORT and EVENKEEL_... beat the file as well.
const noEnvironment = ConfigProvider.layer(ConfigProvider.fromEnvRecord({}))

await Effect.runPromise(program.pipe(
  // One line for each mistake, wherever it is.
  Effect.catchTag("ConfigurationError", ({ message }) => Console.error(message)),
  Effect.provide([NodeFileSystem.layer, noEnvironment])
))
