/**
 * A backend of the soak, a process of its own: answers every request in 20 ms, and falls ill when
 * it is told to over IPC.
 *
 * It writes each request that it has begun to work on to a file, at once, so that a later SIGKILL takes nothing back.
 * On SIGTERM it does as a good backend does: it finishes what it has, closes what is idle and exits 0.
 */
import { openSync, writeSync } from "node:fs"
import * as Http from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { answer, backendField, idField, isChunked, itemPath, workTime } from "./Answers.ts"

/** What is wrong with a backend, and whether its health checks see it. */
export interface Illness {
  readonly kind: "reset" | "close" | "cut" | "unavailable" | "slow"
  readonly isSeenByProbes: boolean
}

const slowTime = 1_500

const [port, name = "", journal = ""] = process.argv.slice(2)
const begun = openSync(journal, "a")
let illness: Illness | undefined
let isStopping = false

const bodyOf = async (request: Http.IncomingMessage): Promise<string> => {
  let body = ""
  for await (const chunk of request.setEncoding("utf8")) body += chunk
  return body
}

const serve = async (request: Http.IncomingMessage, response: Http.ServerResponse): Promise<void> => {
  const isItem = request.url?.startsWith(itemPath) === true
  const id = String(request.headers[idField] ?? "probe")
  const ill = isItem || illness?.isSeenByProbes === true ? illness?.kind : undefined
  if (isItem) writeSync(begun, `${request.method} ${id}\n`)
  const posted = await bodyOf(request)

  if (ill === "reset") return void request.socket.resetAndDestroy()
  if (ill === "close") return void request.socket.end()
  if (ill !== "unavailable") await sleep(ill === "slow" ? slowTime : isItem ? workTime : 0)

  const body = ill === "unavailable" ? "ill\n" : answer(id, name, posted)
  // As the connection is to be closed after this answer, whoever waits for the next one must know.
  if (isStopping) response.setHeader("connection", "close")
  if (!isChunked(id)) response.setHeader("content-length", Buffer.byteLength(body))
  response.writeHead(ill === "unavailable" ? 503 : 200, { "content-type": "text/plain", [backendField]: name })
  if (ill !== "cut") return void response.end(body)
  response.write(body.slice(0, body.length / 2), () => request.socket.destroy())
}

const server = Http.createServer((request, response) => {
  // Who asked may have left.
  serve(request, response).catch(() => response.destroy())
})

process.on("message", (message: { readonly illness?: Illness }) => {
  illness = message.illness
  process.send?.("done")
})
process.on("SIGTERM", () => {
  isStopping = true
  server.close(() => process.exit(0))
})
// The soak itself has ended.
process.on("disconnect", () => process.exit(0))
server.listen(Number(port), "127.0.0.1", () => process.send?.("ready"))
