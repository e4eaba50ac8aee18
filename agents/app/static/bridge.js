// In a notebook: the page's requests go to the kernel through the frame's parent, and come back as answers of fetch.
const waiting = new Map(), page = String(Math.random()).slice(2);
let count = 0;

addEventListener("message", ({ source, data }) => {
  if (source !== parent || data?.manifold !== "answer" || !waiting.has(data.id)) return;
  waiting.get(data.id)(new Response(data.body, { status: data.status, headers: data.headers }));
  waiting.delete(data.id);
});

async function ask(path, { headers, body }) {
  const content = body instanceof Blob ? await body.arrayBuffer() : new TextEncoder().encode(body).buffer;
  const id = `${page}-${count++}`;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    parent.postMessage({ manifold: "ask", id, path, token: headers["x-session"], body: content }, "*");
  });
}

globalThis.manifold = { ask, token: document.body.dataset.token };
