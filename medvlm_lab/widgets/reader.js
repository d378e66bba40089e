// The reader study in the browser: it draws the view that Python computes and sends what the reader does.

const CONTROLS = ["button", "input", "select", "textarea", "summary"];

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  // JupyterLab takes arrow keys and Enter for the notebook, unless the very element in focus forbids it.
  if (CONTROLS.includes(tag) || "tabindex" in attributes) node.dataset.lmSuppressShortcuts = "true";
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const points = (text) => Array.from(text).length; // Python counts characters, JavaScript halves of some

function download({ name, content }) {
  const type = name.endsWith(".csv") ? "text/csv" : "application/json";
  const url = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function render({ model, el }) {
  const send = (name, fields = {}) => model.send({ do: name, ...fields });
  const group = `mv-reader-${Math.random().toString(36).slice(2)}`; // radio buttons of two widgets must not meet

  // head

  const tab = (label, results) => element("button", { type: "button", role: "tab",
    onclick: () => send("show", { results }) }, label);
  const tabs = [tab("Cases", false), tab("Results", true)];
  const save = (label, form) => element("button", { type: "button", onclick: () => send("export", { form }) }, label);
  const reader = element("span", { class: "mv-dim" });
  const head = element("div", { class: "mv-head" }, element("span", { class: "mv-title" }, "Reader study"), reader,
    element("span", { class: "mv-tabs", role: "tablist" }, ...tabs), save("Export CSV", "csv"), save("Export JSON", "json"));
  const alert = element("div", { class: "mv-error", role: "alert", hidden: true });

  // progress
  const steps = element("span", { class: "mv-steps" });
  const status = element("span", { class: "mv-dim", role: "status" });
  const bar = element("progress", { "aria-label": "cases answered" });
  const move = (label, by) => element("button", { type: "button",
    onclick: () => send("go", { position: model.get("view").position + by }) }, label);
  const [previous, next] = [move("← Previous", -1), move("Next →", 1)];
  const progress = element("div", { class: "mv-progress" }, previous, steps, next, bar, status);

  // picture

  const image = element("img", { draggable: "false" });
  const screen = element("div", { class: "mv-screen", tabindex: 0, role: "group",
    "aria-label": "image; scroll with the arrow keys when enlarged" }, image);
  const zoom = element("input", { type: "range", min: 1, max: 4, step: 0.25, value: 1, "aria-label": "Zoom" });
  const times = element("output", {}, "1×");
  const badge = element("span", { class: "mv-badge" }, "simulated");
  const frame = element("div", { class: "mv-frame" }, screen, badge);
  const left = element("div", { class: "mv-left" }, frame,
    element("label", { class: "mv-zoom" }, "Zoom", zoom, times));

  function enlarge(scale) {
    const before = Number(image.dataset.scale || 1);
    const x = (screen.scrollLeft + screen.clientWidth / 2) / before; // what is in the middle stays there
    const y = (screen.scrollTop + screen.clientHeight / 2) / before;
    image.dataset.scale = zoom.value = scale;
    image.style.width = `${100 * scale}%`;
    times.textContent = `${scale}×`;
    screen.scrollTo(x * scale - screen.clientWidth / 2, y * scale - screen.clientHeight / 2);
  }
  zoom.addEventListener("input", () => enlarge(Number(zoom.value)));
  let grip = null;
  screen.addEventListener("pointerdown", (event) => { grip = [event.clientX, event.clientY]; });
  screen.addEventListener("pointermove", (event) => {
    if (!grip || !event.buttons) return;
    screen.scrollBy(grip[0] - event.clientX, grip[1] - event.clientY);
    grip = [event.clientX, event.clientY];
  });

  // reports

  const reports = element("div", { class: "mv-reports" });
  const opened = {}; // whose corrected report is in view

  function drawReports(view) {
    reports.replaceChildren(...view.reports.map((report) => drawReport(report, view)));
  }

  function drawReport(report, view) {
    const { letter } = report;
    let span = null;
    const text = element("div", { class: "mv-text" }, ...report.segments.map(([piece, number]) =>
      number ? element("mark", { "data-number": number, title: `error ${number}` }, piece)
        : document.createTextNode(piece)));
    const chosen = element("div", { class: "mv-chosen mv-dim", role: "status" });
    const sentences = element("select", { "aria-label": `Sentence of report ${letter}` },
      element("option", { value: "" }, "… or choose a sentence"),
      ...report.sentences.map(([a, b, words]) => element("option", { value: `${a},${b}` }, words)));
    const buttons = view.kinds.map((kind) => element("button", { type: "button", onclick: () => mark(kind),
      "aria-label": `Mark in report ${letter}: ${kind}` }, kind));

    function choose(found, words) {
      span = found;
      chosen.textContent = span ? `“${words}” is …` : "";
      buttons.forEach((button, i) => { button.disabled = !span && view.kinds[i] !== view.omission; });
    }
    function mark(kind) {
      const [start, end] = span || [report.length, report.length];
      send("mark", { letter, start, end, kind });
    }
    function selected() {
      const range = document.getSelection().rangeCount ? document.getSelection().getRangeAt(0) : null;
      if (!range || !text.contains(range.commonAncestorContainer)) return;
      const words = range.toString();
      if (!words.trim()) { if (!sentences.value) choose(null); return; }
      const before = document.createRange();
      before.selectNodeContents(text);
      before.setEnd(range.startContainer, range.startOffset);
      const start = points(before.toString()) + points(words) - points(words.trimStart());
      sentences.value = "";
      choose([start, start + points(words.trim())], words.trim());
    }
    text.addEventListener("pointerup", () => setTimeout(selected)); // the selection is settled after the event
    sentences.addEventListener("change", () => {
      const found = report.sentences.find(([a, b]) => sentences.value === `${a},${b}`);
      choose(found ? found.slice(0, 2) : null, found && found[2]);
    });
    choose(null);
    return element("section", { class: "mv-report", "aria-label": `Report ${letter}` },
      element("h4", {}, `Report ${letter}`), text,
      element("div", { class: "mv-tools" }, "Select what is wrong …", sentences, chosen,
        element("div", { class: "mv-kinds" }, ...buttons)),
      report.corrected ? element("details", { open: Boolean(opened[letter]),
        ontoggle: (event) => { opened[letter] = event.target.open; } },
      element("summary", {}, "Corrected report"), element("div", { class: "mv-text" }, report.corrected)) : null);
  }

  // preference
  const reason = element("input", { type: "text", placeholder: "Why? A few words", "aria-label": "Reason",
    onchange: () => send("prefer", { reason: reason.value }) });
  const radios = model.get("view").scale.map(([step, words]) => {
    const radio = element("input", { type: "radio", name: group, value: step, onchange: () => send("prefer", { step }) });
    return { radio, label: element("label", {}, radio, element("span", {}, words)) };
  });
  const preference = element("fieldset", { class: "mv-preference" },
    element("legend", {}, "Which report would you rather sign?"),
    element("div", { class: "mv-scale" }, ...radios.map((r) => r.label)), reason);

  // marks
  const marks = element("ol", { class: "mv-marks", "aria-label": "Marked errors" });
  let shown = 0;

  function drawMarks(view, fresh) {
    marks.replaceChildren(...view.marks.map((mark, number) => {
      const box = element("input", { type: "checkbox",
        onchange: () => send("amend", { number, significant: box.checked }) });
      box.checked = mark.significant;
      const correction = element("textarea", { rows: 2, "aria-label": `Correction of error ${number + 1}`,
        placeholder: mark.text ? "Empty: taken out" : "What is missing?",
        onchange: () => send("amend", { number, correction: correction.value }) });
      correction.value = mark.correction;
      const quote = mark.text ? element("q", {}, mark.text) : element("span", { class: "mv-dim" }, "at the end");
      return element("li", {},
        element("div", {}, element("b", {}, `${number + 1} · ${mark.report} · ${mark.kind} `), quote),
        correction,
        element("label", {}, box, " clinically significant"),
        element("button", { type: "button", "aria-label": `Remove error ${number + 1}`,
          onclick: () => send("unmark", { number }) }, "Remove"));
    }));
    if (fresh && view.marks.length > shown) marks.querySelector("li:last-child textarea").select();
    shown = view.marks.length;
  }

  // results
  const pane = element("div", { class: "mv-results" });
  const body = element("div", { class: "mv-body" }, left,
    element("div", { class: "mv-right" }, reports, preference, marks));
  const foot = element("div", { class: "mv-foot", role: "note" });
  const root = element("div", { class: "mv-reader" },
    head, alert, progress, body, pane, foot);
  el.append(root);

  // A part is drawn anew only where its own data changed: a click or a word being typed is not lost.
  const last = {};
  function changed(name, value) {
    const text = JSON.stringify(value);
    if (last[name] === text) return false;
    last[name] = text;
    return true;
  }

  function draw() {
    const view = model.get("view");
    const same = !changed("case", view.case);
    reader.textContent = view.reader;
    alert.textContent = view.error;
    alert.hidden = !view.error;
    tabs.forEach((button, i) => button.setAttribute("aria-selected", view.results === Boolean(i)));
    progress.hidden = body.hidden = view.results;
    pane.hidden = !view.results;
    if (changed("steps", [view.done, view.position])) {
      steps.replaceChildren(...view.done.map((done, i) => element("button", { type: "button",
        class: done ? "mv-done" : "", "aria-label": `Case ${i + 1}${done ? ", answered" : ""}`,
        "aria-current": i === view.position ? "step" : null, onclick: () => send("go", { position: i }) }, `${i + 1}`)));
    }
    previous.disabled = view.position === 0;
    next.disabled = view.position === view.count - 1;
    bar.max = view.count;
    bar.value = view.answered;
    status.textContent = `Case ${view.position + 1} of ${view.count} · ${view.answered} answered`;
    badge.hidden = !view.simulated;
    image.alt = `Image of case ${view.position + 1}${view.simulated ? ", simulated" : ""}`;
    if (!same) enlarge(1);
    if (changed("reports", view.reports)) drawReports(view);
    if (changed("step", [view.case, view.step])) {
      for (const { radio } of radios) radio.checked = radio.value === String(view.step);
    }
    if (changed("reason", [view.case, view.reason])) reason.value = view.reason;
    const fixed = view.marks.map(({ report, kind, text }) => [report, kind, text]);
    if (changed("marks", [view.case, fixed])) drawMarks(view, same);
    foot.textContent = [view.saved, view.disclaimer].filter(Boolean).join(" · ");
  }

  function drawPicture() {
    image.src = model.get("picture");
    left.hidden = !model.get("picture");
  }

  function drawResults() {
    pane.innerHTML = model.get("results"); // built and escaped by reader_results
  }

  model.on("change:view", draw);
  model.on("change:picture", drawPicture);
  model.on("change:results", drawResults);
  model.on("msg:custom", download);
  draw();
  drawPicture();
  drawResults();
  return () => {
    model.off("change:view", draw);
    model.off("change:picture", drawPicture);
    model.off("change:results", drawResults);
    model.off("msg:custom", download);
  };
}

export default { render };
