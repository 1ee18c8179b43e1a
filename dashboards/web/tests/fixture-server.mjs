// A stand-in for the collector: serves dist/ and canned answers of the HTTP API v1 for one made-up site, under the strict
// page policy that the application promises to live with. Only for tests and for looking at pages; nothing here is data.
//
//   node tests/fixture-server.mjs [port]        FIXTURE=normal | empty | nodata | error
//
// Prints its address on the first line. Port 0 (the default) takes a free one.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { answers } from "./fixture-answers.mjs";

const DIST = join(dirname(fileURLToPath(import.meta.url)), "..", "dist");
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Starts the server; resolves to its address and a way to stop it. */
export function start(port = 0, mode = "normal") {
  const streams = new Set();
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://fixture");
    if (url.pathname === "/api/v1/events") return events(response, streams, mode);
    if (url.pathname.startsWith("/api/")) return api(url, response, mode);
    return file(url.pathname, response);
  });
  const timer = setInterval(() => {
    for (const stream of streams) stream.write(`event: sample\ndata: {"site":"shengzhou-demo","units":[]}\n\n`);
  }, 5000);
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => {
      const stop = () => {
        clearInterval(timer);
        for (const stream of streams) stream.end();
        server.close();
      };
      resolve({ address: `http://127.0.0.1:${server.address().port}`, stop });
    });
  });
}

function api(url, response, mode) {
  const { status, body, headers = {} } = answers(url, mode, Date.now());
  const bytes = Buffer.isBuffer(body);
  response.writeHead(status, { "content-type": bytes ? "application/octet-stream" : "application/json", ...headers });
  response.end(bytes ? body : JSON.stringify(body));
}

function events(response, streams, mode) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(`event: hello\ndata: {"now":"${new Date().toISOString()}","software":"fixture"}\n\n`);
  if (mode === "normal") {
    response.write(`event: progress\ndata: {"site":"shengzhou-demo","agent":"shengzhou-past","done":0.42}\n\n`);
  }
  streams.add(response);
  response.on("close", () => streams.delete(response));
}

async function file(path, response) {
  const name = path === "/" ? "index.html" : normalize(path).replace(/^([/\\.])+/, "");
  try {
    const bytes = await readFile(join(DIST, name));
    response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream", "content-security-policy": POLICY });
    response.end(bytes);
  } catch {
    response.writeHead(404, { "content-type": "text/plain" });
    response.end("not found; run npm run build first\n");
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { address } = await start(Number(process.argv[2] ?? 0), process.env.FIXTURE ?? "normal");
  console.log(address);
}
