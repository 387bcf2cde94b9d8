/**
 * The four shapes that most rules of HTTP/1.1 have for a balancer: a request that a backend sees, a request that nobody
 * sees, an answer that a client sees, and an answer that nobody believes.
 *
 * Owns what of a message is compared: everything but what a balancer may add of its own accord, which is
 * `X-Forwarded-*` (see `forwarded`), `Date` and `Connection: keep-alive`.
 */
import type { Differences } from "../../e2e/support/Engines.ts"
import { assert, type Declare, type Lab } from "../../e2e/support/Lab.ts"
import {
  type Answer,
  type Asked,
  host,
  message,
  ok,
  type Peer,
  type Received,
  value,
  values
} from "../../e2e/support/Peer.ts"

/** What a rule is about, and where it stands. `clause` is a section of an RFC, and may name advisories. */
export interface Rule {
  readonly clause: string
  readonly name: string
  readonly differences?: Differences
}

/** A GET of `/` with these field lines after `Host`. */
export const get = (...fields: ReadonlyArray<string>): string => message("GET / HTTP/1.1", host, ...fields)

/** The head of a POST of `/` with these field lines after `Host`. */
export const post = (...fields: ReadonlyArray<string>): string => message("POST / HTTP/1.1", host, ...fields)

/** The head of a POST whose body is chunked. */
export const postChunked = post("Transfer-Encoding: chunked")

/** The end of a chunked body without trailers. */
export const lastChunk = "0\r\n\r\n"

/** An answer whose body says what was asked for. */
export const echo = (target: string): string => message("HTTP/1.1 200 OK", `Content-Length: ${target.length}`) + target

/** A request that must not reach a backend. */
export const smuggled = message("GET /smuggled HTTP/1.1", host)

/** What both directions have. */
interface Seen {
  /** `none`, `chunked`, or the number of bytes. */
  readonly framing: string
  /**
   * Field lines in order, case and repetition; without `Host` and framing, and options of
   * `Connection` that close nothing.
   */
  readonly fields: ReadonlyArray<string>
  readonly body: string
  readonly trailers: ReadonlyArray<string>
}

/** What a backend sees of a request. */
export interface SeenRequest extends Seen {
  readonly line: string
  readonly host: string
  /**
   * Options of `Connection` in small letters, but for those that keep or close a connection, which is ours to decide.
   */
  readonly connection: string
}

/** What a client sees of an answer. */
export interface SeenAnswer extends Seen {
  readonly line: string
  readonly connection: string
}

const lines = (fields: Received["fields"]): ReadonlyArray<string> => fields.map((field) => field.join(": "))

const framingOf = (received: Received): string => {
  const coding = value(received, "transfer-encoding")
  const length = value(received, "content-length")
  return [coding, length === undefined ? undefined : String(Number(length))].filter((part) => part !== undefined).join(
    " and "
  ) || "none"
}

const connectionOf = (received: Received): string =>
  values(received, "connection").join().split(",").map((option) => option.trim().toLowerCase()).filter((option) =>
    option !== "" && option !== "keep-alive"
  ).join()

const seen = (received: Received, others: RegExp): Seen & { readonly line: string; readonly connection: string } => ({
  line: received.line,
  connection: connectionOf(received),
  framing: framingOf(received),
  fields: lines(received.fields.filter(([name]) => !others.test(name))),
  body: received.body.toString("latin1"),
  trailers: lines(received.trailers)
})

/**
 * What is compared of a request. A length of 0 is no body: clients add it to methods that usually
 * have one (RFC 9110 §8.6).
 */
export const seenRequest = (request: Asked): SeenRequest => {
  const received = seen(
    request,
    /^(?:host|connection|content-length|transfer-encoding|x-forwarded-(?:for|proto|host))$/i
  )
  return {
    ...received,
    connection: received.connection.replace(/^close$/, ""),
    host: value(request, "host") ?? "(none)",
    framing: received.framing === "0" ? "none" : received.framing
  }
}

/** What is compared of an answer. */
export const seenAnswer = (answer: Answer): SeenAnswer =>
  seen(answer, /^(?:connection|keep-alive|content-length|transfer-encoding|date)$/i)

const plainRequest: SeenRequest = {
  line: "GET / HTTP/1.1",
  host: "example.com",
  connection: "",
  framing: "none",
  fields: [],
  body: "",
  trailers: []
}

const plainAnswer: SeenAnswer = {
  line: "HTTP/1.1 200 OK",
  connection: "",
  framing: "none",
  fields: [],
  body: "",
  trailers: []
}

/** Asserts what a backend has seen: a plain `GET /` but for what is given. */
export const assertRequest = (request: Asked | undefined, expected: Partial<SeenRequest>): void => {
  assert.isDefined(request)
  assert.strictEqual(request!.ending, "complete")
  assert.deepStrictEqual(seenRequest(request!), { ...plainRequest, ...expected })
}

