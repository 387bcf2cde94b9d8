/**
 * What holds for the answers that clients get: each is to the request whose turn it is, and either, byte for byte, one
 * that a backend has given to it, whole, or an error of the balancer's own.
 */
import { isReason, reasonIn } from "./Errors.ts"
import type { Asked, Given, Ledger } from "./Ledger.ts"
import type { Message } from "./Reader.ts"

export const statusOf = ({ start }: Message): number => Number(start.slice(9, 12))

export const answers = (ledger: Ledger) => {
  const complain = (sentence: string): void => ledger.complain(sentence)

  const ofBackend = ({ arrivals, request: { method, number } }: Asked, message: Message, given: Given): void => {
    const told = `${method} /${number} got answer ${given.number} of backend ${given.backend}`
    if (given.request !== number) return complain(`${told}, which is to /${given.request}`)
    if (!arrivals.includes(given.backend)) complain(`${told}, who has not got it`)
    if (statusOf(message) !== given.status) complain(`${told} with ${message.start} and not ${given.status}`)
    // Of an answer that has a head only, nobody can tell how much of it was still to come.
    if (message.framing === "none") return
    if (!given.isSent) complain(`${told} whole, as ${message.framing}, which was cut`)
    if (!message.body.equals(given.body)) {
      complain(`${told} with another body of ${message.body.length} and not ${given.body.length} bytes`)
    }
    const wanted = ledger.engine === "wire" && message.framing === "chunked" ? given.trailers : []
    if (message.trailers.join() !== wanted.join()) complain(`${told} with the trailers ${message.trailers.join()}`)
  }

  const ofOurOwn = ({ request }: Asked, message: Message): void => {
    const { method, number } = request
    const reason = reasonIn(message)
    const told = `${method} /${number} got ${message.start} (${reason}) of our own`
    if (method === "HEAD") return
    if (reason === undefined || !isReason(reason, statusOf(message))) {
      return complain(`${told}: ${JSON.stringify(message.body.toString("latin1", 0, 200))}`)
    }
    if (reason === "bad_request" && !request.isSpoilt) complain(told)
  }

  return {
    /** An interim answer has come. */
    onInterim: (asked: Asked, message: Message): void => {
      const { interims, request: { expects, method, number } } = asked
      const status = statusOf(message)
      const told = `${method} /${number} got ${status}`
      if (asked.got !== "nothing") complain(`${told} in the middle of its answer`)
      if (status === 100) {
        if (expects === undefined) complain(`${told} and has not asked for it`)
        if (++asked.continues > 1) complain(`${told} again`)
      } else if (!interims.includes(status) || message.fields.get("x-id") !== String(number)) {
        complain(`${told}, which no backend has sent`)
      }
    },
    /** All of an answer has come. */
    onWhole: (asked: Asked, message: Message): void => {
      const { method, number } = asked.request
      const id = message.fields.get("x-answer")
      const given = id === undefined ? undefined : ledger.given[Number(id)]
      if (id === undefined) ofOurOwn(asked, message)
      else if (given === undefined) complain(`${method} /${number} got ${message.start}, which nobody has given`)
      else ofBackend(asked, message, given)
    }
  }
}
