// The operators' page: label what the model was not sure of, and look at what was sent.

import { $, h } from "./answer.js";
import { Problem, ask, send } from "./ask.js";
import { askForKeys } from "./key.js";
import { PERCENT, percent, saysMore, t, translate, trouble } from "./words.js";

const AHEAD = 8; // pictures that are loaded before they are shown
const TOGETHER = 50, PAUSE_MS = 400; // labels in one request, and how long they wait for others

translate(document.body);
askForKeys();

/** Says what went wrong; where it may go by itself, it is tried again. */
function fail(problem, again) {
  if (!(problem instanceof Problem)) console.error(problem);
  const more = saysMore(problem.kind) ? problem.message : "";
  $("trouble").hidden = false;
  $("trouble").replaceChildren(h("p", {}, trouble(problem)), ...(more ? [h("p", { className: "quiet", lang: "en" }, more)] : []),
    ...(again ? [h("button", { type: "button", onclick: () => { $("trouble").hidden = true; again(); } }, t("Try again"))] : []));
}

/** A picture that only bearers of a key may see, as an address of this tab. */
const fetchPicture = async (path) => URL.createObjectURL(await (await send(path)).blob());
const isNumber = (one) => "number" in one;
const answerOf = (one) => String(isNumber(one) ? one.number : one.digit);
const pathOf = (address) => address.replace(/^.*?\/submissions/, "submissions"); // wherever the service is mounted

// --- labelling ---

let coming = [], current = null, next = "submissions?order=uncertain&limit=50", loading = null;
const past = []; // what was shown, with what was said of it
let unsent = [], sending = null, counts = { labelled: 0, uncertain: 0 }, saved = 0;

/** Loads pictures ahead, so that nobody waits for one. */
function loadAhead() {
  for (const one of coming.slice(0, AHEAD)) {
    one.shown ??= Promise.all([
      fetchPicture(pathOf(one.image)),
      one.normalized ? fetchPicture(pathOf(one.normalized)) : null,
      isNumber(one) ? ask(pathOf(one.image).replace(/\/image$/, "")) : null,
    ]).then(([image, seen, detail]) => ({ image, seen, digits: detail?.digits ?? [] }));
    one.shown.catch(() => (one.shown = null)); // asked again when it is its turn
  }
  if (coming.length < AHEAD && next && !loading) {
    loading = ask(next).then((page) => {
      coming.push(...page.submissions);
      next = page.next && pathOf(page.next);
      loading = null;
      if (current) loadAhead();
      else advance();
    }).catch((problem) => {
      loading = null;
      fail(problem, loadAhead);
    });
  }
}

async function advance() {
  current = coming.shift() ?? null;
  loadAhead();
  if (current) await show(current);
  else if (!next && !loading) showEnd();
}

async function show(one) {
  const number = isNumber(one);
  coming.unshift(one);
  loadAhead(); // it may be one that was gone back to
  coming.shift();
  $("read").textContent = answerOf(one);
  $("read").classList.toggle("long", answerOf(one).length > 3);
  $("about").textContent = t("confidence {0}", percent(one.confidence));
  $("digits").hidden = number;
  $("number-form").hidden = !number;
  $("number").value = "";
  $("back").disabled = !past.length;
  for (const name of ["agree", "none", "skip"]) $(name).disabled = false;
  $("boxes").replaceChildren();
  let shown;
  try {
    shown = await one.shown;
  } catch (problem) {
    return one === current && fail(problem, () => show(one));
  }
  if (one !== current) return;
  $("unshown").textContent = "";
  $("picture").onload = () => one === current && showBoxes(shown.digits);
  $("picture").onerror = () => { $("picture").hidden = true; $("unshown").textContent = t("{0} cannot be shown by this browser.", one.id); };
  $("picture").hidden = false;
  $("picture").alt = t("A picture that was read as {0}", answerOf(one));
  $("picture").src = shown.image;
  $("seen").hidden = !shown.seen;
  $("seen").alt = t("The digit as the network saw it, 28 by 28 pixels");
  if (shown.seen) $("seen").src = shown.seen;
  tellProgress();
}

