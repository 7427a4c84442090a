"""engine.runtime.json_values and name_lists: equal things hash alike, differences have both values."""

import pytest

from isogloss.engine.runtime import json_values, name_lists


def test_the_order_of_a_description_does_not_matter():
    assert json_values.fingerprint({"a": 1, "b": 2}) == json_values.fingerprint({"b": 2, "a": 1})
    assert json_values.fingerprint(["a", "b"]) != json_values.fingerprint(["b", "a"])


def test_differences_name_each_key_with_both_values():
    stored = {"dtype": "float16", "settings": {"states": [0, 1], "long": "skip"}, "same": None, "old": 1}
    asked = {"dtype": "float32", "settings": {"states": (0, 1), "beams": 5}, "same": None}
    assert json_values.differences(stored, asked) == (
        "\n  dtype: stored float16, asked for float32"
        "\n  settings.beams: stored nothing, asked for 5"
        "\n  settings.long: stored skip, asked for nothing"
        "\n  old: stored 1, asked for nothing"
    )
    assert not json_values.differences(asked, asked)
    assert "grid 1, store 2" in json_values.differences({"n": 1}, {"n": 2}, ("grid", "store"))
    assert len(json_values.differences({"n": "x" * 9999}, {"n": "y"})) < 300


@pytest.mark.parametrize(("content", "rule"), [("{", "not JSON"), ("[]", "must hold a JSON object")])
def test_a_file_of_something_else_is_refused(tmp_path, content, rule):
    (tmp_path / "job.json").write_text(content)
    with pytest.raises(ValueError, match=rf"job\.json: {rule}.*Remedy: delete it"):
        json_values.json_object(tmp_path / "job.json", "delete it")


def test_a_long_list_of_names_is_counted():
    assert name_lists.first_names(["a", "b"], 2) == "a, b"
    assert name_lists.first_names(["a", "b", "c"], 1, "; ") == "a and 2 more"
