"""Files and modules are found from the sweep file's own folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from raysweep.errors import InputError
from raysweep.sources import call, forget_own_modules, importing, is_callable_name, locate


@pytest.mark.parametrize(
    ("source", "expected"),
    [("a:b", True), ("a.b:C.d", True), ("zoo://fashion/test", False), ("C:/x.npz", False), ("d.npz", False)],
)
def test_only_module_colon_callable_is_a_callable_name(source: str, expected: bool) -> None:
    assert is_callable_name(source) is expected


def test_a_module_beside_the_sweep_file_is_importable_and_the_path_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "beside_a.py").write_text("def add(a, b=1):\n    return a + b\n")
    before = list(sys.path)
    assert call("beside_a:add", folder=tmp_path, key="k", args={"a": 2}) == 3
    assert sys.path == before


def test_the_function_itself_may_import_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "late_b.py").write_text("value = 7\n")
    (tmp_path / "beside_b.py").write_text("def get():\n    import late_b\n    return late_b.value\n")
    assert call("beside_b:get", folder=tmp_path, key="k") == 7


def test_two_folders_with_modules_of_one_name_each_get_their_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "parts_c.py").write_text(f"name = '{name}'\n")
        (tmp_path / name / "same_c.py").write_text("import parts_c\n\ndef get():\n    return parts_c.name\n")
    found = [call("same_c:get", folder=tmp_path / name, key="k") for name in ("one", "two", "one")]
    assert found == ["one", "two", "one"]


def test_a_module_that_was_edited_is_read_anew_once_it_is_forgotten(tmp_path: Path) -> None:
    for text in ("first", "and second"):
        (tmp_path / "edited_e.py").write_text(f"import json\n\ndef get():\n    return {text!r}\n")
        assert call("edited_e:get", folder=tmp_path, key="k") == text
        forget_own_modules()
    assert "json" in sys.modules


def test_forgetting_spares_packages_that_were_there_before(tmp_path: Path) -> None:
    for name in ("old_f/__init__.py", "old_f/part.py", "old_f/late.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("def get():\n    import old_f.late\n    return old_f.late\n")
    sys.path.insert(0, str(tmp_path))
    try:
        package = __import__("old_f")
        late = call("old_f:get", folder=tmp_path, key="k")
        forget_own_modules()
        assert (sys.modules["old_f"], sys.modules["old_f.late"]) == (package, late)
    finally:
        sys.path.remove(str(tmp_path))


def test_the_path_is_restored_after_an_error_in_the_block(tmp_path: Path) -> None:
    before = list(sys.path)
    with pytest.raises(KeyError), importing(tmp_path):
        raise KeyError
    assert sys.path == before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere_d:f", "k: must name a module that imports (found 'nowhere_d:f'). ModuleNotFoundError"),
        ("beside_d:buidl", "k: must name something in that module (found 'beside_d:buidl'). Did you mean 'build'?"),
        ("beside_d:number", "k: must name a callable (found 'beside_d:number'). It is a int"),
        ("beside_d:build", "k: must run without an error (found 'beside_d:build'). ValueError: no (beside_d.py:4)"),
        ("broken_d:f", "k: must name a module that imports (found 'broken_d:f'). ZeroDivisionError"),
        ("besides_d:build", "No module named 'besides_d'. Did you mean 'beside_d:build'?"),
        ("beside_d.py:build", "'beside_d' is not a package. Write beside_d:build"),
        ("nets.small_d:f", "No module named 'nets'. There is no nets/small_d.py in "),
        ("importing_d:f", "No module named 'absent_d' (importing_d.py:1)"),
    ],
)
def test_what_cannot_be_called_is_refused_with_the_place(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "beside_d.py").write_text("number = 1\n\ndef build():\n    raise ValueError('no')\n")
    (tmp_path / "broken_d.py").write_text("1 / 0\n")
    (tmp_path / "importing_d.py").write_text("import absent_d\n")
    with pytest.raises(InputError) as caught:
        call(source, folder=tmp_path, key="k")
    assert message in str(caught.value)


def test_a_path_without_neighbours_is_refused_with_where_it_was_sought(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        locate("sub/net.npz", folder=tmp_path, key="k")
    assert str(caught.value).endswith(f"(found 'sub/net.npz'). Looked at {tmp_path / 'sub/net.npz'}")
