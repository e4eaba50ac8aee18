"use strict";
// A card shows one step at a time on its stage. Its numbers lie in a JSON block that is read when the card is first used.
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const FILM = 3600;  // ms of a whole film, at most

function makeCard(section) {
  const data = JSON.parse(section.querySelector("script[type='application/json']").textContent);
  const one = (selector) => section.querySelector(selector);
  const all = (selector) => [...section.querySelectorAll(selector)];
  const last = data.steps.length - 1, range = one("input[type=range]"), play = one("[data-play]"), stage = one("figure.stage, tfoot .stage, div.stage");
  const picture = one("[data-picture]"), rings = one("[data-rings]"), words = one("[data-words]"), cells = all("[data-cell]"), when = one("[data-when]");
  const answer = stage.querySelector(".answer"), turned = when.textContent, turnStep = data.steps[data.turn];
  let shown = data.turn, timer = 0;

  function element(name, text) {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  function show(wanted) {
    shown = Math.max(0, Math.min(last, wanted));
    const frame = data.frames[shown], atTurn = shown === data.turn;
    range.value = shown;
    range.setAttribute("aria-valuetext", data.texts[shown]);
    when.textContent = atTurn ? turned : `step ${data.steps[shown]}`;
    answer.className = `answer ${data.roles[shown]}`;
    answer.querySelector("[data-class]").textContent = data.classes[shown];
    if (data.p) {
      answer.querySelector("[data-p]").textContent = data.said[shown];
      answer.querySelector("[data-bar]").style.width = `${(100 * data.p[shown]).toFixed(1)}%`;
    }
    if (picture) {
      picture.src = frame;
      picture.alt = data.texts[shown];
      if (rings) rings.toggleAttribute("hidden", !atTurn);
    }
    cells.forEach((cell, k) => {
      const { text, move } = frame[k];
      cell.classList.toggle("changed", move !== null);
      if (move === null) cell.textContent = text;
      else {
        const sign = element("span", { "1": "▲", "-1": "▼", "0": "●" }[move]);
        sign.className = { "1": "more-text", "-1": "less-text", "0": "other-text" }[move];
        sign.setAttribute("aria-hidden", "true");
        cell.replaceChildren(sign, ` ${text}`);
      }
    });
    if (words) words.replaceChildren(...frame.flatMap(([text, change]) => [change ? element(change === "new" ? "ins" : "del", text) : text, " "]));
    for (const view of all("[data-view]")) view.src = data.views[view.dataset.view][shown];
    const point = (all(".map .dot")[data.steps[shown]]), here = one("[data-here]"), mark = one("[data-mark]");
    if (here && point) for (const name of ["cx", "cy"]) here.setAttribute(name, point.getAttribute(name));
    if (mark) for (const end of ["x1", "x2"]) mark.setAttribute(end, data.steps[last] ? 320 * data.steps[shown] / data.steps[last] : 160);
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "play";
    play.setAttribute("aria-pressed", "false");
  }

  function start() {
    show(0);
    play.textContent = "stop";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      if (shown < last) return show(shown + 1);
      stop();
      show(data.turn);
    }, Math.min(450, FILM / (last + 1)));
  }

  const go = (wanted) => { stop(); show(wanted); };
  range.addEventListener("input", () => go(Number(range.value)));
  play.addEventListener("click", () => (timer ? go(data.turn) : start()));
  one("[data-marks]")?.addEventListener("click", ({ currentTarget }) => {
    currentTarget.setAttribute("aria-pressed", String(!section.classList.toggle("unmarked")));
  });
  one("[data-turn]").addEventListener("click", () => go(data.turn));
  return { start, show: go, film: last > 0, step: turnStep };
}

const cards = [...document.querySelectorAll("[data-card]")], made = new Map();
const cardOf = (section) => made.get(section) ?? made.set(section, makeCard(section)).get(section);
for (const section of cards) {
  section.querySelector(".player").hidden = false;
  for (const kind of ["pointerdown", "focusin"]) section.addEventListener(kind, () => cardOf(section), { once: true });
}

// The first card plays once, and so does each one that is opened by its link; not where motion is unwelcome.
const played = new Set();
function playOnce(section) {
  if (!section || calm.matches || played.has(section)) return;
  played.add(section);
  if (cardOf(section).film) cardOf(section).start();
}
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { watcher.unobserve(entry.target); playOnce(entry.target); }
}, { threshold: 0.7 });
if (cards.length) watcher.observe(cards[0]);
