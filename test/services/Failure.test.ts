import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import {
  DecodeError,
  EmptyBodyError,
  HttpClientError,
  InvalidUrlError,
  StatusCodeError,
  TransportError
} from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { fromCause, fromClientError, TransportFailure } from "../../src/services/Failure.ts"
import { meaningOf, type Reason, reasons } from "../../src/services/Reason.ts"
import { golden } from "../golden/Golden.ts"

describe("the vocabulary", () => {
  it("is this, and each word means this", () => {
    const lines = Object.entries(meaningOf).map(([reason, { isBackends, level, meaning, status, tryAnother }]) =>
      `${reason} ${status} ${level} ${tryAnother} ${isBackends ? "backend's" : "nobody's"} - ${meaning}`
    )
    assert.deepStrictEqual(lines, golden("failures.txt"))
  })

  it("has a word for everything that an engine can report", () => {
    for (const reason of TransportFailure.fields.reason.literals) assert.property(reasons, reason)
  })
})

const request = HttpClientRequest.get("http://localhost:3001/")
const failure = TransportFailure.make({ reason: "headers_timeout", message: "No answer in time" })

describe("fromClientError", () => {
  it("finds the failure that the engine gave as the cause, or is given", () => {
    const error = new HttpClientError({ reason: new TransportError({ request, cause: failure }) })
    assert.strictEqual(fromClientError(error), failure)
    assert.strictEqual(fromClientError(failure), failure)
  })

  it("finds it in an error about a response, too", () => {
    const response = HttpClientResponse.fromWeb(request, new Response(null))
    for (const Reason of [DecodeError, EmptyBodyError, StatusCodeError]) {
      const error = new HttpClientError({ reason: new Reason({ request, response, cause: failure }) })
      assert.strictEqual(fromClientError(error), failure)
    }
  })

  it("takes a target that makes no URL for the client's mistake", () => {
    const found = fromClientError(new HttpClientError({ reason: new InvalidUrlError({ request }) }))
    assert.strictEqual(found.reason, "bad_request")
  })

  const found = (cause: unknown) =>
    fromClientError(new HttpClientError({ reason: new TransportError({ request, cause, description: "no luck" }) }))

  it.each([undefined, null, new Error("ECONNREFUSED"), "refused", { reason: "headers_timeout" }])(
    "assumes that the backend has the request when the engine says nothing it knows (%#)",
    (cause) => {
      assert.strictEqual(found(cause).reason, "reset_before_headers")
      assert.include(found(cause).message, "no luck")
    }
  )

  it("knows that it has not where Node could make no connection, however deep that is", () => {
    const refused = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED", syscall: "connect" })
    const unknown = Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND", syscall: "getaddrinfo" })
    const wrapped = new TypeError("fetch failed", { cause: new AggregateError([unknown, refused]) })
    for (const cause of [refused, unknown, wrapped]) assert.strictEqual(found(cause).reason, "connect_failed")
    const read = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", syscall: "read" })
    assert.strictEqual(found(read).reason, "reset_before_headers")
  })
})

const serverError = (cause: unknown) =>
  new HttpServerError.HttpServerError({
    reason: new HttpServerError.ResponseError({
      request: HttpServerRequest.fromWeb(new Request("http://localhost/")),
      response: HttpServerResponse.empty(),
      cause
    })
  })

const notFound = new HttpServerError.HttpServerError({
  reason: new HttpServerError.RouteNotFound({ request: HttpServerRequest.fromWeb(new Request("http://localhost/")) })
})

const interrupted = Cause.interrupt(1)
const clientLeft = Cause.annotate(interrupted, HttpServerError.ClientAbort.annotation)

describe("fromCause", () => {
  it.each<readonly [string, Cause.Cause<unknown>, Reason]>([
    ["a failure of the transport", Cause.fail(failure), "headers_timeout"],
    ["a failure of the transport behind an error of the server", Cause.fail(serverError(failure)), "headers_timeout"],
    ["an error of the server without one", Cause.fail(serverError(new Error("EPIPE"))), "reset_mid_body"],
    ["a failure of an application", Cause.fail("broken"), "internal_error"],
    ["an error of the server by which an application says no", Cause.fail(notFound), "internal_error"],
    ["a defect", Cause.die(new Error("a bug")), "internal_error"],
    ["a defect that is a failure of the transport", Cause.die(failure), "headers_timeout"],
    ["a defect that is an error of the server with one behind it", Cause.die(serverError(failure)), "headers_timeout"],
    ["nothing", Cause.empty, "reset_mid_body"],
    ["a client that left", clientLeft, "client_aborted"],
    ["an interruption by anybody else", interrupted, "draining"],
    ["a defect and a client that left", Cause.combine(Cause.die("a bug"), clientLeft), "client_aborted"],
    ["an unknown failure and a client that left", Cause.combine(Cause.fail("broken"), clientLeft), "client_aborted"],
    [
      "a failure of the transport, then an interruption",
      Cause.combine(Cause.fail(failure), interrupted),
      "headers_timeout"
    ]
  ])("of %s", (_, cause, reason) => {
    assert.strictEqual(fromCause(cause), reason)
  })
})
