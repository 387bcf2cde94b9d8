/**
 * Cuts the bytes of a connection into HTTP/1.1 messages, for the two ends of the bench, which know what they will get:
 * every body has a Content-Length. It is no parser for strangers.
 */
const maxHead = 16_384

export class Messages {
  private readonly deliver: (head: string, length: number) => void
  /** The head as far as it has come. */
  private head = ""
  /** How much of the body is to come; -1 while the head is not complete. */
  private remaining = -1
  private length = 0

  /** `deliver` gets each message's head and the length of its body, in bytes, once all of it has come. */
  constructor(deliver: (head: string, length: number) => void) {
    this.deliver = deliver
  }

  /** Takes what has been read. Throws when it makes no sense. */
  take(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length) {
      if (this.remaining === -1) {
        const had = this.head.length
        this.head += bytes.toString("latin1", at)
        const end = this.head.indexOf("\r\n\r\n")
        if (end > maxHead || (end === -1 && this.head.length > maxHead)) throw new Error("a head is too long")
        if (end === -1) return
        at += end + 4 - had
        this.head = this.head.slice(0, end)
        if (/^transfer-encoding:/im.test(this.head)) throw new Error("a body has no Content-Length")
        this.length = Number(/^content-length: *(\d+)/im.exec(this.head)?.[1] ?? 0)
        this.remaining = this.length
      }
      const part = Math.min(this.remaining, bytes.length - at)
      this.remaining -= part
      at += part
      if (this.remaining === 0) this.finish()
    }
  }

  private finish(): void {
    const { head, length } = this
    this.head = ""
    this.remaining = -1
    this.deliver(head, length)
  }
}
