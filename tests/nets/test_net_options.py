"""KEY=VALUE from the command line becomes what the network's signature says."""

from typing import Literal, Optional

import pytest

from fcn_edge.nets.options import fit_options, parse_settings
from fcn_edge_runtime.errors import UsageError


def target(
    *,
    width: int = 8,
    rate: float = 0.1,
    deep: bool = False,
    kind: str = "a",
    limit: int | None = None,
    old: Optional[float] = None,  # noqa: UP045 - the older spelling must work too
    mode: Literal["nearest", "linear", 3] = "nearest",
    untyped=5,
    bare=None,
    flag: int | bool = 0,
    shape: tuple[int, ...] = (),
):
    """Every kind of option there is."""


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("width=32", 32),
        ("width=-1", -1),
        ("rate=1e-3", 0.001),
        ("rate=2", 2.0),
        ("deep=true", True),
        ("deep=Off", False),
        ("deep=1", True),
        ("kind=7", "7"),
        ("kind=a=b", "a=b"),
        ("kind=", ""),
        ("limit=4", 4),
        ("limit=none", None),
        ("old=0.5", 0.5),
        ("mode=linear", "linear"),
        ("mode=3", 3),
        ("untyped=6", 6),
        ("bare=6", 6),
        ("bare=0.5", 0.5),
        ("bare=yes", True),
        ("bare=none", None),
        ("bare=word", "word"),
        ("flag=1", 1),
        ("flag=true", True),
    ],
)
def test_a_value_gets_the_type_of_the_signature(setting, expected):
    (found,) = fit_options(target, parse_settings([setting]), "net").values()

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("width=wide", "option width of net is 'wide', expected int"),
        ("width=1.5", "expected int"),
        ("deep=maybe", "expected bool"),
        ("limit=x", "expected int or none"),
        ("mode=cubic", "expected nearest or linear or 3"),
        ("shape=1,2", "which cannot be given as text"),
        ("depth=3", "net has no option 'depth'; its options: width=8, rate=0.1"),
    ],
)
def test_a_value_of_another_type_is_refused(setting, message):
    with pytest.raises(UsageError) as caught:
        fit_options(target, parse_settings([setting]), "net")

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["width"], "not of the form KEY=VALUE"),
        (["=3"], "not of the form"),
        (["a=1", "a=2"], "'a' is given twice"),
    ],
)
def test_settings_must_be_keys_and_values_each_given_once(settings, message):
    with pytest.raises(UsageError) as caught:
        parse_settings(settings)

    assert message in str(caught.value)


def test_values_that_are_not_text_pass_unchanged():
    shape = (1, 2)

    assert fit_options(target, {"shape": shape}, "net")["shape"] is shape


def test_a_required_option_must_be_given():
    with pytest.raises(UsageError, match="needs the option 'size': give it with --set size=VALUE"):
        fit_options(lambda size: size, {}, "net")


def test_without_a_signature_the_type_is_guessed():
    assert fit_options(lambda **options: options, {"a": "3", "b": "x"}, "net") == {"a": 3, "b": "x"}
