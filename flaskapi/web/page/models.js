// Models: the versions side by side, which of them serves, and which answers in the shadow.

import { $, h } from "./answer.js";
import { ask } from "./ask.js";
import { many, moment } from "./quantities.js";
import { showRetrainings } from "./retraining.js";
import { below, makeTile } from "./submission.js";
import { attempt, fail, isMeant } from "./trouble.js";
import { openViewer } from "./viewer.js";
import { PERCENT, language, percent, t } from "./words.js";

const FILE = "MODEL_PATH", WATCH_MS = 500, WATCHES = 20;
const send = (path, method, body) => ask(path, { method, ...(body ? { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } } : {}) });
const PERCENT2 = new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 2 });
const nameOf = (one) => (one.name === FILE && one.version ? [FILE, h("br"), h("span", { className: "quiet" }, one.version)] : [one.name]);

let state = null, versions = [], next = null;
let changed = {}; // by version, what the retraining that made it changed

/** Shows the part, anew. */
export async function showModels() {
  showRetrainings(showModels);
  await attempt(load, showModels);
}

async function load() {
  const [page, { retrainings }] = await Promise.all([ask("models"), ask("retrainings?limit=100")]);
  changed = Object.fromEntries(retrainings.filter(({ version, figures }) => version && figures?.better !== undefined).map(({ version, figures }) => [version, figures]));
  versions = page.models;
  take(page);
  next = below(page.next);
  $("more-versions").hidden = !next;
  showVersions();
  await showShadow();
}

/** Takes what is said of the pointer, and shows what serves. */
function take(found) {
  state = { ...state, ...found };
  const { serving, rollback, processes = [] } = state;
  const behind = processes.filter(({ generation }) => generation !== serving.generation).length;
  $("serving").replaceChildren(h("b", {}, serving.version), ` · ${t("generation {0}", serving.generation)}`,
    ...(serving.since ? [` · ${t("since {0}, by {1}", moment(serving.since), serving.by ?? "?")}`] : []),
    h("br"), behind ? t("{0} of {1} processes serve it by now.", processes.length - behind, processes.length) : t("Every process serves it: {0}.", processes.length));
  $("rollback").hidden = !rollback;
  $("rollback").textContent = t("Go back to {0}", rollback ?? "");
}

/** Follows the processes until all serve what was said. */
async function follow() {
  for (let look = 0; look < WATCHES; look += 1) {
    const page = await ask("models?limit=1");
    take({ serving: page.serving, rollback: page.rollback, shadow: page.shadow, processes: page.processes });
    if (page.processes.every(({ generation }) => generation === page.serving.generation)) break;
    await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
  }
}

async function change(path, method, body) {
  const isDone = await attempt(async () => {
    await send(path, method, body);
    await follow();
  }, showModels);
  if (isDone) await attempt(load, showModels);
}

async function promote(one) {
  if (await isMeant(t("Let {0} serve?", one.name), t("It is loaded and answers first; then every process serves it within two seconds."), t("Let it serve"))) change("models/serving", "PUT", { version: one.name });
}

$("rollback").addEventListener("click", async () => {
  const { rollback, serving } = state;
  if (await isMeant(t("Go back to {0}?", rollback), t("{0} serves no more then. It stays registered.", serving.version), t("Go back"))) change("models/rollback", "POST", { generation: serving.generation });
});
$("more-versions").addEventListener("click", () => attempt(async () => {
  const page = await ask(next);
  versions.push(...page.models);
  next = below(page.next);
  $("more-versions").hidden = !next;
  showVersions();
}, showModels));

