"""What becomes of text of any origin before it is tokens, with counts.

Bytes that are not UTF-8 become U+FFFD, a leading byte order mark goes, CRLF becomes LF, NUL
goes. Documents without text, or with more than 2²⁶ characters, are left out.
"""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass

LONGEST = 2**26
"""Characters of a document; it bounds the memory that any corpus takes."""

SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class Cleaning:
    """How often each rule of the text policy had to act."""

    replaced: int = 0
    byte_order_marks: int = 0
    carriage_returns: int = 0
    nuls: int = 0
    too_long: int = 0

    def __add__(self, other: Cleaning) -> Cleaning:
        return Cleaning(*map(sum, zip(astuple(self), astuple(other), strict=True)))

    def take(self) -> Cleaning:
        """Return the counts and start again from zero."""
        taken = Cleaning(*astuple(self))
        vars(self).update(vars(Cleaning()))
        return taken

    def document(self, text: str) -> str | None:
        """Clean a document; None if it is to be left out."""
        if len(text) > LONGEST:
            self.too_long += 1
            return None
        text, lone = SURROGATE.subn("\ufffd", text)  # JSON may spell half a pair
        self.replaced += lone
        text = self.lines(self.without_mark(text))
        return None if not text or text.isspace() else text

    def without_mark(self, text: str) -> str:
        """Remove a leading byte order mark."""
        if text.startswith("\ufeff"):
            self.byte_order_marks += 1
            return text[1:]
        return text

    def lines(self, text: str) -> str:
        """Clean what may stand anywhere; the text does not end between CR and LF."""
        self.carriage_returns += text.count("\r\n")
        self.nuls += text.count("\0")
        return text.replace("\r\n", "\n").replace("\0", "")

    def summary(self) -> str:
        """Say what was changed, or nothing if nothing was."""
        counts = {
            "bytes that are not UTF-8 replaced": self.replaced,
            "byte order marks removed": self.byte_order_marks,
            "CRLF line ends made LF": self.carriage_returns,
            "NUL characters removed": self.nuls,
            f"documents of more than {LONGEST:,} characters left out": self.too_long,
        }
        return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
