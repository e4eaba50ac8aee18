// The map: regions, reference inputs, the walk, and other walks over it. A click or a drag is a step towards the pointer.
import { drawn, made, one } from "./dom.js";

const KEYS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const AGAIN = 120;  // ms between the steps of a drag
const points = (places) => places.map(([x, y]) => `${x},${y}`).join(" ");

export function makeMap(world, { step, along, undo, redo, play }) {
  const map = one("#map");
  one("#dots").replaceChildren(...world.dots.map(([x, y]) => drawn("circle", { cx: x, cy: y, r: 0.45, class: "start" })));
  let pointer = null, timer = 0;
  const place = (event) => {
    const box = map.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };
  const stop = () => { clearInterval(timer); timer = 0; pointer = null; };
  map.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    map.setPointerCapture(event.pointerId);
    pointer = place(event);
    step(pointer);
    timer = setInterval(() => pointer?.moved && step(pointer), AGAIN);
  });
  map.addEventListener("pointermove", (event) => { if (pointer) pointer = { ...place(event), moved: true }; });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) map.addEventListener(kind, stop);
  map.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (KEYS[key]) along({ right: KEYS[key][0], up: KEYS[key][1] });
    else if (key === "z") undo();
    else if (key === "y") redo();
    else if (key === " ") play();
    else return;
    event.preventDefault();
  });
}

export function showRegions(world, { image, labels, queries }) {
  one("#regions").setAttribute("href", image);
  one("#names").replaceChildren(...labels.map(([name, x, y]) => drawn("text", { x, y, class: `region ${x < 12 ? "left" : x > 88 ? "right" : ""}` }, name)));
  one("#map-note").textContent = queries
    ? `Regions: the model's answers on a plane through one frame (${queries} queries).`
    : `Regions: the ${world.kind} of most reference inputs there. This is a projection; the frame may have another ${world.kind} than its region.`;
}

export function showWalk(walk) {
  const upTo = walk.places.slice(0, walk.cursor + 1);
  for (const id of ["#way", "#way-halo"]) one(id).setAttribute("points", points(upTo));
  const dots = walk.places.map(([x, y], t) => drawn("circle", {
    cx: x, cy: y, r: t === walk.cursor ? 2 : t === 0 ? 1.5 : walk.hesitates[t] ? 1 : 0.8,
    class: t === walk.cursor ? "here" : t === 0 ? "home" : `step${walk.hesitates[t] ? " hesitant" : ""}${t > walk.cursor ? " late" : ""}`,
  }, drawn("title", {}, `frame ${t}: ${walk.answers[t]}${walk.hesitates[t] ? ", it does not come nearer to the target" : ""}`)));
  one("#steps").replaceChildren(...dots);
  one("#lines").replaceChildren(...walk.lines.map(({ places }) => drawn("polyline", { points: points(places), class: "overlay" })));
  one("#legend").replaceChildren(...walk.lines.map(({ walker, steps, success, queries }, k) => {
    const sample = drawn("svg", { viewBox: "0 0 34 8", "aria-hidden": "true" }, ...[...Array(k).keys()].map(() => drawn("g")), drawn("path", { d: "M1 4h32", class: "overlay" }));
    return made("li", {}, sample, `${walker}: ${success ? "arrives" : "does not arrive"} in ${steps} steps, ${queries} queries`);
  }), ...(walk.hesitates.some(Boolean) ? [made("li", {}, "○ the walker's step did not come nearer to the target")] : []));
}
