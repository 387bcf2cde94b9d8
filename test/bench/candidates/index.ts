/** All candidates, in the order of the table. */
import type { Candidate } from "./Candidate.ts"
import { engines } from "./Engines.ts"
import { floor, packages } from "./Programs.ts"
import { servers } from "./Servers.ts"

export { packages } from "./Programs.ts"

export const candidates: ReadonlyArray<Candidate> = [floor, ...engines, ...packages, ...servers]
