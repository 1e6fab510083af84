"""The studies there are, by the name of their command; a module is imported when its study is asked for."""

from importlib import import_module

from ukdsl_assets.evidence.study import Study

# Name of the study -> module below this package that holds its STUDY, and what it answers.
MODULES: dict[str, tuple[str, str]] = {
    "table1": ("table1", "Table 1: calibration and NE of every way to train pre-ranking, over simulated worlds."),
    "scored": (
        "scored",
        "All that pre-ranking scores: what rare probes of rejected candidates teach, and what they cost.",
    ),
    "table2": ("table2", "Table 2: which rule selects features best, in synthetic worlds whose features are known."),
    "table2-simulated": ("table2_simulated", "Table 2 in the simulated cascade, with 62 candidate features."),
    "table2-kuairand": ("table2_kuairand", "Table 2 on KuaiRand-Pure, where its data is present."),
    "kuairand": ("kuairand", "KuaiRand-Pure over resampled users: the headline figures, and random pairs."),
    "teacher-audit": (
        "teacher_audit",
        "How far off logged teachers are, and what correcting them by exploration does.",
    ),
    "cross-fitting": ("cross_fitting", "Whether a trained teacher should label by folds what it was trained on."),
    "table3": ("table3", "Table 3: dependent and auxiliary tasks for the last stage, over simulated worlds."),
    "cross-domain": ("cross_domain", "Small tabs of KuaiRand-Pure taught by the model of the largest, by arm."),
    "cross-domain-simulated": (
        "cross_domain_simulated",
        "A simulated surface taught by one with 100 times its traffic.",
    ),
    "item-page": ("item_page", "Clicks and purchases when modules of an item page are ordered by page view."),
    "pages": ("pages", "Pages by values and rules against the static configuration; clicks bought by purchases."),
    "item-page-experiment": (
        "item_page_experiment",
        "A/B of the item page: lifts with intervals, at several levels of personalisation.",
    ),
    "off-policy": (
        "off_policy",
        "What off-policy estimates of a page's policy are worth, and whether intervals cover.",
    ),
    "conversions": ("conversions", "Conversions times clicks and by clicks, for each way to train them, over worlds."),
    "closed-loop": ("closed_loop", "Revenue, clicks, recall and calibration when each arm serves its own cascade."),
}


def study(name: str) -> Study:
    """KeyError if there is none of this name."""
    definition: Study = import_module(f"ukdsl_assets.evidence.studies.{MODULES[name][0]}").STUDY
    return definition
