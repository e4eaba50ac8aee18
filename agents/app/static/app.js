// The page: one request at a time; of moves that come meanwhile, the last one follows.
import { begin, call, download, onWaiting, upload } from "./api.js";
import { drawn, fixed, made, one } from "./dom.js";
import { showExplained, showFrame } from "./frame.js";
import { fillForm, makeInputs } from "./inputs.js";
import { makeMap, showRegions, showWalk } from "./map.js";

const BEAT = 350;  // ms between the frames of a walker
const calm = matchMedia("(prefers-reduced-motion: reduce)");
let world, state = null, busy = false, next = null, playing = 0, sliced = "";

const say = (text) => { one("#status").textContent = text; };

function fail(error) {
  one("#error").hidden = false;
  one("#error").textContent = error.message;
}

// Run `work` now, or after what runs now; a later one takes the place of one that waits.
async function request(work) {
  if (busy) { next = work; return; }
  busy = true;
  one("#error").hidden = true;
  try {
    const found = await work();
    if (found) show(found);
  } catch (error) {
    stop();
    fail(error);
  } finally {
    busy = false;
    document.body.dataset.ready = String(Number(document.body.dataset.ready ?? 0) + 1);
    if (next) { const waiting = next; next = null; request(waiting); }
  }
}

const send = (name, body) => { stop(); return request(() => call(name, body)); };

function show(found) {
  state = found;
  one("#used").textContent = `${found.used.toLocaleString("en")} of ${found.budget.toLocaleString("en")} queries`;
  const walk = found.walk;
  const place = walk && JSON.stringify(walk.places[walk.cursor]);
  if (found.map) {
    showRegions(world, found.map);
    one("#slice").setAttribute("aria-pressed", String(found.map.queries > 0));
    sliced = found.map.queries ? place : "";
  }
  one("#map-moved").hidden = !sliced || sliced === place;
  if (!walk) return;
  showFrame(world, walk);
  showWalk(walk);
  showTime(walk);
  one("#walk").hidden = false;
  one("#target").disabled = !world.takesTarget;
  one("#target").value = String(walk.target);
  if (walk.row) fillForm(walk.row);
  if (found.explained) { showExplained(world, walk, found.explained); one("#headline").focus(); } else one("#explained").hidden = true;
  if (found.whatIf) tellWhatIf(found);
  if (found.saved) say(`Saved as ${found.saved}; the report and replay of the run show it.`);
}

function showTime(walk) {
  const last = walk.p.length - 1, range = one("#frame"), x = (t) => (last ? (320 * t) / last : 160);
  range.max = last;
  range.value = walk.cursor;
  range.setAttribute("aria-valuetext", `frame ${walk.cursor} of ${last}: ${walk.answers[walk.cursor]}`);
  one("#curve").replaceChildren(drawn("path", { d: "M0 0h320M0 60h320", class: "p-axis" }),
    drawn("polyline", { points: walk.p.map((p, t) => `${x(t)},${60 - 60 * p}`).join(" "), class: "p-line" }),
    drawn("path", { d: `M${x(walk.cursor)} 0v60`, class: "p-now" }));
  one("#undo").disabled = walk.cursor === 0;
  one("#redo").disabled = walk.cursor === last;
  for (const id of ["#explain", "#download", "#save"]) one(id).disabled = walk.cursor === 0;
  walk.sliders.forEach((value, k) => {
    const slider = one(`#direction-${k}`);
    if (slider !== document.activeElement || !slider.dataset.held) slider.value = value;
    slider.previousElementSibling.textContent = fixed(value);
  });
}

function tellWhatIf({ whatIf: prediction, whatIfScore: score }) {
  const best = prediction.indexOf(Math.max(...prediction));
  one("#answer").textContent = `For the edited row the model says ${world.classes[best]}${score ? ` (score ${score})` : world.labelOnly ? "" : ` (${fixed(prediction[best])})`}; the walk is not changed.`;
}

// ---- a walker goes on, and a person takes over ------------------------------------------------------------------------

function stop() {
  clearTimeout(playing);
  playing = 0;
  one("#stop").hidden = true;
  one("#go").hidden = false;
}

function play() {
  if (playing) { stop(); say("You have taken over: the next move goes on from here."); return; }
  request(async () => {
    const found = await call("drive", { walker: one("#walker").value });
    say(found.steps ? `${one("#walker").value} goes on for ${found.steps} steps.` : `${one("#walker").value} finds no step from here.`);
    if (found.steps) { one("#stop").hidden = false; one("#go").hidden = true; playing = setTimeout(advance, calm.matches ? 0 : BEAT); }
    return found;
  });
}

