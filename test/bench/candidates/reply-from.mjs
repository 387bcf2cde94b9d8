/** @fastify/reply-from on undici, with bodies as streams and no log. Usage: `<port> <backend port>`. */
import replyFrom from "@fastify/reply-from"
import Fastify from "fastify"

const [port, backendPort] = process.argv.slice(2).map(Number)

const app = Fastify({ logger: false, keepAliveTimeout: 75_000 })
app.removeAllContentTypeParsers()
app.addContentTypeParser("*", (_request, payload, done) => done(null, payload))
app.register(replyFrom, { base: `http://127.0.0.1:${backendPort}` })
app.all("/*", (request, reply) => reply.from(request.url))
await app.listen({ port, host: "127.0.0.1", backlog: 4096 })
