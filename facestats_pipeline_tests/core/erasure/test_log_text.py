"""What identifies an image leaves a text, and nothing else does."""

import json

import pytest

from facestats_pipeline.core.erasure.log_text import PLACEHOLDER, PREVIEW_START, scrubber

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a/1.jpg", "cannot read /data/raw/a/1.jpg: gone", f"cannot read /data/raw/{PLACEHOLDER}: gone"),
        ("1.jpg", "11.jpg, 1.jpg.bak, x-1.jpg and 1.jpg.", f"11.jpg, 1.jpg.bak, x-1.jpg and {PLACEHOLDER}."),
        ("status", '{"status": "ok", "path": "/raw/status"}', f'{{"status": "ok", "path": "/raw/{PLACEHOLDER}"}}'),
        ("(1).jpg", "'(1).jpg' twice: (1).jpg", f"'{PLACEHOLDER}' twice: {PLACEHOLDER}"),
    ],
)
def test_a_name_goes_as_a_whole_only(name: str, text: str, expected: str) -> None:
    assert scrubber([], [name]).scrub(text)[0] == expected


def test_previews_go_whoever_is_in_them() -> None:
    text = json.dumps({"preview": f"![all]({PREVIEW_START}/9j/4AAQ+SkZJRg==) beside it"})
    tool = scrubber([ID], [])
    assert tool.may_hold(text.encode())
    assert json.loads(tool.scrub(text)[0])["preview"] == f"![all]({PLACEHOLDER}) beside it"


def test_an_id_goes_wherever_it_stands() -> None:
    assert scrubber([ID], []).scrub(f"x{ID}.jpg {ID}") == (f"x{PLACEHOLDER}.jpg {PLACEHOLDER}", 2)


@pytest.mark.parametrize("name", ["Zoë/größe 1.jpg", 'quote".jpg', "back\\\\slash.jpg", "emoji 🙂.jpg"])
def test_json_of_a_name_is_found_and_stays_json(name: str) -> None:
    found = scrubber([], [name])
    for text in (json.dumps({"e": f"at {name}"}), json.dumps({"e": json.dumps({"e": f"at {name}"})})):
        assert found.may_hold(text.encode())
        scrubbed, n = found.scrub(text)
        assert n == 1
        assert PLACEHOLDER in str(json.loads(scrubbed))


def test_nothing_to_look_for_finds_nothing() -> None:
    assert scrubber([], []).scrub("anything") == ("anything", 0)
    assert not scrubber([], []).may_hold(b"anything")