/** The figures of each version in a column of its own; what its card does not say stays empty. */
function showVersions() {
  const evaluated = [...new Set(versions.flatMap(({ figures }) => Object.keys(figures.evaluation ?? {})))];
  const right = ({ accuracy, uncertain }) => [PERCENT2.format(accuracy), h("br"), h("span", { className: "quiet" }, t("{0} uncertain", PERCENT.format(uncertain)))];
  const figure = (name) => ({ figures }) => {
    const found = figures.evaluation?.[name];
    return !found ? [] : "accuracy" in found ? right(found) : [t("{0} marked", PERCENT.format(found.rejected))];
  };
  const rows = [
    [t("State"), stateOf],
    [t("Registered"), ({ registered_at: at }) => (at ? [moment(at)] : [])],
    [t("Trained"), ({ figures }) => (figures.date ? [figures.date] : [])],
    [t("Network"), ({ figures }) => [figures.network ?? "", ...(figures.weights ? [h("br"), h("span", { className: "quiet" }, t("{0} weights", many(figures.weights)))] : [])]],
    [t("Hours of training"), ({ figures }) => (figures.hours === undefined ? [] : [figures.hours.toFixed(1)])],
    [t("Labels learned from"), ({ learned_from: learned }) => (learned === null ? [] : [many(learned)])],
    [t("Labelled pictures"), ({ name }) => (changed[name] ? [t("{0} better, {1} worse", many(changed[name].better), many(changed[name].worse))] : [])],
    [t("Right, of its test set"), ({ figures }) => (figures.accuracy?.test === undefined ? [] : [PERCENT2.format(figures.accuracy.test)])],
    ...evaluated.map((name) => [t(name.replaceAll("_", " ")), figure(name)]),
  ];
  const said = rows.map(([name, cell]) => [name, versions.map(cell)]).filter(([, cells]) => cells.some(({ length }) => length));
  $("versions").replaceChildren(h("table", { className: "columns" },
    h("thead", {}, h("tr", {}, h("td"), ...versions.map((one) => h("th", { scope: "col", className: one.serves ? "serves" : "" }, ...nameOf(one))))),
    h("tbody", {}, ...said.map(([name, cells]) => h("tr", {}, h("th", { scope: "row" }, name), ...cells.map((cell, place) => h("td", { className: versions[place].serves ? "serves" : "" }, ...cell)))))));
}

/** What a version does, and what can be done with it. */
function stateOf(one) {
  if (one.serves) return [h("b", {}, t("serves"))];
  if (one.broken) return [h("span", { className: "bad" }, t("broke while it served: {0}", one.broken))];
  if (one.unavailable) return [h("span", { className: "bad" }, one.unavailable)];
  if (one.name === FILE) return [h("span", { className: "quiet" }, t("can serve again: {0}", "models promote MODEL_PATH"))];
  const isShadow = state.shadow?.version === one.name;
  return [h("div", { className: "tools" },
    h("button", { type: "button", className: "small", onclick: () => promote(one) }, t("Let it serve")),
    isShadow ? t("in the shadow") : h("button", { type: "button", className: "small", onclick: () => change("models/shadow", "PUT", { version: one.name }) }, t("Shadow")))];
}

// --- the shadow ---

let answered = [], following = null, turn = 0;

async function showShadow() {
  const { shadow } = state, own = ++turn;
  $("shadow-end").hidden = !shadow;
  answered = [];
  $("disagreements").replaceChildren();
  $("more-disagreements").hidden = true;
  if (!shadow) {
    $("shadow").textContent = t("Nothing answers in the shadow. A version there answers beside what serves, unseen by callers.");
    return;
  }
  const { total } = await ask("statistics"), found = total.shadows[shadow.version];
  if (own !== turn) return;
  $("shadow").replaceChildren(h("b", {}, shadow.version), " ", t("answers {0} of the digits beside what serves.", PERCENT.format(shadow.share)), " ",
    found ? t("In 30 days it answered {0}, and {1} otherwise.", many(found.answers), many(found.disagreements)) : t("It has answered nothing yet."));
  await showDisagreements(`models/${shadow.version}/disagreements`);
}

/** What the shadow answered otherwise: the one that serves, then the shadow. */
async function showDisagreements(path) {
  const own = turn, page = await ask(path);
  if (own !== turn) return;
  following = below(page.next);
  $("more-disagreements").hidden = !following;
  for (const one of page.submissions) {
    const place = answered.push(one) - 1;
    one.tile = makeTile(one, percent, () => openViewer(answered, place, { hasMore: () => Boolean(following), load: () => showDisagreements(following) }));
    $("disagreements").append(one.tile);
  }
}
$("more-disagreements").addEventListener("click", () => showDisagreements(following).catch((problem) => fail(problem, showModels)));
$("shadow-end").addEventListener("click", () => change("models/shadow", "DELETE"));
