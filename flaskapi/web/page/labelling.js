// Label: one picture after the other, the least sure first.

import { $, h } from "./answer.js";
import { Problem, ask } from "./ask.js";
import { answerOf, below, fetchPictures, forget, isNumber, picturedAs, showBoxes } from "./submission.js";
import { fail } from "./trouble.js";
import { percent, t } from "./words.js";

const AHEAD = 8; // pictures that are loaded before they are shown
const TOGETHER = 50, PAUSE_MS = 400; // labels in one request, and how long they wait for others

let coming = [], current = null, next = "submissions?order=uncertain&limit=50", loading = null;
const past = []; // what was shown, with what was said of it
let unsent = []; // labels that wait: what is sent, and of what
let sending = null, counts = { labelled: 0, uncertain: 0 }, saved = 0;

/** Loads pictures ahead, so that nobody waits for one. */
function loadAhead() {
  for (const one of coming.slice(0, AHEAD)) {
    one.shown ??= fetchPictures(one);
    one.shown.catch(() => (one.shown = null)); // asked again when it is its turn
  }
  if (coming.length < AHEAD && next && !loading) {
    loading = ask(next).then((page) => {
      coming.push(...page.submissions);
      next = below(page.next);
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
  enable(true);
  $("boxes").replaceChildren();
  let shown;
  try {
    shown = await one.shown;
  } catch (problem) {
    return one === current && fail(problem, () => show(one));
  }
  if (one !== current) return;
  $("unshown").textContent = "";
  $("picture").onload = () => one === current && showBoxes($("sheet"), $("picture"), $("boxes"), shown.digits);
  $("picture").onerror = () => { $("picture").hidden = true; $("unshown").textContent = t("{0} cannot be shown by this browser.", one.id); };
  $("picture").hidden = false;
  $("picture").alt = picturedAs(one);
  $("picture").src = shown.image;
  $("seen").hidden = !shown.seen;
  $("seen").alt = t("The digit as the network saw it, 28 by 28 pixels");
  if (shown.seen) $("seen").src = shown.seen;
  tellProgress();
}

/** Lets what labels a picture be pressed, or not where there is none. */
function enable(isThere) {
  for (const button of [...$("digits").children, $("agree"), $("none"), $("skip")]) button.disabled = !isThere;
  $("back").disabled = !past.length;
}

function showEnd() {
  $("picture").hidden = $("seen").hidden = $("number-form").hidden = true;
  $("digits").hidden = false;
  $("boxes").replaceChildren();
  $("read").textContent = "";
  $("unshown").textContent = "";
  enable(false);
  tellProgress();
}

/** Says what the current picture shows, null for none, and goes on. It is sent with those that follow soon. */
function say(value) {
  if (!current) return;
  const one = current;
  unsent.push({ one, label: { id: one.id, [isNumber(one) ? "number" : "digit"]: value } });
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
    const waiting = unsent.findIndex(({ one }) => one === last.one);
    if (waiting >= 0) unsent.splice(waiting, 1);
    else unsent.push({ one: last.one, label: { id: last.one.id, withdraw: true } });
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
  old?.shown?.then(forget, () => {});
  if (old) old.shown = null;
}

/** Sends the labels that wait, one request after the other; what could not be sent waits on. */
async function flush() {
  if (sending || !unsent.length) return;
  const together = unsent.splice(0, TOGETHER);
  sending = ask("labels", { method: "POST", body: JSON.stringify({ labels: together.map(({ label }) => label) }), headers: { "Content-Type": "application/json" } });
  try {
    const { results, succeeded } = await sending;
    saved += succeeded;
    results.forEach(({ error }, place) => count(together[place], error));
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

/** Keeps count of what a label changed: of digits alone it is said how many are labelled. */
function count({ one, label }, error) {
  const many = label.withdraw ? -1 : 1;
  if (error) counts.uncertain += many;
  else if (!isNumber(one)) counts.labelled += many;
}

function tellProgress() {
  if (!current && !next && !loading) {
    $("about").textContent = counts.uncertain > 0
      ? t("Nothing more to show: what is left was skipped, or equals a picture that is labelled.")
      : t("Nothing uncertain is left without a label.");
  }
  const waits = unsent.length + (sending ? 1 : 0);
  $("progress").textContent = [
    t("Labelled digits: {0}. Uncertain and not labelled: {1}", counts.labelled, Math.max(0, counts.uncertain)),
    waits ? t("Labels that wait: {0}", unsent.length) : t("Labels kept: {0}", saved),
  ].join(" · ");
}

$("digits").append(...Array.from({ length: 10 }, (_, digit) => h("button", { type: "button", className: "key", disabled: true, onclick: () => say(digit) }, `${digit}`)));
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

let begun = false;
/** Shows the first picture, or the one that was left. */
export async function label() {
  if (begun) return flush(); // what waits since the service could not be reached
  begun = true;
  try {
    counts = await ask("labels");
    advance();
  } catch (problem) {
    begun = false;
    fail(problem, label);
  }
}
