"""Files are written whole or not at all: after an exception the target is what it was and nothing else is left."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from crossmargin.basics.errors import InputError
from crossmargin.files.output import replacing, require_writable


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_target_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    with replacing(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.read_bytes() == b""
        temporary.write_text("whole\n", encoding="utf-8")
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "whole\n"
    assert names(tmp_path) == {"out.csv"}


def write_and_fail(target: Path, text: str, error: BaseException | None = None) -> None:
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [RuntimeError("ours"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
@pytest.mark.parametrize("there_before", [True, False])
def test_an_exception_inside_leaves_everything_as_it_was(
    tmp_path: Path, error: BaseException, there_before: bool
) -> None:
    target = tmp_path / "out.csv"
    if there_before:
        target.write_text("old\n", encoding="utf-8")
    with pytest.raises(type(error)) as caught:
        write_and_fail(target, "half of the n", error)
    assert caught.value is error
    assert names(tmp_path) == ({"out.csv"} if there_before else set())
    if there_before:
        assert target.read_text(encoding="utf-8") == "old\n"


def test_a_full_disk_is_a_refusal_that_names_the_target(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"out\.csv: cannot be written \(No space left on device\)"):
        write_and_fail(target, "half of the n", OSError(28, "No space left on device"))
    with pytest.raises(InputError, match=r"out\.csv: cannot be written \('utf-8' codec can't encode"):
        write_and_fail(target, "a lone surrogate: \ud800")
    assert target.read_text(encoding="utf-8") == "old\n"
    assert names(tmp_path) == {"out.csv"}


def test_what_cannot_be_written_is_refused_before_and_during(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe")
    before = names(tmp_path)
    for place, reason in (
        (tmp_path / "folder", "Is a directory"),
        (tmp_path / "no" / "out.csv", "No such file or directory"),
        (tmp_path / "file" / "out.csv", "Not a directory"),
        (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path / "pipe", "it is no regular file"),
        (Path("/dev/null"), "it is no regular file"),
        (tmp_path / "nul\0byte", "embedded null byte"),
    ):
        with pytest.raises(InputError) as early:
            require_writable(place)
        with pytest.raises(InputError) as late, replacing(place):
            pytest.fail("the block must not be entered")
        assert str(early.value) == str(late.value)
        assert str(early.value).endswith(f"cannot be written ({reason}).") or reason in str(early.value)
    assert names(tmp_path) == before
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_place_that_can_be_written_passes_and_is_left_alone(tmp_path: Path) -> None:
    require_writable(tmp_path / "new.csv")
    assert names(tmp_path) == set()
    (tmp_path / "old.csv").write_text("old\n", encoding="utf-8")
    require_writable(tmp_path / "old.csv")
    assert (tmp_path / "old.csv").read_text(encoding="utf-8") == "old\n"
    assert names(tmp_path) == {"old.csv"}


def test_permissions_are_those_of_any_new_file_or_of_the_file_replaced(tmp_path: Path) -> None:
    target, plain = tmp_path / "out.csv", tmp_path / "plain.csv"
    plain.touch()
    with replacing(target) as temporary:
        temporary.write_text("1", encoding="utf-8")
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    target.chmod(0o640)
    with replacing(target) as temporary:
        temporary.write_text("2", encoding="utf-8")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "out.csv"
    link.symlink_to(tmp_path / "disk" / "real.csv")
    for text in ("first", "second"):  # the file behind the link is new, then old
        with replacing(link) as temporary:
            assert temporary.parent == tmp_path / "disk"
            temporary.write_text(text, encoding="utf-8")
        assert link.is_symlink()
        assert (tmp_path / "disk" / "real.csv").read_text(encoding="utf-8") == text


def test_the_longest_name_that_a_file_can_have(tmp_path: Path) -> None:
    target = tmp_path / ("ä" * 127)
    with replacing(target) as temporary:
        temporary.write_text("1", encoding="utf-8")
    assert names(tmp_path) == {target.name}
