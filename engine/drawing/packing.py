"""Text of bytes as pages hold them: deflated, in base 85 with the letters of RFC 1924.

It is a 16th shorter than in base 64. It can stand in an element of script: without a slash among its letters
nothing in it ends one.
"""

import string
import zlib

import numpy as np

_LETTERS = np.frombuffer(
    f"{string.digits}{string.ascii_uppercase}{string.ascii_lowercase}!#$%&()*+-;<=>?@^_`{{|}}~".encode(),
    np.uint8,
)
_TWO = np.stack([np.repeat(_LETTERS, 85), np.tile(_LETTERS, 85)], axis=1)


def packed(data: bytes, level: int = 9) -> str:
    """Text of bytes, for `inflated` of the pages' scripts; `level` is that of zlib.

    As `base64.b85encode` makes it, in a quarter of its time, which is more than deflating takes.
    """
    deflated = zlib.compress(data, level)
    lacking = -len(deflated) % 4
    words = np.frombuffer(deflated + bytes(lacking), ">u4").astype(np.uint32)
    rest, low = np.divmod(words, np.uint32(85**2))
    high, middle = np.divmod(rest, np.uint32(85**2))
    letters = np.empty((len(words), 5), np.uint8)
    letters[:, 0], letters[:, 1:3], letters[:, 3:] = _LETTERS[high], _TWO[middle], _TWO[low]
    return letters.tobytes()[: letters.size - lacking].decode()
