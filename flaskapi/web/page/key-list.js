// Keys: who may do what. A key is shown once, as it is made.

import { $, copyButton, h } from "./answer.js";
import { ask } from "./ask.js";
import { day, moment, rate, readRate } from "./quantities.js";
import { below } from "./submission.js";
import { attempt, explain, isMeant } from "./trouble.js";
import { t } from "./words.js";

const SCOPES = { predict: "predict", label: "look and label", operate: "everything" };
let found = [], used = null, next = null;

/** Shows the part, anew; a key that was shown is not shown again. */
export const showKeys = () => {
  $("made").replaceChildren();
  return attempt(() => load("keys"), showKeys);
};

/** Loads a page of keys; the first takes the place of what was there. */
async function load(path) {
  const page = await ask(path);
  found = path === "keys" ? page.keys : [...found, ...page.keys];
  [used, next] = [page.used, below(page.next)];
  $("more-keys").hidden = !next;
  const names = ["Name", "May", "Made", "Last used", "Until", "At most", ""];
  $("key-list").replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, ...names.map((name) => (name ? h("th", { scope: "col" }, t(name)) : h("td"))))), h("tbody", {}, ...found.map(row))));
}

function row(one) {
  const isOver = one.revoked_at !== null || (one.expires_at !== null && new Date(one.expires_at) < new Date());
  const end = one.revoked_at ? t("revoked on {0}", day(one.revoked_at)) : one.expires_at ? day(one.expires_at) : "–";
  const revoking = one.revoked_at ? [] : [h("button", { type: "button", className: "small", "aria-label": t("Revoke the key {0}", one.name), onclick: () => revoke(one) }, t("Revoke"))];
  return h("tr", { className: isOver ? "over" : "" }, h("th", { scope: "row" }, one.name, ...(one.name === used ? [h("br"), h("span", { className: "quiet" }, t("used here"))] : [])),
    h("td", {}, one.scopes.map((scope) => t(SCOPES[scope] ?? scope)).join(", ")), h("td", {}, day(one.created_at)), h("td", {}, one.used_at ? moment(one.used_at) : t("never")),
    h("td", {}, end), h("td", {}, one.limit ? rate(one.limit) : "–"), h("td", {}, ...revoking));
}

async function revoke(one) {
  const words = one.name === used ? t("It is the key of this tab: you will need another.") : t("It opens nothing from then on, in every process.");
  if (!(await isMeant(t("Revoke the key {0}?", one.name), words, t("Revoke")))) return;
  if (await attempt(() => ask(`keys/${encodeURIComponent(one.name)}`, { method: "DELETE" }), showKeys)) showKeys();
}

$("make-key").elements.limit.placeholder = rate("60 per minute");
$("more-keys").addEventListener("click", () => attempt(() => load(next), showKeys));
$("make-key").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = new FormData(event.target), wish = { name: given.get("name").trim() }, scopes = given.getAll("scopes");
  for (const name of ["expires", "limit"]) if (given.get(name).trim()) wish[name] = given.get(name).trim();
  if (wish.limit) wish.limit = readRate(wish.limit);
  if (!scopes.length) {
    $("made").replaceChildren(h("p", {}, t("Choose what the key may do.")));
    return;
  }
  wish.scopes = scopes;
  $("made").replaceChildren();
  attempt(async () => {
    const made = await ask("keys", { method: "POST", body: JSON.stringify(wish), headers: { "Content-Type": "application/json" } }).catch((problem) => {
      if (problem.kind !== "invalid-request" && problem.kind !== "conflict") throw problem;
      $("made").replaceChildren(h("div", { className: "trouble", role: "alert" }, ...explain(problem))); // where it was asked for
    });
    if (!made) return;
    const { name, token } = made;
    event.target.reset();
    $("made").replaceChildren(h("div", { className: "note" }, h("p", {}, t("The key of {0}. It is not shown again.", name)), h("code", { id: "token", tabIndex: 0 }, token), copyButton(token)));
    await load("keys");
  }, undefined, event.submitter);
});
