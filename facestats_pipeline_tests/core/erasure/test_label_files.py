"""Label files without the rows of erased images: right rows, and every other byte as it was."""

import pytest

from facestats_pipeline.core.erasure.label_files import Erasing, without_rows

ID = "0123456789abcdef0123456789abcdef"
PHOTOS = ("train/1.jpg", "val/1.jpg", "val/2.jpg", "Ä b.jpg", 'say "hi", you.jpg', "11.jpg")


def erasing(*filenames: str, ids: tuple[str, ...] = (ID,)) -> Erasing:
    return Erasing(frozenset(ids), frozenset(filenames), PHOTOS)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_row_goes_and_the_rest_stays_byte_for_byte(line_end: str, delimiter: str) -> None:
    lines = ["file|age|gender", "val/2.jpg|20-29|Male", " 11.jpg |3-9|", "", "other.jpg|1|Female"]
    text = [line.replace("|", delimiter) + line_end for line in lines]
    data, n = without_rows("".join(text).encode(), erasing("val/2.jpg"))
    assert n == 1
    assert data == "".join(text[:1] + text[2:]).encode()


def test_a_name_is_understood_as_training_does_and_where_in_doubt_it_goes() -> None:
    data = b"age,file\n20,images/val/2.jpg\n30,1.jpg\n40,11.jpg\n"
    assert without_rows(data, erasing("val/2.jpg"))[0] == b"age,file\n30,1.jpg\n40,11.jpg\n", "by the end of the path"
    kept = b"age,file\n20,images/val/2.jpg\n40,11.jpg\n"
    assert without_rows(data, erasing("train/1.jpg"))[0] == kept, "may be the other 1.jpg, which would now seem sure"
    assert without_rows(data, erasing("nobody.jpg")) == (data, 0)


def test_quoted_cells_and_names_with_delimiters() -> None:
    data = b'file,rating,note\n"say ""hi"", you.jpg",3,"two\nlines"\n11.jpg,4,\n'
    assert without_rows(data, erasing('say "hi", you.jpg')) == (b"file,rating,note\n11.jpg,4,\n", 1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings_are_kept(encoding: str) -> None:
    text = "file,gender\nÄ b.jpg,Male\nval/2.jpg,Female\n"
    data, n = without_rows(text.encode(encoding), erasing("val/2.jpg"))
    assert (data, n) == ("file,gender\nÄ b.jpg,Male\n".encode(encoding), 1)
    assert without_rows(text.encode(encoding), erasing("Ä b.jpg"))[0] == "file,gender\nval/2.jpg,Female\n".encode(
        encoding
    )


def test_hand_labels_go_by_id() -> None:
    data = f"image_id,attribute,value,annotator,labelled_at\n{ID.upper()},gender,Male,me,2026\n{'f' * 32},gender,Male,me,2026\n"
    kept = f"image_id,attribute,value,annotator,labelled_at\n{'f' * 32},gender,Male,me,2026\n"
    assert without_rows(data.encode(), erasing()) == (kept.encode(), 1)


def test_a_list_without_a_header() -> None:
    assert without_rows(b"1.jpg 3.2\n11.jpg 2.0\nval/2.jpg 1\n", erasing("11.jpg")) == (b"1.jpg 3.2\nval/2.jpg 1\n", 1)


def test_any_text_loses_the_lines_that_hold_an_id() -> None:
    data = b'{"labels": [\n"' + ID.encode() + b'",\n"other"\n]}'
    assert without_rows(data, erasing()) == (b'{"labels": [\n"other"\n]}', 1)


@pytest.mark.parametrize("data", [b"file,age\nval/2.jpg,3\n", b"val/2.jpg 3.2\n", b"file,age\r\nval/2.jpg,3\r\n\r\n"])
def test_a_table_that_loses_its_last_row_is_no_table(data: bytes) -> None:
    assert without_rows(data, erasing("val/2.jpg")) == (None, 1)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"file,age\n", b"\xff\xfe", b"\x00\x01\x02"])
def test_files_without_a_row_are_left_alone(data: bytes) -> None:
    assert without_rows(data, erasing("val/2.jpg")) == (data, 0)
