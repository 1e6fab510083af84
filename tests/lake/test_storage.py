"""The root of a lake: what cannot be one is told, without its secrets."""

import pytest

from ukdsl_assets.errors import LakeError
from ukdsl_assets.lake.storage import Storage


@pytest.mark.parametrize("root", ["s3://AKIA1:hunter2@bucket/lake", "s3://AKIA1:hunt/er2@bucket/lake"])
def test_a_root_with_a_password_is_refused_without_telling_it(root: str) -> None:
    with pytest.raises(LakeError, match=r"s3://\*\*\*@bucket/lake holds what lets.*from the environment") as error:
        Storage(root)
    assert "hunt" not in str(error.value)


def test_a_root_that_nothing_can_open_is_told() -> None:
    with pytest.raises(LakeError, match=r"The root nosuch://lake cannot be opened: .*nosuch"):
        Storage("nosuch://lake").path()
