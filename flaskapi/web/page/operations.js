// The operators' page: which of its parts is shown.

import { $, h } from "./answer.js";
import { askForKeys } from "./key.js";
import { showKeys } from "./key-list.js";
import { label } from "./labelling.js";
import { look } from "./looking.js";
import { showModels } from "./models.js";
import { showSettings } from "./settings.js";
import { settle } from "./trouble.js";
import { t, translate } from "./words.js";

const PARTS = { label, look, models: showModels, keys: showKeys, settings: showSettings };

translate(document.body);
askForKeys(h("p", { className: "quiet" }, t("A key is made on the server, and shown there once:")), h("code", {}, ".venv/bin/python -m flaskapi keys make NAME"));

function turn() {
  const part = location.hash.slice(1) in PARTS ? location.hash.slice(1) : "label";
  for (const name of Object.keys(PARTS)) $(name).hidden = name !== part;
  $("ways").hidden = part !== "label";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${part}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  settle();
  PARTS[part]();
}
addEventListener("hashchange", turn);
turn();
document.documentElement.dataset.ready = "";
