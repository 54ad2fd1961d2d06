// Settings: what is in force, and where each comes from.

import { $, h } from "./answer.js";
import { ask } from "./ask.js";
import { attempt } from "./trouble.js";
import { t } from "./words.js";

const SOURCES = { "default": "default", "environment": "environment", "create_app": "create_app", "config.toml": "config.toml" };

const asText = (help) => help.split("`").map((part, place) => (place % 2 ? h("code", { className: "inline" }, part) : part));

/** A long name may break after its underscores alone. */
const inParts = (name) => name.split(/(?<=_)/).flatMap((part, place) => (place ? [h("wbr"), part] : [part]));

/** Shows the part, anew. */
export const showSettings = () => attempt(async () => {
  const { instance, settings } = await ask("settings");
  $("settings-from").textContent = t("As this process read them when it started, from the environment and {0}. Passwords are left out.", `${instance}/config.toml`);
  const names = ["Name", "Value", "From", "Meaning"];
  $("setting-list").replaceChildren(h("table", { className: "settings" }, h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, t(name))))),
    h("tbody", {}, ...settings.map(({ name, value, source, help }) => [name, name === "INSTANCE_PATH" ? instance : value, source, help]).map(([name, value, source, help]) => h("tr", { className: source === "default" ? "" : "set" },
      h("th", { scope: "row" }, ...inParts(name)), h("td", {}, value === null ? "–" : String(value)), h("td", {}, t(SOURCES[source] ?? source)), h("td", {}, ...asText(t(help))))))));
}, showSettings);
