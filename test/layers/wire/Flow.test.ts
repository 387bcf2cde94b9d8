/** Flow: what is held, when the valve is closed, and that the end comes once. */
import { assert, describe, it } from "@effect/vitest"
import { Flow, type Hold, type Source, type Taker } from "../../../src/layers/wire/Flow.ts"
import { TransportFailure } from "../../../src/services/Failure.ts"
import type { FieldLines } from "../../../src/services/Fields.ts"

const failure = TransportFailure.make({ reason: "reset_mid_body", message: "gone" })

/** Both sides of a flow, which note what they are told. */
const setup = () => {
  const source: Array<string> = []
  const taken: Array<string> = []
  const flow = new Flow(
    {
      pause: () => void source.push("pause"),
      resume: () => void source.push("resume"),
      cancel: () => void source.push("cancel")
    } satisfies Source
  )
  const taker = {
    data: (piece: Buffer) => void taken.push(piece.length > 100 ? String(piece.length) : piece.toString("latin1")),
    end: (trailers: FieldLines) => void taken.push(`end(${trailers.join("=")})`),
    flush: () => {
      taken.push("flush")
      return "released"
    },
    fail: ({ message }: TransportFailure) => void taken.push(`fail(${message})`)
  } satisfies Taker
  const push = (piece: Buffer | string): Hold => {
    flow.push(typeof piece === "string" ? Buffer.from(piece, "latin1") : piece)
    return flow.flush()
  }
  return { flow, source, taken, taker, push }
}

describe("a flow", () => {
  it("holds what comes before there is a taker, and gives it in order", () => {
    const { flow, push, source, taken, taker } = setup()
    push("a")
    push("b")
    flow.take(taker)
    push("c")
    flow.end(["Name", "value"])
    flow.flush()
    assert.deepStrictEqual(taken, ["a", "b", "flush", "c", "flush", "end(Name=value)", "flush"])
    assert.deepStrictEqual(source, [])
  })

  it("gives an end that came before the taker together with what is held", () => {
    const { flow, push, taken, taker } = setup()
    push("a")
    flow.end(["Name", "value"])
    flow.take(taker)
    assert.deepStrictEqual(taken, ["a", "end(Name=value)", "flush"])
    assert.isTrue(flow.isComplete)
  })

  it("gives a failure that came before the taker, and nothing of what was held", () => {
    const { flow, push, taken, taker } = setup()
    push("a")
    flow.fail(failure)
    flow.take(taker)
    assert.deepStrictEqual(taken, ["fail(gone)"])
  })

  it("ends or fails once", () => {
    for (const first of ["end", "fail"]) {
      const { flow, taken, taker } = setup()
      flow.take(taker)
      if (first === "end") flow.end([])
      flow.fail(failure)
      flow.end([])
      flow.fail(failure)
      assert.deepStrictEqual(taken, ["flush", first === "end" ? "end()" : "fail(gone)"])
    }
  })

  it("closes the valve when 64 KiB are held, and opens it for a taker that does not close it again", () => {
    const { flow, push, source, taker } = setup()
    push(Buffer.alloc(65_535))
    assert.deepStrictEqual(source, [])
    push("a")
    assert.deepStrictEqual(source, ["pause"])
    flow.take(taker)
    assert.deepStrictEqual(source, ["pause", "resume"])
  })

  it("leaves the valve closed for a taker that is full at once", () => {
    const { flow, push, source, taker } = setup()
    push(Buffer.alloc(70_000))
    flow.take({
      ...taker,
      flush: () => {
        flow.pause()
        return "until resumed"
      }
    })
    assert.notInclude(source, "resume")
    flow.resume()
    flow.resume()
    assert.deepStrictEqual(source.filter((what) => what === "resume").length, 1)
  })

  it("does not close the valve behind the last byte, because nobody would open it", () => {
    const { flow, source, taker } = setup()
    flow.push(Buffer.alloc(70_000))
    flow.end([])
    flow.flush()
    flow.take(taker)
    assert.deepStrictEqual(source, [])
    flow.pause()
    assert.deepStrictEqual(source, [])
  })

  it("opens the valve at its end, because the next message comes from the same source", () => {
    const { flow, source, taker } = setup()
    flow.take(taker)
    flow.pause()
    flow.end([])
    assert.deepStrictEqual(source, ["pause", "resume"])
  })

  it("copies small pieces that it holds, and says of large ones that it refers to them", () => {
    const { flow, push, taken, taker } = setup()
    const small = Buffer.from("small")
    assert.strictEqual(push(small), "released")
    small.fill("x")
    assert.strictEqual(push(Buffer.alloc(10_000)), "kept")
    // The second flush is about nothing new.
    assert.strictEqual(flow.flush(), "released")
    flow.take(taker)
    assert.deepStrictEqual(taken, ["small", "10000", "flush"])
  })

  it("asks the source to give up when nobody wants the rest, and not when there is none", () => {
    const { flow, push, source, taken, taker } = setup()
    flow.take(taker)
    flow.cancel()
    assert.deepStrictEqual(source, ["cancel"])
    push("late")
    assert.deepStrictEqual(taken, ["flush"])

    const over = setup()
    over.flow.end([])
    over.flow.cancel()
    assert.deepStrictEqual(over.source, [])
  })

  it("is awaited while somebody takes it who is ready for more, and more may come", () => {
    const { flow, taker } = setup()
    const seen = [flow.isAwaited]
    const then = (step: () => void) => {
      step()
      seen.push(flow.isAwaited)
    }
    then(() => flow.take(taker))
    then(() => flow.pause())
    then(() => flow.resume())
    then(() => flow.end([]))
    assert.deepStrictEqual(seen, [false, true, false, true, false])
  })

  it("says when it is first asked for", () => {
    const { flow, taken, taker } = setup()
    flow.onTake = () => void taken.push("asked")
    assert.isFalse(flow.isTaken)
    flow.take(taker)
    assert.isTrue(flow.isTaken)
    assert.deepStrictEqual(taken, ["asked", "flush"])
  })
})

