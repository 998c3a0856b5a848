// One file for all three kinds of worker: it fetches what it is told to.
const get = async ({ url, options }) => {
  try {
    const answer = await fetch(url, options);
    return answer.status + " " + await answer.text();
  } catch (error) {
    return "failed: " + error;
  }
};
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
self.onmessage = async event => (event.ports[0] || self).postMessage(await get(event.data));
self.onconnect = event => {
  const port = event.ports[0];
  port.onmessage = async event => port.postMessage(await get(event.data));
};
