/**
 * Whom the soak can put to the test: Evenkeel as its users start it, and the balancers that the system has, configured
 * as one does: keep-alive to the backends, a second try where it can do no harm, health checks where they are free,
 * three seconds for an answer.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Command, folder, outputOf } from "../bench/Processes.ts"

export interface Candidate {
  /** What `--only` and the table call it. */
  readonly name: string
  /** Undefined when it is not installed on this machine. */
  readonly version: () => string | undefined
  /** Writes what the candidate needs, and says how it is started. It stays in the foreground, as one process. */
  readonly command: (port: number, backendPorts: ReadonlyArray<number>) => Command
}

const root = new URL("../../", import.meta.url)

const evenkeel = (flags: ReadonlyArray<string>): Candidate => ({
  name: "evenkeel",
  version: () => JSON.parse(readFileSync(new URL("package.json", root), "utf8")).version,
  command: (port, backendPorts) => ({
    file: process.execPath,
    args: [
      // Node.js 22 says of the types that it strips that this is an experiment.
      "--disable-warning=ExperimentalWarning",
      fileURLToPath(new URL("src/main.ts", root)),
      `--listen=127.0.0.1:${port}`,
      ...backendPorts.map((backendPort) => `--to=http://127.0.0.1:${backendPort}`),
      ...flags
    ]
  })
})

const lines = (ports: ReadonlyArray<number>, line: (port: number, index: number) => string): string =>
  ports.map(line).join("\n")

const nginx = (port: number, backendPorts: ReadonlyArray<number>): string => `
daemon off;
master_process off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_timeout 75s;
  keepalive_requests 1000000;
  client_body_temp_path ${folder}/nginx-body;
  proxy_temp_path ${folder}/nginx-proxy;
  fastcgi_temp_path ${folder}/nginx-fastcgi;
  uwsgi_temp_path ${folder}/nginx-uwsgi;
  scgi_temp_path ${folder}/nginx-scgi;
  upstream backend {
${lines(backendPorts, (backendPort) => `    server 127.0.0.1:${backendPort} fail_timeout=2s;`)}
    keepalive 64;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_connect_timeout 2s;
      proxy_read_timeout 3s;
    }
  }
}
`

const haproxy = (port: number, backendPorts: ReadonlyArray<number>): string => `
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  option forwardfor
  option http-keep-alive
  option redispatch 1
  retries 3
  timeout connect 2s
  timeout client 75s
  timeout server 3s
frontend front
  bind 127.0.0.1:${port} backlog 4096
  default_backend back
backend back
  balance roundrobin
  option httpchk GET /
  retry-on conn-failure empty-response
  http-request disable-l7-retry if METH_POST
${lines(backendPorts, (backendPort, i) => `  server s${i} 127.0.0.1:${backendPort} check`)}
`

const caddy = (port: number, backendPorts: ReadonlyArray<number>): string => `
{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://127.0.0.1:${port} {
  bind 127.0.0.1
  reverse_proxy ${backendPorts.map((backendPort) => `127.0.0.1:${backendPort}`).join(" ")} {
    lb_policy round_robin
    lb_try_duration 2s
    fail_duration 2s
    health_uri /
    health_interval 2s
    health_timeout 2s
    transport http {
      dial_timeout 2s
      response_header_timeout 3s
    }
  }
}
`

const server = (
  name: string,
  versionFlag: string,
  configuration: (port: number, backendPorts: ReadonlyArray<number>) => string,
  command: (file: string) => Command
): Candidate => ({
  name,
  version: () => /\d+(?:\.\d+)+/.exec(outputOf(name, versionFlag))?.[0],
  command: (port, backendPorts) => {
    const file = join(folder, `${name}.conf`)
    writeFileSync(file, configuration(port, backendPorts))
    return command(file)
  }
})

/** All of them, in the order of the table. The flags are for Evenkeel. */
export const candidates = (flags: ReadonlyArray<string>): ReadonlyArray<Candidate> => [
  evenkeel(flags),
  server("nginx", "-v", nginx, (file) => ({ file: "nginx", args: ["-c", file, "-e", "stderr"] })),
  server("haproxy", "-v", haproxy, (file) => ({ file: "haproxy", args: ["-db", "-f", file] })),
  server("caddy", "version", caddy, (file) => ({
    file: "caddy",
    args: ["run", "--adapter", "caddyfile", "--config", file]
  }))
]

/** The names, without the rest. */
export const names: ReadonlyArray<string> = candidates([]).map(({ name }) => name)
