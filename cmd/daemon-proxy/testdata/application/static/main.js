import { value } from "/static/deep.js";

const checks = {
  module: async () => value,
  classic: async () => window.classic,
  style: async () => getComputedStyle(document.querySelector("#styled")).color,
  image: async () => document.querySelector("#image").decode().then(() => "decoded"),
  session: async () => (await fetch("/api/session")).json(),
  change: async () => (await fetch("/api/things/7", { method: "PUT", body: JSON.stringify({ name: "ü" }) })).text(),
  scriptCookie: async () => {
    document.cookie = "made-by-a-script=yes; path=/";
    return (await (await fetch("/api/session")).json()).script;
  },
  events: () => new Promise((resolve, reject) => {
    const source = new EventSource("/events");
    const got = [];
    source.onerror = () => reject(new Error("after " + got));
    source.onmessage = event => {
      if (got.push(event.data) === 3) {
        source.close();
        resolve(got.join());
      }
    };
  }),
  socket: () => new Promise((resolve, reject) => {
    const socket = new WebSocket("ws://" + location.host + "/socket", ["other", "echo.v1"]);
    const got = [];
    socket.onopen = () => socket.send("hello");
    socket.onerror = () => reject(new Error("no socket"));
    socket.onmessage = event => {
      if (got.push(event.data.length > 9 ? event.data.length : event.data) === 2) {
        socket.send("bye");
      } else {
        socket.send("x".repeat(1 << 20));
      }
    };
    socket.onclose = event => resolve([socket.protocol, ...got, event.code, event.reason].join());
  }),
  worker: () => new Promise((resolve, reject) => {
    const worker = new Worker("/static/worker.js");
    worker.onerror = () => reject(new Error("no worker"));
    worker.onmessage = event => resolve(event.data);
    worker.postMessage("this");
  }),
  range: async () => {
    const answer = await fetch("/download", { headers: { Range: "bytes=1000-1015", "If-Range": '"one"' } });
    return [answer.status, answer.headers.get("Content-Range"), await answer.text()].join();
  },
  download: async () => (await (await fetch("/download")).arrayBuffer()).byteLength,
  serviceWorker: async () => {
    if (!navigator.serviceWorker) return "none here";
    const claimed = new Promise(resolve => navigator.serviceWorker.addEventListener("controllerchange", resolve));
    await navigator.serviceWorker.register(new URL("../sw.js", document.baseURI));
    await claimed;
    return (await fetch(new URL("../from-the-worker", document.baseURI))).text();
  },
};

const results = {};
for (const [name, check] of Object.entries(checks)) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("too late")), 15000));
  results[name] = await Promise.race([check(), late]).catch(error => "failed: " + error);
}
window.results = results;