/** Asserts what a client has seen: a plain 200 but for what is given. */
export const assertAnswer = (answer: Answer, expected: Partial<SeenAnswer>): void => {
  assert.strictEqual(answer.ending, "complete")
  assert.deepStrictEqual(seenAnswer(answer), { ...plainAnswer, ...expected })
}

/** All answers to one request, the final one included. */
export const allAnswers = async (client: Peer): Promise<ReadonlyArray<Answer>> => {
  const answers: Array<Answer> = []
  do answers.push(await client.response())
  while (answers.at(-1)!.status < 200)
  return answers
}

/** What a backend was told about the client. */
export const forwarded = (request: Asked): ReadonlyArray<string> =>
  ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"].map((name) => values(request, name).join(" | "))

const title = ({ clause, name }: Rule): string => `${name} (${clause})`

/** A rule about a request that reaches a backend, as `expected` says. */
export const forwards = (test: Declare, rule: Rule, bytes: string, expected: Partial<SeenRequest>): void => {
  test(title(rule), async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(bytes, { noBody: bytes.startsWith("HEAD") })
    assert.strictEqual(answer.status, 200)
    assertRequest(backend.requests[0], expected)
    assert.strictEqual(backend.requests.length, 1)
    assert.strictEqual(client.unread, "")
  }, rule.differences)
}

/** Asserts that no byte of a request has reached these backends. */
export const assertUnseen = (backend: Awaited<ReturnType<Lab["answering"]>>): void => {
  assert.deepStrictEqual(backend.requests.map(({ line }) => line), [])
  assert.deepStrictEqual(backend.peers.map(({ unread }) => unread).join(""), "")
}

/**
 * A rule about a request that is refused with one of these statuses; then the connection is closed, and nobody sees it.
 */
export const refuses = (test: Declare, rule: Rule, bytes: string, ...statuses: ReadonlyArray<number>): void => {
  test(`${title(rule)}: ${statuses.join(" or ")}, a close, and no backend sees it`, async (lab) => {
    const backend = await lab.answering(ok)
    const client = await lab.connect(await lab.balancer([backend]))
    await client.send(bytes + smuggled)
    const answer = await client.response()
    assert.include(statuses, answer.status)
    assert.strictEqual(value(answer, "connection")?.toLowerCase(), "close")
    await client.untilOver()
    assert.strictEqual(client.unread, "")
    assertUnseen(backend)
  }, rule.differences)
}

/** How a rule about answers is tried. */
export interface Asking {
  /** What the client sends; a plain GET if it does not matter. */
  readonly request?: string
  /** The backend closes after its answer. */
  readonly thenCloses?: boolean
}

/** A rule about an answer that reaches the client, as `expected` says, with nothing after it. */
export const answers = (
  test: Declare,
  rule: Rule,
  bytes: string,
  expected: Partial<SeenAnswer>,
  { request = get(), thenCloses = false }: Asking = {}
): void => {
  test(title(rule), async (lab) => {
    const backend = await lab.raw(async (peer) => {
      while (true) {
        const last = (await peer.request()).target === "/next"
        await peer.send(last ? ok : bytes)
        if (thenCloses && !last) peer.end()
      }
    })
    const client = await lab.connect(await lab.balancer([backend]))
    const answer = await client.exchange(request, { noBody: request.startsWith("HEAD") })
    assertAnswer(answer, expected)
    if (expected.connection?.startsWith("close")) return void assert.strictEqual(await client.untilOver(), "ended")
    // The end of the answer was where the client thinks.
    const next = await client.exchange(message("GET /next HTTP/1.1", host, "Connection: close"))
    assert.deepStrictEqual([next.status, next.body.length], [200, 0])
  }, rule.differences)
}

/** A rule about an answer that is none: 502, the backend's connection is closed, and the client's goes on. */
export const disbelieves = (test: Declare, rule: Rule, bytes: string, { request = get() }: Asking = {}): void => {
  test(`${title(rule)}: 502, the backend's connection is closed, and the client's goes on`, async (lab) => {
    const backend = await lab.raw(async (peer) => {
      while (true) await peer.send((await peer.request()).target === "/next" ? ok : bytes)
    })
    // What is believed all the same must not be waited for.
    const lb = await lab.balancer([backend], { idle: 300 })
    const client = await lab.connect(lb)
    const answer = await client.exchange(request, { noBody: request.startsWith("HEAD") })
    assert.deepStrictEqual([answer.status, answer.ending], [502, "complete"])
    assert.strictEqual((await lb.completed()).reason, "protocol_error")
    const lost = await backend.asked()
    assert.strictEqual((await client.exchange(message("GET /next HTTP/1.1", host))).status, 200)
    assert.strictEqual(lost.requestsRead, 1)
    await lost.untilOver()
  }, rule.differences)
}
