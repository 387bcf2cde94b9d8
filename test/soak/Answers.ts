/**
 * What the soak asks for and must be answered: the backends build their answers by this, the client checks them by it.
 */

/** How long a backend that is well works on a request, in milliseconds. */
export const workTime = 20

/** Requests are made under this path. All others are the business of health checks. */
export const itemPath = "/item/"

/** The field that carries the id of a request. */
export const idField = "x-soak-id"

/** The field in which a backend names itself. */
export const backendField = "x-soak-backend"

const fillerLines = 40

/**
 * The body of the answer. Every line names its request, so that a part of another answer, a part that is missing and
 * one that comes twice are all noticed.
 */
export const answer = (id: string, backend: string, posted: string): string =>
  [
    `${id} was answered by ${backend}`,
    posted,
    ...Array.from({ length: fillerLines }, (_, line) => `${id} line ${line}`),
    `end of ${id}`,
    ""
  ].join("\n")

/**
 * Whether the answer comes in chunks or with its length: half of each, since a balancer can cut them in different ways.
 */
export const isChunked = (id: string): boolean => id.charCodeAt(id.length - 1) % 2 === 1
