"use strict";
(() => {
  const search = document.getElementById("search");
  if (!search) return;
  const shown = document.getElementById("shown");
  const rows = [...document.querySelectorAll("#rows tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
      if (!row.hidden) n++;
    });
    shown.value = n + " of " + rows.length;
  };
  let timer;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, 100);
  });
  search.parentElement.hidden = false;
  show();
})();
