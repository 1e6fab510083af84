"""Every word that reports use in a sense of their own, one sentence each; docs/glossary.md is made of this file:

python -m ukdsl_assets.reports.glossary > docs/glossary.md
"""

from dataclasses import dataclass

from ukdsl_assets.declaration.columns import CD, EXPLORED, EXPLORED_TRAILING, GIVEN, IMP, OWN, PRODUCT, SCORED

# The plain word for each domain, which tables and commands name by its code.
ROWS = {
    IMP: "shown",
    CD: "ranked",
    SCORED: "scored",
    OWN: "own choice",
    EXPLORED: "explored",
    EXPLORED_TRAILING: "explored",
    PRODUCT: "product",
    GIVEN: "weighted ranked",
}


@dataclass(frozen=True)
class Term:
    """A word, what it means in one sentence, and the code that tables and commands use for it, if there is one."""

    name: str
    sentence: str
    code: str = ""

    @property
    def anchor(self) -> str:
        """The part of a link behind the #."""
        return "term-" + "-".join(self.name.lower().split())

    @property
    def title(self) -> str:
        """shown (IMP)"""
        return f"{self.name} ({self.code})" if self.code else self.name


GROUPS: dict[str, tuple[Term, ...]] = {
    "The cascade": (
        Term("request", "One visit that asks for candidates; all rows of a request are judged together."),
        Term("candidate", "Something that may be shown in answer to a request, such as an ad or an item."),
        Term("stage", "One ranking model of the cascade; each scores what the stage before it handed on."),
        Term("task", "An outcome to predict, such as a click within a day of the request."),
        Term("impression", "A candidate that was shown, with the label that followed."),
        Term("consideration", "A candidate that was scored and not shown: it has a teacher's prediction and no label."),
        Term("probe", "A candidate that a stage rejected and that the next one scored all the same, to learn from it."),
        Term("propensity", "The probability with which chance showed an explored candidate."),
        Term("segment", "A feature by whose values the cascade asks for calibration, such as country."),
    ),
    "Which rows": (
        Term(
            "shown",
            "Candidates that were shown, judged against labels; they were chosen by what served, so that being right "
            "here says little about the rest.",
            IMP,
        ),
        Term("ranked", "Candidates that the next stage scored, judged against the teacher.", CD),
        Term(
            "scored",
            "All candidates that the student's own stage scores, those it rejects among them, judged against the "
            "teacher where it labels these too, or against the truth.",
            SCORED,
        ),
        Term(
            "own choice",
            "Of the scored candidates those that the model itself would hand on, each model its own: what follows "
            "from serving it.",
            OWN,
        ),
        Term(
            "explored",
            "Candidates that chance showed, each weighted by 1 / propensity and judged against labels: the only rows "
            "that neither a teacher nor a choice can flatter; days are pooled, each with its own day's student.",
            EXPLORED,
        ),
        Term(
            "product",
            "All shown candidates, judged by the student's prediction times that of what its task is given.",
            PRODUCT,
        ),
        Term("weighted ranked", "Ranked candidates, weighted by the chance of what the task is given.", GIVEN),
        Term("withheld requests", "Requests chosen by hash on which no model is trained; they alone judge."),
        Term("decile", "A tenth of the rows in the order of their predictions."),
    ),
    "Compared with what": (
        Term("label", "The outcome that was seen, 1 or 0."),
        Term(
            "teacher",
            "A model whose predictions the student learns from; agreement with it is no evidence of calibration, "
            "since a student takes over its teacher's errors.",
        ),
        Term("truth", "The probability itself, which only simulated worlds know; no training and no gate reads it."),
    ),
    "Which model": (
        Term("student", "A model of an early stage that is trained anew every day, from labels and from its teacher."),
        Term(
            "baseline", "The same model trained on labels alone, with as many steps: what distillation is held against."
        ),
        Term("distillation", "Learning from a teacher's predictions on candidates that have no label."),
        Term("head", "One output of a student; the last one serves, head impression is trained on labels."),
        Term("checkpoint", "A student as it was trained on one day."),
        Term("champion", "What serves before the day: what was released last, or the baseline where nothing was."),
        Term("challenger", "The student of the day that would replace the champion."),
        Term(
            "progressive validation",
            "What was released before the day, judged on the day, of which it has seen nothing: what users would have "
            "met.",
        ),
    ),
    "Figures": (
        Term("prediction", "The probability that a model gives an outcome."),
        Term("calibration", "Mean prediction over mean outcome: 1 is right, 1.27 is 27% too high."),
        Term(
            "normalized entropy",
            "Error of the predictions (log loss) over that of always predicting the mean; smaller is better.",
            "NE",
        ),
        Term("NE change", "NE over that of the baseline, minus 1; below 0 is better than the baseline."),
        Term(
            "standard error",
            "What stands behind \N{PLUS-MINUS SIGN}, from drawing requests anew (bootstrap); a difference of less than "
            "two of them may be chance.",
        ),
        Term("value share", "Value of the model's choice over that of the ideal choice, by the truth."),
        Term("recall", "The share of the ideal choice that the model would hand on too."),
        Term(
            "off-policy estimate",
            "What a policy would earn that did not serve, from explored rows: of what chance showed, some is what the "
            "policy would have shown, and stands for the rest by 1 / propensity.",
        ),
        Term(
            "effective requests",
            "Requests of equal weight from which as much would be known as from the weighted ones.",
        ),
        Term("importance", "Rise of NE when a feature's values are exchanged between rows."),
        Term("Jaccard index", "Features that two choices share over those in either; 1 is the same choice."),
    ),
    "Decisions": (
        Term(
            "gate",
            "A bound that the cascade declares; one that fails holds a release back, and so does one that must be "
            "judged and cannot be.",
        ),
        Term("margin", "How much worse than the champion a challenger may be, as a fraction of NE."),
        Term("Released", "No gate refuses the day's student, so that it may serve."),
        Term("Refused", "A gate failed; what was released before stays."),
        Term("Not judged", "There were too few rows or labels to decide by; nothing moves."),
    ),
}
TERMS = {term.name: term for terms in GROUPS.values() for term in terms}
CODES = {term.code: term for term in TERMS.values() if term.code} | {EXPLORED_TRAILING: TERMS["explored"]}


def glossary_markdown() -> str:
    """The page docs/glossary.md."""
    parts = [
        "# Glossary",
        "Words as reports, pages and commands use them, one sentence each. Codes in brackets are what tables and "
        "`--json` say; [domains.md](domains.md) has their exact definition.",
    ]
    for title, terms in GROUPS.items():
        parts.append(f"## {title}")
        parts.append("\n".join(f'- <a id="{term.anchor}"></a>**{term.title}**: {term.sentence}' for term in terms))
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(glossary_markdown())
