"""Which files are changed, and the tests that must notice: those that mirror the file, none that runs a whole graph."""

CODE = "ukdsl_assets"
SQL = "dbt_like_sql"

# File -> folders and files of tests.
TARGETS: dict[str, tuple[str, ...]] = {
    # Metrics.
    f"{CODE}/learning/metrics/auc.py": ("tests/learning/metrics/test_auc.py",),
    f"{CODE}/learning/metrics/auc_bins.py": ("tests/learning/metrics/test_auc_bins.py",),
    f"{CODE}/learning/metrics/bootstrap.py": ("tests/learning/metrics/test_bootstrap.py",),
    f"{CODE}/learning/metrics/calibration.py": ("tests/learning/metrics/test_calibration.py",),
    f"{CODE}/learning/metrics/platt.py": ("tests/learning/metrics/test_platt.py",),
    f"{CODE}/learning/metrics/sums.py": ("tests/learning/metrics/test_sums.py",),
    f"{CODE}/learning/metrics/weighted.py": ("tests/learning/metrics/test_weighted.py",),
    f"{CODE}/learning/evaluation/by_group.py": ("tests/learning/evaluation/test_by_group.py",),
    f"{CODE}/learning/evaluation/comparisons.py": ("tests/learning/evaluation",),
    f"{CODE}/learning/evaluation/table.py": ("tests/learning/evaluation",),
    f"{CODE}/learning/evaluation/totals.py": ("tests/learning/evaluation",),
    # Audits and corrections.
    f"{CODE}/learning/teachers/exploration.py": ("tests/learning/teachers/test_exploration.py",),
    f"{CODE}/learning/teachers/sums.py": ("tests/learning/teachers/test_gates.py",),
    f"{CODE}/learning/cross_domain/evaluation.py": ("tests/learning/cross_domain/test_evaluation.py",),
    f"{CODE}/learning/cross_domain/recalibration.py": ("tests/learning/cross_domain/test_recalibration.py",),
    # Gates.
    f"{CODE}/gates.py": ("tests/test_gates.py",),
    f"{CODE}/learning/evaluation/gates.py": ("tests/learning/evaluation/test_table.py",),
    f"{CODE}/learning/evaluation/margin.py": ("tests/learning/evaluation/test_margin.py",),
    f"{CODE}/learning/evaluation/champion.py": ("tests/learning/evaluation/test_champion.py",),
    f"{CODE}/learning/evaluation/champion_gates.py": ("tests/learning/evaluation/test_champion_gates.py",),
    f"{CODE}/learning/teachers/gates.py": ("tests/learning/teachers/test_gates.py",),
    f"{CODE}/learning/training/gates.py": ("tests/learning/training/test_gates.py",),
    f"{CODE}/logs/gates/drift.py": ("tests/logs/gates/test_drift.py",),
    f"{CODE}/logs/gates/rows.py": ("tests/logs/gates",),
    f"{CODE}/logs/gates/tally.py": ("tests/logs/gates",),
    f"{CODE}/selection/gates.py": ("tests/selection/test_gates.py",),
    f"{CODE}/sql/gates.py": ("tests/sql/test_gates.py",),
    # Delayed labels.
    f"{CODE}/learning/training/delayed_feedback.py": ("tests/learning/training/test_delayed_feedback.py",),
    f"{CODE}/pipeline/delays.py": ("tests/pipeline/test_delays.py",),
    # Release.
    f"{CODE}/pipeline/release.py": ("tests/pipeline/test_release.py",),
    # Sampling.
    f"{CODE}/frames/splits.py": ("tests/frames/test_splits.py",),
    f"{CODE}/learning/teachers/request_sample.py": ("tests/learning/teachers/test_request_sample.py",),
    f"{CODE}/selection/sampled_rows.py": ("tests/selection/test_sampled_rows.py",),
    # SQL models.
    f"{SQL}/staging/impressions.sql": ("tests/sql/test_impressions.py",),
    f"{SQL}/staging/considerations.sql": ("tests/sql/test_considerations.py",),
    f"{SQL}/staging/logged_teacher_labels.sql": ("tests/sql/test_logged_teacher_labels.py",),
    f"{SQL}/marts/stage_calibration.sql": ("tests/sql/test_stage_calibration.py",),
    f"{SQL}/marts/teacher_augmented.sql": ("tests/sql/test_teacher_augmented.py",),
}
