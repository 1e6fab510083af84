"""A diagnosis in words: a verdict a stage, and tables of 80 columns for the terminal; the page takes the same texts."""

import math
import textwrap
from collections.abc import Iterator

from ukdsl_assets.declaration.columns import CD, EXPLORED, IMP, SCORED
from ukdsl_assets.learning.evaluation.by_group import DECILE
from ukdsl_assets.pipeline.diagnosis import LABEL, TEACHER, Comparison, Diagnosis, Group
from ukdsl_assets.pipeline.logged_rows import LAKE

COLUMNS = 80
# Worst segments that the terminal shows; the page has more.
WORST = 5
ROWS = {
    SCORED: "all that it scored",
    CD: "what went on",
    IMP: "what was shown",
    EXPLORED: "what was shown by chance",
}
SHORT = {SCORED: "all scored", CD: "went on", IMP: "shown", EXPLORED: "by chance"}
WEIGHTS = {SCORED: "probes by 1 / their rate", EXPLORED: "each by 1 / propensity"}
# Figures of `Gain` -> head of their column, and what it means in a line.
GAINS = {
    "ne": ("NE", "log loss over that of the mean alone; smaller is better"),
    "level": ("level", "after one shift of all logits: the right mean"),
    "line": ("line", "after level and slope of the logits (Platt)"),
    "monotone": ("curve", "after any map that keeps the order (isotonic), as it would serve"),
    "bound": ("bound", "no map that keeps the order does better on these very rows"),
    "floor": ("floor", "the next stage's own entropy: nothing is below it; of events unknown"),
}
JUDGED_HOW = "level, line and curve are fitted on half of the requests, judged on the other half, both ways"


def printed_diagnosis(diagnosis: Diagnosis) -> list[str]:
    """The page for a terminal: lines of at most 80 columns."""
    return [
        *_wrapped(title(diagnosis)),
        *_wrapped(read_line(diagnosis)),
        "",
        *(line for told in verdicts(diagnosis) for line in _wrapped(told, "  ")),
        *_section("Over-prediction", "95% intervals over requests", _levels(diagnosis)),
        *_section("By decile", "over-prediction in %, lowest predictions first", _deciles(diagnosis)),
        *_section("What recalibration could gain", "normalized entropy", _gains(diagnosis)),
        *_section("Worst segments", segments_counted(diagnosis), _segments(diagnosis)),
        *(["", *(line for told in not_judged(diagnosis) for line in _wrapped(told, "  "))]),
    ]


def title(diagnosis: Diagnosis) -> str:
    """Whose logs, of which days, and how many."""
    first, last = diagnosis.days[0], diagnosis.days[-1]
    days = f"{first}" if first == last else f"{first} to {last}"
    note = f" ({diagnosis.note})" if diagnosis.note else ""
    return f"{diagnosis.cascade}{note}, {days}: {diagnosis.candidates:,} candidates of {diagnosis.requests:,} requests"


def read_line(diagnosis: Diagnosis) -> str:
    """Where the logs were read and what was checked of them."""
    if set(diagnosis.read_from) == {LAKE}:
        return "Read from the lake, whose gates judged these logs."
    days = f" --day {diagnosis.days[0]}" if len(diagnosis.days) == 1 else ""
    lake = f"; {diagnosis.read_from.count(LAKE)} day(s) from the lake" if LAKE in diagnosis.read_from else ""
    return (
        f"Read from the source{lake}. Checked is what this page reads; for all of the contract: ukdsl check-logs "
        f"{diagnosis.cascade}{days}"
    )


def verdicts(diagnosis: Diagnosis) -> list[str]:
    """One paragraph a stage and task: how far off it is, and what mending that could gain."""
    return [" ".join(_verdict(every)) for every in by_stage(diagnosis)]


def by_stage(diagnosis: Diagnosis) -> list[list[Comparison]]:
    """The comparisons of each stage and task, in the order of the cascade."""
    found: dict[tuple[str, str], list[Comparison]] = {}
    for each in diagnosis.comparisons:
        found.setdefault((each.stage, each.task), []).append(each)
    return list(found.values())


def main_comparisons(every: list[Comparison]) -> list[Comparison]:
    """Of a stage and task the widest judged rows against the next stage, and what was shown against its events."""
    judged = [each for each in every if not each.not_judged]
    teacher = [each for each in judged if each.reference == TEACHER and each.domain in (SCORED, CD)][:1]
    return teacher + [each for each in judged if (each.domain, each.reference) == (IMP, LABEL)]


