"""What `page:` may say, and how rules that cannot be are told."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ukdsl_assets.declaration.read import SHIPPED, read_cascade
from ukdsl_assets.errors import DeclarationError
from ukdsl_assets.pages.rules import page_rules


def declared(tmp_path: Path, **changes: Any) -> Path:
    """The shipped item page with some keys of its page replaced, None: left out, and a number to judge by."""
    content = yaml.safe_load((SHIPPED / "simulated_item_page.yaml").read_text())
    content["features"] += [
        {"name": "stock", "kind": "numeric", "side": "candidate"},
        {"name": "tags", "kind": "multi_valued", "side": "candidate"},
    ]
    # What the simulated world does not fill: the declaration is of other logs.
    content["source"] = {"kind": "parquet", "path": "logs"}
    page = {key: value for key, value in (content["page"] | changes).items() if value is not None}
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(content | {"page": page}))
    return path


def pin(value: Any, slot: Any = None, feature: str = "module") -> dict[str, Any]:
    return {"feature": feature, "value": value} | ({} if slot is None else {"slot": slot})


def test_the_shipped_page_becomes_rules() -> None:
    rules = page_rules(read_cascade(SHIPPED / "simulated_item_page.yaml"))
    assert rules.slots == 6
    assert rules.terms == ((1.0, ("module_click",)), (5.0, ("module_purchase", "module_click")))
    assert (rules.caps, rules.sides) == ((("module_kind", 2),), ("module_kind",))
    assert rules.weights[0] == 1
    assert rules.weights[2] == pytest.approx(0.5)


def test_pins_at_the_top_take_the_first_slots_that_no_other_pin_has(tmp_path: Path) -> None:
    pins = [pin(1), pin(2, 1), pin(3), pin(4, 6)]
    rules = page_rules(read_cascade(declared(tmp_path, pinned=pins)))
    assert [(slot, value) for slot, _, value in rules.pins] == [(1, 1), (0, 2), (2, 3), (5, 4)]


def test_every_rule_can_be_said(tmp_path: Path) -> None:
    page = declared(
        tmp_path,
        slots=3,
        value={"module_click": 0, "module_purchase": 1},
        slot_weights=[1, 0.5, 0.5],
        pinned=[pin(3, 2)],
        at_most={"module_kind": 1},
        not_side_by_side=["module_kind"],
        at_least_different={"module_kind": 2},
        eligible={"stock": {"at_least": 1}, "module_kind": {"one_of": [0, 1, 2, 3]}},
        exploration={"kind": "thompson", "scale": 0.3},
    )
    rules = page_rules(read_cascade(page))
    assert rules.terms == ((1.0, ("module_purchase", "module_click")),)
    assert rules.ranges == (("stock", 1.0, float("inf")),)
    assert rules.one_of == (("module_kind", frozenset({0, 1, 2, 3})),)
    assert rules.features == ("module", "module_kind", "stock")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"slots": 0}, r"page.slots: .*(saw 0)"),
        ({"slotz": 1}, r"page.slotz: unknown key; did you mean `slots`\?"),
        ({"value": {"module_clik": 1}}, r"page.value: unknown name `module_clik`.*did you mean `module_click`"),
        ({"value": {"module_purchase": 1}}, r"no student named there predicts click; add one, with weight 0"),
        ({"value": {"module_click": 0}}, r"page.value: all weights are 0"),
        ({"slot_weights": [1, 1]}, r"page.slot_weights: 2 weights for 6 slots"),
        ({"slot_weights": [1, 1, 2, 1, 1, 1]}, r"page.slot_weights: they rise"),
        ({"at_most": {"module_knd": 2}}, r"page.at_most.module_knd: unknown name.*did you mean `module_kind`"),
        ({"at_most": {"device": 2}}, r"page.at_most.device: `device` is of the request"),
        ({"not_side_by_side": "slot"}, r"page.not_side_by_side: `slot` is only known of what was shown"),
        ({"at_most": {"relevance": 2}}, r"`relevance` is numeric; values are compared of categorical ones"),
        ({"at_least_different": {"tags": 2}}, r"`tags` is multi_valued"),
        ({"eligible": {"module": {"at_least": 2}}}, r"page.eligible.module: `module` is categorical; `at_least`"),
        ({"eligible": {"stock": {}}}, r"page.eligible.stock: expected one of `one_of` .* and `at_least`"),
        ({"eligible": {"stock": {"at_least": 2, "at_most": 1}}}, r"`at_least` 2 is above `at_most` 1"),
        ({"pinned": [pin("best")]}, r"page.pinned.\(number 1\).value: 'best' is no value of `module`"),
        ({"pinned": [pin(1, 2), pin(2, 2)]}, r"page.pinned: 2 pins on slot 2"),
        ({"pinned": [pin(1, 7)]}, r"page.pinned: slot 7 of 6; expected 1 to 6"),
        ({"pinned": [pin(each) for each in range(7)]}, r"page.pinned: 7 pins for 6 slots"),
        (
            {"pinned": [pin(1)], "eligible": {"module": {"one_of": [2, 3]}}, "at_most": None},
            r"module 1 is pinned, and page.eligible.module refuses it",
        ),
        (
            {"pinned": [pin(4, s, "module_kind") for s in (1, 3, 5)]},
            r"page.at_most.module_kind: 3 pins hold module_kind 4, and at most 2",
        ),
        (
            {"pinned": [pin(4, s, "module_kind") for s in (1, 2)]},
            r"page.not_side_by_side: module_kind 4 is pinned to slots 1 and 2",
        ),
        ({"at_least_different": {"module_kind": 7}}, r"page.at_least_different.module_kind: 7 values in 6 slots"),
        (
            {"at_least_different": {"module_kind": 6}, "pinned": [pin(4, s, "module_kind") for s in (1, 3)]},
            r"6 values in 6 slots, of which pins repeat 1",
        ),
        (
            {"at_least_different": {"module_kind": 4}, "eligible": {"module_kind": {"one_of": [1, 2, 3]}}},
            r"page.at_least_different.module_kind: 4 values, and page.eligible.module_kind allows 3",
        ),
        (
            {"eligible": {"module_kind": {"one_of": [1, 2]}}},
            r"page.at_most.module_kind: 2 of each of the 2 value\(s\)",
        ),
        (
            {"eligible": {"module_kind": {"one_of": [1]}}, "at_most": None},
            r"page.not_side_by_side: page.eligible.module_kind allows one value",
        ),
        ({"exploration": {"kind": "ucb"}}, r"page.exploration.kind: expected one of random_order, epsilon_greedy"),
        ({"exploration": {"kind": "random_order"}}, r"page.exploration.share: is required and missing"),
    ],
)
def test_what_cannot_be_is_told_by_name(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(DeclarationError, match=expected):
        read_cascade(declared(tmp_path, **changes))
