// The large view of one picture of a list: what was answered, why, and what people said that it is.

import { $, h } from "./answer.js";
import { ask } from "./ask.js";
import { many, moment } from "./quantities.js";
import { facts } from "./storage.js";
import { answerOf, fetchPictures, forget, isNumber, picturedAs, placeOf, showBoxes } from "./submission.js";
import { percent, t, trouble } from "./words.js";

let list = [], place = 0, further = {}, turn = 0, shown = null, isChanged = false;
const current = () => list[place];

const button = (id, words, act, more = {}) => h("button", { type: "button", ...(id ? { id } : {}), onclick: act, ...more }, words);
const picture = h("img", { id: "large", alt: "" }), boxes = h("div", { className: "boxes", "aria-hidden": "true" });
const unshown = h("p", { className: "unshown" }), sheet = h("div", { className: "sheet" }, picture, unshown, boxes);
const seen = h("img", { id: "large-seen", width: 28, height: 28, alt: t("The digit as the network saw it, 28 by 28 pixels") });
const read = h("p", { className: "big" }), sure = h("p", { className: "status" }), about = h("div"), history = h("div"), said = h("p", { className: "quiet", role: "status" });
const ten = h("div", { className: "ten", role: "group", "aria-label": t("Label") }, ...Array.from({ length: 10 }, (_, digit) => button(undefined, `${digit}`, () => say({ digit }), { className: "key" })));
const input = h("input", { id: "large-number", inputMode: "numeric", autocomplete: "off", maxLength: 256 });
const form = h("form", { onsubmit: sayNumber }, h("label", { htmlFor: "large-number" }, t("Number")), input, h("button", {}, t("Keep")));
const dialog = h("dialog", { id: "viewer", "aria-labelledby": "viewer-title", onkeydown: press, onclose: leave },
  h("div", { className: "viewer-head" }, h("h2", { id: "viewer-title" }),
    button("viewer-back", "←", () => go(-1), { "aria-label": t("The one before") }), button("viewer-on", "→", () => go(1), { "aria-label": t("The next one") }),
    button("viewer-close", "✕", () => dialog.close(), { "aria-label": t("Close") })),
  sheet,
  h("div", { className: "viewer-side" },
    h("div", { className: "beside" }, seen, h("div", {}, read, sure)), ten, form,
    h("div", { className: "tools" }, button("viewer-none", h("span", {}, t("None")), () => say({ [field()]: null })), button("viewer-withdraw", t("Take it back"), withdraw)),
    said, about, h("h3", {}, t("What people said")), history));
document.body.append(dialog);
const field = () => (isNumber(current()) ? "number" : "digit");

/**
 * Opens a picture of a list.
 * @param more `hasMore` says whether something comes after the list, `load` loads it into the list, and
 *   `changed` is told when the view closes and something was labelled
 */
export function openViewer(pictures, index, more) {
  [list, place, further, isChanged] = [pictures, index, more, false];
  dialog.showModal();
  show();
}

async function go(by) {
  if (place + by >= list.length && by > 0 && further.hasMore()) await further.load();
  if (!dialog.open || !list[place + by]) return;
  place += by;
  show();
}

function leave() {
  turn += 1;
  if (shown) forget(shown);
  shown = null;
  const opener = current()?.tile?.querySelector("button");
  if (opener?.isConnected) opener.focus(); // where one has come to, not where one began
  if (isChanged) further.changed?.();
}

