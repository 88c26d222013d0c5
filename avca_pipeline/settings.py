"""The base of all settings: what a user may write, and what is said about a wrong key."""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import (
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
    core_schema,
)

from avca_pipeline.errors import abbreviated

REFUSED = "refused"
"""Type of the errors whose message is complete: it says what was found and what to do."""
SHA256 = r"^[0-9a-f]{64}$"
"""Pattern of a SHA-256."""
MAX_NAME = 100
MAX_NAMES = 50
"""How much a message lists: so many names of so many characters each."""
_KNOWN_TO_PYDANTIC = frozenset(get_args(core_schema.ErrorType))


def _no_boolean(value: Any) -> Any:
    """Keeps pydantic from reading ``true`` as the number 1."""
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


Seed = Annotated[int, Field(ge=0, lt=2**32), BeforeValidator(_no_boolean)]
"""What every generator of random numbers takes: torch's, NumPy's and Python's."""


class PluginSettings(BaseModel):
    """Base of every plugin's ``Settings``: unknown keys are errors, values never change.

    The text below a field is its description: in the documentation, in the schema of the config,
    and in what is said where the key is missing. A path may begin with ``~``, the home folder.
    Nothing (``null``, an empty value in YAML) stands for settings that all have their defaults.
    """

    # Without pydantic's own way to read the texts: it reads the source of all settings whenever a
    # program starts, which takes a fifth of the time before the program's work.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _explain_wrong_keys(
        cls, value: Any, handler: ModelWrapValidatorHandler[PluginSettings]
    ) -> PluginSettings:
        try:
            return handler({} if value is None else value)
        except ValidationError as error:
            errors = [cls._explained(details) for details in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(cls.__name__, errors) from None

    @classmethod
    def _explained(cls, error: ErrorDetails) -> InitErrorDetails:
        """Returns an error that says which keys there are, or what a missing one is for."""
        *outer, key = error["loc"] or ("",)
        if not outer and error["type"] in ("extra_forbidden", "invalid_key"):
            hint = nearest(key, cls.model_fields)
            unknown = refusal(f"unknown key {abbreviated(key)}; {hint}")
            return InitErrorDetails(type=unknown, loc=(), input=error["input"])
        if not outer and error["type"] == "missing":
            missing = refusal(f"is missing; add it: {first_sentence(cls, str(key))}")
            return InitErrorDetails(type=missing, loc=(key,), input=error["input"])
        if (
            not outer
            and error["type"] == "tuple_type"
            and not cls._fits(str(key), [error["input"]])
        ):
            no_list = refusal(f"expected a list of values, found {abbreviated(error['input'])}")
            return InitErrorDetails(type=no_list, loc=(key,), input=error["input"])
        return error_within((), error)

    @classmethod
    def _fits(cls, key: str, value: Any) -> bool:
        """Returns whether a value is of the type that a key has."""
        annotation: Any = cls.model_fields[key].annotation
        try:
            TypeAdapter(annotation).validate_python(value)
        except ValidationError:
            return False
        return True

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_no_booleans(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        types = get_args(annotation) or (annotation,)
        is_number = (int in types or float in types) and bool not in types
        return _no_boolean(value) if is_number else value

    @field_validator("*", mode="after")
    @classmethod
    def _whole_paths(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(whole_path(item) if isinstance(item, Path) else item for item in value)
        return whole_path(value) if isinstance(value, Path) else value

    def look_up(self, cache: Path) -> None:
        """Looks up in the network what the settings name, and downloads hardly anything.

        Args:
            cache: where downloads are kept.

        Raises:
            PipelineError: it does not exist, or is not what the plugin takes.
        """

    @classmethod
    def choices(cls) -> tuple[str, list[str]]:
        """Returns what the models of a plugin are called that takes any model of a library.

        Returns:
            What the names are, ``models of timm``, and the names. Most plugins have none.
        """
        return "", []

    def shared_spaces(self, cache: Path) -> tuple[str | None, ...]:
        """Returns the spaces that the vectors of a backbone or a text embedding are in.

        Two encoders have the same space if they were trained together to give close vectors to a
        clip and to its description. Most vectors are in a space that no other encoder shares.

        Args:
            cache: where downloads are kept.

        Returns:
            The name of the space of each part of a vector, in the order of its numbers; ``None``
            for a part that shares its space with no other encoder.

        Raises:
            PipelineError: what the settings name does not exist.
        """
        return (None,)

    def weights_used(self, cache: Path) -> tuple[dict[str, str], ...]:
        """Returns what a text embedding's vectors were made with, beside the files it reads.

        Args:
            cache: where downloads are kept; all of them are there.

        Returns:
            ``name``, ``revision`` and ``sha256`` of the weights of each model.

        Raises:
            PipelineError: a model's files are missing or damaged.
        """
        return ()

    def check_names(self, class_names: Sequence[str]) -> None:
        """Checks that a text embedding has vectors of classes, as far as it needs no model for it.

        Args:
            class_names: the classes.

        Raises:
            PipelineError: one has none, or a file with vectors is not what it should be.
        """

    def with_files(self, cache: Path) -> Self:
        """Returns the settings with local files in the place of what a plugin downloads first.

        Args:
            cache: where downloads are kept.

        Raises:
            PipelineError: a download failed.
        """
        return self


def refusal(message: str) -> PydanticCustomError:
    """Returns an error for a validator to raise; its message stands behind the key as it is."""
    return PydanticCustomError(REFUSED, message)


def error_at(key: str, refused: PydanticCustomError) -> ValidationError:
    """Returns an error that stands for a refusal of the value of a key."""
    details = InitErrorDetails(type=refused, loc=(key,), input=None)
    return ValidationError.from_exception_data(key, [details])


def error_within(location: tuple[int | str, ...], error: ErrorDetails) -> InitErrorDetails:
    """Returns an error of a value as an error of the section that the value stands in.

    Args:
        location: keys that lead from the section to the value.
        error: one of ``ValidationError.errors()`` of the value.
    """
    is_known = error["type"] in _KNOWN_TO_PYDANTIC
    kind: Any = error["type"] if is_known else PydanticCustomError(error["type"], error["msg"])
    location = (*location, *error["loc"])
    context = error.get("ctx", {}) if is_known else {}
    return InitErrorDetails(type=kind, loc=location, input=error["input"], ctx=context)


def whole_path(path: Path) -> Path:
    """Returns a user's path with the home folder in the place of ``~``.

    Raises:
        ValueError: it has a NUL in it, or there is no such home folder.
    """
    if "\0" in str(path):
        raise ValueError("a path has no NUL character in it; remove it")
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise ValueError("there is no such home folder; write the whole path") from error
    try:
        parts = [len(part.encode()) for part in path.parts]
    except UnicodeEncodeError as error:
        raise ValueError("a path is written in UTF-8; rename what is not") from error
    if max(parts, default=0) > 255 or sum(parts) + len(parts) > 4000:
        raise ValueError("no file system has names or paths as long as that; shorten it")
    return path


def nearest(name: object, choices: Iterable[str]) -> str:
    """Returns "did you mean …?", or the list of the choices, to end an error message with."""
    # Comparing takes time with the square of the length.
    names = sorted(choice[:MAX_NAME] for choice in choices)
    text = name[:MAX_NAME] if isinstance(name, str) else ""
    close = difflib.get_close_matches(text, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    rest = ", …" if len(names) > MAX_NAMES else ""
    return f"there are: {', '.join(names[:MAX_NAMES]) or 'none'}{rest}"


@functools.cache
def descriptions(settings: type[BaseModel]) -> dict[str, str]:
    """Returns what the fields of a model are for, as far as it is written in the source.

    That is the description that a field is given, or else the text below it.
    """
    texts: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        if base is not BaseModel and issubclass(base, BaseModel):
            texts |= _texts_below_fields(base)
    given = {key: field.description for key, field in settings.model_fields.items()}
    return {key: text for key in given if (text := given[key] or texts.get(key))}


def _texts_below_fields(model: type[BaseModel]) -> dict[str, str]:
    """Returns the texts below the fields that a class itself has; none if it has no source.

    Of several classes of one name in a module, Python finds the source of the first.
    """
    try:
        source = inspect.getsource(model)
        # Lines of a text may begin further left than the class.
        is_inside = source[:1].isspace()
        (written,) = ast.parse(f"if True:\n{source}" if is_inside else source).body
    except (OSError, TypeError, SyntaxError):
        return {}
    (written,) = written.body if isinstance(written, ast.If) else (written,)
    texts: dict[str, str] = {}
    for pair in itertools.pairwise(getattr(written, "body", [])):
        match pair:
            case ast.AnnAssign(target=ast.Name(key)), ast.Expr(ast.Constant(str(text))):
                texts[key] = inspect.cleandoc(text)
    return texts


def first_sentence(settings: type[BaseModel], key: str) -> str:
    """Returns what a key is for, to end an error message with."""
    description = descriptions(settings).get(key, "see the documentation")
    words = " ".join(description.split())
    sentence = words.partition(". ")[0].replace("``", "").removesuffix(".")
    is_abbreviation = sentence[:2].isupper()
    return sentence if is_abbreviation else sentence[:1].lower() + sentence[1:]
