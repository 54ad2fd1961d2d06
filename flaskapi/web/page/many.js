// Many pictures and archives: read in bulk, shown as a table, saved as CSV.

import { $, h } from "./answer.js";
import { Problem, ask, send } from "./ask.js";
import * as later from "./later.js";
import { isArchive, prepare } from "./pictures.js";
import { percent, t, trouble } from "./words.js";

const TOGETHER = 8, TOGETHER_BYTES = 4e6; // pictures in one request
const SHOWN = 500; // rows of the table
let rows = [], running = null;

/** Reads files into the table; `open` shows one of them. Gives the files for which there was no network. */
export async function readMany(files, mode, open) {
  running?.abort();
  const run = (running = new AbortController());
  rows = [];
  $("many-rows").replaceChildren();
  $("many").hidden = false;
  $("many-stop").hidden = $("many-progress").hidden = false;
  $("many-progress").removeAttribute("value");
  $("many").scrollIntoView();
  const unsent = [], total = files.some(isArchive) ? 0 : files.length;
  const add = (results, from = []) => {
    results.forEach((result, index) => addRow(result, from[from.length === 1 ? 0 : index], open));
    if (total) Object.assign($("many-progress"), { max: total, value: rows.length });
    tell(total ? t("{0} of {1}", rows.length, total) : t("{0} read", rows.length));
  };
  try {
    for await (const together of chunks(files)) {
      run.signal.throwIfAborted();
      try {
        if (isArchive(together[0].file)) await readArchive(together[0].file, mode, run.signal, add);
        else add(await readTogether(together, mode, run.signal), together);
        for (const { file } of together) if (file.place !== undefined) await later.remove(file.place);
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        if (problem.kind === "offline") unsent.push(...together.map(({ file }) => file));
        const said = problem.kind === "offline" ? t("It waits on this device and is sent when the network is back.") : trouble(problem);
        add(together.map(({ file }) => ({ name: file.name, said, error: { detail: said } })));
      }
    }
    const failed = rows.filter(({ error }) => error).length;
    tell(t("{0} read, {1} uncertain, {2} failed", rows.length - failed, rows.filter(({ uncertain }) => uncertain).length, failed));
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    if (run === running) tell(t("Stopped."));
  }
  if (run === running) $("many-stop").hidden = $("many-progress").hidden = true;
  return unsent;
}

export const stopMany = () => running?.abort();

const isNumber = ({ digits }) => digits?.length > 1;

/** Puts files together; what may have pages goes alone. */
async function* chunks(files) {
  let together = [], bytes = 0;
  for (const file of files) {
    const picture = isArchive(file) ? {} : await prepare(file), { width } = picture;
    if (together.length && (!width || together.length >= TOGETHER || bytes > TOGETHER_BYTES)) {
      yield together;
      [together, bytes] = [[], 0];
    }
    if (width) {
      together.push({ file, picture });
      bytes += picture.content.size;
    } else yield [{ file, picture }];
  }
  if (together.length) yield together;
}

/** Reads some pictures. A first look, of which nothing is kept, tells numbers from digits. */
async function readTogether(together, mode, signal) {
  if (mode !== "auto") return batch(together, { route: mode }, signal);
  const looks = await batch(together, { route: "number", keep: "false" }, signal);
  if (together.length === 1) return batch(together, { route: looks.some(isNumber) ? "number" : "digit" }, signal);
  const results = [];
  for (const [route, wanted] of [["number", true], ["digit", false]]) {
    const places = together.map((_, place) => place).filter((place) => wanted === isNumber(looks[place]));
    if (!places.length) continue;
    const found = await batch(places.map((place) => together[place]), { route }, signal);
    found.forEach((result, index) => (results[places[index]] = result));
  }
  return results;
}

async function batch(together, query, signal) {
  const body = new FormData();
  for (const { picture } of together) body.append("file", picture.content, picture.name);
  return (await ask(`predict/batch?${new URLSearchParams(query)}`, { method: "POST", body, signal })).results;
}

/** Reads an archive: answers come line by line. */
async function readArchive(file, mode, signal, add) {
  const route = mode === "number" ? "number" : "digit";
  const response = await send(`predict/batch?route=${route}`, {
    method: "POST", body: file, signal,
    headers: { "Content-Type": "application/octet-stream", Accept: "application/x-ndjson" },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { done, value = "" } = await reader.read();
    const lines = (rest + value).split("\n");
    rest = done ? "" : lines.pop();
    add(lines.filter(Boolean).map((line) => ({ name: file.name, ...JSON.parse(line) })));
    if (done) return;
  }
}

function addRow(result, from, open) {
  rows.push(result);
  if (rows.length > SHOWN) return;
  const { name, error, uncertain } = result;
  const shown = from && !error
    ? h("button", { className: "link", onclick: () => open(from.file, result) }, name) : name;
  const note = error ? result.said ?? trouble(new Problem(error.type?.split("/").pop(), error.detail)) : uncertain ? t("uncertain") : "";
  $("many-rows").append(h("tr", { className: error ? "failed" : uncertain ? "unsure" : "" },
    h("th", { scope: "row" }, shown), h("td", {}, error ? "–" : readOf(result)), h("td", {}, error ? "" : percent(result.confidence)), h("td", {}, note)));
}

const readOf = (result) => (result.error ? "" : String(result.digit ?? result.written ?? result.number));

function tell(words) {
  const more = rows.length > SHOWN ? ` ${t("The table shows the first {0}; the CSV has all.", SHOWN)}` : "";
  $("many-status").textContent = words + more;
}

/** Downloads the table. A name that a spreadsheet would take for a formula is quoted against that. */
export function downloadTable() {
  const cell = (value) => {
    const words = String(value ?? "").replace(/^(?=[=+@\t\r-])/, "'");
    return /[",\n\r]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
  };
  const lines = rows.map((row) =>
    [cell(row.name), readOf(row), row.confidence ?? "", row.uncertain ?? "", cell(row.error?.detail), row.id ?? ""].join(","));
  const content = ["name,read,confidence,uncertain,error,id", ...lines, ""].join("\r\n");
  const url = URL.createObjectURL(new Blob(["\ufeff", content], { type: "text/csv" }));
  h("a", { href: url, download: "digits.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
