"""engine.runtime.out_folder: one job, one set of settings."""

import pytest

from isogloss.engine.runtime import out_folder

SETTINGS = {"model": "a", "weights_sha256": "00", "states": ("1", "final"), "beams": 1}


def test_a_folder_is_claimed_again_by_the_same_settings(tmp_path):
    out_folder.check(tmp_path / "out", "job", SETTINGS)
    assert not (tmp_path / "out").exists()
    out_folder.claim(tmp_path / "out", "job", SETTINGS)
    before = (tmp_path / "out" / "job.json").read_bytes()
    out_folder.claim(tmp_path / "out", "job", SETTINGS)
    assert (tmp_path / "out" / "job.json").read_bytes() == before
    assert (tmp_path / "out" / "parts").is_dir()


def test_a_folder_is_of_one_job(tmp_path):
    """Jobs need no list; files of the user stand beside their settings."""
    (tmp_path / "notes.json").write_text('{"job": "lunch"}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "draft.json").write_bytes(b"\xff")
    out_folder.claim(tmp_path, "align", SETTINGS)
    out_folder.check(tmp_path, "align", SETTINGS)
    with pytest.raises(ValueError, match="holds results of the align job"):
        out_folder.check(tmp_path, "transcribe", SETTINGS)


def test_a_name_is_not_a_setting_and_is_in_the_message(tmp_path):
    out_folder.claim(tmp_path, "job", SETTINGS)
    out_folder.claim(tmp_path, "job", SETTINGS | {"model": "b"})
    with pytest.raises(
        ValueError, match=r"(?s)model: stored b, asked for c.*weights_sha256: stored 00, asked for 11"
    ):
        out_folder.check(tmp_path, "job", SETTINGS | {"model": "c", "weights_sha256": "11"})


def test_other_settings_are_refused_with_both_values(tmp_path):
    out_folder.claim(tmp_path, "job", SETTINGS)
    for changed in (SETTINGS | {"beams": 5}, {key: SETTINGS[key] for key in SETTINGS if key != "beams"}):
        rule = f"(?s)beams: stored 1, asked for {changed.get('beams', 'nothing')}.*--out"
        with pytest.raises(ValueError, match=rule):
            out_folder.claim(tmp_path, "job", changed)
    for damaged in ("{", "[]"):
        (tmp_path / "job.json").write_text(damaged)
        with pytest.raises(ValueError, match="another --out"):
            out_folder.check(tmp_path, "job", SETTINGS)
