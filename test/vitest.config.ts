import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const root = fileURLToPath(new URL("..", import.meta.url))

export default defineConfig({
  root,
  // The documents import the package by its name; here that is the source itself.
  resolve: { alias: [{ find: /^evenkeel\/(.*)$/, replacement: `${root}src/$1.ts` }] },
  test: {
    include: ["test/**/*.test.ts"],
    // What looks through the whole heap takes seconds late in a process that files share.
    testTimeout: 30_000,
    // By default a core is left to others; many tests wait more than they work.
    maxWorkers: 2,
    // A fifth of the time goes into loading the same modules anew for each file. Whatever a file leaves behind is then
    // there for the next one, which is how it is found.
    isolate: false,
    reporters: ["default", "./test/ClosingLine.ts"]
  }
})
