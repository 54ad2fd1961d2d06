// How much is kept, and what is erased when.

import { $, h } from "./answer.js";
import { day, many, moment, size } from "./quantities.js";
import { PERCENT, t } from "./words.js";

/** A list of what is called how. */
export const facts = (rows) => h("dl", { className: "facts" }, ...rows.filter(([, value]) => value !== null).flatMap(([name, ...value]) => [h("dt", {}, t(name)), h("dd", {}, ...value)]));

export function showStorage(found) {
  const { disk, limits } = found;
  $("storage").replaceChildren(
    facts([
      ["Pictures", many(found.submissions)],
      ["The oldest is of", found.oldest_at && moment(found.oldest_at)],
      ["Database", size(found.used_bytes) + (found.reusable_bytes ? t(", and {0} to be used again", size(found.reusable_bytes)) : "")],
      ["Free on its disk", disk && t("{0} of {1}", size(disk.free_bytes), size(disk.size_bytes))],
    ]),
    h("h3", {}, t("What is erased when")),
    h("ul", { className: "plain" }, ...rules(found).map((rule) => h("li", {}, rule))),
    h("p", { className: "quiet" }, t("What an operator has labelled is spared by limits of number and size, and goes last for the disk. The settings {0} say all this.", Object.keys(limits).slice(0, 5).join(", "))),
  );
}

function rules({ disk, limits, housekeeping_at: next, oldest_goes_at: goes }) {
  const rules = [];
  if (limits.KEEP_DAYS !== null) rules.push(t("What is older than {0} days is erased.", many(limits.KEEP_DAYS)) + (goes ? ` ${t("The oldest goes on {0}.", day(goes))}` : ""));
  else rules.push(t("Nothing is erased for its age."));
  if (limits.KEEP_SUBMISSIONS !== null) rules.push(t("Of more than {0} pictures the oldest are erased.", many(limits.KEEP_SUBMISSIONS)));
  if (limits.KEEP_BYTES !== null) rules.push(t("Of pictures that take more than {0} the oldest are erased.", size(limits.KEEP_BYTES)));
  if (disk && limits.KEEP_DISK_SHARE < 1) rules.push(t("Where the database takes more than {0} of what it and the free disk have together, the oldest are erased.", PERCENT.format(limits.KEEP_DISK_SHARE)));
  if (disk) rules.push(t("With less than {0} free on the disk, nothing more is kept.", size(disk.reserve_bytes)));
  if (limits.HOUSEKEEPING === "off") rules.push(t("Only the command “.venv/bin/python -m flaskapi housekeeping” erases."));
  else if (next) rules.push(t("It is looked next at {0}.", moment(next)));
  return rules;
}
