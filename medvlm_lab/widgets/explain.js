// The explain widget in the browser: two maps over one picture; tint, opacity and read-out need no kernel.
// Follows elements.js and channel.js in one module.

// Vermilion and blue of Okabe and Ito: told apart with every common kind of colour blindness.
const FOR = [0xd5, 0x5e, 0x00], AGAINST = [0x00, 0x72, 0xb2], EDGE = [0xf0, 0xe4, 0x42];
const LUMA = [0.299, 0.587, 0.114];
const HELP = {
  Question: "hover, or arrow keys on a picture: the value there · a word of the answer: what it looked at",
  Prompt: "hover, or arrow keys on a picture: the value there · a finding's name is asked with the model's own prompts, "
    + "less those that deny it; a sentence with a full stop as it is",
  Phrase: "hover, or arrow keys on a picture: the value there",
};

const luma = (r, g, b) => LUMA[0] * r + LUMA[1] * g + LUMA[2] * b;
const short = (value) => String(Number(value.toPrecision(3)));

// The colour, darkened or lightened until it is as bright as the pixel (0 to 1), as `explain.tinted` does.
function tinted(bright, colour) {
  const pure = colour.map((part) => part / 255), own = luma(...pure);
  return pure.map((p) => (bright <= own ? (p * bright) / own : p + ((1 - p) * (bright - own)) / (1 - own)));
}
const RED = Array.from({ length: 256 }, (_, i) => tinted(i / 255, FOR)); // by brightness
const BLUE = Array.from({ length: 256 }, (_, i) => tinted(i / 255, AGAINST));

