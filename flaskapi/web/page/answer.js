// Shows an answer: what was read, how sure it is, and why.

import { key } from "./ask.js";
import { noticed, percent, t } from "./words.js";

export const $ = (id) => document.getElementById(id);

/** Makes an element; what begins with `on` listens, what is no attribute is a property. */
export function h(name, given = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element) element[key] = value;
    else if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

const level = ({ confidence, uncertain }) => (!uncertain ? "sure" : confidence < 0.6 ? "unlikely" : "unsure");
const text = (answer) => ("digit" in answer ? String(answer.digit) : answer.written ?? answer.lines.join(" "));

/** Takes everything of the last answer away. */
export function clearAnswer() {
  for (const id of ["read", "more", "boxes", "same"]) $(id).replaceChildren();
  for (const id of ["read", "label", "trouble", "same"]) $(id).hidden = true;
  $("status").textContent = "";
  $("empty").hidden = false;
}

/** Shows what was answered to a picture, whose size in pixels is 0 where the browser cannot show it. */
export function showAnswer(answer, picture) {
  clearAnswer();
  const isDigit = "digit" in answer, read = text(answer);
  $("empty").hidden = true;
  $("read").hidden = false;
  const sure = level(answer);
  $("read").className = `read ${sure}`;
  if (!isDigit) $("read").append(digits(answer), copyButton(read));
  else if (sure === "unlikely") $("read").append(h("strong", {}, "?"));
  else $("read").append(h("strong", {}, read), copyButton(read));
  const what = isDigit ? t(read === "8" ? "an {0}" : "a {0}", read) : read;
  const words = !answer.uncertain ? t("This is {0}", what)
    : sure === "unlikely" ? t("Nothing was recognised for sure. Perhaps it is {0}", what)
    : t("Perhaps {0}: better look yourself", what);
  $("status").append(words, h("span", {}, t("confidence {0}", percent(answer.confidence))));
  if (isDigit) $("more").append(bars(answer), ...seen(answer, picture));
  else showBoxes(answer, picture);
  showSame(isDigit ? "predict" : "predict/number", picture);
}

/** The digits of a number, each a button that tells its confidence, with what stands between. */
function digits(answer) {
  const many = answer.digits.length, written = answer.written ?? answer.lines.join("\n");
  const signs = [...written].filter((sign) => /\d/.test(sign)).length === many ? [...written] : [...answer.number];
  let index = 0;
  const parts = signs.map((sign) => {
    if (sign === "\n") return h("br");
    if (!/\d/.test(sign)) return h("span", { className: "between" }, sign);
    const place = index++, digit = answer.digits[place];
    const told = t("Digit {0} of {1}: {2}, confidence {3}", place + 1, many, sign, percent(digit.confidence));
    return h("button", {
      className: `one ${level(digit)}`, "aria-label": told,
      onfocus: () => highlight(place), onblur: () => highlight(-1), onclick: () => highlight(place),
      onpointerenter: () => highlight(place), onpointerleave: () => highlight(-1),
    }, sign);
  });
  const box = h("div", { className: "signs", role: "group", "aria-label": t("Confidence of each digit") }, ...parts);
  box.style.setProperty("--many", Math.max(...signs.join("").split("\n").map((line) => line.length)));
  return box;
}

/** Lays a box over each digit of the picture; the buttons say the same to those who do not see them. */
function showBoxes(answer, { width, height }) {
  if (!width) return;
  for (const digit of answer.digits) {
    const { box } = digit, element = h("div", { className: `box ${level(digit)}` });
    const place = { left: box.x / width, top: box.y / height, width: box.width / width, height: box.height / height };
    for (const [side, share] of Object.entries(place)) element.style[side] = `${100 * share}%`;
    element.append(h("span", {}, `${digit.digit} · ${percent(digit.confidence)}`));
    $("boxes").append(element);
  }
}

/** Marks a digit and its box; -1 marks none. */
export function highlight(index) {
  for (const marked of [$("boxes").children, document.querySelectorAll("#read .one")]) {
    [...marked].forEach((element, place) => element.classList.toggle("on", place === index));
  }
}

/** The box under a point of the screen, or -1. */
export const boxAt = (x, y) =>
  [...$("boxes").children].findIndex((element) => {
    const area = element.getBoundingClientRect();
    return x >= area.left && x <= area.right && y >= area.top && y <= area.bottom;
  });

function bars({ digit, probabilities }) {
  const rows = probabilities.map((share, index) => {
    const bar = h("i");
    bar.style.width = `${100 * share}%`;
    const told = share < 0.0005 && index !== digit ? "" : percent(share);
    return h("li", { className: index === digit ? "on" : "" }, h("b", {}, `${index}`), h("span", { className: "bar" }, bar), h("span", { className: "share" }, told));
  });
  return h("ol", { className: "bars", "aria-label": t("How likely is each digit") }, ...rows);
}

function seen({ normalized, noticed: all = [] }, { drawn }) {
  if (!normalized) return [];
  const image = h("img", { src: normalized, width: 28, height: 28, alt: t("The digit as the network saw it, 28 by 28 pixels") });
  const names = all.filter((name) => !drawn || name !== "inverted"); // all ink here is dark
  const said = names.length ? names.map(noticed) : [t("Nothing unusual was noticed.")];
  return [h("div", { className: "seen" }, image, h("div", {}, h("h3", {}, t("What the network saw")), ...said.map((line) => h("p", {}, line))))];
}

/** The command line that does the same, and the picture that it names where that has no file yet. */
function showSame(route, picture) {
  const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;
  const name = /^[\w.-]+$/.test(picture.name) ? picture.name : quote(picture.name);
  const bearer = key() ? ' -H "Authorization: Bearer $KEY"' : "";
  const line = `curl -F file=@${name}${bearer} ${new URL(route, document.baseURI)}`;
  const save = picture.drawn
    ? [h("a", { href: picture.url, download: picture.name }, t("Save the picture"))] : [];
  $("same").hidden = false;
  $("same").append(h("details", {}, h("summary", {}, t("The same with curl")), h("code", { tabIndex: 0 }, line), h("div", { className: "bar" }, copyButton(line), ...save)));
}

export function copyButton(words) {
  const button = h("button", { className: "small copy" }, t("Copy"));
  button.addEventListener("click", async () => {
    await copy(words);
    button.textContent = t("Copied");
    setTimeout(() => (button.textContent = t("Copy")), 1500);
  });
  return button;
}

/** Over plain HTTP from another machine browsers offer the old way alone. */
async function copy(words) {
  if (navigator.clipboard) return navigator.clipboard.writeText(words);
  const area = h("textarea", { value: words, className: "unseen" });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
