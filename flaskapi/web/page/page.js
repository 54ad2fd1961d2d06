// The page: what is written, chosen, dropped, pasted or photographed is read, and the last answer is shown.

import { $, boxAt, clearAnswer, h, highlight, showAnswer } from "./answer.js";
import { Problem, ask, askPicture } from "./ask.js";
import { askForKeys } from "./key.js";
import { labelByKey, offerLabel } from "./label.js";
import * as later from "./later.js";
import { downloadTable, readMany, stopMany } from "./many.js";
import { HEIGHT, Paper, WIDTH } from "./paper.js";
import { isArchive, prepare } from "./pictures.js";
import { saysMore, t, translate, trouble } from "./words.js";

const PAUSE_MS = 250; // after a stroke, before it is read
const FINAL = ["no-digit-found", "unsupported-image", "invalid-image", "missing-image", "too-large", "invalid-request"]; // once more says the same
let asked = 0; // numbers the questions: an answer to any but the last is not shown
let current = null; // the picture that is shown, with its answer and a promise of its id
let waiting = new AbortController(), timer = 0;

translate(document.body);
const paper = new Paper($("paper"), drawn);
const mode = () => document.querySelector("[name=mode]:checked").value;

// --- what is written ---

function drawn() {
  $("undo").disabled = !paper.canUndo;
  $("clear").disabled = paper.isEmpty && !current;
  $("hint").hidden = !paper.isEmpty;
  stop();
  if (current) current.left = true; // it shows less, or more, than what is there now
  if (paper.isEmpty) return forget();
  $("answer").setAttribute("aria-busy", "true");
  timer = setTimeout(readPaper, PAUSE_MS);
}

function readPaper() {
  if (!paper.isDrawing) read({ name: "digit.png", content: paper.export(), width: WIDTH, height: HEIGHT, drawn: true });
}

/** Whatever is being asked is not waited for any more. */
function stop() {
  clearTimeout(timer);
  asked += 1;
  waiting.abort();
  waiting = new AbortController();
}

// --- reading ---

/** Reads a picture and shows the answer. A drawing is kept when it is finished, a file at once. */
async function read(picture, kept = null) {
  stop();
  const turn = asked, signal = waiting.signal;
  $("answer").setAttribute("aria-busy", "true");
  try {
    const answer = await look(picture, mode(), signal);
    if (turn !== asked) return;
    show(picture, answer, kept);
    if (!picture.drawn && kept === null) keep(current).catch(() => {});
  } catch (problem) {
    if (turn === asked && problem.name !== "AbortError") await fail(problem, () => read(picture, kept), picture);
  } finally {
    if (turn === asked) $("answer").setAttribute("aria-busy", "false");
  }
}

/** Asks for a number, and where that is of one digit at most, for a digit. Nothing is kept of it. */
async function look({ content }, wanted, signal) {
  if (wanted !== "digit") {
    try {
      const answer = await askPicture("predict/number", { keep: "false" }, content, { signal });
      if (wanted === "number" || answer.digits.length > 1) return answer;
    } catch (problem) {
      if (wanted === "number" || !["no-digit-found", "model-unavailable"].includes(problem.kind)) throw problem;
    }
  }
  return askPicture("predict", { include: "normalized", keep: "false" }, content, { signal });
}

function show(picture, answer, kept) {
  if (current?.picture.url) URL.revokeObjectURL(current.picture.url);
  picture.url = URL.createObjectURL(picture.content);
  current = { picture, answer, kept: kept === null ? null : Promise.resolve(kept) };
  const shown = current;
  showAnswer(answer, picture);
  offerLabel(answer, () => keep(shown));
  if (!$("unshown").hidden) $("unshown").textContent = t("{0} cannot be shown by this browser.", picture.name);
  $("model").textContent = t("Read by the model {0}", answer.model);
}

/** Sends a picture to be kept, once, by the route that answered it; gives its id, null where nothing is kept. */
function keep(shown, options) {
  const route = "digit" in shown.answer ? "predict" : "predict/number";
  shown.kept ??= askPicture(route, {}, shown.picture.content, options).then(
    ({ id }) => id,
    (problem) => {
      shown.kept = null; // the next try asks again
      throw problem;
    },
  );
  return shown.kept;
}

/** A drawing that is left is finished. */
function finish(options) {
  if (current?.picture.drawn && !current.left) keep(current, options).catch(() => {});
}

// --- nothing, and trouble ---

/** Takes the last answer away; what was drawn is kept, if it was not. */
function forget() {
  stop();
  current = null;
  clearAnswer();
  $("answer").setAttribute("aria-busy", "false");
  $("clear").disabled = paper.isEmpty;
}

function clear() {
  finish();
  highlight(-1);
  if (!$("paper").hidden) paper.clear();
  showPaper();
  forget();
  $("paper").focus({ preventScroll: true });
}

/** Says in words what went wrong, and what to do; a file for which there is no network waits on the device. */
async function fail(problem, again, picture) {
  forget();
  $("clear").disabled = false;
  $("empty").hidden = true;
  if (!(problem instanceof Problem)) console.error(problem);
  let words = trouble(problem), more = saysMore(problem.kind) ? problem.message : "";
  if (problem.kind === "offline") {
    if (picture?.drawn) words = t("The service cannot be reached. What is drawn stays; it is read when the network is back.");
    else if (picture?.file) words = (await putLater([picture.file])) ? t("It waits on this device and is sent when the network is back.") : words;
  }
  $("trouble").hidden = false;
  $("trouble").replaceChildren(h("p", {}, words), ...(more ? [h("p", { className: "quiet", lang: "en" }, more)] : []),
    ...(again && !FINAL.includes(problem.kind) && !(problem.kind === "offline" && picture?.file) ? [h("button", { onclick: again }, t("Try again"))] : []));
  if (picture?.file) $("trouble").scrollIntoView({ block: "nearest" });
}

