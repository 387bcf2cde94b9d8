/**
 * What is delivered: to how many backends a request goes, how many tries there are in all, that a request which nobody
 * has seen goes on to the next backend, and that bodies arrive as they were sent, in both directions.
 */
import * as Duration from "effect/Duration"
import { idOf, numberOf, said, targetOf } from "./Backends.ts"
import type { Exchange, Make } from "./Scene.ts"

const bodyOf = ({ request: { pieces } }: Exchange): string => pieces.map(({ text }) => text).join("")

export const deliveries: Make = (scene, complain) => {
  const { hedge, limit, retry, timeout } = scene.plan.settings
  const isHedged = hedge.after !== undefined

  /** Somebody who could have got a request, and was not tried. */
  const anotherFor = ({ tries }: Exchange): string | undefined =>
    scene.total >= (limit.inFlight ?? Infinity)
      ? undefined
      : scene.state().eligible.find(({ backend, load }) => load.inFlight < load.limit && !tries.includes(backend.id))
        ?.backend.id

  const judgeReply = (exchange: Exchange): void => {
    const { completed, reply, request: { method, number } } = exchange
    // Without a backend, or with a reason, it is not a backend's answer.
    if (reply === undefined || completed?.backend === undefined || completed.reason !== undefined) return
    const text = said(idOf(completed.backend), reply.status, method, targetOf(number), bodyOf(exchange))
    if (reply.text !== (method === "HEAD" ? "" : text)) complain(`${method} ${number} got "${reply.text}"`)
  }

  /** What backends have received, one after the other. */
  const judgeReceptions = (): void => {
    const starts = [...scene.exchanges.values()].map(({ startedAt }) => startedAt)
    const receptions = scene.plan.backends
      .flatMap(({ id }) => scene.received(id).map((one) => ({ id, one })))
      .sort((a, b) => a.one.at - b.one.at)
    const seenBy = new Map<string, Array<string>>()
    let requests = 0
    let again = 0
    for (const { id, one: { at, body, method, target } } of receptions) {
      const exchange = scene.exchanges.get(numberOf(target))
      if (exchange === undefined || !bodyOf(exchange).startsWith(body)) {
        complain(`${id} has received "${body}" with ${method} ${target}`)
      }
      const seen = [...(seenBy.get(target) ?? []), id]
      seenBy.set(target, seen)
      if (seen.length === 1) continue
      again++
      while (requests < starts.length && starts[requests]! <= at) requests++
      // Of the last ten seconds at any moment is of all of the time in the end.
      const allowed = (retry.budget + (isHedged ? hedge.budget : 0)) * requests +
        retry.minPerSecond * (at / 1_000 + 10)
      if (again > allowed) complain(`${again} more tries for ${requests} requests, and ${allowed} are allowed`)
      if (!retry.methods.some((one) => one === method)) complain(`${method} ${target} was received by ${seen}`)
      if (seen.length > Math.max(retry.tries, isHedged ? 2 : 1)) complain(`${target} was received by ${seen}`)
    }
  }

  return {
    onTry: ({ places, request: { method, number } }, id) => {
      // The same one again is asked only after an answer, if that says when to come back.
      if (places.indexOf(places.at(-1)!) === places.length - 1 || scene.hasAnsweredIll(id, targetOf(number))) return
      complain(`${method} /${number} was sent to ${places}`)
    },
    onEnd: (exchange, { isOverBudget, method, path, reason, tries }) => {
      if (reason === "internal_error") complain(`${method} ${path} met with a bug`)
      if (reason !== "connect_failed" && reason !== "connect_timeout") return
      // Only then is it certain that there was time left, and all of the body.
      if (timeout.exchange !== undefined || exchange.request.pieces.length > 0 || isOverBudget === true) return
      if (!retry.on.includes(reason) || tries * Duration.toMillis(timeout.connect) >= 10_000) return
      const other = anotherFor(exchange)
      if (other !== undefined) {
        complain(`${method} ${path} was sent to ${exchange.tries}, and not to ${other}: ${reason}`)
      }
    },
    onFinish: () => {
      judgeReceptions()
      for (const exchange of scene.exchanges.values()) judgeReply(exchange)
    }
  }
}
