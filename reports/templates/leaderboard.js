"use strict";
(() => {
  // Cells with a key sort by that number, cells without one by their text; what has neither goes last.
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.key !== undefined) return Number(cell.dataset.key);
    return cell.classList.contains("numeric") ? null : cell.querySelector(".main").textContent.toLowerCase();
  };
  const order = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return a < b ? -1 : a > b ? 1 : 0;
  };

  document.querySelectorAll("table[id^=board-]").forEach((table) => {
    const select = document.querySelector(`select[data-sorts="${table.id}"]`);
    const reverse = document.querySelector(`button[data-reverses="${table.id}"]`);
    const heads = [...table.tHead.rows[0].cells];
    let column = 0;
    let isReversed = false;
    const sort = () => {
      const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row, column), row]);
      rows.sort(([a], [b]) => (isReversed && a !== null && b !== null ? order(b, a) : order(a, b)));
      table.tBodies[0].append(...rows.map(([, row]) => row));
      heads.forEach((head, place) => {
        if (place === column) head.setAttribute("aria-sort", isReversed ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      select.value = column;
      reverse.setAttribute("aria-pressed", isReversed);
    };
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => {
        isReversed = place === column && !isReversed;
        column = place;
        sort();
      });
      head.append(button);
    });
    heads[0].setAttribute("aria-sort", "ascending");
    select.addEventListener("change", () => { column = Number(select.value); isReversed = false; sort(); });
    reverse.addEventListener("click", () => { isReversed = !isReversed; sort(); });
    select.closest(".sort").hidden = false;
  });
})();
