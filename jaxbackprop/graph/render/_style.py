"""Colours and font sizes of a picture."""

from __future__ import annotations

LABEL, SYMBOL, SMALL, NUMBERS, TITLE = 13.0, 18.0, 10.5, 11.5, 14.0
"""Font sizes in pixels."""

# Values in blue, gradients in red and italics behind an arrow; every text has a contrast of at least 4.5 : 1.
LIGHT = {
    "paper": "#ffffff",
    "ink": "#1c2128",
    "faint": "#59636e",
    "line": "#59636e",
    "value": "#0b4f9e",
    "gradient": "#b3261e",
    "operation": "#eef1f5",
    "input": "#e3f1e6",
    "constant": "#f7f3e4",
    "output": "#e5edfb",
    "folded": "#f1eaf8",
}
DARK = {
    "paper": "#14181d",
    "ink": "#e8ebee",
    "faint": "#a3adb8",
    "line": "#8d97a3",
    "value": "#8cc4ff",
    "gradient": "#ff9c8f",
    "operation": "#262d36",
    "input": "#1d3525",
    "constant": "#3a3420",
    "output": "#1c2f4d",
    "folded": "#35284a",
}


def style() -> str:
    """The picture's CSS. Every rule begins with its class, since a notebook applies it to the whole page."""

    def rules(colours: dict[str, str]) -> str:
        parts = {
            ".paper": f"fill:{colours['paper']}",
            "text": f"fill:{colours['ink']}",
            ".caption, .on": f"stroke:{colours['paper']}",
            ".caption, .note, .shape": f"fill:{colours['faint']}",
            ".value": f"fill:{colours['value']}",
            ".gradient": f"fill:{colours['gradient']}",
            ".way": f"stroke:{colours['line']}",
            ".tip, .copy .outline": f"fill:{colours['line']}",
            ".outline": f"stroke:{colours['ink']}",
        }
        for kind in ("operation", "input", "constant", "output", "folded"):
            parts[f".{kind} .outline"] = f"fill:{colours[kind]}"
        return "".join(
            ",".join(f".jaxbackprop-graph {one.strip()}" for one in where.split(",")) + f"{{{what}}}"
            for where, what in parts.items()
        )

    return (
        ".jaxbackprop-graph{max-width:none}"
        ".jaxbackprop-graph text{font-family:Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif}"
        f".jaxbackprop-graph .label{{font-size:{LABEL}px;text-anchor:middle}}"
        f".jaxbackprop-graph .symbol{{font-size:{SYMBOL}px;text-anchor:middle}}"
        f".jaxbackprop-graph .caption{{font-size:{SMALL}px;text-anchor:middle}}"
        f".jaxbackprop-graph .on{{font-size:{NUMBERS}px;text-anchor:middle}}"
        # A halo keeps a text legible where a line crosses it.
        ".jaxbackprop-graph .caption,.jaxbackprop-graph .on{paint-order:stroke;stroke-width:3px}"
        ".jaxbackprop-graph .gradient{font-style:italic}"
        f".jaxbackprop-graph .name{{font-size:{TITLE}px;font-weight:bold}}"
        f".jaxbackprop-graph .below{{font-size:{SMALL + 1}px}}"
        ".jaxbackprop-graph .way{fill:none;stroke-width:1.4}"
        ".jaxbackprop-graph .passive .way{stroke-dasharray:5 4}"
        ".jaxbackprop-graph .outline{stroke-width:1.4}"
        ".jaxbackprop-graph .constant .outline{stroke-dasharray:3 3}"
        f"{rules(LIGHT)}@media(prefers-color-scheme:dark){{{rules(DARK)}}}"
    )
