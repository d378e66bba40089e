// One way for requests. The message carries the text and its number; what is not about the newest is not shown.
// Follows elements.js in one module.

function channel(model) {
  let sent = 0, what = "", running = false, gone = false;
  const said = element("span", { role: "status" });
  const halt = button("Stop", stop, { class: "mv-stop", title: "Stop computing" });
  const node = element("span", { class: "mv-busy", hidden: "" }, element("i", { "aria-hidden": "true" }), halt, said);
  const away = new Set();

  function show(words) {
    said.textContent = words;
    halt.hidden = !running;
    node.hidden = !running && !words;
    node.classList.toggle("mv-running", running);
  }

  // `words` say what is computed, where that takes long.
  function submit(fields, { buffers, words = "" } = {}) {
    if (gone) return show(GONE);
    [what, running, sent] = [words, true, Math.max(sent + 1, Date.now())];
    show("Waiting for the kernel …"); // until it answers; a cell may be running
    return model.send({ do: "ask", seq: sent, ...fields }, undefined, buffers);
  }

  function stop() {
    show("Stopping …");
    model.send({ do: "stop", seq: sent });
  }

  const onMessage = ({ reply, seq, busy, note }) => {
    if (reply !== "channel" || seq < sent || gone) return;
    running = busy;
    show((busy && what) || note);
  };
  model.on("msg:custom", onMessage);
  const deaf = onKernelGone(model.widget_manager, () => {
    [gone, running] = [true, false];
    show(GONE);
    for (const act of away) act();
  });
  return { node, submit, stop, onGone: (act) => away.add(act), end() { model.off("msg:custom", onMessage); deaf(); } };
}