async function show() {
  const one = current(), own = ++turn;
  $("viewer-title").textContent = t("{0} of {1}", place + 1, further.hasMore() ? `${list.length}+` : list.length);
  $("viewer-back").disabled = place === 0;
  read.textContent = answerOf(one);
  read.classList.toggle("long", answerOf(one).length > 3);
  sure.textContent = t("confidence {0}", percent(one.confidence));
  ten.hidden = isNumber(one);
  form.hidden = !isNumber(one);
  input.value = isNumber(one) ? (/^\d+$/.test(one.label) ? one.label : answerOf(one)) : "";
  said.textContent = unshown.textContent = "";
  boxes.replaceChildren();
  history.replaceChildren();
  picture.alt = picturedAs(one);
  tellLabel(one);
  try {
    const [pictures, detail] = await Promise.all([fetchPictures(one), ask(placeOf(one))]);
    if (own !== turn) return forget(pictures);
    if (shown) forget(shown);
    shown = pictures;
    picture.onload = () => { picture.hidden = false; if (own === turn) showBoxes(sheet, picture, boxes, pictures.digits); };
    picture.onerror = () => { picture.hidden = true; unshown.textContent = t("{0} cannot be shown by this browser.", one.id); };
    picture.src = pictures.image;
    seen.hidden = !pictures.seen;
    if (pictures.seen) seen.src = pictures.seen;
    about.replaceChildren(facts([
      ["Shadow", one.shadow ? t("{0}, confidence {1}", one.shadow.digit, percent(one.shadow.confidence)) : null],
      ["Model", one.model], ["Received", moment(one.received_at)], ["Sent to", one.route],
      ["Size", `${many(detail.size_bytes)} B, ${detail.media_type}`], ["Receipt", one.id],
    ]));
    tellHistory(detail.labels);
  } catch (problem) {
    if (own === turn) said.textContent = trouble(problem);
  }
}

/** Says which label is in force. */
function tellLabel(one) {
  [...ten.children].forEach((key, digit) => key.setAttribute("aria-pressed", `${one.label === `${digit}`}`));
  $("viewer-none").setAttribute("aria-pressed", `${one.label === "none"}`);
  $("viewer-withdraw").disabled = one.label === null;
  const focused = document.activeElement; // what is disabled hears no keys
  if (focused.disabled || !dialog.contains(focused)) $("viewer-on").focus();
  one.tile?.update();
}

function tellHistory(labels) {
  const rows = labels.map(({ label, reason, source, key_name: key, labelled_at: at }) => {
    const what = label === null ? t("withdrawn") : label === "none" ? t("none") : label;
    const who = source === "operator" ? key ?? t("an operator") : t("a sender");
    return h("li", {}, h("b", {}, what), ` · ${who} · ${moment(at)}`, ...(reason ? [h("br"), reason] : []));
  });
  history.replaceChildren(rows.length ? h("ol", { className: "plain" }, ...rows) : h("p", { className: "quiet" }, t("Nobody said anything of it yet.")));
}

async function change(options) {
  const one = current(), own = turn;
  try {
    const answer = await ask(`${placeOf(one)}/label`, options);
    isChanged = true;
    one.label = answer.label;
    one.label_source = answer.label_source;
    one.tile?.update();
    if (own !== turn) return;
    tellLabel(one);
    said.textContent = answer.label === null ? t("It is taken back.") : t("It is kept as “{0}”.", answer.label === "none" ? t("none") : answer.label);
    tellHistory((await ask(placeOf(one))).labels);
  } catch (problem) {
    if (own === turn) said.textContent = trouble(problem);
  }
}

const say = (label) => change({ method: "PUT", body: JSON.stringify(label), headers: { "Content-Type": "application/json" } });
function withdraw() {
  change({ method: "DELETE" });
}

function sayNumber(event) {
  event.preventDefault();
  const value = input.value.replace(/\s/g, "");
  if (/^\d{1,256}$/.test(value)) say({ number: value });
  else said.textContent = t("Only digits, please");
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target === input) return;
  if (event.repeat && !event.key.startsWith("Arrow")) return; // to say the same twice confirms it
  if (event.key === "ArrowLeft") go(-1);
  else if (event.key === "ArrowRight") go(1);
  else if (/^\d$/.test(event.key) && isNumber(current())) {
    input.select();
    return; // it takes the place of the answer
  } else if (/^\d$/.test(event.key)) say({ digit: Number(event.key) });
  else if (event.key === "x") say({ [field()]: null });
  else return;
  event.preventDefault();
}