function showBoxes(digits) {
  const { naturalWidth: width, naturalHeight: height } = $("picture");
  $("sheet").style.setProperty("--ratio", width / height);
  $("boxes").replaceChildren(...digits.map(({ box, uncertain }) => {
    const element = h("div", { className: `box ${uncertain ? "unsure" : "sure"}` });
    const place = { left: box.x / width, top: box.y / height, width: box.width / width, height: box.height / height };
    for (const [side, share] of Object.entries(place)) element.style[side] = `${100 * share}%`;
    return element;
  }));
}

function showEnd() {
  $("picture").hidden = $("seen").hidden = $("number-form").hidden = true;
  $("boxes").replaceChildren();
  $("read").textContent = "";
  $("about").textContent = t("Nothing uncertain is left without a label.");
  $("unshown").textContent = "";
  $("back").disabled = !past.length;
  for (const name of ["agree", "none", "skip"]) $(name).disabled = true;
  tellProgress();
}

/** Says what the current picture shows, null for none, and goes on. It is sent with those that follow soon. */
function say(value) {
  if (!current) return;
  const one = current;
  unsent.push({ id: one.id, [isNumber(one) ? "number" : "digit"]: value });
  past.push({ one, said: true });
  counts.uncertain -= 1;
  $("last").textContent = t("{0}: {1}", answerOf(one), value ?? t("none"));
  setTimeout(flush, PAUSE_MS);
  forgetOld();
  advance();
}

function skip() {
  if (!current) return;
  past.push({ one: current, said: false });
  advance();
}

function back() {
  const last = past.pop();
  if (!last) return;
  if (last.said) {
    const waiting = unsent.findIndex(({ id }) => id === last.one.id);
    if (waiting >= 0) unsent.splice(waiting, 1);
    else unsent.push({ id: last.one.id, withdraw: true });
    counts.uncertain += 1;
    setTimeout(flush, PAUSE_MS);
  }
  if (current) coming.unshift(current);
  current = last.one;
  $("last").textContent = "";
  show(current);
}

/** Pictures that were shown long ago are loaded again where somebody goes back to them. */
function forgetOld() {
  const old = past.at(-30)?.one;
  old?.shown?.then(({ image, seen }) => [image, seen].forEach((url) => url && URL.revokeObjectURL(url)), () => {});
  if (old) old.shown = null;
}

/** Sends the labels that wait, one request after the other; what could not be sent waits on. */
async function flush() {
  if (sending || !unsent.length) return;
  const together = unsent.splice(0, TOGETHER);
  sending = ask("labels", { method: "POST", body: JSON.stringify({ labels: together }), headers: { "Content-Type": "application/json" } });
  try {
    const { results, succeeded } = await sending;
    saved += succeeded;
    counts.labelled += together.reduce((sum, label) => sum + ("digit" in label ? 1 : label.withdraw ? -1 : 0), 0);
    const wrong = results.find(({ error }) => error);
    if (wrong) fail(new Problem(wrong.error.type.split("/").pop(), wrong.error.detail));
    sending = null;
    tellProgress();
    if (unsent.length) flush();
  } catch (problem) {
    sending = null;
    unsent.unshift(...together);
    fail(problem, flush);
    tellProgress();
  }
}

function tellProgress() {
  const waits = unsent.length + (sending ? 1 : 0);
  $("progress").textContent = [
    t("Labelled digits: {0}. Uncertain and not labelled: {1}", counts.labelled, Math.max(0, counts.uncertain)),
    waits ? t("Labels that wait: {0}", unsent.length) : t("Labels kept: {0}", saved),
  ].join(" · ");
}

