import pytest

from mmasched.errors import BadInput
from mmasched.space import Choice, Flag, Ordered, constraint, files, load_space

GOOD = """
template = "x86_gemm"
doc = "Tiles."
constraints = ["even"]

[[knob]]
name = "tile_m"
type = "ordered"
values = [1, 2, 4]
doc = "Rows of the register tile."

[[knob]]
name = "order"
type = "choice"
values = ["mn", "nm"]

[[knob]]
name = "pack"
type = "flag"
"""
CONSTRAINTS = {
    "even": constraint("tile_m")(lambda problem, values, hardware: values["tile_m"] % 2 == 0),
    "unused": lambda problem, values, hardware: False,
}


def write(folder, text):
    path = folder / "space.toml"
    path.write_text(text)
    return path


def test_a_file_becomes_a_space(tmp_path):
    space = load_space(write(tmp_path, GOOD), CONSTRAINTS, "problem", "hardware")
    assert space.template == "x86_gemm" and (space.problem, space.hardware) == ("problem", "hardware")
    assert space.knobs == (
        Ordered("tile_m", (1, 2, 4), "Rows of the register tile."),
        Choice("order", ("mn", "nm")),
        Flag("pack"),
    )
    assert [c.name for c in space.constraints] == ["even"] and space.count_valid() == 8


def test_names_are_looked_up_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "data_dir", lambda folder: {"search_spaces": tmp_path}[folder])
    write(tmp_path, GOOD)
    assert load_space("space", CONSTRAINTS, None, None).template == "x86_gemm"
    assert load_space(str(tmp_path / "space.toml"), CONSTRAINTS, None, None).template == "x86_gemm"
    with pytest.raises(BadInput, match="did you mean space"):
        load_space("spce", CONSTRAINTS, None, None)
    with pytest.raises(BadInput, match=r"no space file .*other\.toml"):
        load_space(tmp_path / "other.toml", CONSTRAINTS, None, None)


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        ('doc = "Tiles."', "doc = ", ["not valid TOML", "line 3"]),
        ('template = "x86_gemm"', "", ['"template"']),
        ('template = "x86_gemm"', "template = 3", ['"template"']),
        ('["even"]', '["evn"]', ['"constraints"', "'evn'", "did you mean even"]),
        ('["even"]', '"even"', ['"constraints"', "list"]),
        ('doc = "Tiles."', "docs = 1", ["'docs'", "did you mean doc"]),
        ('type = "ordered"', 'type = "order"', [":6:", "'tile_m'", '"type"', "did you mean ordered"]),
        ('type = "ordered"', "", [":6:", "'tile_m'", '"type"']),
        ('name = "order"', "", [":12:", "knob 2", '"name"']),
        ("values = [1, 2, 4]", "values = [1, 4, 2]", [":6:", "'tile_m'", "ascending"]),
        ("values = [1, 2, 4]", "values = []", [":6:", "'tile_m'", "0 values"]),
        ("values = [1, 2, 4]", "values = 4", [":6:", "'tile_m'", '"values"', "list"]),
        ("values = [1, 2, 4]", "", [":6:", "'tile_m'", '"values"']),
        ("values = [1, 2, 4]", "values = [1.5]", [":6:", "1.5"]),
        ("values = [1, 2, 4]", "value = [1, 2, 4]", [":6:", "'value'", "did you mean values"]),
        ('values = ["mn", "nm"]', "values = [[1]]", [":12:", "'order'"]),
        ('name = "pack"', 'name = "order"', ["two knobs called 'order'"]),
        ('type = "flag"', 'type = "flag"\nconstraints = ["even"]', [":17:", "above the first [[knob]]"]),
        ('name = "pack"', 'name = "pack"\ndoc = 3', [":17:", '"doc"']),
    ],
)
def test_malformed_files_name_file_line_field_and_remedy(tmp_path, old, new, messages):
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(BadInput) as caught:
        load_space(path, CONSTRAINTS, None, None)
    for message in [str(path), *messages]:
        assert message in str(caught.value)


@pytest.mark.parametrize("text", ['template = "t"', 'template = "t"\nknob = 3', 'template = "t"\nknob = [3]'])
def test_files_without_proper_knobs(tmp_path, text):
    with pytest.raises(BadInput, match=r"\[\[knob\]\]"):
        load_space(write(tmp_path, text), {}, None, None)


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "space.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot be read"):
        load_space(path, {}, None, None)
