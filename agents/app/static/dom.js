// Small helpers. Texts are set as texts, never as markup.
export const one = (selector) => document.querySelector(selector);
const SVG = "http://www.w3.org/2000/svg";

export function made(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export const fixed = (value, digits = 2) => Number(value).toFixed(digits);

export function track(low, high, kind) {
  const bar = made("i", { class: kind });
  bar.style.left = `${100 * low}%`;
  bar.style.width = `${100 * Math.max(0, high - low)}%`;
  return made("span", { class: "track" }, bar);
}