$("digits").append(...Array.from({ length: 10 }, (_, digit) => h("button", { type: "button", className: "key", onclick: () => say(digit) }, `${digit}`)));
const agree = () => current && say(isNumber(current) ? current.number : current.digit);
$("agree").addEventListener("click", agree);
$("none").addEventListener("click", () => say(null));
$("skip").addEventListener("click", skip);
$("back").addEventListener("click", back);
$("number-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const value = $("number").value.replace(/\s/g, "");
  if (/^\d+$/.test(value)) say(value);
  else $("last").textContent = t("Only digits, please");
});
addEventListener("keydown", (event) => {
  if ($("label").hidden || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("dialog, select, a")) return;
  const typing = event.target === $("number") && $("number").value !== "";
  if (/^\d$/.test(event.key)) {
    if (!current || event.target === $("number")) return;
    if (!isNumber(current)) say(Number(event.key));
    else {
      $("number").focus();
      return; // the number begins with it
    }
  } else if (event.key === " " && !typing && !event.target.closest("button")) agree();
  else if (event.key === "x") say(null);
  else if (event.key === "s") skip();
  else if (event.key === "Backspace" && !typing) back();
  else return;
  event.preventDefault();
});
$("ways").addEventListener("click", (event) => event.detail && document.activeElement.blur()); // the next key is not for that button
addEventListener("beforeunload", (event) => { if (unsent.length || sending) event.preventDefault(); });

// --- looking ---

let more = null, looked = 0;
const digits = Array.from({ length: 10 }, (_, digit) => `${digit}`);
for (const name of ["digit", "label"]) {
  $("filters").elements[name].append(...digits.map((digit) => h("option", { value: digit }, digit)));
}

/** Shows what the filters let through, the newest first. */
async function look() {
  const query = new URLSearchParams([...new FormData($("filters"))].filter(([, value]) => value));
  query.set("limit", "60");
  $("gallery").replaceChildren();
  await lookAt(`submissions?${query}`, ++looked);
}

async function lookAt(path, turn) {
  try {
    const page = await ask(path);
    if (turn !== looked) return;
    more = page.next && pathOf(page.next);
    $("more").hidden = !more;
    $("gallery").append(...page.submissions.map(card));
    const many = $("gallery").children.length;
    $("found").textContent = many ? t("Pictures: {0}", more ? `${many}+` : many) : t("There is no such picture.");
  } catch (problem) {
    fail(problem, look);
  }
}

function card(one) {
  const answer = answerOf(one), image = h("img", { alt: t("A picture that was read as {0}", answer), className: one.normalized ? "" : "whole" });
  fetchPicture(pathOf(one.normalized ?? one.image)).then((url) => {
    image.onload = image.onerror = () => URL.revokeObjectURL(url);
    image.src = url;
  }, () => {});
  const wrong = one.label !== null && one.label !== answer;
  const caption = one.label === null ? answer : wrong ? `${answer} → ${one.label}` : `${answer} ✓`;
  return h("figure", { className: wrong ? "wrong" : "", title: one.received_at }, image, h("figcaption", {}, caption, h("br"), percent(one.confidence)));
}

/** What the last 30 days came to. */
async function showFigures() {
  let found;
  try {
    found = await ask("statistics");
  } catch (problem) {
    if (problem.kind === "forbidden") return; // a key that may label alone
    return fail(problem, showFigures);
  }
  for (const old of document.querySelectorAll("#figures figure")) old.remove();
  const { labelled } = found.total;
  $("matrix").hidden = !labelled;
  if (labelled) showMatrix(labelled.confusion);
  $("figures").append(...(found.days.length ? [chartOfDays(found.days)] : []), ...(labelled?.digits ? [chartOfCalibration(labelled)] : []));
}

/** How often each label was answered how; each cell opens its pictures. */
function showMatrix(confusion) {
  const open = (label, digit) => {
    const { elements } = $("filters");
    [elements.label.value, elements.digit.value, elements.uncertain.value, elements.disagreement.value] = [label, digit, "", ""];
    look();
    $("look-title").scrollIntoView({ behavior: "smooth" });
  };
  const head = h("tr", {}, h("th", { scope: "col" }, "↓→"), ...digits.map((digit) => h("th", { scope: "col" }, digit)));
  const rows = digits.map((label) => h("tr", {}, h("th", { scope: "row" }, label), ...digits.map((digit) => {
    const many = confusion[label][digit];
    return h("td", {}, many ? h("button", { type: "button", className: label === digit ? "" : "wrong", "aria-label": t("{0} labelled {1} and answered {2}", many, label, digit), onclick: () => open(label, digit) }, `${many}`) : "·");
  })));
  $("matrix").replaceChildren(h("table", {}, h("caption", {}, t("Label (down) against answer (across); each cell opens its pictures")), h("thead", {}, head), h("tbody", {}, ...rows)));
}

