"""Colours of figures and pages, each with one meaning everywhere.

Hues are those of Okabe and Ito (2008), safe for the common colour blindnesses, and darkened on white so that
thin lines and text are legible. Figures have the light theme; pages have both, as CSS variables.
"""

LIGHT = {
    "ground": "#fafaf8",
    "surface": "#ffffff",
    "ink": "#1b1f24",
    "muted": "#59626d",
    "rule": "#dfe3e7",
    "plain": "#eceef0",
    "hatch": "#b9bfc6",
    "accent": "#005f96",
    "chance": "#b34a00",
    "alert": "#fff1e3",
    "line-0": "#0072b2",
    "line-1": "#bd4f00",
    "line-2": "#00875f",
    "line-3": "#b0568a",
    "line-4": "#946700",
    "mutual": "#bd4f00",
    "transport": "#b0307f",
    "share": "#005f96",
    "both": "#00875f",
    "meaning": "#0072b2",
    "sound": "#bd4f00",
    "neither": "#8a929b",
    "cloud": "40 50 60",
}
DARK = {
    "ground": "#101317",
    "surface": "#171b20",
    "ink": "#e8ebee",
    "muted": "#a0a9b4",
    "rule": "#2c333b",
    "plain": "#20262d",
    "hatch": "#4b545f",
    "accent": "#6cc0f0",
    "chance": "#ff9f5f",
    "alert": "#3a2616",
    "line-0": "#56b4e9",
    "line-1": "#ff8f45",
    "line-2": "#2fcf9f",
    "line-3": "#e59fca",
    "line-4": "#e3b52c",
    "mutual": "#ff9f5f",
    "transport": "#ee8fc8",
    "share": "#6cc0f0",
    "both": "#2fcf9f",
    "meaning": "#56b4e9",
    "sound": "#ff8f45",
    "neither": "#8a929b",
    "cloud": "200 210 220",
}
"""Colours by meaning; `cloud` is red, green and blue, because pages draw it in many opacities."""

INK, MUTED, RULE, PLAIN, HATCH, CHANCE = (
    LIGHT[name] for name in ("ink", "muted", "rule", "plain", "hatch", "chance")
)
LINES = (*(LIGHT[f"line-{i}"] for i in range(5)), "#56b4e9")
"""Colours of up to six lines."""
SEQUENTIAL = (
    *("#eff6e6", "#c9e8cd", "#93d8b9", "#58c2b0", "#38a4ac"),
    *("#3685a4", "#3a669b", "#403f7c", "#321f4c", "#1a0f20"),
)
"""Stops of a scale that is even in lightness, so that it survives a grey printer."""


def css() -> str:
    """CSS that sets a variable for each colour: light, or dark if the reader's system is."""
    light, dark = (
        " ".join(f"--{name}: {value};" for name, value in theme.items()) for theme in (LIGHT, DARK)
    )
    # .paper: while printing, when the scripts draw for a white page.
    return (
        f":root {{ {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root:not(.paper) {{ {dark} }} }}"
    )
