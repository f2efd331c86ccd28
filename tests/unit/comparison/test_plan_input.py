import pytest

from equipoise.comparison.plan_input import plan_from, read_grid, read_methods, read_seeds
from equipoise.errors import ConfigError
from equipoise.methods import METHODS


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
    }  # the data are everybody's
    assert list(read_methods("all")) == METHODS.names()


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
