/** Whole messages through the codec, in the way that a connection uses it, from bytes that come in any pieces. */
import { assert } from "@effect/vitest"
import type { Decoder } from "../../../src/layers/wire/Decoder.ts"
import { decoderFor } from "../../../src/layers/wire/Decoders.ts"
import * as Framing from "../../../src/layers/wire/Framing.ts"
import { Malformed } from "../../../src/layers/wire/Grammar.ts"
import * as Head from "../../../src/layers/wire/Head.ts"
import { HeadReader } from "../../../src/layers/wire/HeadReader.ts"
import type { FieldLines } from "../../../src/services/Fields.ts"

/** A message as far as it came. */
export interface Message<H> {
  readonly head: H
  readonly framing: Framing.Framing
  body: string
  trailers: FieldLines
  isComplete: boolean
}

export interface Reading<H> {
  readonly messages: Array<Message<H>>
  /** "clean" means that the bytes ended where a message may begin. */
  ending: "clean" | "incomplete" | { readonly status: number; readonly detail: string }
}

export const latin1 = (text: string): Buffer => Buffer.from(text, "latin1")

/** Cuts a text at these places, in any order and also outside of it. */
export const cut = (text: string, ...places: ReadonlyArray<number>): ReadonlyArray<string> => {
  const at = [0, ...places.filter((place) => place > 0 && place < text.length).sort((a, b) => a - b), text.length]
  return at.slice(1).map((to, i) => text.slice(at[i], to))
}

interface Parsed<H> {
  readonly head: H
  readonly framing: Framing.Framing
}

const read = <H>(
  kind: "request" | "response",
  limits: Head.Limits,
  parse: (text: string) => Parsed<H> | Malformed,
  pieces: ReadonlyArray<string>
): Reading<H> => {
  const reading: Reading<H> = { messages: [], ending: "clean" }
  const reader = new HeadReader(kind, limits)
  let decoder: Decoder | undefined
  let current: Message<H> | undefined
  const finish = (message: Message<H>): void => {
    message.trailers = decoder?.trailers ?? []
    message.isComplete = true
    decoder = undefined
    current = undefined
  }
  const refuse = ({ detail, status }: Malformed): Reading<H> => {
    reading.ending = { status, detail }
    return reading
  }
  for (const piece of pieces) {
    const chunk = latin1(piece)
    let at = 0
    while (at < chunk.length) {
      if (decoder !== undefined && current !== undefined) {
        const message = current
        const next = decoder.decode(chunk, at, (data) => {
          message.body += data.toString("latin1")
        })
        if (next instanceof Malformed) return refuse(next)
        at = next
        if (decoder.isDone) finish(message)
        continue
      }
      const found = reader.read(chunk, at)
      if (found === undefined) break
      if (found instanceof Malformed) return refuse(found)
      at = found.rest
      const parsed = parse(found.text)
      if (parsed instanceof Malformed) return refuse(parsed)
      current = { ...parsed, body: "", trailers: [], isComplete: false }
      reading.messages.push(current)
      decoder = decoderFor(parsed.framing)
      if (decoder === undefined) finish(current)
    }
  }
  if (current !== undefined && decoder?.end() === true) finish(current)
  else if (current !== undefined || reader.hasBegun) reading.ending = "incomplete"
  return reading
}

/** All requests in the pieces, up to the first that is refused. */
export const readRequests = (
  pieces: ReadonlyArray<string>,
  limits: Head.Limits = Head.defaultLimits
): Reading<Head.RequestLine> =>
  read("request", limits, (text) => {
    const head = Head.parseRequest(text, limits)
    if (head instanceof Malformed) return head
    const framing = Framing.ofRequest(head.fields, head.version)
    return framing instanceof Malformed ? framing : { head, framing }
  }, pieces)

/** All responses to a request with this method in the pieces, up to the first that is refused. */
export const readResponses = (
  method: string,
  pieces: ReadonlyArray<string>,
  limits: Head.Limits = Head.defaultLimits
): Reading<Head.StatusLine> =>
  read("response", limits, (text) => {
    const head = Head.parseResponse(text, limits)
    if (head instanceof Malformed) return head
    const framing = Framing.ofResponse(method, head.status, head.fields, head.version)
    return framing instanceof Malformed ? framing : { head, framing }
  }, pieces)

/** What is read of a text, which must be the same wherever it is cut: nowhere, at any one byte, and at all of them. */
export const inAnyPieces = <A>(text: string, read: (pieces: ReadonlyArray<string>) => A): A => {
  const whole = read([text])
  for (let at = 1; at < text.length; at++) assert.deepStrictEqual(read(cut(text, at)), whole, `cut at byte ${at}`)
  assert.deepStrictEqual(read(Array.from(text)), whole, "byte by byte")
  return whole
}

/** The lines with CRLF, and the empty line at the end. */
export const lines = (...all: ReadonlyArray<string>): string => all.map((line) => `${line}\r\n`).join("") + "\r\n"
