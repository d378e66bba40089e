// A line of text that is sent with Enter or its button, beside a sign that something is computed and a stop button.
// Follows elements.js and channel.js in one module.

function render({ model, el }) {
  let typed = false; // since the text was last sent
  const requests = channel(model);
  const text = element("input", { type: "text", "aria-label": model.get("label"), placeholder: model.get("placeholder"),
    title: model.get("tip"), value: model.get("value") });
  const send = () => { typed = false; requests.submit({ text: text.value }); };
  text.addEventListener("input", () => { typed = true; });
  text.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // saving is the notebook's
    if (event.key === "Enter" && !event.repeat && !event.isComposing) send();
    if (event.key === "Escape") requests.stop();
  });
  const root = element("div", { class: "mv-request" }, element("label", {}, element("span", {}, model.get("label")), text),
    button(model.get("action"), send, { class: "mv-send" }), requests.node);
  const deaf = ownKeys(root);
  el.append(root);
  requests.onGone(() => el.closest(".mv-asks")?.classList.add("mv-gone"));
  const onValue = () => { if (!typed) text.value = model.get("value"); }; // what is being typed is the reader's
  model.on("change:value", onValue);
  return () => { model.off("change:value", onValue); requests.end(); deaf(); };
}

export default { render };
