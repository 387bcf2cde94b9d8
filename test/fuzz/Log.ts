/** What holds for the log: one line for each request, and it says what happened. */
import { statusOf } from "./Answers.ts"
import { reasonIn } from "./Errors.ts"
import type { Asked, Ledger } from "./Ledger.ts"

const checkLine = (ledger: Ledger, { answer, arrivals, followers, isAwaited, request }: Asked): void => {
  const { method, number } = request
  const lines = ledger.completed.get(number) ?? []
  const [line] = lines
  const told = `${method} /${number}`
  if (lines.length > 1) ledger.complain(`${told} has ${lines.length} lines in the log`)
  if (line === undefined) {
    if (arrivals.length > 0 || answer !== undefined) ledger.complain(`${told} is not in the log`)
    return
  }
  if (line.method !== method) ledger.complain(`${told} is ${line.method} in the log`)
  const sent = ledger.sent.get(number) ?? 0
  // Who leaves just as there is room has begun a try that is not sent.
  const wasLeft = line.reason === "client_aborted" && line.tries === sent - 1
  if (line.tries !== sent && !wasLeft) {
    ledger.complain(`${told} has ${line.tries} tries in the log, and was sent ${sent} times`)
  }
  const { isOverBudget, reason, status } = line
  if (reason === "internal_error" || reason === "draining") ledger.complain(`${told} ended as ${reason}`)
  if (answer === undefined) {
    // An answer that was cut may take the one before with it, which its client has not read yet.
    const isCut = [request.number, ...followers.map(({ request }) => request.number)]
      .some((number) => ledger.completed.get(number)?.[0]?.reason !== undefined)
    if (!isCut && isAwaited) ledger.complain(`${told} has no answer, and the log says ${status}`)
    return
  }
  if (status !== statusOf(answer)) ledger.complain(`${told} got ${answer.start}, and the log says ${status}`)
  if (isOverBudget && method === "POST") ledger.complain(`${told} would have been tried again`)
  const ours = answer.fields.has("x-answer") ? undefined : method === "HEAD" ? reason : reasonIn(answer)
  // Who leaves at once may be gone before the last byte is known to be out.
  if (reason !== ours && !(reason === "client_aborted" && !isAwaited)) {
    ledger.complain(`${told} got ${ours ?? "the answer of a backend"}, and the log says ${reason}`)
  }
  const id = answer.fields.get("x-answer")
  const backend = id === undefined ? undefined : ledger.given[Number(id)]?.backend
  if (reason === undefined && backend !== undefined && line.backend !== ledger.origins[backend]) {
    ledger.complain(`${told} was answered by ${ledger.origins[backend]}, and the log says ${line.backend}`)
  }
}

/** To be called when all is over. */
export const checkLog = (ledger: Ledger): void => {
  for (const asked of ledger.asked.values()) checkLine(ledger, asked)
}
