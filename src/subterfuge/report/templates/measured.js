/* A table of cells to walk through: one stop of the Tab key, arrows from cell to cell, each told in full. */
(() => {
  for (const grid of $$(".confusion")) {
    const tell = $(".cell-says", grid.closest("section")), rest = tell.textContent;
    const cells = $$("td", grid);
    let pinned = null;
    const show = (cell) => { tell.textContent = cell ? cell.dataset.says : rest; };
    const light = (cell) => {
      for (const lit of $$(".lit", grid)) lit.classList.remove("lit");
      if (!cell) return;
      cell.parentElement.cells[0].classList.add("lit");
      [...grid.tHead.rows].at(-1).cells[cell.cellIndex].classList.add("lit");
    };
    const go = (cell) => {
      if (!cell) return;
      for (const other of cells) other.tabIndex = -1;
      cell.tabIndex = 0;
      cell.focus();
    };
    for (const cell of cells) {
      cell.removeAttribute("title"); // told at once instead
      cell.tabIndex = cell === cells[0] ? 0 : -1;
      cell.addEventListener("focus", () => { pinned = cell; show(cell); light(cell); });
      cell.addEventListener("blur", () => { pinned = null; show(null); light(null); });
      cell.addEventListener("pointerenter", () => { show(cell); light(cell); });
      cell.addEventListener("pointerleave", () => { show(pinned); light(pinned); });
      cell.addEventListener("click", () => go(cell));
    }
    grid.addEventListener("keydown", (event) => {
      const cell = event.target.closest("td");
      if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
      const row = cell.parentElement, rows = [...row.parentElement.rows], at = rows.indexOf(row);
      const first = 1, last = row.cells.length - 1, column = cell.cellIndex;
      const to = {
        ArrowRight: () => row.cells[Math.min(last, column + 1)],
        ArrowLeft: () => row.cells[Math.max(first, column - 1)],
        ArrowDown: () => rows[Math.min(rows.length - 1, at + 1)].cells[column],
        ArrowUp: () => rows[Math.max(0, at - 1)].cells[column],
        Home: () => row.cells[first],
        End: () => row.cells[last],
      };
      if (!Object.hasOwn(to, event.key)) return;
      event.preventDefault();
      go(to[event.key]());
    });
  }
})();
