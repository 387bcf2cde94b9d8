import { assert, describe, it } from "@effect/vitest"
import { meaningOf, type Reason, reasons as vocabulary } from "../../src/services/Reason.ts"
import {
  afterFailure,
  afterStatus,
  backoff,
  checked,
  defaultPolicy,
  type History,
  maxUnsent,
  type Policy,
  reasons,
  retryAfter,
  unsentPatience,
  type Verdict
} from "../../src/services/RetryPolicy.ts"

const fresh: History = { attempt: 1, reached: 1, unsentMs: 0, isIdempotent: true, isWhole: true }
/** A POST. */
const once: History = { ...fresh, isIdempotent: false }
const words = Object.keys(vocabulary).filter((word): word is Reason => word in vocabulary)

describe("a policy", () => {
  it.each<Partial<Policy>>([
    { tries: NaN },
    { bodyLimit: NaN },
    { backoff: NaN },
    { maxWait: NaN },
    { budget: { ...defaultPolicy.budget, ratio: NaN } },
    { budget: { ...defaultPolicy.budget, perSecond: NaN } }
  ])("is refused where one of its numbers is none: %o", (change) => {
    assert.strictEqual(checked(defaultPolicy), defaultPolicy)
    assert.throws(() => checked({ ...defaultPolicy, ...change }), RangeError)
  })
})

describe("after a failure", () => {
  it("is tried again, by default, for exactly these reasons", () => {
    const verdicts = (history: History) =>
      words.flatMap((reason): ReadonlyArray<readonly [Reason, Verdict]> => {
        const verdict = afterFailure(defaultPolicy, reason, history)
        return verdict === "no" ? [] : [[reason, verdict]]
      })
    const unsent = [["overloaded", "free"], ["connect_failed", "free"], ["connect_timeout", "free"]] as const
    assert.deepStrictEqual(verdicts(once), [...unsent])
    assert.deepStrictEqual(verdicts(fresh), [
      ...unsent,
      ["headers_timeout", "budgeted"],
      ["reset_before_headers", "budgeted"],
      ["protocol_error", "budgeted"]
    ])
  })

  it("is not tried again when its body has begun to be given away, whatever the failure", () => {
    for (const reason of words) {
      assert.strictEqual(afterFailure(defaultPolicy, reason, { ...fresh, isWhole: false }), "no")
    }
  })

  it("the reasons to choose from are those after which the vocabulary allows it", () => {
    assert.deepStrictEqual([...reasons], words.filter((reason) => meaningOf[reason].tryAnother !== "never"))
  })

  it("a request that was sent reaches two backends and no more", () => {
    assert.strictEqual(afterFailure(defaultPolicy, "reset_before_headers", { ...fresh, reached: 2 }), "no")
    const thrice = { ...defaultPolicy, tries: 3 }
    assert.strictEqual(afterFailure(thrice, "reset_before_headers", { ...fresh, reached: 2 }), "budgeted")
  })

  it("a request that nobody has seen goes on, after one that was sent as well, until there are too many or too slow", () => {
    const verdict = (history: Partial<History>) =>
      afterFailure(defaultPolicy, "connect_failed", { ...once, ...history })
    assert.strictEqual(verdict({ attempt: 9, reached: 2, unsentMs: unsentPatience - 1 }), "free")
    assert.strictEqual(verdict({ attempt: maxUnsent }), "no")
    assert.strictEqual(verdict({ unsentMs: unsentPatience }), "no")
  })

  it("is not tried again for a reason that the policy leaves out", () => {
    const policy = { ...defaultPolicy, reasons: new Set<Reason>(["connect_failed"]) }
    assert.strictEqual(afterFailure(policy, "reset_before_headers", fresh), "no")
    assert.strictEqual(afterFailure(policy, "connect_failed", once), "free")
  })

  it("is not tried again for a reason after which it never may be, also where a policy has it", () => {
    const policy = { ...defaultPolicy, reasons: new Set(words) }
    for (const reason of words.filter((reason) => meaningOf[reason].tryAnother === "never")) {
      assert.strictEqual(afterFailure(policy, reason, fresh), "no")
    }
  })
})

describe("after an answer", () => {
  it("is tried again for 502, 503 and 504, if the request can be repeated and one backend has seen it", () => {
    const again = (history: History) =>
      [200, 404, 429, 500, 501, 502, 503, 504, 505].filter((status) =>
        afterStatus(defaultPolicy, status, history) !== "no"
      )
    assert.deepStrictEqual(again(fresh), [502, 503, 504])
    assert.deepStrictEqual(again(once), [])
    assert.deepStrictEqual(again({ ...fresh, isWhole: false }), [])
    assert.deepStrictEqual(again({ ...fresh, reached: 2 }), [])
  })

  it("is tried again for the statuses of the policy", () => {
    assert.strictEqual(afterStatus({ ...defaultPolicy, statuses: new Set([429]) }, 429, fresh), "budgeted")
    assert.strictEqual(afterStatus({ ...defaultPolicy, statuses: new Set() }, 503, fresh), "no")
  })
})

describe("the back-off", () => {
  it("is anything from nothing to 25 ms, then to twice as much, and to 250 ms at the most", () => {
    const bounds = [1, 2, 3, 4, 5, 9].map((reached) => backoff(defaultPolicy, reached, 1))
    assert.deepStrictEqual(bounds, [25, 50, 100, 200, 250, 250])
    assert.deepStrictEqual([0, 0.5].map((random) => backoff(defaultPolicy, 2, random)), [0, 25])
  })
})

describe("Retry-After", () => {
  const now = Date.UTC(1994, 10, 6, 8, 49, 30)

  it.each<readonly [string | undefined, number | undefined]>([
    ["0", 0],
    ["120", 120_000],
    ["Sun, 06 Nov 1994 08:49:37 GMT", 7_000],
    ["Sunday, 06-Nov-94 08:49:37 GMT", 7_000],
    ["Sun Nov  6 08:49:37 1994", 7_000],
    ["Sun, 06 Nov 1994 08:49:00 GMT", 0],
    [undefined, undefined],
    ["", undefined],
    ["-1", undefined],
    ["1.5", undefined],
    ["12345678901", undefined],
    ["soon", undefined],
    ["Sunday", undefined],
    ["2, 3", undefined],
    ["After 120", undefined],
    ["Please try 2027", undefined],
    ["Sun, 06 Nov 1994 10:49:37 +0200", undefined],
    ["1994-11-06T08:49:37Z", undefined]
  ])("%s", (value, millis) => {
    assert.strictEqual(retryAfter(value, now), millis)
  })

  it("is in GMT also where it does not say so and the machine is elsewhere", () => {
    const { TZ } = process.env
    try {
      process.env["TZ"] = "America/New_York"
      assert.strictEqual(new Date(now).getTimezoneOffset(), 300)
      assert.strictEqual(retryAfter("Sun Nov  6 08:49:37 1994", now), 7_000)
    } finally {
      if (TZ === undefined) delete process.env["TZ"]
      else process.env["TZ"] = TZ
    }
  })
})
