"use strict";
// The table's filters. Without scripts the whole table stands, and the filters stay hidden.
const filters = document.getElementById("filters");
const rows = [...document.querySelectorAll("#cases tbody tr")];
const sections = [...document.querySelectorAll("section.study")];
const selects = [...filters.querySelectorAll("select")];

function apply() {
  const wanted = selects.filter((select) => select.value !== "");
  for (const row of rows) {
    row.hidden = wanted.some((select) => row.dataset[select.dataset.column] !== select.value);
  }
  const shown = rows.filter((row) => !row.hidden);
  const models = new Set(shown.map((row) => row.dataset.model));
  for (const section of sections) section.hidden = !models.has(section.dataset.model);
  document.getElementById("shown").textContent = `${shown.length} of ${rows.length} cases`;
}

function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

filters.hidden = rows.length < 2;
filters.addEventListener("change", apply);
filters.addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", unfold);
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("section:last-of-type details")) details.open = true;
});
apply();
unfold();
