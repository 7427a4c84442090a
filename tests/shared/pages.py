"""A page as a browser has it: unpacked here, independently of the script that does it there."""

import base64
import re
import zlib


def inflated(packed):
    """Bytes of a packed block."""
    return zlib.decompress(base64.b85decode(packed))


def script(text, name):
    """Text of the script element of that name."""
    return re.search(rf'<script [^>]*id="{re.escape(name)}">(.*?)</script>', text, re.DOTALL)[1]


def opened(text):
    """HTML of a page with what it has packed in its place."""
    packed = script(text, "page")
    return text.replace(packed, "").replace("<body>", f"<body>{inflated(packed).decode()}")
