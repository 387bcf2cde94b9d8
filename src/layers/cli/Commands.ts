/** The commands, and their flags, which are the settings. What a command needs is loaded when it runs. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Configuration from "../Configuration.ts"
import type { Flags } from "../configuration/Flags.ts"

/**
 * A flag for each setting that may have one and is not one of `without`, and one for the file. Values are checked
 * with all other sources.
 */
const flags = (without: ReadonlyArray<string> = []): Record<string, Flag.Flag<ReadonlyArray<string>>> => {
  const flag = (name: string, description: string, placeholder: string) =>
    Flag.String(name).pipe(Flag.withDescription(description), Flag.withMetavar(placeholder), Flag.atLeast(0))
  return Object.fromEntries([
    ...Configuration.options.filter(({ hasFlag, key }) => hasFlag && !without.includes(key)).map((option) =>
      [option.flag, flag(option.flag, option.description, option.placeholder)] as const
    ),
    [
      Configuration.fileFlag,
      flag(
        Configuration.fileFlag,
        `Settings from a YAML or JSON file; flags and environment beat it. Environment: ${Configuration.fileVariable}.`,
        "file"
      )
    ] as const
  ])
}

const runServe = Effect.fnUntraced(function*(flags: Flags) {
  const loaded = yield* Configuration.load(flags)
  const { serve } = yield* Effect.promise(() => import("./Serve.ts"))
  yield* serve(loaded)
})

const runDemo = Effect.fnUntraced(function*(flags: Flags) {
  const loaded = yield* Configuration.load(flags)
  const [{ serve }, demo] = yield* Effect.promise(() => Promise.all([import("./Serve.ts"), import("./DemoCommand.ts")]))
  yield* serve(demo.withBackends(loaded), demo.companions(loaded))
})

const serve = Command.make("serve", flags(), runServe).pipe(
  Command.withDescription("Balances HTTP requests over backends. This is what runs without a command.")
)

const demo = Command.make("demo", flags(["to"]), runDemo).pipe(
  Command.withDescription("The same over three small backends inside this process, on ports 3001 to 3003.")
)

/** The whole command line. */
export const evenkeel = Command.make("evenkeel", flags(), runServe).pipe(
  Command.withDescription("An HTTP load balancer."),
  Command.withSubcommands([serve, demo]),
  Command.withExamples([
    { command: "evenkeel", description: "Port 3000, over localhost:3001, :3002 and :3003" },
    {
      command: "evenkeel --listen 127.0.0.1:8080 --to http://10.0.0.1:80 --to http://10.0.0.2:80 --health-path /healthz"
    },
    {
      command:
        "evenkeel --strategy weighted-round-robin --to http://localhost:3001 --to http://localhost:3002,weight=3",
      description: "Three of four requests to the second backend"
    },
    { command: "evenkeel --config evenkeel.yaml --health-interval 1s" },
    { command: "EVENKEEL_TO='http://a:80 http://b:80,weight=3' PORT=8080 evenkeel" },
    { command: "evenkeel demo", description: "See it work, with nothing else started" }
  ])
)
