/**
 * Signals that come at any moment.
 *
 * The timers of the soak fall together with the sending of requests: a signal from one of them would reach a backend
 * just as a request does, far more often than by chance. So a thread of its own sends them, somewhere between two ticks.
 */
import { isMainThread, parentPort, Worker } from "node:worker_threads"

interface Wish {
  readonly pid: number
  readonly signal: NodeJS.Signals
  /** In milliseconds, and parts of them. */
  readonly after: number
}

const worker = isMainThread ? new Worker(new URL(import.meta.url)) : undefined
worker?.unref()

parentPort?.on("message", ({ after, pid, signal }: Wish) => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, after)
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended by itself, which its owner sees.
  }
})

/** Sends a signal to a process at any moment of the next so many milliseconds. */
export const send = (pid: number, signal: NodeJS.Signals, within: number): void => {
  const wish: Wish = { pid, signal, after: Math.random() * within }
  // oxlint-disable-next-line require-post-message-target-origin -- a thread has no origin
  worker?.postMessage(wish)
}
