/**
 * The power of two choices: of two endpoints drawn at random, the one that costs less. What a cost is,
 * is up to the strategy.
 *
 * Two draws are enough: the longest queue shrinks from about log n / log log n to log log n, and a third gains little
 * (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 1996). Unlike a scan for the minimum, it
 * costs next to nothing for any number of endpoints, and many balancers do not all run to the same idle one. Of two
 * endpoints both are looked at, so there it is the scan.
 *
 * Draws are weighted, because with equal chances one heavy endpoint among many light ones would hardly ever
 * be drawn. The first draw wins a tie: where costs are equal, as in an idle pool, shares follow the weights
 * and nobody is left out.
 */
import type { Endpoint } from "../../services/Load.ts"
import type { RandomBits } from "./RandomBits.ts"
import * as WeightedDraw from "./WeightedDraw.ts"

/** Picks the position of an endpoint in the list, or -1 from an empty list. */
export const make = (
  endpoints: ReadonlyArray<Endpoint>,
  random: RandomBits,
  /** Of the endpoint at a position. Costs are only compared. */
  cost: (position: number) => number,
  /** The share by which a cost must be lower to be lower at all, from 0 to 1. */
  noise = 0
): () => number => {
  if (endpoints.length < 2) return () => endpoints.length - 1
  const draw = WeightedDraw.make(endpoints)
  const clearly = 1 - noise
  return () => {
    const first = draw.first(random())
    const second = draw.second(first, random)
    return cost(second) < cost(first) * clearly ? second : first
  }
}
