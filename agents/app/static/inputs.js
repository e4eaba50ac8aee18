// Choosing an input: a row, a drawing, a picture, a sentence, or the form of a table.
import { made, one } from "./dom.js";

export function makeInputs(world, { enter, send, whatIf }) {
  const row = one("#row");
  row.max = world.rows - 1;
  one("#by-row").addEventListener("submit", (event) => { event.preventDefault(); enter("row", Number(row.value)); });
  one("#random").addEventListener("click", () => {
    row.value = Math.floor(Math.random() * world.rows);
    enter("row", Number(row.value));
  });
  one("#draw").hidden = !world.inputs.includes("drawing");
  one("#upload").hidden = !world.inputs.includes("picture");
  one("#by-sentence").hidden = !world.inputs.includes("sentence");
  one("#by-sentence").addEventListener("submit", (event) => { event.preventDefault(); enter("sentence", one("#sentence").value); });
  one("#picture").addEventListener("change", ({ target }) => { if (target.files[0]) send(target.files[0]); target.value = ""; });
  if (world.inputs.includes("drawing")) makeBoard((pixels) => { one("#draw").open = false; enter("drawing", pixels); });
  if (world.inputs.includes("form")) makeForm(world, enter, whatIf);
}

const SIDE = 56, STEP = 4;  // pixels of a drawing sent, and of a step of the pen by keys on the board

function makeBoard(use) {
  const canvas = one("#canvas"), ink = canvas.getContext("2d", { willReadFrequently: true });
  let pen = { x: canvas.width / 2, y: canvas.height / 4 }, down = false;
  const clear = () => { ink.fillStyle = "#000"; ink.fillRect(0, 0, canvas.width, canvas.height); };
  const line = (to) => {
    ink.strokeStyle = "#fff"; ink.lineWidth = canvas.width / 8; ink.lineCap = ink.lineJoin = "round";
    ink.beginPath(); ink.moveTo(pen.x, pen.y); ink.lineTo(to.x + 0.01, to.y); ink.stroke();
    pen = to;
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) * canvas.width / box.width, y: (event.clientY - box.top) * canvas.height / box.height };
  };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); pen = place(event); down = true; line(pen); });
  canvas.addEventListener("pointermove", (event) => { if (down && event.buttons) line(place(event)); });
  canvas.addEventListener("pointerup", () => { down = false; });
  const moves = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.key === " ") down = !down;
    else if (moves[event.key]) {
      const [x, y] = moves[event.key];
      const to = { x: Math.min(canvas.width, Math.max(0, pen.x + 2 * STEP * x)), y: Math.min(canvas.height, Math.max(0, pen.y + 2 * STEP * y)) };
      if (down) line(to); else pen = to;
    } else return;
    one("#pen").textContent = `The pen is ${down ? "down" : "up"}, ${Math.round(100 * pen.x / canvas.width)} % from the left and ${Math.round(100 * pen.y / canvas.height)} % from the top.`;
    event.preventDefault();
  });
  one("#clear").addEventListener("click", clear);
  one("#drawn").addEventListener("click", () => {
    const small = document.createElement("canvas");
    small.width = small.height = SIDE;
    const target = small.getContext("2d");
    target.drawImage(canvas, 0, 0, SIDE, SIDE);
    const data = target.getImageData(0, 0, SIDE, SIDE).data;
    use([...Array(SIDE).keys()].map((y) => [...Array(SIDE).keys()].map((x) => data[4 * (SIDE * y + x)] / 255)));
  });
  clear();
}

function makeForm(world, enter, whatIf) {
  one("#what-if").hidden = false;
  one("#fields").replaceChildren(...world.fields.map(({ name, unit, locked, choices }, k) => {
    const field = choices.length
      ? made("select", { name }, ...choices.map((text) => made("option", { value: text }, text)))
      : made("input", { name, type: "text", autocomplete: "off", id: `field-${k}` });
    field.disabled = locked;
    return made("label", {}, `${name}${unit && ` in ${unit}`}${locked ? " (locked)" : ""}`, field);
  }));
  const values = () => Object.fromEntries([...one("#fields").querySelectorAll("input, select")].map((field) => [field.name, field.value]));
  one("#form").addEventListener("submit", (event) => { event.preventDefault(); whatIf(values()); });
  one("#begin").addEventListener("click", () => enter("form", values()));
}

export function fillForm(row) {
  for (const field of one("#fields").querySelectorAll("input, select")) {
    const value = row[field.name] ?? "";
    if (field.tagName === "SELECT" && ![...field.options].some((option) => option.value === value)) field.append(made("option", { value }, value));
    field.value = value;
  }
}
