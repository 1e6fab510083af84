"""The declaration of a foundation teacher: a network for all tasks, larger than what is served."""

from typing import Literal

from pydantic import Field

from ukdsl_assets.architectures import FoundationArchitecture, SharedBottomArchitecture
from ukdsl_assets.declared import Declared, Name


class FoundationTeacher(Declared):
    """A network of every task of the cascade on a long rolling window of impressions (paper, section 4.3).

    It reads all features known at `stage` and their crosses, and labels every row that `stage` scored, the last
    stage's own too. A task that is `given` another is learnt over the whole space, as a product of probabilities
    (Ma et al., ESMM, SIGIR 2018), and labels say its probability given the other. It is trained anew every day.

    minimum_id_rows: rows of the window that an id must have; rarer ones share one row, which so learns what to say of
        ids that the teacher has never seen.
    window_days, epochs, requests_per_batch, learning_rate: as a student's.
    """

    name: Name
    kind: Literal["foundation"]
    stage: Name
    architecture: FoundationArchitecture = SharedBottomArchitecture()
    window_days: int = Field(14, ge=1)
    epochs: int = Field(2, ge=1)
    requests_per_batch: int = Field(256, ge=1)
    learning_rate: float = Field(4e-3, gt=0)
    minimum_id_rows: int = Field(5, ge=1)
    seed: int = 0
