import pytest

from equipoise.comparison.plan_input import plan_from, read_grid, read_methods, read_seeds
from equipoise.configuration.layers import make_settings, nest
from equipoise.errors import ConfigError
from equipoise.heads import HEADS
from equipoise.methods import METHODS
from equipoise.yaml_text import parse_yaml


def test_methods_as_names_labels_and_files(tmp_path):
    recipe = tmp_path / "tuned.yaml"
    recipe.write_text(
        "data: elsewhere.csv\nseed: 7\nmethod: {name: joint}\noptimiser: {lr: 1e-2}\n"
    )
    methods = read_methods(f"joint,again=joint,{recipe},slow={recipe}")
    assert list(methods) == ["joint", "again", "tuned", "slow"]
    assert methods["again"] == {"method": {"name": "joint"}}
    assert methods["tuned"] == {
        "method": {"name": "joint"},
        "optimiser": {"lr": 0.01},
        "data": {"source": "elsewhere.csv"},  # until `plan_from` makes them everybody's
    }


def test_all_methods_leave_out_rows_that_say_nothing():
    with pytest.warns(UserWarning, match=r"all methods but .*affine \(equal to film\).*name these"):
        found = list(read_methods("all"))
    left = set(METHODS.names()) - set(found)
    assert left == {"concat", "unimodal", "linear-probe", "compose", "affine"}
    assert list(read_methods("affine")) == ["affine"]


@pytest.mark.parametrize("name", [e.name for e in METHODS if e.left_out.startswith("equal to ")])
def test_a_row_that_is_left_out_is_equal_by_construction(name):
    entry = METHODS[name]
    twin = METHODS[entry.left_out.split()[2]]
    assert not twin.left_out
    assert HEADS[entry.head].target == HEADS[twin.head].target
    # The conformance suite compares the weights of the two where a neutral setting says so.
    assert entry.target == twin.target or (entry.neutral == {} and entry.neutral_of == twin.name)


def test_methods_of_a_bench_file():
    methods = read_methods(
        {"joint": None, "plain": "joint", "wide": {"method": "joint", "width": 9}}
    )
    assert methods["joint"]["method"] == methods["plain"]["method"] == {"name": "joint"}
    assert methods["wide"] == {"method": {"name": "joint"}, "width": 9}


@pytest.mark.parametrize("value", ["joint,joint", "jiont", {"a": 3}, "no_such.yaml"])
def test_wrong_methods(value):
    with pytest.raises(ConfigError):
        read_methods(value)


@pytest.mark.parametrize(
    ("value", "seeds"),
    [("3", (0, 1, 2)), (2, (0, 1)), ("4,1", (4, 1)), ([5], (5,)), ("7,", None), ("x", None)],
)
def test_seeds(value, seeds):
    if seeds is None:
        with pytest.raises(ConfigError, match="seeds"):
            read_seeds(value)
    else:
        assert read_seeds(value) == seeds


@pytest.mark.parametrize("value", ["0", "-1,2", "1,1", [], None, 1.5])
def test_wrong_seeds(value):
    with pytest.raises(ConfigError, match="seeds"):
        read_seeds(value)


def test_grid_values_are_typed():
    assert read_grid(["optimiser.lr=1e-3,0.1", "head=sum"]) == {
        "optimiser.lr": [0.001, 0.1],
        "head": ["sum"],
    }
    with pytest.raises(ConfigError, match="needs values"):
        read_grid(["optimiser.lr"])
    with pytest.raises(ConfigError, match="cannot read the values"):
        read_grid(["optimiser.lr=[0.1"])


@pytest.mark.parametrize(
    "name",
    [
        *(
            "method.alpha",
            "head",
            "head.fusion",
            "encoder.image",
            "encoder.image.depth",
            "width",
            "optimiser.lr",
        ),
        *("epochs", "batch_size", "patience", "data.holdout", "data.options.audio.seconds"),
    ],
)
def test_what_a_grid_takes(name):
    assert read_grid([f"{name}=1,2"]) == read_grid({name: [1, 2]}) == {name: [1, 2]}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "seed",
            "preset",
            "label",
            "method",
            "method.name",
            "select",
            "device",
            "methods",
            "seeds",
            "learning_rate",
        ),
        *(
            "missing",
            "data",
            "data.source",
            "data.missing",
            "data.missing_test",
            "data.seed",
            "data.validation",
        ),
        *("data.test", "data.split", "data.options", "data.options.samples"),
    ],
)
def test_a_grid_refuses_what_is_no_hyperparameter(name):
    for grid in ([f"{name}=1,2"], {name: [1, 2]}):
        with pytest.raises(ConfigError, match=f"'{name}' is no hyperparameter"):
            read_grid(grid)


def test_a_setting_given_twice_to_a_grid_is_refused():
    with pytest.raises(ConfigError, match=r"'optimiser\.lr' is given twice"):
        read_grid(["optimiser.lr=0.1", "width=8", "optimiser.lr=0.2"])