describe("a flow that is kept", () => {
  it("gives everything again to the next taker, and goes on with the rest", () => {
    const { flow, push, taken, taker } = setup()
    flow.keep(100)
    push("a")
    flow.take(taker)
    push("b")
    flow.turn.cancel()
    flow.cancel()
    push("c")
    flow.take(taker)
    push("d")
    flow.end(["Name", "value"])
    flow.flush()
    assert.deepStrictEqual(taken.join(" "), "a flush b flush a b c flush d flush end(Name=value) flush")
    flow.take(taker)
    assert.deepStrictEqual(taken.slice(-6), ["a", "b", "c", "d", "end(Name=value)", "flush"])
  })

  it("keeps copies, because what was given may be written over", () => {
    const { flow, taken, taker } = setup()
    flow.keep(100)
    flow.take(taker)
    const piece = Buffer.from("first")
    flow.push(piece)
    piece.fill("x")
    flow.cancel()
    flow.take(taker)
    assert.deepStrictEqual(taken, ["flush", "first", "first", "flush"])
  })

  it("copies what it holds for the next taker as well, after another one has had what was held", () => {
    const { flow, push, taken, taker } = setup()
    flow.keep(100)
    push("first")
    flow.take(taker)
    flow.cancel()
    const piece = Buffer.from("second")
    assert.strictEqual(push(piece), "released")
    piece.fill("x")
    flow.take(taker)
    assert.deepStrictEqual(taken.slice(2), ["first", "second", "flush"])
  })

  it("is whole up to the limit, and then its taker is the last one", () => {
    const { flow, push, source, taker } = setup()
    assert.isTrue(flow.isWhole)
    flow.keep(5)
    flow.take(taker)
    push("12345")
    assert.isTrue(flow.isWhole)
    push("6")
    assert.isFalse(flow.isWhole)
    flow.cancel()
    assert.deepStrictEqual(source, ["cancel"])
  })

  it("is given up only when nobody will take it any more", () => {
    const { flow, push, source, taker } = setup()
    flow.keep(100)
    flow.take(taker)
    push("a")
    flow.cancel()
    assert.deepStrictEqual(source, [])
    push(Buffer.alloc(64 * 1024))
    assert.deepStrictEqual(source, ["pause"])
    flow.settle()
    assert.deepStrictEqual(source, ["pause", "cancel"])
    assert.isFalse(flow.isWhole)
  })

  it("is not given up when the next taker wants it, after one that did not", () => {
    const { flow, push, source, taken, taker } = setup()
    flow.keep(100)
    flow.take(taker)
    flow.cancel()
    flow.take(taker)
    flow.settle()
    push("a")
    assert.deepStrictEqual([source, taken], [[], ["flush", "flush", "a", "flush"]])
  })

  it("is not given up when its taker still wants it", () => {
    const { flow, push, source, taken, taker } = setup()
    flow.keep(100)
    flow.take(taker)
    flow.settle()
    push("a")
    assert.deepStrictEqual([taken, source], [["flush", "a", "flush"], []])
    flow.cancel()
    assert.deepStrictEqual(source, ["cancel"])
  })

  it("stays whole for the next taker while nobody takes it any more", () => {
    const { flow, push, source, taken, taker } = setup()
    flow.keep(100)
    const first = flow.turn
    flow.take(taker)
    push("a")
    flow.recall()
    first.pause()
    first.cancel()
    push("b".repeat(200))
    assert.isTrue(flow.isWhole)
    assert.deepStrictEqual([taken.splice(0), source], [["flush", "a", "flush"], []])
    flow.take(taker)
    assert.deepStrictEqual(taken, ["a", "200", "flush"])
  })

  it("does not obey a taker that had its turn", () => {
    const { flow, push, source, taken, taker } = setup()
    flow.keep(100)
    const first = flow.turn
    flow.take(taker)
    const second = flow.turn
    flow.take(taker)
    second.pause()
    first.resume()
    assert.deepStrictEqual(source, ["pause"])
    second.resume()
    first.pause()
    first.cancel()
    push("a")
    assert.deepStrictEqual([source, taken.slice(-2)], [["pause", "resume"], ["a", "flush"]])
    second.cancel()
    push("b")
    flow.settle()
    assert.deepStrictEqual([source, taken.slice(-2)], [["pause", "resume", "cancel"], ["a", "flush"]])
  })

  it("that is recalled is given up when there is no other taker, and not when nobody had taken it", () => {
    const { flow, push, source, taken, taker } = setup()
    flow.keep(100)
    flow.recall()
    push("a")
    flow.settle()
    flow.take(taker)
    assert.deepStrictEqual([source, taken], [[], ["a", "flush"]])

    const other = setup()
    other.flow.keep(100)
    other.flow.take(other.taker)
    other.flow.recall()
    other.flow.settle()
    assert.deepStrictEqual(other.source, ["cancel"])
  })

  it("fails the next taker with what it failed with, and gives it nothing", () => {
    const { flow, push, taken, taker } = setup()
    flow.keep(100)
    flow.take(taker)
    push("a")
    flow.cancel()
    flow.fail(failure)
    flow.take(taker)
    assert.deepStrictEqual(taken.slice(3), ["fail(gone)"])
  })

  it("opens the valve again for the next taker", () => {
    const { flow, push, source, taker } = setup()
    flow.keep(100)
    flow.take(taker)
    flow.turn.pause()
    flow.pause()
    flow.cancel()
    flow.take(taker)
    assert.deepStrictEqual(source, ["pause", "resume"])
    push("a")
  })
})
