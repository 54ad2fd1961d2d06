// What is counted, as tables and charts. Each chart says in words what it shows.

import { h } from "./answer.js";
import { PERCENT, percent, t } from "./words.js";

export const digits = Array.from({ length: 10 }, (_, digit) => `${digit}`);

const named = (label) => (label === "none" ? t("none") : label);

/** How often each label was answered how; each cell opens its pictures. */
export function makeMatrix(confusion, open) {
  const head = h("tr", {}, h("th", { scope: "col" }, "↓→"), ...digits.map((digit) => h("th", { scope: "col" }, digit)));
  const rows = [...digits, "none"].map((label, place) => h("tr", {}, h("th", { scope: "row" }, named(label)), ...digits.map((digit) => {
    const many = confusion[place][digit];
    return h("td", {}, many ? h("button", { type: "button", className: label === digit ? "" : "wrong", "aria-label": t("{0} labelled {1} and answered {2}", many, named(label), digit), onclick: () => open(label, digit) }, `${many}`) : "·");
  })));
  return h("table", {}, h("caption", {}, h("span", {}, t("Label (down) against answer (across); each cell opens its pictures"))), h("thead", {}, head), h("tbody", {}, ...rows));
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
export function chartOfDays(days) {
  const counts = days.map(({ day, models }) => {
    const all = Object.values(models);
    return { day, answers: all.reduce((sum, { answers }) => sum + answers, 0), doubt: all.reduce((sum, { answers, uncertain }) => sum + answers * (uncertain ?? 0), 0) };
  });
  const most = Math.max(...counts.map(({ answers }) => answers)), step = 280 / Math.max(counts.length, 7);
  const begin = 36 + (280 - step * counts.length) / 2; // few days stand in the middle
  const bars = counts.flatMap(({ day, answers, doubt }, index) => {
    const bar = (many, name) => svg("rect", { class: name, x: begin + (index + 0.1) * step, width: step * 0.8, y: 120 - (110 * many) / most, height: (110 * many) / most, rx: 1 });
    const both = svg("g", {}, svg("title", {}, t("{0}: {1} answers, {2} uncertain", day, answers, Math.round(doubt))), bar(answers, "day"), bar(doubt, "doubt"));
    return [both];
  });
  return chart(t("Answers by day, and the uncertain ones among them"), 140,
    svg("path", { class: "axis", d: "M36 120H316" }), svg("text", { x: 30, y: 16, "text-anchor": "end" }, most), svg("text", { x: 30, y: 124, "text-anchor": "end" }, "0"),
    ...(counts.length > 1
      ? [svg("text", { x: 36, y: 136 }, counts[0].day), svg("text", { x: 316, y: 136, "text-anchor": "end" }, counts.at(-1).day)]
      : [svg("text", { x: 176, y: 136, "text-anchor": "middle" }, counts[0].day)]),
    ...bars);
}

/** What came out right, against what was said to be; on the line both are the same. */
export function chartOfCalibration({ calibration, digits: many, accuracy }) {
  const at = (share) => 36 + 250 * share, up = (share) => 260 - 250 * share;
  const points = calibration.filter(({ answers }) => answers).map(({ answers, confidence, accuracy: right }) =>
    svg("circle", { class: "point", cx: at(confidence), cy: up(right), r: Math.min(10, 3 + Math.log10(answers) * 2) },
      svg("title", {}, t("{0} answers: confidence {1}, right {2}", answers, percent(confidence), PERCENT.format(right)))));
  return chart(t("How often right (up), for how sure (across): {0} of {1} labelled", PERCENT.format(accuracy), many), 280,
    svg("path", { class: "axis", fill: "none", d: `M${at(0)} ${up(1)}V${up(0)}H${at(1)}M${at(0)} ${up(0)}L${at(1)} ${up(1)}` }),
    svg("text", { x: 30, y: 18, "text-anchor": "end" }, "1"), svg("text", { x: 30, y: 262, "text-anchor": "end" }, "0"), svg("text", { x: 286, y: 276, "text-anchor": "end" }, "1"), ...points);
}

const MEASURES = {
  "ink_share": "How much ink", "stroke_px": "Width of strokes", "size_px": "Size in the picture",
  "contrast": "How it stands out", "digit": "Which digits",
};

/** One measure of what was sent (bars) against what the network learned from (line). */
export function chartOfDrift(name, { index, meaning, advice, edges, shares, expected }) {
  const words = t(MEASURES[name] ?? name), most = Math.max(...expected, ...(shares ?? [])), step = 280 / expected.length;
  const up = (share) => 100 - (90 * share) / most;
  const bars = (shares ?? []).map((share, place) => svg("rect", { class: "day", x: 36 + (place + 0.1) * step, width: step * 0.8, y: up(share), height: 100 - up(share), rx: 1 },
    svg("title", {}, t("sent {0}, learned from {1}", PERCENT.format(share), PERCENT.format(expected[place])))));
  const line = expected.map((share, place) => `M${36 + place * step} ${up(share)}h${step}`).join("");
  const texts = [[30, 16, Math.round(100 * most) / 100, PERCENT], [30, 104, 0, PERCENT]].map(([x, y, value, form]) => svg("text", { x, y, "text-anchor": "end" }, form.format(value)));
  const ends = edges.map((edge, place) => svg("text", { x: 36 + (place + 1) * step, y: 117, "text-anchor": "middle" }, edge)).filter((_, place) => place === 0 || place === edges.length - 1);
  const figure = chart(words, 122, svg("path", { class: "axis", d: "M36 100H316" }), ...texts, ...(name === "digit" ? [] : ends), ...bars, svg("path", { class: "learned", d: line }));
  figure.append(h("p", { className: index === null || index < 0.1 ? "quiet" : "unsure" }, ...(index === null ? [] : [h("b", {}, index.toFixed(2)), " · "]), t(meaning)),
    ...(advice ? [h("p", { className: "quiet" }, t(advice))] : []));
  return figure;
}
