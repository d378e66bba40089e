// The image viewer in the browser: raw values are kept here, so that window, level and read-out follow the hand at once.

const ARRAYS = {
  uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array,
  uint32: Uint32Array, int32: Int32Array, float32: Float32Array, float64: Float64Array,
};
const KEPT_BYTES = 256e6; // frames kept here; the oldest go first
const BINS = 128;

function short(value) {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

function render({ model, el }) {
  const facts = model.get("facts");
  const frames = new Map(); // index -> {values, rows, columns, step}
  const asked = new Set();
  let keptBytes = 0;
  let timer = null;

  const image = element("canvas", { class: "mv-image", tabindex: 0, role: "img" });
  const screen = element("div", { class: "mv-screen" }, image);
  if (facts.simulated) screen.append(element("span", { class: "mv-badge" }, "simulated"));
  const readout = element("div", { class: "mv-readout", role: "status" });
  const stage = element("div", { class: "mv-stage" }, screen, readout);
  const side = element("div", { class: "mv-side" });
  for (const [edge, letters] of Object.entries(facts.edges)) {
    screen.append(element("span", { class: `mv-edge mv-${edge}`, "aria-hidden": "true" }, letters));
  }
  const [across, down] = facts.stretch; // pixels that are not square are drawn in their proportions
  const raw = document.createElement("canvas");
  const root = element("div", { class: "mv-viewer" }, element("div", { class: "mv-body" }, stage, side));
  el.append(root);

  function slider(name, attributes, apply) {
    const input = element("input", { type: "range", "aria-label": name, ...attributes });
    const value = element("output");
    side.append(element("label", {}, name, input, value));
    input.addEventListener("input", () => apply(Number(input.value)));
    return { input, value };
  }

  // frames

  const word = facts.fps ? "Frame" : "Slice";
  let frameSlider = null;
  if (facts.frames > 1) {
    frameSlider = slider(word, { min: 0, max: facts.frames - 1, step: 1 }, go);
    const play = element("button", { type: "button" }, "▶ Play");
    play.addEventListener("click", () => (timer ? stop() : start()));
    side.append(play);
    function start() {
      const fps = Math.min(facts.fps || 12, 60);
      timer = setInterval(() => {
        const next = (model.get("frame") + 1) % facts.frames;
        request(next);
        if (frames.has(next)) go(next); // a frame that is not here yet is waited for, not skipped
      }, 1000 / fps);
      play.textContent = "⏸ Pause";
    }
    function stop() {
      clearInterval(timer);
      timer = null;
      play.textContent = "▶ Play";
    }
    root.mvToggle = () => play.click();
  }

  function go(frame) {
    const next = Math.min(Math.max(frame, 0), facts.frames - 1);
    if (facts.frame_windows.length && asFile(model.get("frame"))) model.set("window", facts.frame_windows[next]);
    model.set("frame", next);
    model.save_changes();
  }

  function request(frame) {
    if (frame < 0 || frame >= facts.frames || frames.has(frame) || asked.has(frame)) return;
    asked.add(frame);
    model.send({ frame });
  }

  function onMessage(about, buffers) {
    const bytes = buffers[0];
    const whole = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength); // aligned for its type
    const values = new ARRAYS[about.type](whole);
    asked.delete(about.frame);
    if (!frames.size) readout.textContent = "";
    frames.set(about.frame, { ...about, values });
    keptBytes += values.byteLength;
    for (const [index, old] of frames) {
      if (keptBytes <= KEPT_BYTES || index === model.get("frame")) break;
      frames.delete(index);
      keptBytes -= old.values.byteLength;
    }
    if (about.frame === model.get("frame")) draw();
  }

  // window and level

  let presetBox = null;
  let centerSlider = null;
  let widthSlider = null;
  const histogram = element("canvas", { class: "mv-histogram", width: 2 * BINS, height: 90, role: "img",
    "aria-label": "histogram of this frame; the shaded range is what the window shows" });
  if (!facts.color) {
    presetBox = element("select", { "aria-label": "Window preset" });
    for (const name of Object.keys(facts.presets)) presetBox.append(element("option", { value: name }, name));
    presetBox.append(element("option", { value: "" }, "as set by hand"));
    presetBox.addEventListener("change", () => {
      const own = presetBox.value === "from the file" && facts.frame_windows[model.get("frame")];
      if (presetBox.value) level(...(own || facts.presets[presetBox.value]));
    });
    side.append(element("label", {}, "Window", presetBox, element("span")));
    const [least, most] = facts.bounds;
    const span = Math.max(most - least, 1e-6);
    // every preset has its place on the sliders: from beyond their ends the first key press would be a leap
    const [centers, widths] = [0, 1].map((i) => Object.values(facts.presets).map((pair) => pair[i]));
    const [low, high, step] = [Math.min(least, ...centers), Math.max(most, ...centers), span / 512];
    centerSlider = slider("Center", { min: low, max: high, step }, (v) => level(v, width()));
    widthSlider = slider("Width", { min: step, max: Math.max(2 * span, ...widths), step }, (v) => level(center(), v));
    side.append(histogram);
  }
  const center = () => model.get("window")[0];
  const width = () => model.get("window")[1];

  function level(c, w) {
    model.set("window", [c, Math.max(w, (facts.bounds[1] - facts.bounds[0]) / 1024 || 1e-6)]);
    model.save_changes();
  }

  // whether the window is the one that the file gives a frame
  function asFile(frame) {
    const own = facts.frame_windows[frame] || facts.presets["from the file"];
    return own[0] === center() && own[1] === width();
  }

  // value → grey level before inversion, as Python's medvlm_lab.grey computes it; the clamped array rounds and clips
  function shader() {
    if (facts.table && asFile(model.get("frame"))) {
      const last = facts.table.length - 1;
      return (value) => facts.table[Math.min(Math.max(Math.floor(value) - facts.first, 0), last)];
    }
    if (facts.function === "SIGMOID") return (value) => 255 / (1 + Math.exp((-4 * (value - center())) / width()));
    const counted = facts.function === "LINEAR" && width() > 1; // DICOM's default counts whole grey values
    const [c, w] = counted ? [center() - 0.5, width() - 1] : [center(), width()];
    const [low, gain] = [c - w / 2, 255 / w];
    return (value) => (value - low) * gain;
  }

  let pending = false;
  function draw() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; paint(); });
  }

  function paint() {
    const index = model.get("frame");
    const frame = frames.get(index);
    if (frameSlider) {
      frameSlider.input.value = index;
      frameSlider.value.textContent = `${index + 1} / ${facts.frames}`;
    }
    showWindow();
    if (!frame) {
      if (!frames.size) readout.textContent = "Run this cell to bring the picture here."; // a saved notebook, no kernel
      return request(index);
    }
    request(index + 1); // the next one is most likely wanted next
    const { rows, columns, values } = frame;
    image.width = Math.max(1, Math.round(columns * across));
    image.height = Math.max(1, Math.round(rows * down));
    const picture = new ImageData(columns, rows);
    const out = picture.data;
    if (facts.color) {
      for (let i = 0, j = 0; j < out.length; i += 3, j += 4) {
        out[j] = values[i]; out[j + 1] = values[i + 1]; out[j + 2] = values[i + 2]; out[j + 3] = 255;
      }
    } else {
      const shade = shader();
      const [first, last] = facts.padding || [1, 0];
      for (let i = 0, j = 0; i < values.length; i += 1, j += 4) {
        let grey = shade(values[i]);
        if (facts.inverted) grey = 255 - Math.min(Math.max(grey, 0), 255);
        if (values[i] >= first && values[i] <= last) grey = 0;
        out[j] = out[j + 1] = out[j + 2] = grey;
        out[j + 3] = 255;
      }
      paintHistogram(frame);
    }
    raw.width = columns;
    raw.height = rows;
    raw.getContext("2d").putImageData(picture, 0, 0);
    image.getContext("2d").drawImage(raw, 0, 0, image.width, image.height);
    cover(frame);
    const place = facts.frames > 1 ? `, ${word.toLowerCase()} ${index + 1} of ${facts.frames}` : "";
    const side = facts.edges.left ? `, ${facts.edges.left} on the left, ${facts.edges.top} at the top` : "";
    const made = facts.simulated ? ", simulated" : "";
    image.setAttribute("aria-label", `${facts.modality}: ${facts.name}${place}${made}${side}`);
    image.dataset.frame = index;
  }

  function showWindow() {
    if (facts.color) return;
    centerSlider.input.value = center();
    centerSlider.value.textContent = short(center());
    widthSlider.input.value = width();
    widthSlider.value.textContent = short(width());
    const same = Object.entries(facts.presets).find(([, pair]) => pair[0] === center() && pair[1] === width());
    presetBox.value = asFile(model.get("frame")) ? "from the file" : same ? same[0] : "";
  }

  function paintHistogram(frame) {
    const [least, most] = facts.bounds;
    const span = Math.max(most - least, 1e-6);
    if (!frame.counts) {
      frame.counts = new Float64Array(BINS);
      const step = Math.max(1, Math.floor(frame.values.length / 200000));
      for (let i = 0; i < frame.values.length; i += step) {
        frame.counts[Math.min(BINS - 1, Math.floor(((frame.values[i] - least) / span) * BINS))] += 1;
      }
    }
    const pen = histogram.getContext("2d");
    pen.clearRect(0, 0, histogram.width, histogram.height);
    const x = (value) => ((value - least) / span) * histogram.width;
    pen.fillStyle = "rgba(86, 180, 233, 0.35)";
    pen.fillRect(x(center() - width() / 2), 0, (width() / span) * histogram.width, histogram.height);
    const top = Math.log1p(Math.max(...frame.counts)) || 1;
    pen.fillStyle = "#7f7f7f";
    frame.counts.forEach((count, bin) => {
      const height = (Math.log1p(count) / top) * (histogram.height - 4); // logarithmic: air would hide the rest
      pen.fillRect(2 * bin, histogram.height - height, 2, height);
    });
  }

  // areas that may hold burned-in text, such as a name

  let covered = false;
  if (facts.burned_in.length) {
    const box = element("input", { type: "checkbox", "aria-label": "Cover burned-in text" });
    box.addEventListener("change", () => { covered = box.checked; draw(); });
    side.append(element("label", { class: "mv-check" }, box, "Cover where text may be burned in"));
  }

  function cover(frame) {
    const pen = image.getContext("2d");
    pen.fillStyle = "#000";
    for (const [x0, y0, x1, y1] of covered ? facts.burned_in : []) {
      const [x, y] = [across / frame.step, down / frame.step];
      pen.fillRect(x0 * x, y0 * y, (x1 - x0) * x, (y1 - y0) * y);
    }
  }

  // pointer and keys

  function pixelAt(event) {
    const frame = frames.get(model.get("frame"));
    if (!frame) return null;
    const box = image.getBoundingClientRect();
    const scale = Math.min(box.width / image.width, box.height / image.height); // as object-fit: contain does
    const column = Math.floor((event.clientX - box.left - (box.width - image.width * scale) / 2) / scale / across);
    const row = Math.floor((event.clientY - box.top - (box.height - image.height * scale) / 2) / scale / down);
    if (row < 0 || column < 0 || row >= frame.rows || column >= frame.columns) return null;
    return { frame, row, column };
  }

  function say(event) {
    const at = pixelAt(event);
    if (!at) { readout.textContent = ""; return; }
    const { frame, row, column } = at;
    const first = (row * frame.columns + column) * (facts.color ? 3 : 1);
    const value = facts.color ? `RGB ${frame.values.slice(first, first + 3).join(", ")}`
      : `${short(frame.values[first])} ${facts.units || ""}`.trim();
    const [r, c] = [row * frame.step, column * frame.step];
    const mm = facts.spacing ? ` (${(r * facts.spacing[0]).toFixed(1)}, ${(c * facts.spacing[1]).toFixed(1)} mm)` : "";
    readout.textContent = `row ${r}, column ${c}${mm}: ${value}`;
  }

  let grip = null;
  image.addEventListener("pointerdown", (event) => {
    image.focus({ preventScroll: true });
    if (facts.color) return;
    grip = { x: event.clientX, y: event.clientY, center: center(), width: width() };
    image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointermove", (event) => {
    say(event);
    if (!grip) return;
    const unit = (facts.bounds[1] - facts.bounds[0]) / 400; // a drag over the picture crosses the range of values
    const direction = facts.inverted ? -1 : 1;
    level(grip.center + direction * (event.clientY - grip.y) * unit, grip.width + (event.clientX - grip.x) * unit);
  });
  image.addEventListener("pointerup", () => { grip = null; });
  image.addEventListener("pointerleave", () => { if (!grip) readout.textContent = ""; });
  image.addEventListener("wheel", (event) => {
    if (facts.frames < 2 || document.activeElement !== image) return; // else the page scrolls, as it should
    event.preventDefault();
    go(model.get("frame") + Math.sign(event.deltaY));
  }, { passive: false });
  image.addEventListener("keydown", (event) => {
    const step = facts.color ? 0 : width() / 20;
    const keys = {
      ArrowRight: () => go(model.get("frame") + 1), ArrowLeft: () => go(model.get("frame") - 1),
      ArrowUp: () => step && level(center() - step, width()), ArrowDown: () => step && level(center() + step, width()),
      "+": () => step && level(center(), width() - step), "-": () => step && level(center(), width() + step),
      " ": () => root.mvToggle && root.mvToggle(),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook has commands on these keys
    keys[event.key]();
  });

  const hints = [];
  if (!facts.color) hints.push("drag or ↑ ↓ + −: brightness and contrast");
  if (facts.frames > 1) hints.push(`wheel or ← →: ${word.toLowerCase()}s`, "space: play");
  const tags = element("div");
  tags.innerHTML = model.get("tags"); // built and escaped by viewer_state.render_tags
  side.append(
    element("div", { class: "mv-help" }, hints.join(" · ")),
    element("details", {}, element("summary", {}, "What the file says"), tags),
    element("div", { class: "mv-foot", role: "note" }, facts.disclaimer),
  );

  model.on("msg:custom", onMessage);
  model.on("change:frame", draw);
  model.on("change:window", draw);
  draw();
  const deaf = ownKeys(el);
  return () => {
    deaf();
    if (timer) clearInterval(timer);
    model.off("msg:custom", onMessage);
    model.off("change:frame", draw);
    model.off("change:window", draw);
  };
}

export default { render };
