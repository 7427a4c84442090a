"""Looks of figures on disk."""

import re


def looks(svg):
    """Width of an SVG in inches, and the first font of each of its texts."""
    text = svg.read_text()
    # Older versions of matplotlib write the short form, with the size before the families.
    named = re.findall(r"font(?:-family: |: [^;\"]*?px )([^;\"]+)", text)
    fonts = {families.split(",")[0].strip(" '") for families in named}
    return float(re.search(r'<svg[^>]* width="([\d.]+)pt"', text)[1]) / 72, fonts
