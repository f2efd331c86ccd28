"""A portfolio for searches of a second."""

from equipoise.portfolio.members import Member


def few(modalities, methods):
    """A linear model of each modality, trees, and a network."""
    linear = {"scaling": "columns", "C": 10.0}
    return [
        *(
            Member(f"linear-of-{k}", "linear", (m,), linear, "late")
            for k, m in enumerate(modalities)
        ),
        Member("trees", "extra_trees", tuple(modalities), {"scaling": "none", "n_estimators": 10}),
        Member("net", "network", tuple(modalities), {"method": {"name": "late"}, "epochs": 3}),
    ]
