// The frame beside the input, and the model's answer.
import { drawn, fixed, made, one, track } from "./dom.js";

const SIGNS = { "1": ["▲", "more-text"], "-1": ["▼", "less-text"], "0": ["●", "other-text"] };
const MOST = 12;  // classes with a bar

function figure(source, alt, caption, blocks, kind = "") {
  return made("figure", { class: kind }, made("div", { class: "framed" }, made("img", { src: source, alt, class: blocks ? "pixels" : "" })), made("figcaption", {}, caption));
}

// The parts that the contributions are about, ringed and numbered on the frame as on a card of the report.
function ringed(frame, rings, [width, height]) {
  const outlines = rings.flatMap(({ outline, more }) => ["halo", more ? "more" : "less"].map((kind) => drawn("path", { d: outline, class: kind })));
  frame.append(drawn("svg", { viewBox: `0 0 ${width} ${height}`, class: "rings", "aria-hidden": "true" }, ...outlines));
  rings.forEach(({ x, y }, k) => {
    const label = made("span", { class: "label at", "aria-hidden": "true" }, String(k + 1));
    label.style.left = `${(100 * x) / width}%`;
    label.style.top = `${(100 * y) / height}%`;
    frame.append(label);
  });
}

const VIEWS = {
  image: (view, walk) => [made("div", { class: "trio" },
    figure(view.input, "the input", "input", view.blocks),
    figure(view.frame, `frame ${walk.cursor}, called ${walk.answers[walk.cursor]}`, `frame ${walk.cursor}`, view.blocks, "now"),
    figure(view.difference, view.said, "difference to the input: green brighter, purple darker", view.blocks))],
  table: (view, walk) => {
    const head = made("thead", {}, made("tr", {}, ...["feature", "input", `frame ${walk.cursor}`].map((text) => made("th", { scope: "col" }, text))));
    const rows = view.rows.map(({ name, input, frame, move, locked }) => {
      const cell = made("td", { class: move === null ? "" : "changed" });
      if (move !== null) cell.append(made("span", { class: SIGNS[move][1], "aria-hidden": "true" }, SIGNS[move][0]), " ");
      cell.append(frame);
      return made("tr", {}, made("th", { scope: "row" }, name, ...(locked ? [" ", made("span", { class: "lock" }, "locked")] : [])), made("td", {}, input), cell);
    });
    return [made("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "The row" }, made("table", { class: "rows" }, head, made("tbody", {}, ...rows)))];
  },
  series: (view, walk) => [made("div", { class: "trio" },
    figure(view.input, "the input", "input", false),
    figure(view.frame, `frame ${walk.cursor}: ${view.said}`, `frame ${walk.cursor} over the input in grey; changed points are tinted`, false, "now"))],
  text: (view, walk) => [made("p", { class: "when" }, "input"), made("p", { class: "says" }, view.input), made("p", { class: "when" }, `frame ${walk.cursor}`),
    made("p", { class: "says" }, ...view.words.flatMap(([word, change]) => [change ? made(change === "new" ? "ins" : "del", {}, word) : word, " "]))],
};

export function showFrame(world, walk) {
  const answer = walk.answers[walk.cursor], goal = world.classes[walk.target], source = world.classes[walk.source];
  one("#frame-title").textContent = walk.arrived ? `Arrived: the model says ${answer}` : `The model says ${answer}`;
  const asked = walk.source === walk.target ? `a typical ${goal}` : goal;
  one("#position").textContent = `${walk.input}, called ${source}${walk.note ? ` (${walk.note})` : ""}; on the way to ${asked}. Frame ${walk.cursor}: ${fixed(walk.distance)} from the input, typicality ${fixed(walk.typicality)}; ${walk.view.said}.`;
  one("#view").replaceChildren(...VIEWS[world.modality](walk.view, walk));
  showAnswers(world, walk);
}

function showAnswers(world, walk) {
  if (walk.score) {  // of a model with a score, the shares of the outcomes are no probabilities
    const { text, share, limits } = walk.score, bar = track(0, share, "is-target");
    for (const limit of limits) { const mark = made("i", { class: "limit" }); mark.style.left = `${100 * limit}%`; bar.append(mark); }
    one("#answers").hidden = false;
    one("#answers tbody").replaceChildren(made("tr", { class: "target" }, made("th", { scope: "row" }, `score (goal ${world.classes[walk.target]})`), made("td", {}, bar), made("td", { class: "n" }, text)));
    return;
  }
  const order = world.classes.map((_, c) => c);
  const shown = order.length <= MOST ? order : [...new Set([walk.target, walk.source, ...order.sort((a, b) => walk.prediction[b] - walk.prediction[a])])].slice(0, MOST);
  one("#answers").hidden = false;
  one("#answers tbody").replaceChildren(...shown.map((c) => {
    const role = c === walk.target ? "target" : c === walk.source ? "source" : "";
    const what = role ? ` (${role === "target" ? "target" : "input's"})` : "";
    return made("tr", { class: role }, made("th", { scope: "row" }, `${world.classes[c]}${what}`), made("td", {}, track(0, walk.prediction[c], `is-${role}`)),
      made("td", { class: "n" }, world.labelOnly ? (walk.prediction[c] ? "yes" : "") : fixed(walk.prediction[c])));
  }));
}

export function showExplained(world, walk, { headline, badge, slug, reasons, bars, rise, why, queries, rings, size }) {
  one("#explained").hidden = false;
  one("#headline").textContent = headline;
  one("#badge").className = `badge ${slug}`;
  one("#badge").replaceChildren(made("span", { class: `sign ${slug}`, "aria-hidden": "true" }), badge);
  one("#reasons").replaceChildren(...reasons.map((reason) => made("li", {}, reason)));
  const framed = one(".now .framed"), numbered = rings.length > 0;
  if (framed && numbered) ringed(framed, rings, size);
  one("#parts").hidden = !bars.length;
  one("#rise").textContent = bars.length ? rise : "";
  one("#bars").replaceChildren(...bars.map(({ name, said, low, high, raises }, k) => made("tr", {},
    made("td", {}, ...(numbered ? [made("span", { class: "label" }, String(k + 1)), " "] : []), name), made("td", { class: "n" }, said), made("td", { class: "fall" }, track(low, high, raises ? "raises" : "lowers")))));
  one("#why").textContent = why || `The contributions took ${queries} queries.`;
}
