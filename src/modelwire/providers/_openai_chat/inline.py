"""Reasoning that stands in the text itself, in `<think>` tags: where a server has no parser for it.

Only at the beginning of an answer; line ends beside the tags belong to neither side. https://docs.vllm.ai and others
give such reasoning a member of its own once they are told which model they serve.
"""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


class ThinkTags:
    """Tells reasoning from text as they come in; `settled` once there can be no more reasoning."""

    __slots__ = ("_began", "_closed", "_held", "_opened", "settled")

    def __init__(self) -> None:
        self.settled = False
        self._opened = False
        self._began = False
        self._closed = False
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """More reasoning, and more text; what cannot be told yet is held back."""
        self._held += text
        if not self._opened and not self._open():
            return "", self._text() if self.settled else ""
        thought = "" if self._closed else self._thought()
        return thought, self._text() if self._closed else ""

    def close(self) -> tuple[str, str]:
        """What was held back."""
        held, self._held = self._held, ""
        self.settled = True
        if self._opened and not self._closed:
            return held.rstrip("\n"), ""
        return "", held

    def _open(self) -> bool:
        head = self._held.lstrip()
        if head.startswith(OPEN):
            self._opened, self._held = True, head[len(OPEN) :]
        elif not OPEN.startswith(head):
            self._closed = self.settled = True
        return self._opened

    def _thought(self) -> str:
        held = self._held if self._began else self._held.lstrip("\n")
        self._began = self._began or bool(held)
        thought, tag, rest = held.partition(CLOSE)
        if tag:
            self._closed = True
            self._held = rest
            return thought.rstrip("\n")
        cut = len(held) - next((size for size in range(len(CLOSE) - 1, 0, -1) if held.endswith(CLOSE[:size])), 0)
        cut = len(held[:cut].rstrip("\n"))
        self._held = held[cut:]
        return held[:cut]

    def _text(self) -> str:
        text = self._held.lstrip("\n") if self._opened and not self.settled else self._held
        self.settled = self.settled or bool(text)
        self._held = ""
        return text


def split(text: str) -> tuple[str, str]:
    """Reasoning and text of a whole answer."""
    if not text.lstrip().startswith(OPEN):
        return "", text
    tags = ThinkTags()
    (thought, said), (last_thought, last_said) = tags.feed(text), tags.close()
    return thought + last_thought, said + last_said


def joined(thought: str) -> str:
    """Reasoning as it stands before the text."""
    return f"{OPEN}\n{thought}\n{CLOSE}\n\n"