// --- files ---

async function take(files) {
  files = [...files].filter((file) => file.size || file.type);
  if (!files.length) return;
  finish();
  if (files.length === 1 && !isArchive(files[0])) return open(files[0]);
  if (!current) {
    forget(); // the trouble with the last file says nothing of these
    showPaper();
  }
  const unsent = await readMany(files, mode(), (file, result) => open(file, result.id));
  await putLater(unsent.filter((file) => file.place === undefined));
}

/** Shows one file and reads it. */
async function open(file, kept = null) {
  stop();
  const turn = asked;
  clearAnswer();
  $("answer").setAttribute("aria-busy", "true");
  const picture = { ...(await prepare(file)), file };
  if (turn !== asked) return;
  showPicture(picture);
  $("clear").disabled = false;
  $("picture-title").scrollIntoView({ block: "nearest" });
  await read(picture, kept);
}

function showPicture(picture) {
  paper.clear();
  stop();
  const shown = picture.width > 0, photo = $("photo");
  if (photo.src) URL.revokeObjectURL(photo.src);
  if (shown) photo.src = URL.createObjectURL(picture.content);
  photo.alt = picture.name;
  photo.hidden = !shown;
  $("unshown").hidden = shown;
  $("unshown").textContent = picture.name;
  $("paper").hidden = $("hint").hidden = true;
  $("undo").disabled = true;
  $("sheet").style.setProperty("--ratio", shown ? picture.width / picture.height : WIDTH / HEIGHT);
}

function showPaper() {
  $("paper").hidden = false;
  $("photo").hidden = $("unshown").hidden = true;
  $("hint").hidden = !paper.isEmpty;
  $("sheet").style.removeProperty("--ratio");
}

// --- what waits for the network ---

async function putLater(files) {
  try {
    for (const file of files) await later.put(file);
    await tellWaiting();
    return true;
  } catch {
    $("waiting").hidden = false;
    $("waiting").firstElementChild.textContent = t("This device keeps nothing for later: its storage is closed or full.");
    return false;
  }
}

async function tellWaiting() {
  const many = await later.count();
  $("waiting").hidden = !many;
  $("waiting").firstElementChild.textContent =
    many === 1 ? t("1 picture waits on this device for the network.") : t("{0} pictures wait on this device for the network.", many);
  return many;
}

let sending = false;
/** Sends what waits, and reads the drawing that could not be read. */
async function back() {
  if (sending) return;
  sending = true;
  try {
    if (!paper.isEmpty && !current) readPaper();
    if (await tellWaiting()) {
      await readMany(await later.list(), mode(), (file, result) => open(file, result.id));
      if (!(await tellWaiting())) $("trouble").hidden = true;
    }
  } catch (error) {
    console.error(error);
  } finally {
    sending = false;
  }
}

// --- what the page listens to ---

const on = (id, name, act) => $(id).addEventListener(name, act);
on("undo", "click", () => paper.undo());
on("clear", "click", clear);
on("pens", "change", (event) => (paper.pen = Number(event.target.value)));
on("modes", "change", () => current ? read(current.picture) : paper.isEmpty || readPaper());
for (const id of ["files", "camera"]) {
  on(id, "change", async ({ target }) => {
    const files = [...target.files];
    target.value = ""; // so that the same file can be chosen again
    await take(files);
  });
}
on("many-stop", "click", stopMany);
on("many-csv", "click", downloadTable);
on("many-close", "click", () => { stopMany(); $("many").hidden = true; $("files").focus(); });
on("send", "click", back);
on("discard", "click", async () => { await later.discard(); await tellWaiting(); });

addEventListener("keydown", (event) => {
  if (event.target.closest("dialog, textarea, input:not([type=radio], [type=file])")) return;
  const command = event.ctrlKey || event.metaKey;
  if (event.key === "Escape") clear();
  else if (command && event.key.toLowerCase() === "z") paper.undo();
  else if (!command && !event.altKey && !event.repeat && /^\d$/.test(event.key)) labelByKey(Number(event.key));
  else return;
  event.preventDefault();
});
addEventListener("paste", (event) => {
  const files = [...(event.clipboardData?.files ?? [])];
  if (!files.length) return;
  event.preventDefault();
  take(files);
});
let inside = 0; // how many elements the dragged files are over
const dragged = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
addEventListener("dragenter", (event) => { if (dragged(event)) { inside += 1; $("drop").hidden = false; } });
addEventListener("dragleave", (event) => { if (dragged(event) && --inside <= 0) $("drop").hidden = true; });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  inside = 0;
  $("drop").hidden = true;
  take(event.dataTransfer.files);
});
on("sheet", "pointermove", (event) => { if (!event.buttons) highlight(boxAt(event.clientX, event.clientY)); });
on("sheet", "pointerleave", () => highlight(-1));
addEventListener("pagehide", () => finish({ keepalive: true }));
addEventListener("online", back);

askForKeys();

ask("health/ready").then(
  ({ checks }) => ($("keeps").textContent = checks?.store?.status === "off" ? t("Nothing that is sent here is kept.") : t("Pictures are kept with their answers. A drawing is kept once it is finished.")),
  () => {},
);
tellWaiting().then((many) => many && navigator.onLine && back(), () => {});
navigator.serviceWorker?.register("page/service-worker.js", { scope: "./" }).catch(() => {}); // without it, the page still works online
document.documentElement.dataset.ready = "";
