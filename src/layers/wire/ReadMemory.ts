/**
 * The memory that Node reads a socket into: a new buffer for each read, unless the socket has one of its own.
 *
 * Owns when it goes back. Left to the collector, the buffers of an upload are 100 MB before it looks, and then it looks
 * through the whole heap, several times a second: half of the CPU time of an upload of 1 MiB, measured.
 */

/** In bytes. With less it is cheaper to leave it to the collector, which has little else to count then. */
const minReturned = 16 * 1024

/** Frees the memory of a chunk now, if it is the chunk's own. Whoever still refers to it would find it empty. */
export const giveBack = (chunk: Buffer): void => {
  const { buffer } = chunk
  const isOwn = buffer instanceof ArrayBuffer && buffer.byteLength === chunk.length
  if (chunk.length >= minReturned && isOwn) buffer.transfer(0)
}
