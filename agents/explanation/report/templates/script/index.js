// The index: filters, order, layers, and the keys that lead from card to card.
const tools = document.querySelector("#tools"), list = document.querySelector(".index"), place = document.querySelector("#cards");
const entries = new Map([...document.querySelectorAll("[data-entry]")].map((entry) => [entry.dataset.entry, entry]));
const ORDERS = {
  number: (a, b) => a.dataset.card - b.dataset.card,
  p: (a, b) => b.dataset.pEnd - a.dataset.pEnd,
  steps: (a, b) => a.dataset.steps - b.dataset.steps,
  badge: (a, b) => a.dataset.rank - b.dataset.rank,
};

function arrange() {
  const pair = document.querySelector("#pair").value, badge = document.querySelector("#badge").value;
  const sorted = [...cards].sort((a, b) => ORDERS[document.querySelector("#order").value](a, b) || ORDERS.number(a, b));
  let count = 0;
  for (const card of sorted) {
    const entry = entries.get(card.dataset.card);
    card.hidden = entry.hidden = (pair !== "" && card.dataset.pair !== pair) || (badge !== "" && card.dataset.badge !== badge);
    count += !card.hidden;
    place.append(card);
    list.append(entry);
  }
  document.querySelector("#count").textContent = count < cards.length ? `${count} of ${cards.length} shown` : "";
}

if (tools) {
  tools.hidden = false;
  for (const id of ["pair", "badge", "order"]) document.getElementById(id).addEventListener("change", arrange);
  tools.addEventListener("change", (event) => {
    if (event.target.name !== "layer") return;
    const open = { "": [], analyst: ["analyst"], researcher: ["analyst", "researcher"] }[event.target.value];
    for (const layer of document.querySelectorAll("[data-layer]")) layer.open = open.includes(layer.dataset.layer);
  });
}

function opened() {
  const card = location.hash.startsWith("#path-") && document.getElementById(location.hash.slice(1));
  if (!card) return;
  if (card.hidden) {
    for (const id of ["pair", "badge"]) document.getElementById(id).value = "";
    arrange();
    card.scrollIntoView();
  }
  card.focus({ preventScroll: true });
  playOnce(card);
}
addEventListener("hashchange", opened);
opened();

// Within a card: left and right walk along the path, J and K lead to the next card and the one before.
addEventListener("keydown", (event) => {
  const card = event.target.closest?.("[data-card]");
  if (!card || event.altKey || event.ctrlKey || event.metaKey || event.target.closest(".scroll")) return;
  const range = card.querySelector("input[type=range]"), moves = { ArrowLeft: -1, ArrowRight: 1 };
  if (event.target !== range && (event.key in moves || event.key === "Home" || event.key === "End")) {
    event.preventDefault();
    cardOf(card).show(event.key in moves ? Number(range.value) + moves[event.key] : event.key === "Home" ? 0 : Number(range.max));
  }
  const steps = { j: "nextElementSibling", k: "previousElementSibling" };
  if (event.key.toLowerCase() in steps) {
    let next = card[steps[event.key.toLowerCase()]];
    while (next?.hidden) next = next[steps[event.key.toLowerCase()]];
    if (next) location.hash = next.id;
  }
});
