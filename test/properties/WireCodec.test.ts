/**
 * The codec of the wire engine for random bytes: what is formatted is read, the cuts between packets change nothing,
 * and whatever is accepted is read by Node's own parser in the same way.
 *
 * `npm run fuzz` does the same for minutes instead of seconds: FUZZ_SECONDS for each property. Every failure comes with
 * its seed, and FUZZ_SEED repeats it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { METHODS } from "node:http"
import { isDeepStrictEqual as isEqual } from "node:util"
import { defaultLimits, type Limits, type RequestLine } from "../../src/layers/wire/Head.ts"
import { cut, type Message, type Reading, readRequests, readResponses } from "../layers/wire/Codec.ts"
import * as Node from "./NodeParser.ts"
import * as Messages from "./WireMessages.ts"

const isFuzzing = process.env["MODE"] === "fuzz"
const seconds = Number(process.env["FUZZ_SECONDS"] ?? 30)
const given = process.env["FUZZ_SEED"]
const seed = given === undefined ? fc.sample(fc.integer(), 1)[0]! : Number(given)

/**
 * How long one property runs: so often in `npm test`, and in `npm run fuzz` for a time, and a thousand
 * times as often at most.
 */
const runs = (count: number): fc.Parameters<unknown> =>
  isFuzzing
    ? { seed, numRuns: 1_000 * count, interruptAfterTimeLimit: seconds * 1_000, skipAllAfterTimeLimit: seconds * 1_000 }
    : { seed, numRuns: count }

const timeout = { timeout: isFuzzing ? (seconds + 60) * 1_000 : 30_000 }

// oxlint-disable-next-line no-console -- a run that cannot be repeated is worth little
if (isFuzzing) console.log(`FUZZ_SEED=${seed} FUZZ_SECONDS=${seconds} for each property`)

const piecesOf = (text: string, cuts: ReadonlyArray<number>): ReadonlyArray<string> =>
  cut(text, ...cuts.map((at) => Math.round(at * text.length)))

const small: Limits = { headBytes: 120, fields: 4, targetBytes: 16 }

/** The start of a message in Node's words. */
const startOf = (head: object): ReadonlyArray<unknown> => {
  const version = "version" in head ? `1.${String(head.version)}` : undefined
  return "method" in head && "target" in head
    ? [head.method, head.target, version]
    : "status" in head && "statusText" in head
    ? [version, head.status, head.statusText]
    : []
}

interface Head {
  readonly fields: ReadonlyArray<string>
  readonly version: 0 | 1
}

/** Whether Node reads on after this message: it heeds the version and `Connection`, of which a codec knows nothing. */
const isLast = ({ fields, version }: Head): boolean => {
  const connection = fields.flatMap((part, i) =>
    i % 2 === 1 && fields[i - 1]!.toLowerCase() === "connection" ? [part.toLowerCase()] : []
  ).join()
  return /close|upgrade/.test(connection) || (version === 0 && !connection.includes("keep-alive"))
}

/**
 * Node reads a `Connection` among the trailers as if it stood in the head. But trailers are for what does not concern the
 * handling of a message (RFC 9110 §6.5.1), and here they say nothing about their connection.
 */
const isLastForNode = (trailers: ReadonlyArray<string>): boolean =>
  trailers.some((name, i) => i % 2 === 0 && /^(?:proxy-connection|connection|upgrade)$/i.test(name))

/** The end of a reading of which only the messages are compared. */
const notCompared = { status: 0, detail: "" }

/** How Node's reading of the same bytes is another one than ours, if it is. */
const difference = <H extends Head>(ours: Reading<H>, node: Node.Opinion): string | undefined => {
  for (const [i, message] of ours.messages.entries()) {
    const seen = node.messages[i]
    const says = (what: string): string => `message ${i + 1}: ${what}, Node says ${node.error ?? JSON.stringify(seen)}`
    if (seen === undefined) return says(`we have a head, ${JSON.stringify(message.head)}`)
    if (!isEqual([startOf(message.head), message.head.fields], [seen.start, seen.fields])) {
      return says(`we have another head, ${JSON.stringify(message.head)}`)
    }
    if (
      message.isComplete &&
      !isEqual([message.body, message.trailers, true], [seen.body, seen.trailers, seen.isComplete])
    ) {
      return says(`we have another body, ${JSON.stringify([message.body, message.trailers])}`)
    }
    if (!message.isComplete && ours.ending === "incomplete" && seen.isComplete) return says("we wait for more")
    if (isLast(message.head) || isLastForNode(message.trailers)) return undefined
  }
  return typeof ours.ending === "string" && node.messages.length !== ours.messages.length
    ? `Node has ${node.messages.length} messages, and not ${ours.messages.length}`
    : undefined
}

