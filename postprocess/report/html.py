"""One HTML file that says everything about an analysis, for a browser on any screen, with no network.

Called by `faintlink process`. Figures are inside the file, each for light and for dark screens; there is no script
and no outside resource, which the page's own policy enforces. Nothing of a key is in it.
"""

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Final

from faintlink.postprocess.report import sections
from faintlink.postprocess.report.figures import panel_png
from faintlink.postprocess.report.files import write_new
from faintlink.postprocess.report.markup import Markup, join, single, tag
from faintlink.postprocess.report.style import DARK, LIGHT, Theme

if TYPE_CHECKING:
    from faintlink.postprocess.pipeline import Analysis

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_CAPTIONS: Final[dict[str, str]] = {
    "qber": "Error rates of both bases with their 95 % Clopper-Pearson interval, and the policy's limit.",
    "rates": "Clicks of all receivers and sifted bits per second. The last bin, which may not be full, is left out.",
    "arrivals": "When the clicks came, by outcome, on a logarithmic scale; only clicks in the shaded part count.",
    "counts": "Sifted bits and errors of the whole run by basis and intensity, with the measured error rates.",
    "key_length": "From the sifted bits of the key basis to the key: what the proof cannot vouch for is taken off.",
}

_CSS: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #5b6470; --paper: #ffffff; --line: #dfe3e8;
  --good: #00735a; --alarm: #b3261e; --alarm-paper: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --faint: #9aa4b0; --paper: #171b21; --line: #30363f;
  --good: #2fc69b; --alarm: #ff8a80; --alarm-paper: #3a1d1b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 64rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 0.6rem; padding-top: 0.8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 0.4rem; }
.result { font-size: 1.25rem; font-weight: 600; margin: 0.6rem 0; }
.good { color: var(--good); }
.faint, figcaption { color: var(--faint); font-size: 0.9rem; }
.banner { border: 2px solid var(--alarm); background: var(--alarm-paper); color: var(--alarm);
  padding: 0.7rem 1rem; border-radius: 0.4rem; font-weight: 600; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: 0.15rem 1rem; margin: 0.6rem 0; }
dt { color: var(--faint); }
dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.text { min-width: 6rem; max-width: 28rem; }
tr.alarm td { background: var(--alarm-paper); color: var(--alarm); }
figure { margin: 1rem 0; }
figure img { display: block; width: 100%; min-width: 34rem; height: auto; }
code { font-size: 0.9em; }
pre { overflow-x: auto; font-size: 0.85rem; }
summary { cursor: pointer; margin-top: 2rem; }
@media print { body { max-width: none; } tr, figure { break-inside: avoid; } }
"""


def write_html(analysis: "Analysis", path: Path) -> Path:
    """Write the HTML report of an analysis and return its path.

    Parameters
    ----------
    analysis
        Finished, with or without key.
    path
        New file; its folder exists.

    Raises
    ------
    RunExistsError
        The file exists; nothing was overwritten.
    FaintlinkError
        matplotlib is not installed.
    """
    return write_new(path, page(analysis).encode())


def page(analysis: "Analysis") -> str:
    """Return the HTML report of an analysis."""
    return document(f"{analysis.link.name} {analysis.run_id}", join(_sections(analysis)))


def document(title: str, content: Markup) -> str:
    """Return a whole page in the reports' dress."""
    head = tag(
        "head",
        single("meta", charset="utf-8"),
        single("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        tag("title", title),
        tag("style", Markup(_CSS)),
    )
    body = tag("body", tag("main", content))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _sections(analysis: "Analysis") -> list[Markup]:
    return [
        sections.headline(analysis),
        sections.refusals(analysis),
        tag("h2", "Errors and rates over time"),
        _figure("qber", analysis),
        _figure("rates", analysis),
        tag("h2", "Arrivals"),
        _figure("arrivals", analysis),
        tag("h2", "Counts"),
        _figure("counts", analysis),
        tag("h2", "Key length"),
        _figure("key_length", analysis),
        sections.security(analysis),
        sections.monitors(analysis),
        sections.blocks(analysis),
        sections.stages(analysis),
        sections.run_facts(analysis),
        sections.configuration(analysis),
    ]


def _figure(name: str, analysis: "Analysis") -> Markup:
    caption = _CAPTIONS[name]
    dark = single("source", media="(prefers-color-scheme: dark)", srcset=_data_uri(name, analysis, DARK))
    light = single("img", src=_data_uri(name, analysis, LIGHT), alt=caption)
    picture = tag("div", tag("picture", dark, light), class_="scroll")
    return tag("figure", join((picture, tag("figcaption", caption))))


def _data_uri(name: str, analysis: "Analysis", theme: Theme) -> str:
    return f"data:image/png;base64,{b64encode(panel_png(name, analysis, theme)).decode()}"
