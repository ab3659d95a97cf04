"use strict";
for (const stage of document.querySelectorAll(".stage")) {
  const range = stage.querySelector("input");
  const show = () => stage.style.setProperty("--split", range.value + "%");
  const follow = (event) => {
    const box = stage.getBoundingClientRect();
    range.value = String(Math.round(100 * (event.clientX - box.left) / box.width));
    show();
  };
  range.addEventListener("input", show);
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    stage.setPointerCapture(event.pointerId);
    range.focus({ preventScroll: true });
    follow(event);
  });
  stage.addEventListener("pointermove", (event) => {
    if (stage.hasPointerCapture(event.pointerId)) follow(event);
  });
  show();
}
for (const select of document.querySelectorAll("select[data-side]")) {
  const side = select.dataset.side;
  const images = select.closest(".comparison").querySelectorAll(".stage img");
  select.addEventListener("change", () => {
    images.forEach((image, place) => image.classList.toggle(side, place === Number(select.value)));
  });
}
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const value = row.cells[column].dataset.value;
    return value === undefined ? null : Number(value.replace("inf", "Infinity"));
  };
  heads.forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const sign = down ? -1 : 1;
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const words = new Intl.Collator(undefined, { numeric: true });
      const rows = [...body.rows].map((row) => ({ row, value: key(row, column), words: row.cells[column].textContent }));
      rows.sort((a, b) => {
        if (a.value === null && b.value === null) return sign * words.compare(a.words, b.words);
        if (a.value === null || b.value === null) return a.value === null ? 1 : -1;
        return a.value === b.value ? 0 : sign * (a.value < b.value ? -1 : 1);
      });
      body.append(...rows.map((entry) => entry.row));
    });
  });
}
