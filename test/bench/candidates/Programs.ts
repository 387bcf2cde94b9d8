/**
 * The candidates that are small programs in this folder: the floor, and the proxies of other packages with
 * what makes them fast.
 */
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Candidate } from "./Candidate.ts"
import { node } from "./Node.ts"

const program = (name: string, file: string, version: Candidate["version"]): Candidate => ({
  name,
  onNode: true,
  version,
  command: ({ backendPort, port }) =>
    node(fileURLToPath(new URL(file, import.meta.url)), String(port), String(backendPort))
})

/** The least that a proxy on Node can do. */
export const floor = program("floor", "floor.mjs", () => process.versions.node)

const ofPackage = (name: string, file: string): Candidate =>
  program(name, file, () => {
    const manifest = new URL(`../node_modules/${name}/package.json`, import.meta.url)
    return existsSync(manifest) ? JSON.parse(readFileSync(manifest, "utf8")).version : undefined
  })

/** These need the bench's own dependencies. */
export const packages: ReadonlyArray<Candidate> = [
  ofPackage("http-proxy-3", "http-proxy-3.mjs"),
  ofPackage("httpxy", "httpxy.mjs"),
  ofPackage("@fastify/reply-from", "reply-from.mjs")
]
