"use strict";
// Every path is a section with its numbers in a JSON block; show(t) brings all its boards to frame t.
for (const section of document.querySelectorAll("[data-path]")) {
  const data = JSON.parse(section.querySelector("script[type='application/json']").textContent);
  const one = (selector) => section.querySelector(selector);
  const all = (selector) => [...section.querySelectorAll(selector)];
  const last = data.texts.length - 1;
  const range = one("input[type=range]"), now = one("[data-now]"), play = one("[data-play]");
  const rowTable = one("table.row"), slopes = data.slopes;
  const thumbs = all("[data-go]"), predictions = all("[data-prediction]"), cells = all("[data-cell]");
  let frame = 0, timer = 0;

  function show(wanted) {
    frame = Math.max(0, Math.min(last, wanted));
    const text = data.texts[frame], row = data.rows[frame];
    range.value = frame;
    range.setAttribute("aria-valuetext", text);
    now.textContent = text;
    for (const label of all("[data-frame]")) label.textContent = frame;
    const image = one("[data-image]");
    if (image) {
      image.src = thumbs[frame].querySelector("img").src;
      image.alt = text;
    }
    for (const view of all("[data-view]")) view.src = data.views[view.dataset.view][frame];
    thumbs.forEach((thumb, t) => {
      if (t === frame) thumb.setAttribute("aria-current", "true");
      else thumb.removeAttribute("aria-current");
    });
    const strip = one(".strip"), thumb = thumbs[frame].parentElement;  // moves the strip, never the page
    const beyond = thumb.offsetLeft + thumb.offsetWidth - strip.offsetLeft - strip.clientWidth;
    if (beyond > strip.scrollLeft) strip.scrollLeft = beyond + 4;
    if (thumb.offsetLeft - strip.offsetLeft < strip.scrollLeft) strip.scrollLeft = thumb.offsetLeft - strip.offsetLeft - 4;
    predictions.forEach((item, k) => {
      const bar = data.bars[k], seen = bar.seen[frame], output = item.querySelector("output");
      item.classList.toggle("seen", seen);
      if (bar.values === null) output.textContent = seen ? "predicted" : "";
      else {
        item.querySelector(".bar i").style.width = `${(100 * bar.values[frame]).toFixed(2)}%`;
        output.textContent = bar.values[frame].toFixed(3);
      }
    });
    cells.forEach((cell, k) => {
      cell.textContent = data.cells[k].texts[frame];
      cell.classList.toggle("changed", data.cells[k].changed[frame]);
    });
    if (rowTable) rowTable.classList.toggle("at-start", frame === 0);  // frame 0 is the input, which has a column of its own
    if (slopes) {
      for (const cell of all("[data-slope]")) {
        const value = slopes.values[frame][cell.dataset.slope];
        cell.textContent = (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
      }
      for (const bar of all("[data-slope-bar]")) {
        const share = slopes.values[frame][bar.dataset.slopeBar] / slopes.largest;
        bar.style.width = `${(50 * Math.abs(share)).toFixed(1)}%`;
        bar.style.left = `${share < 0 ? (50 + 50 * share).toFixed(1) : 50}%`;
        bar.className = share < 0 ? "less" : "more";
      }
    }
    for (const number of all("[data-number]")) {
      const value = row[number.dataset.number];
      number.textContent = value === null ? "–" : value.toFixed(3);
    }
    const here = one("[data-here]"), mark = one("[data-mark]");
    here.setAttribute("cx", data.points[frame][0]);
    here.setAttribute("cy", data.points[frame][1]);
    if (mark) for (const end of ["x1", "x2"]) mark.setAttribute(end, data.marks[frame]);
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "play";
    play.setAttribute("aria-pressed", "false");
    now.setAttribute("aria-live", "polite");
  }

  function start() {
    if (frame === last) show(0);
    now.setAttribute("aria-live", "off");  // a screen reader need not read every frame of a film
    play.textContent = "stop";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      show(frame + 1);
      if (frame === last) stop();
    }, 600);
  }

  const go = (wanted) => { stop(); show(wanted); };
  const steps = { first: () => 0, back: () => frame - 1, on: () => frame + 1, last: () => last };
  for (const button of all("[data-step]")) button.addEventListener("click", () => go(steps[button.dataset.step]()));
  for (const thumb of thumbs) thumb.addEventListener("click", () => go(Number(thumb.dataset.go)));
  range.addEventListener("input", () => go(Number(range.value)));
  play.addEventListener("click", () => (timer ? stop() : start()));
  section.addEventListener("keydown", (event) => {
    if (event.target === range || event.altKey || event.ctrlKey || event.metaKey) return;
    const keys = { ArrowLeft: "back", ArrowRight: "on", Home: "first", End: "last" };
    if (!(event.key in keys) || !event.target.closest(".strip, .controls")) return;
    event.preventDefault();
    go(steps[keys[event.key]]());
    if (event.target.closest(".strip")) thumbs[frame].focus();
  });
  one(".controls").hidden = false;
  show(0);
}
