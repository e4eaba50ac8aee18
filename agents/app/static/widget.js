// The explorer's page in a frame of the notebook; its requests are messages to the kernel.
export default {
  render({ model, el }) {
    const frame = document.createElement("iframe");
    frame.title = "Explore by hand";
    frame.setAttribute("sandbox", "allow-scripts allow-downloads");
    Object.assign(frame.style, { width: "100%", height: `${model.get("height")}px`, border: "0" });
    frame.srcdoc = model.get("page");
    const ask = ({ source, data }) => {
      if (source !== frame.contentWindow || data?.manifold !== "ask") return;
      model.send({ id: data.id, path: data.path, token: data.token }, undefined, [data.body]);
    };
    const answer = ({ id, status, headers }, [body]) => {
      const bytes = body.buffer ? body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength) : body;
      frame.contentWindow?.postMessage({ manifold: "answer", id, status, headers, body: bytes }, "*");
    };
    addEventListener("message", ask);
    model.on("msg:custom", answer);
    el.append(frame);
    return () => { removeEventListener("message", ask); model.off("msg:custom", answer); };
  },
};
