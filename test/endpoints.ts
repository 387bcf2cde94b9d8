/** Endpoints for tests: backends on made-up origins with a load of their own. */
import * as Backend from "../src/services/Backend.ts"
import * as Load from "../src/services/Load.ts"

/** The backend with this id, on an origin that is made of it. */
export const backend = (id: string, weight = 1): Backend.Backend => Backend.make(`http://${id}.test`, { id, weight })

/** The same one in another place. */
export const moved = (id: string): Backend.Backend => Backend.make(`http://${id}.elsewhere.test`, { id })

/** An idle endpoint. */
export const endpoint = (id: string, weight = 1): Load.Endpoint => ({ backend: backend(id, weight), load: Load.make() })

/** One idle endpoint for each weight, with the ids `a0`, `a1` and so on. */
export const endpoints = (weights: ReadonlyArray<number>): ReadonlyArray<Load.Endpoint> =>
  weights.map((weight, i) => endpoint(`a${i}`, weight))

/** The ids of endpoints, for assertions that can be read. */
export const idsOf = (list: ReadonlyArray<Load.Endpoint | undefined>): ReadonlyArray<string | undefined> =>
  list.map((one) => one?.backend.id)
