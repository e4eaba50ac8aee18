// The session of this tab: its token lives as long as the tab, and what was walked is kept, so that a reload shows it again and
// a server that was started again walks it again.
const TOKEN = "manifold-session", KEPT = "manifold-walk";
const SLOW = 1000;  // ms after which the page says that it waits
// In a notebook's widget (bridge.js), requests go to the kernel, which keeps the session.
const inside = globalThis.manifold, memory = new Map(inside && [[TOKEN, inside.token]]);
const read = (key) => (inside ? memory.get(key) : sessionStorage.getItem(key)) ?? null;
const write = (key, value) => { if (inside) memory.set(key, value); else sessionStorage.setItem(key, value); };
let listener = () => {}, world = null;

export const onWaiting = (call) => { listener = call; };

class Gone extends Error {}

async function post(path, body, type = "application/json") {
  const headers = { "content-type": type, "x-session": read(TOKEN) ?? "" };
  const timer = setTimeout(() => listener("The model is still answering …"), SLOW);
  let answer;
  try {
    answer = await (inside ? inside.ask : fetch)(path, { method: "POST", headers, body: type === "application/json" ? JSON.stringify(body) : body });
  } catch {
    throw new Error("The server does not answer. The walk is kept in this tab: start the server again, and reload.");
  } finally {
    clearTimeout(timer);
    listener("");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
  throw said.gone ? new Gone(said.error) : new Error(said.error);
}

async function open() {
  const made = await (await post("/api/session", {})).json();
  write(TOKEN, made.token);
  world = made.world;
}

// The world, and the session as it stands: this tab's own, or one that walks again what the tab has kept.
export async function begin() {
  if (read(TOKEN)) {
    try {
      world = (await (await post("/api/world", {})).json()).world;
      return { world, state: await (await post("/api/map", {})).json() };
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
    }
  }
  await open();
  return { world, state: await restored() };
}

async function restored() {
  const kept = JSON.parse(read(KEPT) ?? "null");
  if (!kept) return null;
  return keep(await (await post("/api/restore", kept)).json());
}

export async function call(name, body = {}) {
  try {
    return keep(await (await post(`/api/${name}`, body)).json());
  } catch (error) {
    if (!(error instanceof Gone)) throw error;
    await open();
    await restored();
    return keep(await (await post(`/api/${name}`, body)).json());
  }
}

export async function upload(file) {
  return keep(await (await post("/api/picture", file, file.type || "application/octet-stream")).json());
}

export async function download(kind) {
  const answer = await post(`/api/download/${kind}`, {});
  const name = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "")?.[1] ?? `walk.${kind}`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  return name;
}

function keep(state) {
  if (!state.walk) return state;
  const before = JSON.parse(read(KEPT) ?? "null");
  const value = "kept" in state ? state.kept : before?.value;
  try {
    write(KEPT, JSON.stringify({ ...state.walk.record, value }));
  } catch { /* no room: the walk is kept by the server alone */ }
  return state;
}
