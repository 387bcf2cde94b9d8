#!/usr/bin/env node
/** The program: wiring only. Nothing is loaded before the version of Node.js is known to be new enough. */
import { complaint } from "./layers/cli/NodeVersion.ts"

const problem = complaint(process.version)
if (problem === undefined) {
  const [{ main }, { runMain }, NodeServices, Effect] = await Promise.all([
    import("./layers/cli/Main.ts"),
    import("./layers/cli/Run.ts"),
    import("@effect/platform-node/NodeServices"),
    import("effect/Effect")
  ])
  runMain(Effect.provide(main, NodeServices.layer), { disableErrorReporting: true })
} else {
  process.stderr.write(`${problem}\n`)
  process.exitCode = 1
}