const svg = (name, given, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(given)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
const chart = (words, height, ...parts) =>
  h("figure", {}, h("figcaption", {}, words), svg("svg", { viewBox: `0 0 320 ${height}`, role: "img", "aria-label": words }, ...parts));

/** How many were answered on each day, and how many of these were uncertain. */
function chartOfDays(days) {
  const counts = days.map(({ day, models }) => {
    const all = Object.values(models);
    return { day, answers: all.reduce((sum, { answers }) => sum + answers, 0), doubt: all.reduce((sum, { answers, uncertain }) => sum + answers * (uncertain ?? 0), 0) };
  });
  const most = Math.max(...counts.map(({ answers }) => answers)), step = 280 / Math.max(counts.length, 7);
  const bars = counts.flatMap(({ day, answers, doubt }, index) => {
    const bar = (many, name) => svg("rect", { class: name, x: 36 + index * step, width: step * 0.8, y: 120 - (110 * many) / most, height: (110 * many) / most, rx: 1 });
    const both = svg("g", {}, svg("title", {}, t("{0}: {1} answers, {2} uncertain", day, answers, Math.round(doubt))), bar(answers, "day"), bar(doubt, "doubt"));
    return [both];
  });
  return chart(t("Answers by day, and the uncertain ones among them"), 140,
    svg("path", { class: "axis", d: "M36 120H316" }), svg("text", { x: 30, y: 16, "text-anchor": "end" }, most),
    svg("text", { x: 36, y: 136 }, counts[0].day), svg("text", { x: 316, y: 136, "text-anchor": "end" }, counts.length > 1 ? counts.at(-1).day : ""), ...bars);
}

/** What came out right, against what was said to be; on the line both are the same. */
function chartOfCalibration({ calibration, digits: many, accuracy }) {
  const at = (share) => 36 + 250 * share, up = (share) => 260 - 250 * share;
  const points = calibration.filter(({ answers }) => answers).map(({ answers, confidence, accuracy: right }) =>
    svg("circle", { class: "point", cx: at(confidence), cy: up(right), r: Math.min(10, 3 + Math.log10(answers) * 2) },
      svg("title", {}, t("{0} answers: confidence {1}, right {2}", answers, percent(confidence), PERCENT.format(right)))));
  return chart(t("How often right (up), for how sure (across): {0} of {1} labelled", PERCENT.format(accuracy), many), 280,
    svg("path", { class: "axis", fill: "none", d: `M${at(0)} ${up(1)}V${up(0)}H${at(1)}M${at(0)} ${up(0)}L${at(1)} ${up(1)}` }),
    svg("text", { x: 30, y: 18, "text-anchor": "end" }, "1"), svg("text", { x: 30, y: 262, "text-anchor": "end" }, "0"), svg("text", { x: 286, y: 276, "text-anchor": "end" }, "1"), ...points);
}

$("filters").addEventListener("change", look);
$("more").addEventListener("click", () => more && lookAt(more, looked));

// --- which part is shown ---

let begun = false;
async function turn() {
  const looking = location.hash === "#look";
  $("label").hidden = $("ways").hidden = looking;
  $("look").hidden = !looking;
  for (const link of document.querySelectorAll("nav a")) {
    if ((link.hash === "#look") === looking) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (looking) {
    look();
    return showFigures();
  }
  if (begun) return;
  begun = true;
  try {
    counts = await ask("labels");
    advance();
  } catch (problem) {
    begun = false;
    fail(problem, turn);
  }
}
addEventListener("hashchange", turn);
turn();
document.documentElement.dataset.ready = "";
