"""Where the picture of a row lies: what is told of one that is missing, and what that costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolm.capture.sources import Folder, image_source, load
from kolm.errors import Refused


def missing(name: str, folder: Folder) -> Refused:
    with pytest.raises(Refused) as caught:
        load(image_source(name, folder, where="row"), where="row")
    return caught.value


def test_a_file_whose_name_differs_in_case_is_named(tmp_path: Path) -> None:
    (tmp_path / "0.PNG").write_bytes(b"")
    folder = Folder(tmp_path)
    assert missing("0.png", folder).hint == "there is a file '0.PNG'"
    (tmp_path / "1.PNG").write_bytes(b"")  # listed again, because the folder has changed
    assert missing("1.png", Folder(tmp_path)).hint == "there is a file '1.PNG'"
    assert "--images DIR" in missing("2.png", folder).hint
    assert "--images DIR" in missing("nowhere/2.png", folder).hint


def test_a_folder_is_listed_once_for_all_that_it_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = []
    list_it = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: listed.append(path) or list_it(path))
    folder = Folder(tmp_path)
    for number in range(50):
        assert missing(f"{number}.png", folder).code == "E_IMAGE_FILE"
    assert len(listed) == 2  # by Folder and by the hint


def test_a_link_that_leaves_the_folder_is_told_with_where_it_leads(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "pics").symlink_to(outside)
    (outside / "0.png").write_bytes(b"")
    with pytest.raises(Refused, match="by a symbolic link") as there:
        Folder(inside).image("pics/0.png", where="row")
    assert there.value.found == f"pics/0.png, which leads to {outside}/0.png"
    with pytest.raises(Refused) as gone:
        Folder(inside).image("pics/1.png", where="row")
    assert gone.value.found == f"pics/1.png, which leads to {outside}/1.png, where nothing is"
    with pytest.raises(Refused) as up:
        Folder(inside).image("../out/0.png", where="row")
    assert "link" not in f"{up.value.message}{up.value.found}"
