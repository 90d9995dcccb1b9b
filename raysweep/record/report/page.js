"use strict";
const table = document.getElementById("trials"), body = table.tBodies[0], tip = document.getElementById("tip");
const filter = document.getElementById("filter"), state = document.getElementById("state");
const heads = [...table.tHead.rows[0].cells];

function key(row, column) {
  const text = row.cells[column].dataset.v ?? "";
  const number = Number(text);
  return text === "" ? null : Number.isNaN(number) ? text : number;
}

function sortBy(column) {
  const descending = heads[column].getAttribute("aria-sort") === "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  const rows = [...body.rows].sort((a, b) => {
    const x = key(a, column), y = key(b, column);
    if (x === null || y === null) return (x === null) - (y === null); // what is absent stays below
    const order = typeof x === typeof y ? (x < y ? -1 : x > y ? 1 : 0) : typeof x === "number" ? -1 : 1;
    return descending ? -order : order;
  });
  body.append(...rows);
}

function show() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of body.rows) {
    const text = row.textContent.toLowerCase();
    const fits = words.every((word) => text.includes(word)) && (!state.value || row.dataset.state === state.value);
    row.hidden = !fits;
    count += fits;
  }
  document.getElementById("shown").textContent = `${count} of ${body.rows.length}`;
}

function follow(number) {
  document.querySelectorAll(".hot").forEach((mark) => mark.classList.remove("hot"));
  document.body.classList.toggle("following", number !== undefined);
  if (number !== undefined)
    document.querySelectorAll(`[data-trial="${number}"]`).forEach((mark) => mark.classList.add("hot"));
}

function point(event) {
  const mark = event.target.closest("[data-trial]");
  follow(mark?.dataset.trial);
  tip.hidden = !mark?.dataset.tip;
  if (tip.hidden) return;
  tip.textContent = mark.dataset.tip;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 16, innerHeight - box.height - 8)}px`;
}

heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => sortBy(column)));
filter.addEventListener("input", show);
state.addEventListener("change", show);
document.addEventListener("pointermove", point);
document.addEventListener("pointerdown", point);
heads[0].setAttribute("aria-sort", "ascending");
show();
