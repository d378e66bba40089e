// What the widgets' pages are made of.

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function button(text, act, attributes = {}) {
  const node = element("button", { type: "button", ...attributes }, text);
  node.addEventListener("click", act);
  return node;
}

// JupyterLab has commands on plain keys (m merges cells, d d deletes them): none acts while the focus is in `root`.
// Keys with Ctrl or Command still do, such as saving. It heeds a flag on the very element in focus, not on those around.
function ownKeys(root) {
  const flag = "data-lm-suppress-shortcuts";
  const before = ({ target, ctrlKey, metaKey }) => {
    if (!root.contains(target)) return;
    if (ctrlKey || metaKey) target.removeAttribute(flag); else target.setAttribute(flag, "true");
  };
  window.addEventListener("keydown", before, true); // before JupyterLab sees the key
  return () => window.removeEventListener("keydown", before, true);
}

const GONE = "The kernel was stopped or restarted. Run this cell again to go on.";

// Calls `gone` once, when the kernel that this page's widgets talk to has ended.
function onKernelGone(manager, gone) {
  const session = manager.context?.sessionContext, first = manager.kernel?.id;
  let told = false;
  const tell = () => { if (!told) { told = true; stop(); gone(); } };
  const status = (_, now) => ["restarting", "autorestarting", "terminating", "dead"].includes(now) && tell();
  const changed = (_, { newValue }) => newValue?.id !== first && tell();
  function stop() {
    session?.statusChanged.disconnect(status);
    session?.kernelChanged.disconnect(changed);
  }
  session?.statusChanged.connect(status);
  session?.kernelChanged.connect(changed);
  return stop;
}

