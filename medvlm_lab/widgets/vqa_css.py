"""Style sheet of the VQA widget: JupyterLab's own variables, so that it follows the light and the dark theme."""

from medvlm_lab import style

CSS = (
    """
.mv-vqa { max-width: 1060px; padding: 4px; color: var(--jp-ui-font-color1, #1b1f24); }
.mv-vqa .mv-body { display: flex; flex-flow: row wrap; gap: 20px; overflow: hidden; }
.mv-vqa .mv-left { flex: 0 1 360px; min-width: 260px; gap: 4px; overflow: hidden; }
.mv-vqa .mv-right { flex: 1 1 420px; min-width: 300px; gap: 8px; overflow: hidden; }
.mv-vqa .mv-picture img { width: 100%; height: 340px; object-fit: contain; background: #000;
  border-radius: 6px; margin: 0 0 6px; }
.mv-vqa .mv-picture .widget-html-content { position: relative; }
.mv-vqa .mv-badge { position: absolute; top: 8px; left: 8px; background: #e69f00; color: #000; padding: 0 8px;
  border-radius: 10px; font-weight: 600; font-size: 12px; line-height: 20px; }
.mv-vqa .mv-left > * { margin-right: 0; box-sizing: border-box; }
.mv-vqa .mv-title { font-size: 15px; font-weight: 600; color: var(--jp-ui-font-color1, #1b1f24); }
.mv-vqa .mv-title span { font-weight: 400; font-size: 13px; color: var(--jp-ui-font-color2, #5c6670); }
.mv-vqa .mv-suggestions { display: flex; flex-flow: row wrap; gap: 6px; overflow: hidden; }
.mv-vqa .mv-suggestions button { border-radius: 14px; font-size: 12px; margin: 0; line-height: 26px; height: 28px; }
.mv-vqa .mv-answer, .mv-vqa .mv-hint, .mv-vqa .mv-error { padding: 12px 14px; border-radius: 6px; line-height: 1.4;
  background: var(--jp-layout-color2, #f1f3f5); color: var(--jp-ui-font-color1, #1b1f24); overflow-wrap: anywhere; }
.mv-vqa .mv-hint { color: var(--jp-ui-font-color2, #5c6670); }
.mv-vqa .mv-error { border-left: 4px solid """
    + style.VERMILION
    + """; }
.mv-vqa .mv-q { font-size: 13px; color: var(--jp-ui-font-color2, #5c6670); }
.mv-vqa .mv-a { font-size: 22px; font-weight: 600; line-height: 1.3; margin: 2px 0 10px; }
.mv-vqa .mv-sub { font-size: 12px; color: var(--jp-ui-font-color2, #5c6670); margin: 8px 0 2px; }
.mv-vqa .mv-row { display: grid; grid-template-columns: minmax(80px, 150px) 1fr 44px; gap: 10px; align-items: center;
  font-size: 13px; line-height: 22px; }
.mv-vqa .mv-label { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mv-vqa .mv-track { height: 10px; border-radius: 5px; overflow: hidden; background: var(--jp-layout-color3, #dfe3e7); }
.mv-vqa .mv-fill { display: block; height: 100%; background: """
    + style.SKY
    + """; }
.mv-vqa .mv-main .mv-fill { background: """
    + style.COLORS["decoder"]
    + """; }
.mv-vqa .mv-num { text-align: right; font-variant-numeric: tabular-nums; }
.mv-vqa .mv-history { width: 100%; border-collapse: collapse; font-size: 12px; line-height: 1.4; }
.mv-vqa .mv-history th, .mv-vqa .mv-history td { text-align: left; padding: 4px 6px; vertical-align: top;
  border-bottom: 1px solid var(--jp-border-color2, #dfe3e7); color: var(--jp-ui-font-color1, #1b1f24);
  overflow-wrap: break-word; }
.mv-vqa .mv-history td:nth-child(2) { overflow-wrap: anywhere; min-width: 6em; }
.mv-vqa .widget-readout.overflow { box-shadow: none; }
.mv-vqa .mv-history :is(th, td):nth-child(n + 4) { white-space: nowrap; }
@media (max-width: 600px) { .mv-vqa .mv-history :is(th, td):nth-child(n + 5) { display: none; } }
.mv-vqa .mv-history th { font-weight: 400; color: var(--jp-ui-font-color2, #5c6670); }
.mv-vqa .mv-transcript textarea { font-family: var(--jp-code-font-family, monospace); font-size: 12px; }
.mv-vqa .mv-footer { font-size: 12px; color: var(--jp-ui-font-color2, #5c6670); }
.mv-vqa .mv-cursor { opacity: .6; }
"""
)
