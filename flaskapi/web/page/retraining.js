// Retrainings: ask for one, watch it, and see what each changed.

import { $, h } from "./answer.js";
import { ask } from "./ask.js";
import { duration, many, moment } from "./quantities.js";
import { below } from "./submission.js";
import { attempt, fail } from "./trouble.js";
import { t } from "./words.js";

const WATCH_MS = 3000;
const STATES = { requested: "requested", running: "running", promoted: "promoted", stayed: "not promoted", withdrawn: "withdrawn", failed: "failed" };
let next = null, watching = 0, again = null;

/**
 * Shows them, the newest first, and follows those that are not over.
 * @param retry shows the whole part anew
 */
export async function showRetrainings(retry = again) {
  again = retry;
  clearTimeout(watching);
  try {
    const page = await ask("retrainings");
    next = below(page.next);
    $("more-retrainings").hidden = !next;
    $("retrainings").replaceChildren(...(page.retrainings.length ? page.retrainings.map(makeEntry) : [h("p", { className: "quiet" }, t("None was asked for yet."))]));
    watch();
  } catch (problem) {
    if (problem.kind !== "forbidden" && problem.kind !== "unauthorized") fail(problem, again); // which the versions say
  }
}

const isOver = ({ state }) => state !== "requested" && state !== "running";

function makeEntry(one) {
  const head = h("summary"), body = h("div", { className: "parts" });
  const entry = h("details", { className: "retraining", ontoggle: () => entry.open && showDetail(entry) }, head, body);
  Object.assign(entry, { one, head, body });
  tell(entry);
  return entry;
}

function tell({ one, head }) {
  const left = one.seconds_left === null ? "" : ` ${t("about {0} left", duration(one.seconds_left))}`;
  const bar = h("progress", { max: 1, value: one.progress, "aria-label": t("Progress") });
  head.replaceChildren(h("b", { className: one.state === "failed" ? "bad" : "" }, t(STATES[one.state] ?? one.state)), ` · ${moment(one.requested_at)}`,
    ...(one.requested_by ? [` · ${one.requested_by}`] : []), ...(one.state === "running" ? [" ", bar, left] : []), h("br"), h("span", {}, ...outcome(one)));
}

/** What came out, in a sentence. */
function outcome({ state, figures, version }) {
  if (state === "requested") return [t("No worker has taken it yet. One runs by:"), h("code", { className: "inline" }, ".venv/bin/python -m flaskapi retrain --watch")];
  if (!figures) return [];
  const told = [];
  if (state === "stayed" && figures.wanted) told.push(t("About {0} more labels of this kind would probably do.", many(figures.wanted)));
  if (figures.better !== undefined) told.push(t("Of {0} labelled pictures {1} are answered better, {2} worse.", many(figures.learned), many(figures.better), many(figures.worse)));
  if (figures.mnist_wrong) told.push(t("Of MNIST's test set {0} wrong, before {1}.", many(figures.mnist_wrong[1]), many(figures.mnist_wrong[0])));
  return [...(version ? [h("b", {}, version), " "] : []), told.join(" ") || (figures.reasons ?? []).join(" ")];
}

async function showDetail(entry) {
  try {
    const one = await ask(`retrainings/${entry.one.id}`);
    entry.one = one;
    tell(entry);
    const { figures, log, options } = one;
    const used = figures ? [t("Learned from {0} labelled pictures; {1} were suspicious.", many(figures.learned), many(figures.suspicious))] : [];
    const asked = [options.since ? t("Labels since {0}.", options.since) : "", options.promote === false ? t("It was not to serve.") : ""].filter(Boolean);
    const why = one.state === "stayed" ? figures?.reasons ?? [] : [];
    const withdraw = h("button", { type: "button", textContent: t("Withdraw it"), onclick: () => attempt(async () => {
      await ask(`retrainings/${one.id}`, { method: "DELETE" });
      await showDetail(entry);
    }, undefined, withdraw) });
    entry.body.replaceChildren(...(isOver(one) ? [] : [withdraw]), ...why.map((reason) => h("p", { lang: "en" }, reason)), ...[...asked, ...used].map((line) => h("p", {}, line)),
      log ? h("pre", { className: "log", tabIndex: 0, lang: "en", "aria-label": t("Log and report"), role: "region" }, log) : h("p", { className: "quiet" }, t("The log is empty.")));
  } catch (problem) {
    fail(problem, () => showDetail(entry));
  }
}

/** Looks again at those that are not over, while they are shown. */
function watch() {
  clearTimeout(watching);
  const entries = [...$("retrainings").querySelectorAll("details")].filter(({ one }) => !isOver(one)).slice(0, 5);
  if (!entries.length) return;
  watching = setTimeout(async () => {
    if ($("models").hidden) return;
    for (const entry of entries) {
      try {
        const one = await ask(`retrainings/${entry.one.id}`);
        entry.one = one;
        if (entry.open) await showDetail(entry);
        else tell(entry);
      } catch {
        // The next look may be better.
      }
    }
    watch();
  }, WATCH_MS);
}

$("more-retrainings").addEventListener("click", () => attempt(async () => {
  const page = await ask(next);
  next = below(page.next);
  $("more-retrainings").hidden = !next;
  $("retrainings").append(...page.retrainings.map(makeEntry));
}, again));

$("retrain").addEventListener("submit", (event) => {
  event.preventDefault();
  const { since, promote } = event.target.elements;
  const wish = { ...(since.value ? { since: since.value } : {}), ...(promote.checked ? {} : { promote: false }) };
  attempt(async () => {
    await ask("retrainings", { method: "POST", body: JSON.stringify(wish), headers: { "Content-Type": "application/json" } });
    $("retrain-said").textContent = t("It is asked for.");
    await showRetrainings();
  }, undefined, event.submitter);
});
