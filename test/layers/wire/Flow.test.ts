/** Flow: what is held, when the valve is closed, and that the end comes once. */
import { assert, describe, it } from "@effect/vitest"
import { Flow, type Source, type Taker } from "../../../src/layers/wire/Flow.ts"
import { TransportFailure } from "../../../src/services/Failure.ts"
import type { FieldLines } from "../../../src/services/Message.ts"

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
      return false
    },
    fail: ({ message }: TransportFailure) => void taken.push(`fail(${message})`)
  } satisfies Taker
  const push = (piece: Buffer | string): boolean => {
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
        return true
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

  it("copies small pieces that it holds, and says of large ones that it refers to them", () => {
    const { flow, push, taken, taker } = setup()
    const small = Buffer.from("small")
    assert.isFalse(push(small))
    small.fill("x")
    assert.isTrue(push(Buffer.alloc(10_000)))
    // The second flush is about nothing new.
    assert.isFalse(flow.flush())
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

  it("says when it is first asked for", () => {
    const { flow, taken, taker } = setup()
    flow.onTake = () => void taken.push("asked")
    assert.isFalse(flow.isTaken)
    flow.take(taker)
    assert.isTrue(flow.isTaken)
    assert.deepStrictEqual(taken, ["asked", "flush"])
  })
})
