/**
 * How many tries there may be besides the first of each request: a share of the requests of the last 10 s, and a few
 * a second in any case.
 *
 * When all backends fail, retries would double the load on them just then. With a budget they add a fifth at the most.
 * Owns the counts and nothing else: plain numbers in buckets of a second, so that asking costs the same however busy it
 * is. Only tries that follow one that reached a backend are counted (`RetryPolicy`): a request that nobody has seen
 * adds no load by going elsewhere, and with two of three backends dead two thirds of all requests have to. Finagle
 * counts those as well, because its servers refuse work while they are up; ours answer 503, which is counted. All times
 * are milliseconds of the same clock.
 */

/** How much is allowed. */
export interface Policy {
  /** Tries for each request, such as 0.2. */
  readonly ratio: number
  /** Tries a second in any case, without which a quiet balancer could never try again. */
  readonly perSecond: number
}

/** A fifth, as Finagle and Linkerd have it, and 3 a second. */
export const defaultPolicy: Policy = { ratio: 0.2, perSecond: 3 }

/** How many seconds are remembered. */
export const seconds = 10

/** What was spent lately. */
export interface Budget {
  readonly requests: Array<number>
  readonly retries: Array<number>
  /** The sums of the two. */
  requestSum: number
  retrySum: number
  /** The second of the bucket that was written last. */
  second: number
}

/** A budget of which nothing was spent. */
export const make = (): Budget => ({
  requests: Array<number>(seconds).fill(0),
  retries: Array<number>(seconds).fill(0),
  requestSum: 0,
  retrySum: 0,
  second: 0
})

/** Forgets what is too old, and gives the bucket of now. */
const turn = (budget: Budget, now: number): number => {
  const second = Math.floor(now / 1_000)
  if (second > budget.second) {
    for (let i = Math.max(budget.second + 1, second - seconds + 1); i <= second; i++) {
      const bucket = i % seconds
      budget.requestSum -= budget.requests[bucket]!
      budget.retrySum -= budget.retries[bucket]!
      budget.requests[bucket] = budget.retries[bucket] = 0
    }
    budget.second = second
  }
  return second % seconds
}

/** Counts a request. */
export const deposit = (budget: Budget, now: number): void => {
  budget.requests[turn(budget, now)]!++
  budget.requestSum++
}

/** Takes one try from the budget, if there is one. */
export const withdraw = (budget: Budget, { perSecond, ratio }: Policy, now: number): boolean => {
  const bucket = turn(budget, now)
  if (budget.retrySum + 1 > ratio * budget.requestSum + perSecond * seconds) return false
  budget.retries[bucket]!++
  budget.retrySum++
  return true
}

/** Puts a try back that was taken at that time, and has not begun. */
export const putBack = (budget: Budget, takenAt: number, now: number): void => {
  turn(budget, now)
  const second = Math.floor(takenAt / 1_000)
  if (second <= budget.second - seconds) return
  budget.retries[second % seconds]!--
  budget.retrySum--
}