function render({ model, el }) {
  const facts = model.get("facts");
  let now = null, picture = null, edge = null, spot = null, pending = false;
  const set = (values) => {
    for (const [key, value] of Object.entries(values)) model.set(key, value);
    const slow = model.get("methods").filter((name) => facts.slow.includes(name));
    requests.submit({ values }, slow.length
      ? { words: `Computing ${slow.join(", ")}: many passes, for seconds to minutes …` } : {});
  };

  const requests = channel(model), status = element("div", { class: "mv-status" }, requests.node);
  const text = element("input", { type: "text", "aria-label": facts.kind });
  let typed = false; // since the text was last sent: what is being typed is the reader's
  text.addEventListener("input", () => { typed = true; });
  const ask = () => {
    typed = false;
    if (text.value !== model.get("text") || now?.error) set({ text: text.value });
  };
  text.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // saving is the notebook's
    if (event.key === "Enter") ask();
  });
  const layer = element("select", { "aria-label": "Layer" });
  layer.addEventListener("change", () => set({ layer: layer.value }));
  const outline = element("select", { "aria-label": "True place" });
  outline.addEventListener("change", () => set({ outline: outline.value }));
  const places = element("label", { hidden: "" }, "True place ", outline);
  const opacity = element("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": "Opacity" });
  opacity.addEventListener("input", () => { model.set("opacity", Number(opacity.value)); model.save_changes(); });
  const finer = element("input", { type: "checkbox", "aria-label": "Finer" });
  finer.addEventListener("change", () => set({ shifts: finer.checked ? 4 : 1 }));
  const moved = element("label", { title: "the mean of 4 × 4 maps, of the picture moved by parts of a cell" }, finer,
    " Finer");
  const whole = button("Explain the report", () => { typed = false; set({ text: facts.report }); });
  const alarm = element("div", { class: "mv-error", role: "alert", hidden: "" });
  const words = element("div", { class: "mv-words", hidden: "", role: "group", "aria-label": "What the model wrote" });

  const panes = [0, 1].map((which) => {
    const pick = element("select", { "aria-label": `${which ? "Right" : "Left"} method` });
    pick.addEventListener("change", () => {
      const methods = [...model.get("methods")];
      methods[which] = pick.value;
      set({ methods });
    });
    const canvas = element("canvas", { tabindex: 0, role: "img" });
    const badge = element("span", { class: "mv-badge", hidden: "" }, "simulated");
    const readout = element("div", { class: "mv-readout" });
    const captions = element("div", { class: "mv-captions" });
    const scale = element("div", { class: "mv-scale" });
    canvas.addEventListener("pointermove", (event) => point(place(event, canvas)));
    canvas.addEventListener("pointerleave", () => point(null));
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!move || !now) return;
      event.preventDefault();
      event.stopPropagation();
      const [r, c] = spot || [now.rows >> 1, now.columns >> 1], by = Math.max(1, Math.round(now.rows / 64));
      point([Math.min(Math.max(r + by * move[0], 0), now.rows - 1),
        Math.min(Math.max(c + by * move[1], 0), now.columns - 1)]);
    });
    const screen = element("div", { class: "mv-screen" }, canvas, badge);
    const root = element("div", { class: "mv-pane" }, pick, screen, scale, readout, captions);
    return { pick, canvas, badge, readout, captions, scale, root, values: null };
  });

  el.append(element("div", { class: "mv-explain" },
    element("div", { class: "mv-title" }, `Explain ${facts.model}`),
    element("div", { class: "mv-head" }, element("label", { class: "mv-text" }, `${facts.kind} `, text),
      button("Explain", ask), ...(facts.report ? [whole] : []), element("label", {}, "Layer ", layer),
      ...(facts.kind === "Question" ? [] : [moved]), element("label", {}, "Opacity ", opacity), places),
    alarm, words, element("div", { class: "mv-panes" }, ...panes.map((pane) => pane.root)), status,
    element("div", { class: "mv-foot", role: "note" }, HELP[facts.kind], element("br"), facts.disclaimer)));

  const raw = document.createElement("canvas");

  function place(event, canvas) {
    if (!now) return null;
    const box = canvas.getBoundingClientRect();
    const scale = Math.min(box.width / canvas.width, box.height / canvas.height); // as object-fit: contain does
    const [across, down] = now.stretch;
    const c = Math.floor((event.clientX - box.left - (box.width - canvas.width * scale) / 2) / scale / across);
    const r = Math.floor((event.clientY - box.top - (box.height - canvas.height * scale) / 2) / scale / down);
    return r < 0 || c < 0 || r >= now.rows || c >= now.columns ? null : [r, c];
  }

  function point(at) { // the same spot in both maps
    spot = at;
    for (const pane of panes) {
      pane.readout.textContent = at && pane.values
        ? `row ${at[0] * now.step}, column ${at[1] * now.step}: ${short(pane.values[at[0] * now.columns + at[1]])}` : "";
    }
    draw();
  }

  function draw() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; if (now) panes.forEach(paint); });
  }

  function paint(pane, which) {
    const { rows, columns } = now, most = now.panes[which].most || 1, strength = model.get("opacity");
    const [across, down] = now.stretch; // pixels that are not square are drawn in their proportions
    pane.canvas.width = Math.max(1, Math.round(columns * across));
    pane.canvas.height = Math.max(1, Math.round(rows * down));
    const shown = new ImageData(columns, rows), out = shown.data;
    for (let i = 0, p = 0; p < out.length; i += 1, p += 4) {
      const [r, g, b] = [picture[3 * i], picture[3 * i + 1], picture[3 * i + 2]];
      const value = pane.values ? pane.values[i] / most : 0, share = strength * Math.abs(value);
      const tint = (value < 0 ? BLUE : RED)[Math.round(luma(r, g, b))];
      const at = edge && edge[i];
      out[p] = at ? EDGE[0] : r + share * (255 * tint[0] - r);
      out[p + 1] = at ? EDGE[1] : g + share * (255 * tint[1] - g);
      out[p + 2] = at ? EDGE[2] : b + share * (255 * tint[2] - b);
      out[p + 3] = 255;
    }
    const pen = pane.canvas.getContext("2d");
    raw.width = columns;
    raw.height = rows;
    raw.getContext("2d").putImageData(shown, 0, 0);
    pen.drawImage(raw, 0, 0, pane.canvas.width, pane.canvas.height);
    if (!spot) return;
    pen.strokeStyle = "#f0e442";
    pen.lineWidth = Math.max(1, columns / 256);
    pen.beginPath();
    pen.arc((spot[1] + 0.5) * across, (spot[0] + 0.5) * down, pane.canvas.width / 50, 0, 7);
    pen.stroke();
  }

  function options(select, values, chosen) {
    select.replaceChildren(...values.map(([value, label]) => element("option", { value }, label)));
    select.value = chosen;
  }

  function methods(pane, chosen) {
    const label = (name) => (facts.slow.includes(name) ? `${name} (slow)` : name);
    const group = (title, names) => element("optgroup", { label: title },
      ...names.map((value) => element("option", { value }, label(value))));
    const not = facts.methods.filter((name) => !now.able.includes(name));
    pane.pick.replaceChildren(group("Methods", now.able), ...(not.length ? [group("Not for this model", not)] : []));
    pane.pick.value = chosen;
  }

  function look(about, buffers) {
    now = about;
    const [rgb, border, ...maps] = buffers.map((b) => b.buffer.slice(b.byteOffset, b.byteOffset + b.byteLength));
    picture = new Uint8Array(rgb);
    edge = border.byteLength ? new Uint8Array(border) : null;
    if (!typed) text.value = about.text;
    options(layer, [["", "the model's own"], ...about.layers.map((name) => [name, name])], model.get("layer"));
    options(outline, [["", "none"], ...about.masks.map((name) => [name, name])], model.get("outline"));
    finer.checked = model.get("shifts") > 1;
    places.hidden = !about.masks.length;
    alarm.hidden = !about.error;
    alarm.textContent = about.error;
    panes.forEach((pane, which) => {
      const told = about.panes[which], name = model.get("methods")[which];
      pane.values = maps[which].byteLength ? new Float32Array(maps[which]) : null;
      pane.badge.hidden = !about.simulated;
      methods(pane, name);
      const sentence = element("div", { class: "mv-error", role: "alert" }, told.problem);
      pane.captions.replaceChildren(...(told.problem ? [sentence] : told.captions.map((l) => element("div", {}, l))));
      const least = told.signed ? `${short(-told.most)} against` : "0";
      pane.scale.replaceChildren(...(pane.values ? [element("span", {}, least),
        element("i", { class: told.signed ? "mv-signed" : "" }), element("span", {}, `${short(told.most)} for`)] : []));
      pane.canvas.setAttribute("aria-label", `${about.alt}; ${pane.values ? name : "no map"}`);
    });
    words.hidden = !about.words.length;
    const chosen = model.get("word");
    words.replaceChildren(...about.words.map((word, i) => button(word, () => {
      const both = model.get("methods");
      set({ word: i === model.get("word") ? -1 : i, methods: both.includes(facts.words) ? both : [facts.words, both[1]] });
    }, { "aria-pressed": String(i === chosen) })));
    el.firstChild.dataset.looks = Number(el.firstChild.dataset.looks || 0) + 1;
    point(null);
  }

  const onMessage = (message, buffers) => message.reply === "look" && look(message, buffers);
  const onOpacity = () => { opacity.value = model.get("opacity"); draw(); };
  model.on("msg:custom", onMessage);
  model.on("change:opacity", onOpacity);
  text.value = model.get("text");
  onOpacity();
  const deaf = ownKeys(el);
  model.send({ do: "start" });
  return () => {
    requests.end();
    deaf();
    model.off("msg:custom", onMessage);
    model.off("change:opacity", onOpacity);
  };
}

export default { render };
