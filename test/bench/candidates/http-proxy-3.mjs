/** http-proxy-3 with a keep-alive agent and forwarded fields. Usage: `<port> <backend port>`. */
import { createProxyServer } from "http-proxy-3"
import * as Http from "node:http"

const [port, backendPort] = process.argv.slice(2).map(Number)

const proxy = createProxyServer({
  target: `http://127.0.0.1:${backendPort}`,
  agent: new Http.Agent({ keepAlive: true }),
  xfwd: true
})

Http.createServer({ keepAliveTimeout: 75_000 }, (request, response) => proxy.web(request, response))
  .listen({ port, host: "127.0.0.1", backlog: 4096 })
