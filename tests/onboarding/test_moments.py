"""Moments in every form that logs have them in, as the guesser reads them and as the script that it writes does."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from ukdsl_assets.onboarding.columns import looked_at
from ukdsl_assets.onboarding.moments import moment_of, near_moments

MOMENTS = [datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC) + timedelta(hours=each) for each in range(30)]
KNOWN = pl.Series("at", MOMENTS).cast(pl.Datetime("us", "UTC"))
BERLIN = "Europe/Berlin"
FORMS = {
    "s": KNOWN.dt.epoch("us") / 1e6,
    "ms": KNOWN.dt.epoch("ms"),
    "us": KNOWN.dt.epoch("us"),
    "ns": KNOWN.dt.epoch("ns"),
    "text": KNOWN.dt.to_string("iso:strict"),
    "text without zone": KNOWN.dt.convert_time_zone(BERLIN).dt.to_string("%Y-%m-%d %H:%M:%S%.6f"),
    "datetime": KNOWN.dt.convert_time_zone(BERLIN).dt.cast_time_unit("ns"),
    "datetime without zone": KNOWN.dt.convert_time_zone(BERLIN).dt.replace_time_zone(None).dt.cast_time_unit("ms"),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_known_and_read_alike_by_both(form: str) -> None:
    values = FORMS[form].alias("at")
    moment = moment_of(looked_at(pl.DataFrame({"at": values}))["at"])
    assert moment is not None
    assert moment.form == form
    by_script = pl.DataFrame({"at": values}).select(eval(moment.expression(), {"pl": pl, "ZONE": BERLIN})).to_series()
    assert by_script.to_list() == MOMENTS
    assert moment.read(values, ZoneInfo(BERLIN).key).to_list() == MOMENTS


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([1.7e18, 1.1e18, 9.9e17]).cast(pl.Int64),
        pl.Series(["2026-03-01", "2026-03-02"]),
        pl.Series(["01/03/2026 10:00", "02/03/2026 10:00"]),
        pl.Series(["2026-03-01T10:00:00Z", "2026-03-01T10:00:00"]),
        pl.Series([1_772_366_400, 5]),
        pl.Series([None, None], dtype=pl.String),
        *(
            pl.Series([f"2026-03-01 10:00:00{end}", f"2026-03-02 10:00:00{end}"])
            for end in (" UTC", " +0100", "+01:00[Europe/Berlin]", ",250")
        ),
        pl.Series(["2026-03-01T10:00:00Z"] * 1_000 + ["n/a"]),
    ],
    ids=[
        "ids as large as nanoseconds",
        "dates",
        "days before months",
        "zones now and then",
        "amounts",
        "nothing",
        "zone by name",
        "zone after a space",
        "zone twice",
        "comma before a fraction",
        "one that is none",
    ],
)
def test_what_is_no_moment_or_not_surely_one(values: pl.Series) -> None:
    assert moment_of(looked_at(pl.DataFrame({"at": values}))["at"]) is None


def test_seconds_of_32_bits_do_not_overflow() -> None:
    seconds = KNOWN.dt.epoch("s").cast(pl.Int32).alias("at")
    moment = moment_of(looked_at(pl.DataFrame({"at": seconds}))["at"])
    assert moment is not None
    read = moment.read(seconds)
    assert read.to_list() == [each.replace(microsecond=0) for each in MOMENTS]
    assert read.equals(pl.DataFrame({"at": seconds}).select(eval(moment.expression(), {"pl": pl})).to_series())


def test_hours_alone_are_a_zone() -> None:
    texts = pl.Series("at", ["2026-03-01 12:00:00+02", "2026-03-02 12:00:00-05"])
    moment = moment_of(looked_at(pl.DataFrame({"at": texts}))["at"])
    assert moment is not None
    assert moment.form == "text"
    assert moment.read(texts).dt.hour().to_list() == [10, 17]


def test_what_is_called_a_time_and_is_none_is_told_with_its_first_and_last_value() -> None:
    columns = looked_at(pl.DataFrame({"created_at": ["01/03/2026", "n/a"], "price": [1, 2]}))
    assert near_moments(columns.values()) == " Saw `created_at` with '01/03/2026' and 'n/a'."
