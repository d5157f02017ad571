"""Settings as data: frozen models that refuse typos, and one canonical JSON text for each."""

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class Settings(BaseModel):
    """Base of everything that a person may write in a config file.

    Unknown keys are errors, values cannot change after validation, and the text under a field is its
    description in the JSON schema and in the reference in docs/.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


SettingsT = TypeVar("SettingsT", bound=Settings)


def canonical(value: Settings | Mapping[str, object] | Sequence[object]) -> str:
    """Write settings as one JSON text: sorted keys, no spaces, shortest floats.

    Equal settings give equal texts, so that Snakemake compares them exactly. `1` and `1.0` differ here, but
    a model has already made a float of either where it asks for one.
    """
    plain = value.model_dump(mode="json") if isinstance(value, Settings) else value
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def parse(model: type[SettingsT], text: str) -> SettingsT:
    """Read settings back from their canonical text.

    Raises ValueError with every broken rule of `model` when the text is not such settings.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        rules = [f"{'.'.join(map(str, e['loc'])) or 'the text'}: {e['msg']}" for e in error.errors()]
        raise ValueError(f"these are no settings of {model.__name__}: {'; '.join(rules)}") from None
