"""engine.out_folder: one job, one set of settings."""

import pytest

from isogloss.engine.runtime import out_folder

SETTINGS = {"model": "a", "states": ("1", "final"), "beams": 1}


def test_a_folder_is_claimed_again_by_the_same_settings(tmp_path):
    out_folder.check(tmp_path / "out", "job", SETTINGS)
    assert not (tmp_path / "out").exists()
    out_folder.claim(tmp_path / "out", "job", SETTINGS)
    before = (tmp_path / "out" / "job.json").read_bytes()
    out_folder.claim(tmp_path / "out", "job", SETTINGS)
    assert (tmp_path / "out" / "job.json").read_bytes() == before
    assert (tmp_path / "out" / "parts").is_dir()


def test_a_folder_is_of_one_job(tmp_path):
    out_folder.claim(tmp_path, "align", SETTINGS)
    out_folder.check(tmp_path, "align", SETTINGS)
    with pytest.raises(ValueError, match="holds results of the align job"):
        out_folder.check(tmp_path, "transcribe", SETTINGS)


def test_other_settings_are_refused_with_both_values(tmp_path):
    out_folder.claim(tmp_path, "job", SETTINGS)
    for changed in ({**SETTINGS, "beams": 5}, {"model": "a", "states": ("1", "final")}):
        rule = f"(?s)beams: stored 1, asked for {changed.get('beams', 'nothing')}.*--out"
        with pytest.raises(ValueError, match=rule):
            out_folder.claim(tmp_path, "job", changed)
    for damaged in ("{", "[]"):
        (tmp_path / "job.json").write_text(damaged)
        with pytest.raises(ValueError, match="another --out"):
            out_folder.check(tmp_path, "job", SETTINGS)
