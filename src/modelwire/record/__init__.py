"""Record and replay at the wire: the bytes of a provider's answers, kept in a file and given again."""

from modelwire.record._player import Player
from modelwire.record._recorder import Recorder

__all__ = ["Player", "Recorder"]
