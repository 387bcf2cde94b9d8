import { assert, describe, it } from "@effect/vitest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Struct from "effect/Struct"
import * as ErrorResponse from "../../src/services/ErrorResponse.ts"
import { meaningOf, type Reason, reasons } from "../../src/services/Reason.ts"

const answer = (reason: Reason, accept?: string, detail?: string): Response =>
  HttpServerResponse.toWeb(ErrorResponse.make(reason, accept, detail))

const typeOf = (accept: string | undefined): string | null => answer("no_backend", accept).headers.get("content-type")

const text = "text/plain"
const json = "application/problem+json"

/**
 * Every reason that a client can be told: a client that left is told nothing, and a cut response has no other status.
 */
const told = Struct.keys(reasons).filter((reason) => meaningOf[reason].status !== 0 && reason !== "client_aborted")

describe("the body of an error", () => {
  it("is a few words of text", async () => {
    const response = answer("no_backend")
    assert.strictEqual(response.headers.get("content-type"), text)
    assert.strictEqual(
      await response.text(),
      "503 Service Unavailable\nNo backend is available.\nreason: no_backend\n"
    )
  })

  it("is problem details (RFC 9457) for who asks for JSON", async () => {
    const response = answer("connect_failed", "application/json")
    assert.strictEqual(response.headers.get("content-type"), json)
    assert.deepStrictEqual(await response.json(), {
      type: "about:blank",
      title: "Bad Gateway",
      status: 502,
      detail: "No connection to the backend could be made.",
      reason: "connect_failed"
    })
  })

  it("says more about this very request, where there is more to say", async () => {
    assert.include(
      await answer("bad_request", undefined, "two Host fields").text(),
      "not valid HTTP. (two Host fields)\n"
    )
    assert.include(await answer("bad_request", json, "two Host fields").text(), `not valid HTTP. (two Host fields)"`)
  })

  it("has its length, so that it is not sent in chunks", async () => {
    for (const accept of [undefined, json]) {
      const response = answer("no_backend", accept)
      const length = Number(response.headers.get("content-length"))
      assert.strictEqual(length, new TextEncoder().encode(await response.text()).length)
    }
  })
})

describe("the choice between the two", () => {
  // RFC 9110 §12.5.1.
  it.each<readonly [string | undefined, string]>([
    [undefined, text],
    ["", text],
    ["*/*", text],
    ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", text],
    ["application/*", text],
    ["application/json", json],
    ["application/problem+json", json],
    ["Application/JSON", json],
    [" application/json ; charset=utf-8 ", json],
    ["application/json, text/plain, */*", json],
    ["text/html, application/json;q=0.9, */*;q=0.8", json],
    ["application/json;q=0.001", json],
    ["application/json;q=0", text],
    ["application/json;q=0.000", text],
    ["application/json; Q=0, */*", text],
    ["application/json;q=0, application/problem+json", json],
    ["text/plain, application/json;q=0.5", text],
    ["text/plain;q=0.4, application/json;q=0.5", json],
    ["text/*, application/json;q=0.5", text],
    ["*/*, application/json;q=0.5", text],
    ["application/json;q=much", text],
    ["application/json-seq", text],
    ["application/jsonp", text],
    ["x-application/json", text],
    ["application/vnd.api+json", text]
  ])("for Accept: %s is %s", (accept, type) => {
    assert.strictEqual(typeOf(accept), type)
  })
})

describe("the head of an error", () => {
  it.each(told)("of %s has the status of the vocabulary and is never stored", (reason) => {
    const response = answer(reason)
    assert.strictEqual(response.status, meaningOf[reason].status)
    assert.strictEqual(response.headers.get("cache-control"), "no-store")
  })

  it.each(told)("of %s says when to come back exactly if the status is 503", (reason) => {
    for (const accept of [undefined, json]) {
      const response = answer(reason, accept)
      assert.strictEqual(response.headers.get("retry-after"), response.status === 503 ? "2" : null)
    }
  })

  it.each(told)("of %s has a title of its own", async (reason) => {
    assert.notMatch(await answer(reason).text(), /^\d+ Error\n/)
  })
})
