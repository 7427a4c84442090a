"""Scripts beside a page."""

from isogloss.engine.drawing import page


def test_scripts_of_an_earlier_page_are_removed_and_without_scripts_no_folder_is_made(tmp_path):
    folder = tmp_path / "beside"
    page.write_scripts(folder, ())
    assert not folder.exists()
    page.write_scripts(folder, {"a.js": "1", "b.js": "2"}.items())
    (folder / "notes.txt").write_text("mine")
    page.write_scripts(folder, iter([("b.js", "\N{GREEK SMALL LETTER BETA}")]))
    held = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    assert held == {"b.js": "\N{GREEK SMALL LETTER BETA}", "notes.txt": "mine"}
    page.write_scripts(folder, ())
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