def test_a_plan_round_trips_through_its_file():
    plan = plan_from(
        {"epochs": 4, "data": {"source": "x.csv"}},
        methods="a=joint,joint",
        seeds="1,5",
        grid=["optimiser.lr=1,2"],
    )
    import yaml

    assert plan_from(yaml.safe_load(plan.to_yaml())) == plan
    assert plan.choices() == [{"optimiser.lr": 1}, {"optimiser.lr": 2}]
    settings = plan.settings("a", 5, {"optimiser.lr": 2})
    assert (settings.seed, settings.epochs, settings.optimiser.lr, settings.data.source) == (
        5,
        4,
        2.0,
        "x.csv",
    )


@pytest.mark.parametrize("label", ["../up", ".hidden", ""])
def test_a_label_is_a_folder_name(label):
    with pytest.raises(ConfigError, match="label"):
        plan_from({"methods": {label: "joint"}}).check()


def test_a_wrong_setting_of_one_method_is_found_before_anything_runs():
    with pytest.raises(ConfigError, match="optimiser"):
        plan_from(
            {"methods": {"joint": None, "b": {"method": "joint", "optimiser": {"name": "x"}}}}
        ).check()


@pytest.fixture
def recipes(tmp_path):
    """Two recipes for one data set that read its sound differently, as the published ones do."""
    for name, preset, transform in (("mie", "crema-d", "ogm-ge"), ("mla", "crema-d-mla", "fbank")):
        (tmp_path / f"{name}.yaml").write_text(
            f"preset: {preset}\n"
            f"data: {{source: data/crema-d, options: {{audio: {{transform: {transform}}}}}}}\n"
            f"method: {name}\nepochs: 7\n"
        )
    return [str(tmp_path / "mie.yaml"), str(tmp_path / "mla.yaml")]


def test_every_recipe_keeps_its_preset_and_its_inputs(recipes):
    with pytest.warns(UserWarning, match="different presets.*mie crema-d, mla crema-d-mla"):
        plan = plan_from({}, methods=recipes)
    plan.check()
    for label, preset, transform in (("mie", "crema-d", "ogm-ge"), ("mla", "crema-d-mla", "fbank")):
        alone = make_settings([nest({"preset": preset, "method": label, "data": "data/crema-d"})])
        settings = plan.settings(label, 0)
        assert settings.encoder == alone.encoder
        assert settings.batch_size == alone.batch_size
        assert settings.optimiser == alone.optimiser
        assert settings.epochs == 7
        assert settings.data.source == "data/crema-d"
        assert settings.data.options["audio"]["transform"] == transform
    assert plan_from(parse_yaml(plan.to_yaml())) == plan


def test_the_user_says_where_the_data_of_recipes_are(recipes):
    with pytest.warns(UserWarning, match="different presets"):
        plan = plan_from({"data": "elsewhere"}, methods=",".join(recipes))
    assert [plan.settings(label, 0).data.source for label in plan.methods] == ["elsewhere"] * 2


def test_recipes_for_different_data_are_refused(recipes, tmp_path):
    (tmp_path / "other.yaml").write_text("data: digits\nmethod: joint\n")
    with pytest.raises(ConfigError, match=r"'mie' and 'other' are for different.*--data\.source"):
        plan_from({}, methods=[recipes[0], str(tmp_path / "other.yaml")])


def test_a_preset_beside_that_of_a_recipe_is_refused(recipes):
    with pytest.raises(ConfigError, match=r"'mla' has the preset 'crema-d-mla'.*leave out"):
        plan_from({"preset": "crema-d"}, methods=recipes)


def test_a_method_without_the_preset_of_the_others_is_pointed_out(recipes):
    with pytest.warns(UserWarning, match="'joint' has none.*--preset crema-d"):
        plan_from({}, methods=f"joint,{recipes[0]}")


def test_methods_on_different_samples_are_refused():
    methods = {"a": {"method": "joint"}, "b": {"method": "joint", "data": {"test": 0.3}}}
    with pytest.raises(ConfigError, match=r"'a' and 'b' have different data \(data.test is 0.15"):
        plan_from({"methods": methods}).check()


def test_a_comparison_without_methods_is_refused_with_three_choices():
    with pytest.raises(ConfigError) as caught:
        plan_from({"data": "digits"}, seeds=2)
    message = str(caught.value)
    count = sum(not entry.left_out for entry in METHODS)
    assert f"--methods all for all {count} ({2 * count} trainings with 2 seeds)" in message
    assert "--methods joint,mla,lfm,mie" in message
    assert "recipes/crema-d/mie.yaml" in message


@pytest.mark.parametrize(
    "value", [2**64, str(10**9), [1.5], [-1], [2**63], "9" * 5000, [0, 0], True * 10**9, None, {}]
)
def test_seeds_that_no_training_takes(value):
    with pytest.raises(ConfigError, match="seeds"):
        read_seeds(value)


def test_methods_of_the_wrong_shape():
    for value in (3, [3], [["joint"]], {"a": ["joint"]}, {"a": 3}):
        with pytest.raises(ConfigError):
            read_methods(value)


@pytest.mark.parametrize("chosen", [3, ["a"], "x"])
def test_a_choice_of_the_wrong_shape(chosen):
    with pytest.raises(ConfigError, match="chosen"):
        plan_from({"methods": "joint", "chosen": chosen})
