// Puts a live widget in the place of its saved picture, and keeps the picture in the notebook up to date.
// Follows elements.js in one module.

// Controls of ipywidgets itself, which go on sending to a kernel that is gone.
const CORE = ".jupyter-button, .widget-inline-hbox :is(select, input)";
const QUIET_MS = 250; // the picture is drawn anew when nothing has changed for so long

function initialize({ model }) {
  live(model); // not awaited: anywidget gives up on what takes more than two seconds here
}

async function found(manager, id) { // a busy page makes it late
  for (let tries = 0; ; tries += 1) {
    try { return await manager.get_model(id); } catch (error) { if (tries > 30) throw error; }
  }
}

async function live(model) {
  const id = model.get("of"), manager = model.widget_manager, notebook = manager.context;
  const target = await found(manager, id);
  if (!target.comm_live) return; // read from a file: nobody would answer, and the picture says more
  const saved = document.getElementsByClassName(`mv-saved-${id}`), shown = new WeakMap(), roots = new Set();
  let gone = false;

  async function swap(place) {
    const output = place.closest(".jp-OutputArea-output");
    const frame = output || place, known = shown.get(frame);
    if (known?.isConnected || known === null) return;
    if (known) { frame.after(known); return; }
    shown.set(frame, null); // under way
    const view = await manager.create_view(target);
    const root = element("div", { class: output ? "mv-live jp-OutputArea-output" : "mv-live" });
    frame.after(root); // beside, since JupyterLab styles what lies in its HTML
    view.luminoWidget.constructor.attach(view.luminoWidget, root);
    ownKeys(root);
    frame.style.display = "none";
    shown.set(frame, root);
    roots.add(root);
  }
  const look = () => { if (!gone) for (const place of saved) swap(place); };
  const pages = new MutationObserver(look);
  pages.observe(document.body, { childList: true, subtree: true });
  look();

  onKernelGone(manager, () => {
    gone = true;
    target.comm = undefined; // what is sent to nobody would be an error
    for (const root of roots) {
      root.classList.add("mv-gone");
      for (const node of root.querySelectorAll(CORE)) node.disabled = true;
      for (const node of root.querySelectorAll(".noUi-target")) node.setAttribute("disabled", "");
      root.prepend(element("div", { role: "alert", style: "border-left: 4px solid #d55e00; padding: 6px 10px" }, GONE));
    }
  });

  // the picture

  let old = false, again = false, timer = null;
  const ask = () => { clearTimeout(timer); if (!gone) model.send({ do: "picture" }); };
  model.on("msg:custom", ({ reply, data, metadata }) => {
    if (reply === "old") {
      old = true;
      clearTimeout(timer);
      timer = setTimeout(ask, QUIET_MS);
    } else if (reply === "picture") {
      old = false;
      keep(data, metadata);
      if (again) { again = false; notebook?.save(); }
    }
  });
  notebook?.saveState.connect((_, step) => {
    if (step === "started" && old && !gone) { again = true; ask(); } // the file gets the last state, too
  });

  function keep(data, metadata) {
    for (const cell of notebook?.model?.cells || []) {
      for (let i = 0; i < (cell.outputs?.length || 0); i += 1) {
        const output = cell.outputs.get(i), json = output.toJSON();
        if (!json.data?.["text/html"]?.includes?.(`mv-saved-${id}`)) continue;
        Object.assign(json.data, data); // the output's own: drawn anew, the page would lose the hand's place
        const fresh = { ...json, metadata: { ...json.metadata, ...metadata } };
        cell.sharedModel.updateOutputs(i, i + 1, [fresh], "silent-change");
      }
    }
  }
}

export default { initialize };