async function advance() {
  if (!playing || !state.walk) return;
  const last = state.walk.p.length - 1;
  await request(() => call("goto", { frame: calm.matches ? last : Math.min(last, state.walk.cursor + 1) }));
  if (!playing) return;
  if (state.walk.cursor >= last) { stop(); say(state.walk.arrived ? "The walker has arrived." : "The walker gives up here."); }
  else playing = setTimeout(advance, BEAT);
}

const goto = (frame) => { if (state?.walk && frame >= 0 && frame < state.walk.p.length) send("goto", { frame }); };

// ---- the controls -------------------------------------------------------------------------------------------------------

function makeSliders() {
  one("#sliders").replaceChildren(...world.directions.map(({ name, low, high }, k) => {
    const slider = made("input", { type: "range", id: `direction-${k}`, min: low, max: high, step: (high - low) / 40 });
    const move = () => send("direction", { direction: k, value: Number(slider.value) });
    slider.addEventListener("input", () => { slider.dataset.held = "yes"; move(); });
    slider.addEventListener("change", () => { delete slider.dataset.held; if (!busy) slider.value = state.walk.sliders[k]; });
    return made("label", {}, name, made("output"), slider);
  }));
}

function makeControls() {
  const options = (names) => names.map((name) => made("option", { value: name }, world.whiteBox.includes(name) ? `${name} (white box)` : name));
  one("#target").replaceChildren(...world.classes.map((name, c) => made("option", { value: c }, name)));
  one("#targets").hidden = !world.takesTarget;
  one("#walker").replaceChildren(...options(world.walkers));
  one("#compare").replaceChildren(...options(world.walkers));
  one("#save").hidden = !world.saves;
  one("#curiosity").hidden = !world.gain;
  one("#slice").title = `${world.sliceQueries} queries`;
  const on = (id, kind, call) => one(id).addEventListener(kind, call);
  on("#target", "change", ({ target }) => send("target", { target: Number(target.value) }));
  on("#undo", "click", () => goto(state.walk.cursor - 1));
  on("#redo", "click", () => goto(state.walk.cursor + 1));
  on("#frame", "input", ({ target }) => goto(Number(target.value)));
  on("#go", "click", play);
  on("#stop", "click", play);
  on("#explain", "click", () => send("explain"));
  on("#save", "click", () => send("save"));
  on("#download", "click", () => { stop(); request(async () => { say(`Downloaded ${await download(one("#kind").value)}.`); return null; }); });
  on("#draw-line", "click", () => send("line", { walker: one("#compare").value }));
  on("#slice", "click", ({ currentTarget }) => send(currentTarget.getAttribute("aria-pressed") === "true" ? "map" : "slice"));
  on("#curiosity", "click", ({ currentTarget: button }) => request(async () => {
    const shown = button.getAttribute("aria-pressed") === "true";
    const found = shown ? null : await call("gain");
    if (found) one("#gain").setAttribute("href", found.gain.image);
    one("#gain").setAttribute("visibility", shown ? "hidden" : "visible");
    button.setAttribute("aria-pressed", String(!shown));
    say(shown ? "" : `Green: where a step would still inform the curiosity's network, up to ${found.gain.top} nats.`);
    return found;
  }));
}

onWaiting((text) => { if (text || one("#status").textContent.startsWith("The model is still")) say(text); });
request(async () => {
  const found = await begin();
  world = found.world;
  one("#world").textContent = `${world.rows} ${world.modality === "text" ? "sentences" : world.modality === "table" ? "rows" : "pictures"} to explain, ${world.classes.length} classes, ${world.latent} latent dimensions. A walk arrives at ${world.task}.`;
  makeControls();
  makeSliders();
  makeMap(world, {
    step: ({ x, y }) => send("move", { x, y }),
    along: (body) => send("along", body),
    undo: () => state?.walk && goto(state.walk.cursor - 1),
    redo: () => state?.walk && goto(state.walk.cursor + 1),
    play,
  });
  makeInputs(world, {
    enter: (kind, value) => send("input", { kind, value }),
    send: (file) => { stop(); request(() => upload(file)); },
    whatIf: (value) => request(() => call("what_if", { value })),
  });
  if (found.state?.walk) return found.state;
  return call("input", { kind: "row", value: 0 });
});
