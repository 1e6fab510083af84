"""A known rate is told by a text that no other one has."""

from itertools import product

from ukdsl_assets.declaration.corrections import KnownRate


def test_no_two_known_rates_have_the_same_text() -> None:
    rates = [
        KnownRate(rate=rate, of=of, over=over)
        for rate, of, over in product(
            (0.1773, 0.17730001, 0.17730000000000001 / 3),
            ("random exposure", "random exposure (rows not shown)", "a of b"),
            ("labelled", "unshown"),
        )
    ]
    assert len({rate.told for rate in rates}) == len(rates)
    assert rates[0].told == "0.1773 of random exposure"
    assert rates[1].told == "0.1773 (rows not shown) of random exposure"
