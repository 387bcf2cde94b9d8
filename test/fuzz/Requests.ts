/**
 * What holds for the requests that backends get: each is one that a client has sent, byte for byte if it is whole, on
 * its own, and no more often than it may be repeated.
 */
import { content } from "./Bytes.ts"
import type { Asked, Ledger } from "./Ledger.ts"
import type { Message } from "./Reader.ts"

const clientsOnly = ["expect", "keep-alive", "proxy-connection"]

/** How often a request may be begun anywhere. */
const mostOf = ({ plan: { settings: { hedge, retry } } }: Ledger, { request: { method } }: Asked): number => {
  if (!retry.methods.includes(method)) return 1
  // And once more, if it was lost on a connection that its backend had just closed.
  return Math.max(retry.tries, hedge.after === undefined ? 1 : 2) + (retry.tries > 1 ? 1 : 0)
}

export const requests = (ledger: Ledger) => {
  const find = (line: string): Asked | undefined => {
    const [method, target = ""] = line.split(" ")
    const asked = ledger.asked.get(Number(target.slice(1)))
    if (asked !== undefined && asked.isBegun && asked.request.method === method) return asked
    ledger.complain(`a backend got ${JSON.stringify(line)}, which nobody has sent`)
    return undefined
  }
  return {
    /** The first line of a request has come to a backend. */
    onStart: (backend: number, line: string): Asked | undefined => {
      const asked = find(line)
      if (asked === undefined) return undefined
      asked.arrivals.push(backend)
      const { arrivals, request: { method, number } } = asked
      if (arrivals.length > mostOf(ledger, asked)) {
        ledger.complain(`${method} /${number} came to backends ${arrivals.join(", ")}, which is too often`)
      }
      return asked
    },
    onHead: ({ request: { framing, length, method, number } }: Asked, message: Message): void => {
      const { fields } = message
      const told = `${method} /${number} came`
      if (fields.get("x-id") !== String(number)) ledger.complain(`${told} with the fields of ${fields.get("x-id")}`)
      if (fields.get("host") !== "fuzz.example") ledger.complain(`${told} for ${fields.get("host")}`)
      if (fields.get("x-forwarded-for") !== "127.0.0.1") ledger.complain(`${told} without its client's address`)
      for (const name of clientsOnly) if (fields.has(name)) ledger.complain(`${told} with ${name}`)
      // An empty body may be said to be none. Node's client knows the length of what was kept for another try.
      const mayDiffer = framing === "chunked" ? ledger.engine === "node" : length === 0
      const isSame = message.framing === framing || mayDiffer
      if (!isSame) ledger.complain(`${told} with ${message.framing} and not ${framing}`)
      if (message.framing === "length" && fields.get("content-length") !== String(length)) {
        ledger.complain(`${told} with a length of ${fields.get("content-length")} and not ${length}`)
      }
    },
    onWhole: (
      { isSent, request: { length, method, number, trailers } }: Asked,
      { body, trailers: got }: Message
    ): void => {
      const told = `${method} /${number} came whole`
      if (!isSent) {
        ledger.complain(`${told}, with ${body.length} of ${length} bytes, and its client has not sent it all`)
      }
      if (!body.equals(content(number * 2, length))) {
        ledger.complain(`${told} with another body of ${body.length} and not ${length} bytes`)
      }
      const wanted = ledger.engine === "wire" ? trailers : []
      if (got.join() !== wanted.join()) {
        ledger.complain(`${told} with the trailers ${got.join()} and not ${wanted.join()}`)
      }
    }
  }
}
