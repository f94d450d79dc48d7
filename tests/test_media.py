"""Images, audio, documents and video from all that users have."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from modelwire import _media
from modelwire.errors import BadRequestError
from modelwire.types import Audio, Document, Image, Video

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
PDF = b"%PDF-1.7\n"
MP4 = b"\x00\x00\x00\x18ftypisom"


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


# ---------------------------------------------------------------------- what bytes are


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"GIF87a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"BM6\x00", "image/bmp"),
        (b"II*\x00", "image/tiff"),
        (b"MM\x00*", "image/tiff"),
        (b"\x00\x00\x00\x1cftypavif", "image/avif"),
        (b"\x00\x00\x00\x1cftypheic", "image/heic"),
        (b"\x00\x00\x00\x1cftypmif1", "image/heif"),
        (WAV, "audio/wav"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"\xff\xf1\x50", "audio/aac"),
        (b"fLaC", "audio/flac"),
        (b"OggS", "audio/ogg"),
        (b"FORM\x00\x00\x00\x00AIFF", "audio/aiff"),
        (b"\x00\x00\x00\x1cftypM4A ", "audio/mp4"),
        (PDF, "application/pdf"),
        (MP4, "video/mp4"),
        (b"\x00\x00\x00\x14ftypqt  ", "video/quicktime"),
        (b"\x1a\x45\xdf\xa3", "video/webm"),
        (b"hello", None),
        (b"", None),
    ],
)
def test_a_file_is_known_by_its_first_bytes(head: bytes, kind: str | None) -> None:
    assert _media.sniff(head) == kind
    assert _media.sniff_base64(encoded(head + b"\0" * 20)) == kind


@pytest.mark.parametrize("data", ["", "!", "AA", "\u00e9", "A" * 5])
def test_what_is_no_base64_is_of_no_kind(data: str) -> None:
    assert _media.sniff_base64(data) is None


# ---------------------------------------------------------------------- making parts


def test_a_part_from_bytes_has_their_kind() -> None:
    assert Image.from_bytes(PNG) == Image(data=encoded(PNG), media_type="image/png")
    assert Audio.from_bytes(WAV) == Audio(data=encoded(WAV), media_type="audio/wav")
    assert Video.from_bytes(MP4) == Video(data=encoded(MP4), media_type="video/mp4")
    assert Document.from_bytes(PDF) == Document(data=encoded(PDF), media_type="application/pdf")
    assert Document.from_bytes(b"anything") == Document(data=encoded(b"anything"))
    assert Image.from_bytes(b"raw", media_type="image/x-raw").media_type == "image/x-raw"


def test_a_part_from_base64_is_never_written_anew() -> None:
    data = encoded(PNG)
    broken = data[:8] + "\n" + data[8:] + "\r\n"

    assert Image.from_base64(data) == Image(data=data, media_type="image/png")
    assert Image.from_base64(broken) == Image(data=data, media_type="image/png")
    assert Image.from_base64(data).to_bytes() == PNG


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("https://example.com/a.png", Image(url="https://example.com/a.png")),
        (f"data:image/png;base64,{encoded(PNG)}", Image(data=encoded(PNG), media_type="image/png")),
        (f"data:;base64,{encoded(PNG)}", Image(data=encoded(PNG), media_type="image/png")),
        (f"data:image/png;charset=x;base64,{encoded(PNG)}", Image(data=encoded(PNG), media_type="image/png")),
    ],
)
def test_a_part_from_a_url_points_there_or_holds_its_data(url: str, part: Image) -> None:
    assert Image.from_url(url) == part
    assert Image.from_uri(url) == part


def test_a_url_may_have_a_known_kind() -> None:
    assert Image.from_url("https://example.com/a", "image/png").media_type == "image/png"


def test_a_part_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(PNG)
    (tmp_path / "b.pdf").write_bytes(PDF)
    (tmp_path / "c.md").write_bytes(b"# Title")
    (tmp_path / "d.TXT").write_bytes(PDF)
    (tmp_path / "e.json").write_bytes(PNG)

    assert Image.from_file(tmp_path / "a.bin") == Image(data=encoded(PNG), media_type="image/png")
    assert Image.from_file(str(tmp_path / "e.json")).media_type == "image/png"
    assert Document.from_file(tmp_path / "b.pdf") == Document(
        data=encoded(PDF), media_type="application/pdf", filename="b.pdf"
    )
    assert Document.from_file(tmp_path / "c.md").media_type == "text/markdown"
    assert Document.from_file(str(tmp_path / "d.TXT")).media_type == "application/pdf"
    assert Document.from_file(tmp_path / "c.md", media_type="text/x-note").media_type == "text/x-note"
    assert Document.from_file(tmp_path / "a.bin").filename == "a.bin"


# ---------------------------------------------------------------------- what is refused


def refusal(make: Any, *arguments: Any) -> str:
    with pytest.raises(BadRequestError) as caught:
        make(*arguments)
    return caught.value.message


def test_bytes_of_another_kind_are_refused() -> None:
    assert refusal(Image.from_bytes, WAV) == (
        "these 16 bytes: not image data that modelwire knows (looks like audio/wav); pass media_type= if it is right"
    )
    assert refusal(Audio.from_bytes, b"hello") == (
        "these 5 bytes: not audio data that modelwire knows (begins with b'hello'); pass media_type= if it is right"
    )
    assert refusal(Image.from_bytes, PNG, "text/plain").startswith("these 16 bytes: not image data")
    assert refusal(Image.from_base64, encoded(PDF)).startswith("this base64 text: not image data")


def test_empty_content_is_refused() -> None:
    assert refusal(Image.from_bytes, b"") == "these 0 bytes: empty"
    assert refusal(Document.from_base64, "") == "this base64 text: empty"


@pytest.mark.parametrize("data", ["abc", "a-b_", "data:image/png;base64,AAAA", "é", "A===", "====", "AA=A"])
def test_what_is_no_base64_is_refused(data: str) -> None:
    assert refusal(Image.from_base64, data).startswith("not base64 (")
    assert refusal(Image.from_base64, data).endswith(
        "): pass the standard alphabet with padding, without a `data:` prefix"
    )


@pytest.mark.parametrize("url", ["data:", "data:image/png", "data:image/png,abc", "data:image/png;base64", "data:,x"])
def test_a_data_url_without_base64_is_refused(url: str) -> None:
    assert refusal(Image.from_url, url).startswith(
        f"not a base64 data URL: {url!r}; it looks like 'data:image/png;base64"
    )


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")

    assert refusal(Image.from_file, tmp_path / "none.png") == (
        f"{tmp_path}/none.png: cannot be read: No such file or directory"
    )
    assert refusal(Image.from_file, tmp_path) == f"{tmp_path}: cannot be read: Is a directory"
    assert re.search(r"cannot be read: .*embedded null", refusal(Image.from_file, "a\0b"))
    assert refusal(Image.from_file, empty) == f"{empty}: empty"


def test_what_no_provider_takes_inline_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_media, "MAX_BYTES", 10)
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    remedy = "larger than 10 bytes; upload it to the provider and pass its file id"

    assert refusal(Image.from_file, path) == f"{path}: {remedy}"
    assert refusal(Image.from_bytes, PNG) == f"these 16 bytes: {remedy}"
    assert refusal(Image.from_base64, encoded(PNG)) == f"this base64 text: {remedy}"


# ---------------------------------------------------------------------- where the content is


@pytest.mark.parametrize("kind", [Image, Video])
@pytest.mark.parametrize("given", [{}, {"url": "u", "data": "d"}, {"data": "d", "file_id": "f"}, {"media_type": "x/y"}])
def test_a_part_says_once_where_its_content_is(kind: Any, given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: give exactly one of url=, data= and file_id="):
        kind(**given)
    with pytest.raises(msgspec.ValidationError, match="give exactly one of"):
        msgspec.convert({"type": kind.type, **given}, kind)


def test_audio_may_be_given_by_its_id() -> None:
    assert Audio(id="audio_1", data="AAEC").data == "AAEC"
    assert Audio(id="audio_1").data is None
    with pytest.raises(ValueError, match="Audio: give exactly one of"):
        Audio()


def test_a_document_may_be_given_as_text() -> None:
    assert Document(text="words").data is None
    with pytest.raises(ValueError, match="Document: give exactly one of url=, data=, file_id= and text="):
        Document(text="words", url="u")
    with pytest.raises(ValueError, match="Document: give exactly one of"):
        Document()


def test_content_comes_out_as_bytes() -> None:
    assert Image.from_bytes(PNG).to_bytes() == PNG
    with pytest.raises(ValueError, match="this Image only points to its content"):
        Image(url="u").to_bytes()
    with pytest.raises(ValueError, match="this Audio only points to its content"):
        Audio(id="audio_1").to_bytes()
