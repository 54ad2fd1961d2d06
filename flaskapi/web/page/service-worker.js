// Keeps the page itself on the device, so that it opens without a network; answers are never kept.

const CACHE = "flaskapi-page";
const PARTS = ["answer.js", "app.webmanifest", "ask.js", "german.js", "icon.svg", "key.js", "label.js", "later.js", "many.js", "page.js", "paper.js", "pictures.js", "style.css", "words.js"];
const HOME = new URL("../", location).href;
const SHELL = [HOME, ...PARTS.map((name) => new URL(name, location).href)];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && SHELL.includes(event.request.url)) event.respondWith(freshest(event.request));
});

/** What the service has now; where it cannot be reached, what it had last. */
async function freshest(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request);
    if (kept) return kept;
    throw error;
  }
}
