"""A user's declarations of the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from equipoise.data.manifest.kinds import KINDS, check_kind
from equipoise.data.modality import check_modality_name
from equipoise.errors import ConfigError


@dataclass(frozen=True)
class Declaration:
    """The columns of one modality, written `name=column[,column…][:kind]`.

    Attributes:
        name: of the modality.
        columns: names, or patterns such as `f_*`.
        kind: None where it is to be inferred.
    """

    name: str
    columns: Sequence[str]
    kind: str | None = None

    @classmethod
    def parse(cls, text: str) -> Declaration:
        """Parse a declaration.

        Raises:
            ConfigError: another form, an unknown kind, or a name that no modality can have.
        """
        name, equals, rest = text.partition("=")
        columns, colon, kind = rest.rpartition(":")
        if not colon:
            columns = rest
            kind = ""
        elif kind not in KINDS and "," not in kind and columns:
            check_kind(kind)
        names = tuple(c.strip() for c in columns.split(",") if c.strip())
        if not equals or not names:
            raise ConfigError(
                f"modality {text!r}: write it as name=column[,column…][:kind], "
                "for example sound=wav:audio"
            )
        name = name.strip()
        try:
            check_modality_name(name)
        except ConfigError as error:
            raise ConfigError(f"modality {text!r}: {error}") from None
        return cls(name, names, kind or None)

    def __str__(self) -> str:
        return f"{self.name}={','.join(self.columns)}" + (f":{self.kind}" if self.kind else "")


@dataclass(frozen=True)
class Columns:
    """The columns of a table by role.

    Attributes:
        modalities: their declarations.
        label: label column.
        split: split column; None where there is none.
        group: group column; None where there is none.
        id: id column; None where there is none.
        weight: column of weights in training; None where there is none.

    Raises:
        ConfigError: no modality is declared, one of them twice, or the label is declared as one.
    """

    modalities: Sequence[Declaration]
    label: str = "label"
    split: str | None = None
    group: str | None = None
    id: str | None = None
    weight: str | None = None

    @property
    def others(self) -> set[str]:
        """Columns that describe a sample but are no part of it; no pattern matches them."""
        named = (self.split, self.group, self.id, self.weight)
        return {self.label, *(column for column in named if column is not None)}

    def __post_init__(self) -> None:
        names = [declaration.name for declaration in self.modalities]
        if not names:
            raise ConfigError(
                "say what the modalities are: --modality name=column:kind, once for each"
            )
        if len(set(names)) < len(names):
            raise ConfigError(f"modality {max(names, key=names.count)!r} is declared twice")
        for declaration in self.modalities:
            if self.label in declaration.columns:
                raise ConfigError(
                    f"modality {declaration.name!r}: column {self.label!r} is the label to predict"
                )