describe("what is formatted is read", () => {
  const read = ({ ending, messages }: Reading<Head>): ReadonlyArray<unknown> => [
    ...messages.map(({ body, head, trailers }) => [startOf(head), head.fields, body, trailers]),
    ending
  ]
  const expected = (samples: ReadonlyArray<Messages.Sample>): ReadonlyArray<unknown> => [
    ...samples.map(({ content, fields, start, trailers }) => [start, fields, content, trailers]),
    "clean"
  ]
  const wire = (samples: ReadonlyArray<Messages.Sample>): string => samples.map(({ wire }) => wire).join("")

  it("as requests, one after another, in any pieces", timeout, () => {
    const samples = fc.array(Messages.request(Messages.anyMethod), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(samples, Messages.cuts, (samples, cuts) => {
        assert.deepStrictEqual(read(readRequests(piecesOf(wire(samples), cuts))), expected(samples))
      }),
      runs(500)
    )
  })

  it("as responses, one after another, in any pieces", timeout, () => {
    fc.assert(
      fc.property(fc.array(Messages.response, { minLength: 1, maxLength: 3 }), Messages.cuts, (samples, cuts) => {
        assert.deepStrictEqual(read(readResponses("GET", piecesOf(wire(samples), cuts))), expected(samples))
      }),
      runs(500)
    )
  })
})

const requests = fc.array(Messages.request(), { minLength: 1, maxLength: 3 })
  .map((samples) => samples.map(({ wire }) => wire).join(""))
const damagedRequests = fc.oneof(
  { weight: 8, arbitrary: Messages.mutated(requests) },
  { weight: 1, arbitrary: Messages.noise },
  { weight: 1, arbitrary: requests }
)
const damagedResponses = fc.oneof(
  { weight: 8, arbitrary: Messages.mutated(Messages.oddResponse) },
  { weight: 1, arbitrary: Messages.noise },
  { weight: 1, arbitrary: Messages.oddResponse }
)
const method = fc.constantFrom("GET", "GET", "GET", "HEAD", "POST")
const limits = fc.constantFrom(defaultLimits, small)

describe("damaged messages", () => {
  it("give the same result, also the same refusal, in any pieces: requests", timeout, () => {
    fc.assert(
      fc.property(damagedRequests, Messages.cuts, limits, (bytes, cuts, limits) => {
        assert.deepStrictEqual(readRequests(piecesOf(bytes, cuts), limits), readRequests([bytes], limits))
      }),
      runs(2_000)
    )
  })

  it("give the same result, also the same refusal, in any pieces: responses", timeout, () => {
    fc.assert(
      fc.property(damagedResponses, method, Messages.cuts, limits, (bytes, method, cuts, limits) => {
        assert.deepStrictEqual(
          readResponses(method, piecesOf(bytes, cuts), limits),
          readResponses(method, [bytes], limits)
        )
      }),
      runs(2_000)
    )
  })

  it("that are accepted as requests are so by Node, and mean the same", timeout, async () => {
    await fc.assert(
      fc.asyncProperty(damagedRequests, async (bytes) => {
        const ours = readRequests([bytes])
        if (ours.messages.length === 0) return
        assert.isUndefined(difference(upToUnknown(ours), await Node.requests(bytes)))
      }),
      runs(3_000)
    )
  })

  it("that are accepted as responses are so by Node, and mean the same", timeout, async () => {
    await fc.assert(
      fc.asyncProperty(damagedResponses, method, async (bytes, method) => {
        const ours = upToFinal(readResponses(method, [bytes]))
        if (ours.messages.length === 0) return
        assert.isUndefined(difference(ours, await Node.responses(method, bytes)))
      }),
      runs(3_000)
    )
  })
})

/**
 * Without what begins with a method that Node does not know. It has a list of them; but any token is a method (RFC 9110
 * §9.1), and it is the backend who says which ones it has.
 */
const upToUnknown = (reading: Reading<RequestLine>): Reading<RequestLine> => {
  const unknown = reading.messages.findIndex(({ head }) => !METHODS.includes(head.method))
  return unknown === -1 ? reading : { messages: reading.messages.slice(0, unknown), ending: notCompared }
}

/** Without what comes after the response itself, which Node does not read, and from 101 on there is no HTTP. */
const upToFinal = <H extends { readonly status: number }>(reading: Reading<H>): Reading<H> => {
  const final = reading.messages.findIndex(({ head }) => head.status >= 200 || head.status === 101)
  if (final === -1) return reading
  const messages: Array<Message<H>> = reading.messages.slice(
    0,
    final + (reading.messages[final]!.head.status === 101 ? 0 : 1)
  )
  return messages.at(-1)?.isComplete === false ? { ...reading, messages } : { messages, ending: "clean" }
}
