/**
 * What is asked of each candidate: the cases, their requests and how many of them. The backend and the
 * load both go by this.
 */

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

/** How many connections are busy at the same time. */
export const connections = 64

/** How many clients are idle in the case about memory, and how many connections they are opened by at a time. */
export const idleClients = 2_000
export const idleBatch = 50

/** Requests before each look at the memory. */
export const idleWork = 5_000

/** How long one run of requests may take, in milliseconds. */
export const runLimit = 120_000

/** The bodies of the backend's answers, in bytes, by path. Any other path is answered like `/tiny`. */
export const answers: Readonly<Record<string, number>> = {
  "/tiny": 23,
  "/64k": 64 * kibibyte,
  "/1m": mebibyte,
  "/upload": 23
}

/** One exchange, over and over. */
export interface Traffic {
  readonly name: string
  readonly title: string
  /** The request as it is written to the socket. */
  readonly request: Buffer
  /** The length of the answer's body, in bytes. */
  readonly answer: number
  /**
   * Requests that are measured, and those before them that are not: until V8 has compiled what is hot, a request costs
   * up to three times as much, and a proxy runs for days.
   */
  readonly requests: number
  readonly warmUp: number
}

const get = (path: string): Buffer =>
  Buffer.from(`GET ${path} HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n`)

const post = (path: string, length: number): Buffer =>
  Buffer.concat([
    Buffer.from(
      `POST ${path} HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n`
        + `Content-Type: application/octet-stream\r\nContent-Length: ${length}\r\n\r\n`
    ),
    Buffer.alloc(length, "u")
  ])

export const tiny: Traffic = {
  name: "tiny",
  title: "a tiny answer (23 bytes)",
  request: get("/tiny"),
  answer: answers["/tiny"]!,
  requests: 40_000,
  warmUp: 30_000
}

/** The cases that are measured in CPU time. */
export const traffic: ReadonlyArray<Traffic> = [
  tiny,
  {
    name: "post",
    title: "a tiny answer to 1 KiB",
    request: post("/tiny", kibibyte),
    answer: answers["/tiny"]!,
    requests: 40_000,
    warmUp: 30_000
  },
  {
    name: "64k",
    title: "an answer of 64 KiB",
    request: get("/64k"),
    answer: answers["/64k"]!,
    requests: 10_000,
    warmUp: 10_000
  },
  {
    name: "1m",
    title: "an answer of 1 MiB",
    request: get("/1m"),
    answer: answers["/1m"]!,
    requests: 1_500,
    warmUp: 1_500
  },
  {
    name: "upload",
    title: "an upload of 1 MiB",
    request: post("/upload", mebibyte),
    answer: answers["/upload"]!,
    requests: 1_500,
    warmUp: 1_500
  }
]

/** The case that is measured in memory. */
export const idle = { name: "idle", title: `memory for each of ${idleClients} idle clients` }

/** All that `--case` knows. */
export const names: ReadonlyArray<string> = [...traffic.map(({ name }) => name), idle.name]
