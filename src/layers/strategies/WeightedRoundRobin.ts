/**
 * Smooth weighted round-robin: each backend as often as its weight says, spread out evenly. Weights 5, 1, 1 give
 * a a a b a a c and not a a a a a b c.
 *
 * Earliest deadline first, as in Envoy and gRPC: a backend of weight w is due every 1/w; whoever is due first is picked. A
 * heap finds it in O(log n), where nginx's rule of the same effect takes a step for every backend at every pick. The first
 * deadlines are staggered by position, so that equal weights begin in the order of the configuration.
 */
import * as Layer from "effect/Layer"
import type { Endpoint } from "../../services/Load.ts"
import { type Picker, Strategy } from "../../services/Strategy.ts"

/** Deadlines only grow; before their precision suffers, all are moved back together. */
const rebaseAfter = 1e6

const pickerFor = (endpoints: ReadonlyArray<Endpoint>): Picker => {
  const n = endpoints.length
  if (n === 0) return { pick: () => undefined }
  const period = Float64Array.from(endpoints, (endpoint) => 1 / endpoint.backend.weight)
  const deadline = period.map((length, i) => (length * (i + 0.5)) / n)
  // A binary heap of indices; the root is due first.
  const heap = Uint32Array.from({ length: n }, (_, i) => i)

  const isDueBefore = (a: number, b: number): boolean =>
    deadline[a]! < deadline[b]! || (deadline[b] === deadline[a]! && a < b)

  const siftDown = (start: number): void => {
    const moved = heap[start]!
    let hole = start
    for (let child = 2 * hole + 1; child < n; child = 2 * hole + 1) {
      if (child + 1 < n && isDueBefore(heap[child + 1]!, heap[child]!)) child++
      if (isDueBefore(moved, heap[child]!)) break
      heap[hole] = heap[child]!
      hole = child
    }
    heap[hole] = moved
  }
  for (let i = (n >> 1) - 1; i >= 0; i--) siftDown(i)

  return {
    pick: () => {
      const next = heap[0]!
      const now = deadline[next]!
      if (now > rebaseAfter) { for (let i = 0; i < n; i++) deadline[i]! -= now }
      deadline[next]! += period[next]!
      siftDown(0)
      return endpoints[next]
    }
  }
}

export const layer: Layer.Layer<Strategy> = Layer.succeed(Strategy, {
  name: "weighted-round-robin",
  make: pickerFor
})
