self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", event => {
  if (new URL(event.request.url).pathname.endsWith("/from-the-worker")) {
    event.respondWith(new Response("the worker's"));
  }
});
