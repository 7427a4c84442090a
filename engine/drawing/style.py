"""Colours of figures and pages, each with one meaning everywhere.

Hues are those of Okabe and Ito (2008), safe for the common colour blindnesses, and darkened on white so that
thin lines and text are legible. Figures have the light theme; pages have both, as CSS variables.
"""

_THEMES = {  # light, dark
    "ground": ("#fafaf8", "#101317"),
    "surface": ("#ffffff", "#171b20"),
    "ink": ("#1b1f24", "#e8ebee"),
    "muted": ("#59626d", "#a0a9b4"),
    "rule": ("#dfe3e7", "#2c333b"),
    "plain": ("#eceef0", "#20262d"),
    "hatch": ("#b9bfc6", "#4b545f"),
    "accent": ("#005f96", "#6cc0f0"),
    "chance": ("#b34a00", "#ff9f5f"),
    "alert": ("#fff1e3", "#3a2616"),
    "line-0": ("#0072b2", "#56b4e9"),
    "line-1": ("#bd4f00", "#ff8f45"),
    "line-2": ("#00875f", "#2fcf9f"),
    "line-3": ("#b0568a", "#e59fca"),
    "line-4": ("#946700", "#e3b52c"),
    "line-5": ("#5a5fb8", "#a3a8f5"),
    "line-6": ("#7a5c3e", "#c9a27d"),
    "mutual": ("#bd4f00", "#ff9f5f"),
    "transport": ("#b0307f", "#ee8fc8"),
    "share": ("#005f96", "#6cc0f0"),
    "both": ("#00875f", "#2fcf9f"),
    "meaning": ("#0072b2", "#56b4e9"),
    "sound": ("#bd4f00", "#ff8f45"),
    "neither": ("#8a929b", "#8a929b"),
    "cloud": ("40 50 60", "200 210 220"),
}
LIGHT, DARK = ({name: pair[theme] for name, pair in _THEMES.items()} for theme in (0, 1))
"""Colours by meaning; `cloud` is red, green and blue, because pages draw it in many opacities."""

INK, MUTED, RULE, PLAIN, HATCH, CHANCE = (
    LIGHT[name] for name in ("ink", "muted", "rule", "plain", "hatch", "chance")
)
LINES = (*(LIGHT[f"line-{i}"] for i in range(5)), DARK["line-0"])
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
