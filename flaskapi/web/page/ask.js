// Asks the service. What goes wrong becomes a Problem, which words.js explains.

export class Problem extends Error {
  /** @param kind the problem's name, as `no-digit-found`, or `offline` */
  constructor(kind, detail = "", { id = "", wait = 0 } = {}) {
    super(detail || kind);
    Object.assign(this, { kind, detail, id, wait });
  }
}

const STORED = "flaskapi-key";
const KINDS = { 401: "unauthorized", 403: "forbidden", 404: "not-found", 413: "too-large", 429: "rate-limited", 503: "overloaded", 504: "overloaded" };
let asking = null, refused = 0; // one question for all; how often no key was given

/** Shows the question for a key; gives the key, or null. */
export const keys = { wanted: async () => null };
export const key = () => sessionStorage.getItem(STORED);
export const setKey = (value) => (value ? sessionStorage.setItem(STORED, value) : sessionStorage.removeItem(STORED));

/** Sends a request, asks for a key where one is needed, and gives the answer of a 2xx. */
export async function send(path, options = {}) {
  for (;;) {
    const used = key(), before = refused;
    const headers = { Accept: "application/json", ...options.headers };
    if (used) headers.Authorization = `Bearer ${used}`;
    let response;
    try {
      response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem("offline");
    }
    if (response.ok) return response;
    const problem = await explain(response);
    if (response.status !== 401) throw problem;
    if (key() !== used) continue; // another request has got one
    if (refused !== before) throw problem;
    if (used) setKey(null);
    asking ??= keys.wanted(Boolean(used)).finally(() => (asking = null));
    const given = await asking;
    if (!given) {
      refused++;
      throw problem;
    }
    setKey(given);
  }
}

/** The same, for JSON. */
export const ask = async (path, options) => {
  const response = await send(path, options);
  return response.status === 204 ? null : response.json();
};

/** Sends one picture to a route. */
export const askPicture = (path, query, picture, options = {}) => {
  const search = new URLSearchParams(query).toString();
  return ask(path + (search && `?${search}`), {
    method: "POST", body: picture, ...options,
    headers: { "Content-Type": "application/octet-stream" },
  });
};

async function explain(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // a proxy's page
  }
  const kind = (said.type || "").split("/").pop() || KINDS[response.status] || "internal-error";
  return new Problem(kind, said.detail, {
    id: said.request_id || response.headers.get("X-Request-ID") || "",
    wait: Number(response.headers.get("Retry-After")) || 0,
  });
}
