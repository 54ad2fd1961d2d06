// Look: what was sent, by filters, and what the last month came to.

import { $, h } from "./answer.js";
import { ask } from "./ask.js";
import { chartOfCalibration, chartOfDays, chartOfDrift, digits, makeMatrix } from "./charts.js";
import { showStorage } from "./storage.js";
import { below, makeTile } from "./submission.js";
import { fail } from "./trouble.js";
import { openViewer } from "./viewer.js";
import { percent, t } from "./words.js";

let more = null, looked = 0, shown = []; // what the gallery shows
for (const name of ["digit", "label"]) {
  $("filters").elements[name].append(...digits.map((digit) => h("option", { value: digit }, digit)));
}

/** Shows what the filters let through, the newest first. */
async function show() {
  const query = new URLSearchParams([...new FormData($("filters"))].filter(([, value]) => value));
  query.set("limit", "60");
  shown = [];
  $("gallery").replaceChildren();
  await showPage(`submissions?${query}`, ++looked);
}

async function showPage(path, turn) {
  try {
    const page = await ask(path);
    if (turn !== looked) return;
    more = below(page.next);
    $("more").hidden = !more;
    for (const one of page.submissions) {
      const place = shown.push(one) - 1;
      one.tile = makeTile(one, percent, () => openViewer(shown, place, { hasMore: () => Boolean(more), load: () => showPage(more, looked), changed: showMonth }));
      $("gallery").append(one.tile);
    }
    const many = shown.length;
    $("found").textContent = many ? t("Pictures: {0}", more ? `${many}+` : many) : t("There is no such picture.");
  } catch (problem) {
    fail(problem, look);
  }
}

/** What the last 30 days came to; a key that may label alone is not told. */
async function showMonth() {
  try {
    const [found, storage] = await Promise.all([ask("statistics"), ask("storage")]);
    $("month").hidden = false;
    showFigures(found);
    const drift = Object.entries(found.drift.measures).map(([name, measure]) => chartOfDrift(name, measure));
    $("drift").replaceChildren(...drift, h("p", { className: "quiet" }, t("Bars: what was sent. Line: what the network learned from ({0}).", t(found.drift.reference))));
    showStorage(storage);
  } catch (problem) {
    if (problem.kind !== "forbidden" && problem.kind !== "unauthorized") fail(problem, look);
  }
}

function showFigures({ days, total: { labelled } }) {
  for (const old of document.querySelectorAll("#figures figure, #figures p")) old.remove();
  $("matrix").hidden = !labelled;
  if (labelled) $("matrix").replaceChildren(makeMatrix(labelled.confusion, open));
  $("figures").append(...(days.length ? [chartOfDays(days)] : [h("p", { className: "quiet" }, t("Nothing was answered."))]), ...(labelled?.digits ? [chartOfCalibration(labelled)] : []));
}

/** Opens the pictures of one cell of the matrix. */
function open(label, digit) {
  const { elements } = $("filters");
  [elements.label.value, elements.digit.value, elements.uncertain.value, elements.disagreement.value] = [label, digit, "", ""];
  show();
  $("look-title").scrollIntoView({ behavior: "smooth" });
}

$("filters").addEventListener("change", show);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("more").addEventListener("click", () => more && showPage(more, looked));

export async function look() {
  await Promise.all([show(), showMonth()]);
}