def not_judged(diagnosis: Diagnosis) -> list[str]:
    """What could not be said, why, and what to log to know; one line a reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in diagnosis.comparisons:
        if each.not_judged:
            what = f"{_rows_of(each)}, by {_against(each)}" if each.reference == TEACHER else _rows_of(each)
            reasons.setdefault((what, each.not_judged), []).append(f"{each.stage}: {each.task}")
    lines = [f"Not judged: {', '.join(who)}, on {what}: {why}." for (what, why), who in reasons.items()]
    lines += [
        f"Left out: {each.without_prediction:,} row(s) of {ROWS[each.domain]} without a prediction of {each.stage} for "
        f"{each.task}."
        for each in diagnosis.comparisons
        if each.without_prediction and each.domain in (CD, IMP)
    ]
    return list(dict.fromkeys(lines))


def worst_segments(diagnosis: Diagnosis) -> list[Group]:
    """Groups of segments in the main comparisons whose interval leaves 1 out, the surest to be far off first."""
    off = [group for group in _of_segments(diagnosis) if not group.not_judged and group.surely_off > 0]
    return sorted(off, key=lambda group: -group.surely_off)


def segments_counted(diagnosis: Diagnosis) -> str:
    """How many groups were looked at; the intervals allow for that."""
    groups = _of_segments(diagnosis)
    if not groups:
        return "none is declared: `segments` of the cascade names features to look at"
    small = sum(bool(group.not_judged) for group in groups)
    judged = len(groups) - small
    return f"{len(worst_segments(diagnosis))} of {judged} surely off, {small} too small; intervals hold for all"


def over_prediction(calibration: float) -> str:
    """+34% for 1.34; a tenth of a per cent where it is small."""
    share = 100 * (calibration - 1)
    if not math.isfinite(share):
        return "-"
    return f"{share:+.1f}%" if abs(share) < 9.95 else f"{share:+,.0f}%"


def interval_told(low: float, high: float) -> str:
    """+32% to +36%"""
    return f"{over_prediction(low)} to {over_prediction(high)}"


def on_rows(each: Comparison) -> str:
    """all scored, by ranking"""
    return f"{SHORT[each.domain]}, by {_against(each)}"


def _verdict(every: list[Comparison]) -> Iterator[str]:
    main = main_comparisons(every)
    stage, task = every[0].stage, every[0].task
    if not main:
        yield f"{stage}: not judged for {task}; the end of this page says why."
        return
    by_chance = [each for each in every if each.domain == EXPLORED and not each.not_judged]
    said = [_off(each, first=not number) for number, each in enumerate([*main, *by_chance])]
    yield f"{stage} {'; '.join(said)}."
    if not any(each.reference == TEACHER for each in every):
        yield f"No stage after it predicts {task}, so its events alone judge it."
    for each in main[:1]:
        yield _could_gain(each)


def _off(each: Comparison, first: bool) -> str:
    """over-predicts click by 34% (32% to 36%) on all that it scored (240,000 rows, by ranking's predictions)"""
    object_of = f" {each.task}" if first else ""
    weights = f", {WEIGHTS[each.domain]}" if each.domain in WEIGHTS else ""
    rows = f"on {_rows_of(each)} ({each.rows:,} rows{weights}, by {_whose(each)})"
    if each.low > 1:
        off, ends = each.calibration - 1, (each.low - 1, each.high - 1)
        verb = "over-predicts"
    elif each.high < 1:
        off, ends = 1 - each.calibration, (1 - each.high, 1 - each.low)
        verb = "under-predicts"
    else:
        told = f"{over_prediction(each.calibration)}, {interval_told(each.low, each.high)}"
        return f"cannot be told from right{' for ' + each.task if first else ''} ({told}) {rows}"
    return f"{verb}{object_of} by {_percent(off)} ({_percent(ends[0])} to {_percent(ends[1])}) {rows}"


def _could_gain(each: Comparison) -> str:
    gain = each.gain
    if gain is None:
        return "Too few rows to say what recalibration could gain."
    rows = _rows_of(each)
    if math.isfinite(gain.floor):
        level, bound = (max(gain.share(name), 0.0) for name in ("level", "bound"))
        return (
            f"On {rows}, of what NE has above the floor ({each.against}'s own entropy), the right level would take "
            f"{level:.0%} and no recalibration that keeps the order more than {bound:.0%}; the other {1 - bound:.0%} "
            "need another order: a better model."
        )
    level, error = 100 * gain.change("level"), 100 * gain.level_change_error
    return (
        f"On {rows} the right level would change NE by {level:+.2f} +- {error:.2f}%, and no recalibration that keeps "
        f"the order by more than {100 * gain.change('bound'):+.2f}%, which is partly chance."
    )


def _levels(diagnosis: Diagnosis) -> list[str]:
    lines = [f"{'':34}{'rows':>12}{'over by':>10}{'interval':>22}"]
    for every in by_stage(diagnosis):
        judged = [each for each in every if not each.not_judged]
        if judged:
            lines.append(cut(f"{every[0].stage}: {every[0].task}", 79))
        for each in judged:
            figures = f"{each.rows:>12,}{over_prediction(each.calibration):>10}"
            lines.append(f"{cut('  ' + on_rows(each), 33):34}{figures}{interval_told(each.low, each.high):>22}")
    return lines if len(lines) > 1 else []


def _deciles(diagnosis: Diagnosis) -> list[str]:
    lines = []
    for every in by_stage(diagnosis):
        rows = []
        for each in main_comparisons(every):
            groups = {group.group: group for group in groups_of(diagnosis, each, DECILE)}
            cells = [_whole(groups.get(f"{number:02}")) for number in range(1, 11)]
            rows.append(f"{cut('  ' + on_rows(each), 28):29}{''.join(cells)}")
        lines += [cut(f"{every[0].stage}: {every[0].task}", 79), *rows] if rows else []
    return lines


def _gains(diagnosis: Diagnosis) -> list[str]:
    lines = [f"{'':31}{''.join(f'{head:>8}' for head, _ in GAINS.values())}"]
    for every in by_stage(diagnosis):
        rows = []
        for each in main_comparisons(every):
            if each.gain is not None:
                cells = (getattr(each.gain, name) for name in GAINS)
                figures = "".join(f"{cell:>8.4f}" if math.isfinite(cell) else f"{'-':>8}" for cell in cells)
                rows.append(f"{cut('  ' + on_rows(each), 30):31}{figures}")
        lines += [cut(f"{every[0].stage}: {every[0].task}", 79), *rows] if rows else []
    if len(lines) == 1:
        return []
    meanings = [f"{head}: {meaning}" for head, meaning in GAINS.values()]
    return [*lines, *(line for each in [*meanings, JUDGED_HOW] for line in _wrapped(each, "  "))]


def _segments(diagnosis: Diagnosis) -> list[str]:
    lines = []
    for group in worst_segments(diagnosis)[:WORST]:
        by = next(_against(each) for each in diagnosis.comparisons if _same(each, group))
        where = f"{group.stage}: {group.task}, {SHORT[group.domain]}, by {by}"
        lines.append(
            f"{cut(f'{group.by} = {group.group}', 24):25}{group.rows:>11,}{over_prediction(group.calibration):>9}"
            f"{interval_told(group.low, group.high):>21}"
        )
        lines.append(cut(f"  {where}", 79))
    return lines


def groups_of(diagnosis: Diagnosis, each: Comparison, by: str) -> list[Group]:
    """The groups of one kind of a comparison."""
    return [group for group in diagnosis.groups if group.by == by and _same(each, group)]


def _of_segments(diagnosis: Diagnosis) -> list[Group]:
    main = [each for every in by_stage(diagnosis) for each in main_comparisons(every)]
    return [group for group in diagnosis.groups if group.by != DECILE and any(_same(each, group) for each in main)]


def _same(each: Comparison, group: Group) -> bool:
    names = ("stage", "task", "domain", "reference")
    return all(getattr(each, name) == getattr(group, name) for name in names)


def _rows_of(each: Comparison) -> str:
    return ROWS[each.domain] + "".join(f" and had {task}" for task in reversed(each.given))


def _against(each: Comparison) -> str:
    return each.against if each.reference == TEACHER else "events"


def _whose(each: Comparison) -> str:
    return (
        f"{each.against}'s predictions" if each.reference == TEACHER else f"{each.positives:,.0f} {each.against} events"
    )


def _percent(share: float) -> str:
    return f"{share:.1%}" if share < 0.0995 else f"{share:,.0%}"


def _whole(group: Group | None) -> str:
    if group is None or group.not_judged:
        return f"{'-':>5}"
    return f"{min(round(100 * (group.calibration - 1)), 9999):>+5}"


def _section(name: str, about: str, lines: list[str]) -> list[str]:
    return ["", *_wrapped(f"{name}: {about}"), *lines] if lines or name == "Worst segments" else []


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, COLUMNS - 1, subsequent_indent=indent, break_on_hyphens=False) or [""]


def cut(text: str, most: int) -> str:
    """The text on one line, with `...` for what is beyond so many characters; blanks at its start stay."""
    line = " ".join(text.split())
    line = text[: len(text) - len(text.lstrip())] + line
    return line if len(line) <= most else f"{line[: most - 3]}..."
