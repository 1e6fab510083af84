"""Pages before and after: what requests were shown, beside what the declared page makes of the day's students."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from ukdsl_assets.pipeline.page_examples import PageExample, PageExamples, Shown
from ukdsl_assets.reports.svg import WIDTH, box, label, line, picture, short, told

# Height of a slot, width of a candidate, and where the second column begins.
_ROW, _BOX, _SECOND = 36, 158, 212
_TOP, _ROOM, _LETTERS = 40, 5, 20


def pages_shown(examples: PageExamples | None) -> dict[str, Any] | None:
    """What the template shows of a day's pages: sentences, pictures and what gave way; None where there are none."""
    if examples is None:
        return None
    return {
        "sentences": page_sentences(examples),
        "pictures": [page_picture(each) for each in examples.examples],
        "relaxed": [(each.request, each.relaxed) for each in examples.examples if each.relaxed],
    }


def page_sentences(examples: PageExamples) -> list[str]:
    """How pages differ, of how many requests, and by whose predictions."""
    count = f"{examples.requests:,} withheld request{'s' if examples.requests != 1 else ''} that did not explore"
    gain = ""
    if examples.value_before > 0:
        gain = (
            f" By the students' own predictions, which chose it, a page is worth "
            f"{examples.value_after / examples.value_before - 1:+.1%} against what was shown, and values alone would "
            f"make {examples.value_free / examples.value_before - 1:+.1%}; what it would earn, only an experiment or "
            "explored rows can tell."
        )
    relaxed = f" On {examples.relaxed:,} no page keeps all rules." if examples.relaxed else ""
    return [
        f"Of {count}, the declared page keeps {examples.kept:.0%} of what was shown. The rules change "
        f"{examples.changed:,} of these pages.{relaxed}{gain}"
    ]


def page_picture(example: PageExample) -> Markup:
    """One request: as it was shown at the left, as the declared page has it at the right, lines where one stays."""
    before = {shown.candidate: slot for slot, shown in enumerate(example.before)}
    after = {shown.candidate: slot for slot, shown in enumerate(example.after)}
    drawn = [
        label(0, 13, short(f"request {example.request}", 44), "title"),
        label(0, 31, "as shown", "quiet"),
        label(_SECOND, 31, "by the student and the rules", "quiet"),
    ]
    for candidate, slot in before.items():
        if candidate in after:
            drawn.append(line(_BOX, _middle(slot), _SECOND, _middle(after[candidate]), "link"))
    for slot, shown in enumerate(example.before):
        kind = "slot" if shown.candidate in after else "slot gone"
        drawn.append(_candidate(0, slot, shown, kind, "" if shown.candidate in after else "no longer shown"))
    for slot, shown in enumerate(example.after):
        marks = ["pinned"] * shown.pinned + ["new"] * (shown.candidate not in before)
        drawn.append(_candidate(_SECOND, slot, shown, "slot new" if "new" in marks else "slot", ", ".join(marks)))
    rows = max(len(example.before), len(example.after))
    height: float = _TOP + rows * _ROW
    if example.held_back:
        drawn.append(label(0, height + 14, "held back by the rules", "quiet"))
        for place, shown in enumerate(example.held_back):
            x, row = (0, _SECOND)[place % 2], rows + (place // 2) + 0.6
            drawn.append(_candidate(x, row, shown, "slot held", "of a higher value"))
        height += _ROW * (0.6 + (len(example.held_back) + 1) // 2)
    return picture(height, drawn, _alternative(example), WIDTH)


def _candidate(x: float, slot: float, shown: Shown, kind: str, mark: str) -> Markup:
    top = _TOP + slot * _ROW
    parts = [
        box(x, top, x + _BOX, top + _ROW - _ROOM, kind),
        label(x + 6, top + 13, short(shown.candidate, _LETTERS), "heading"),
        label(x + 6, top + 26, short(shown.words, 26), "quiet"),
    ]
    if mark:
        parts.append(label(x + _BOX - 5, top + 13, mark, "quiet", "end"))
    return told(parts, ", ".join(each for each in (shown.candidate, shown.words, mark) if each))


def _middle(slot: int) -> float:
    return _TOP + slot * _ROW + (_ROW - _ROOM) / 2


def _alternative(example: PageExample) -> str:
    held = f"; held back by the rules {_listed(example.held_back)}" if example.held_back else ""
    return f"Request {example.request}: shown {_listed(example.before)}; then {_listed(example.after)}{held}"


def _listed(shown: Sequence[Shown]) -> str:
    return ", ".join(f"{each.candidate} ({each.words})" if each.words else each.candidate for each in shown)
