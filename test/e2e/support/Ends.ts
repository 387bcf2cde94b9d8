/** How a peer has ended a connection, also where Node.js takes a reset for an ordinary end: before 24.16. */
import type { Socket } from "node:net"
import { isEndCertain } from "../../../src/layers/wire/Connect.ts"

/** Tells of the end of what a peer sends, if that is no error of the socket. */
export const onEnd = (socket: Socket, tell: (wasReset: boolean) => void): void => {
  socket.on("end", () => {
    if (isEndCertain || !socket.writable || socket.writableLength > 0) tell(false)
    else socket.write("", (error) => tell(error instanceof Error))
  })
}
