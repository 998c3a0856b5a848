// attack(targets, kinds, quiet) tries each target [method, url, body] in each
// way that a page has to send a request, and returns [way, method, url, what
// it got]. Quiet pages send no Referer.
window.attack = async (targets, only, quiet) => {
  const own = new URL(".", location.href).href;
  if (quiet) {
    document.head.append(Object.assign(document.createElement("meta"), { name: "referrer", content: "no-referrer" }));
  }
  const common = quiet ? { referrerPolicy: "no-referrer" } : {};
  const text = async answer => answer.status + " " + await answer.text();
  const inFrame = (prepare, result) => new Promise((resolve, reject) => {
    const frame = document.createElement("iframe");
    frame.name = "frame" + Math.random();
    prepare(frame);
    frame.onload = () => {
      if (frame.contentWindow && frame.src !== "about:blank") {
        try {
          const seen = frame.contentDocument;
          if (seen === null) throw new Error("another origin");
          if (seen.URL !== "about:blank") resolve("frame " + seen.documentElement.outerHTML);
        } catch (error) {
          reject(error);
        }
      }
    };
    document.body.append(frame);
    if (result) result(frame);
  });
  const element = (name, attributes) => new Promise((resolve, reject) => {
    const made = Object.assign(document.createElement(name), attributes);
    made.onload = () => resolve("loaded " + name);
    made.onerror = () => reject(new Error("not loaded"));
    document.body.append(made);
  });
  const asked = (port, start) => new Promise((resolve, reject) => {
    port.onerror = () => reject(new Error("no worker"));
    const channel = new MessageChannel();
    channel.port1.onmessage = event => resolve(event.data);
    port.onmessage = event => resolve(event.data);
    start(channel.port2);
  });
  const as = (url, what) => url + (url.includes("?") ? "&" : "?") + "as=" + what;
  const json = { "Content-Type": "application/json" };
  const options = (method, body, more) => ({ method, ...(body ? { body, headers: json } : {}), ...common, ...more });
  const source = `onmessage = async event => {
    const { url, options } = event.data;
    try {
      const answer = await fetch(url, options);
      postMessage(answer.status + " " + await answer.text());
    } catch (error) {
      postMessage("failed: " + error);
    }
  };`;
  const plain = method => method === "GET" || method === "POST";
  const reads = method => method === "GET";
  // way: [which methods it can, how]
  const ways = {
    fetch: [() => true, async (m, u, b) => text(await fetch(u, options(m, b)))],
    guess: [() => true, async (m, u, b) => text(await fetch(u, options(m, b, { headers: { ...json, "X-API-Key": "guess", "X-Allow-Daemon-Port": "true" } })))],
    noCors: [plain, async (m, u, b) => text(await fetch(u, { method: m, mode: "no-cors", credentials: "include", ...(b ? { body: b } : {}), ...common }))],
    xhr: [() => true, (m, u, b) => new Promise((resolve, reject) => {
      const x = new XMLHttpRequest();
      x.open(m, u);
      if (b) x.setRequestHeader("Content-Type", "application/json");
      x.onload = () => resolve(x.status + " " + x.responseText);
      x.onerror = () => reject(new Error("xhr"));
      x.send(b);
    })],
    beacon: [m => m === "POST", async (m, u, b) => String(navigator.sendBeacon(u, b))],
    form: [plain, (m, u, b) => inFrame(() => {}, frame => {
      const form = Object.assign(document.createElement("form"), { method: m, action: u, target: frame.name, enctype: "text/plain" });
      form.append(Object.assign(document.createElement("input"), { name: b || "x", value: "" }));
      document.body.append(form);
      form.submit();
    })],
    image: [reads, (m, u) => element("img", { src: as(u, "image") })],
    script: [reads, (m, u) => element("script", { src: as(u, "script") })],
    style: [reads, (m, u) => element("link", { rel: "stylesheet", href: u })],
    iframe: [reads, (m, u) => inFrame(frame => { frame.src = u; })],
    sandboxed: [plain, (m, u, b) => new Promise((resolve, reject) => {
      const frame = document.createElement("iframe");
      frame.sandbox = "allow-scripts";
      const told = JSON.stringify([u, options(m, b)]).replaceAll("<", "\\u003c");
      frame.srcdoc = `<script>fetch(...${told}).then(async a => parent.postMessage([${JSON.stringify(u)}, ${JSON.stringify(m)}, a.status + " " + await a.text()], "*"),
        error => parent.postMessage([${JSON.stringify(u)}, ${JSON.stringify(m)}, "failed: " + error], "*"))</` + "script>";
      addEventListener("message", event => { if (event.data[0] === u && event.data[1] === m) resolve(event.data[2]); });
      document.body.append(frame);
    })],
    blobWorker: [() => true, (m, u, b) => {
      const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
      return asked(worker, () => worker.postMessage({ url: u, options: options(m, b) }));
    }],
    worker: [() => true, (m, u, b) => {
      const worker = new Worker(own + "worker.js");
      return asked(worker, () => worker.postMessage({ url: u, options: options(m, b) }));
    }],
    sharedWorker: [() => true, (m, u, b) => {
      const { port } = new SharedWorker(own + "worker.js", Math.random());
      return asked(port, () => port.postMessage({ url: u, options: options(m, b) }));
    }],
    serviceWorker: [() => true, async (m, u, b) => {
      const active = (await navigator.serviceWorker.ready).active;
      return asked({}, reply => active.postMessage({ url: u, options: options(m, b) }, [reply]));
    }],
    takeover: [reads, async (m, u) => "registered " + (await navigator.serviceWorker.register(as(u, "script"), { scope: u })).scope],
    events: [reads, (m, u) => new Promise((resolve, reject) => {
      const events = new EventSource(u);
      events.onmessage = event => { events.close(); resolve("event " + event.data); };
      events.onerror = () => { events.close(); reject(new Error("no events")); };
    })],
    socket: [reads, (m, u) => new Promise((resolve, reject) => {
      const socket = new WebSocket(u.replace(/^http/, "ws"));
      socket.onmessage = event => resolve("message " + event.data);
      socket.onerror = () => reject(new Error("no socket"));
    })],
  };
  if (only.includes("serviceWorker")) await navigator.serviceWorker.register(own + "worker.js");
  const tries = [];
  for (const [method, url, body] of targets) {
    for (const way of only) {
      const [can, how] = ways[way];
      if (!can(method)) continue;
      const target = url.replace("{way}", way);
      const late = new Promise((_, reject) => setTimeout(() => reject(new Error("too late")), 10000));
      const got = Promise.race([(async () => how(method, target, body))(), late]);
      tries.push(got.catch(error => "failed: " + error).then(got => [way, method, target, String(got)]));
    }
  }
  return Promise.all(tries);
};
