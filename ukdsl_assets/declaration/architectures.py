"""What a student's or a foundation teacher's model may be: `architecture: mlp`, or `{kind: mlp, hidden: [64, 32]}`."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from ukdsl_assets.declaration.block import Declared

Width = Annotated[int, Field(ge=1)]
Layers = Annotated[tuple[Width, ...], Field(min_length=1)]


class _Network(Declared):
    """Base of every architecture but trees."""

    is_network: ClassVar[Literal[True]] = True
    """Whether it is trained in steps and has layers for its outputs to share; trees are not and have none."""


class TwoTowerArchitecture(_Network):
    """A tower a side that meet in a dot product, each with one hidden layer; for retrieval and pre-ranking.

    embedding: width of an id's embedding; hidden: of a tower's hidden layer; output: of the vectors that meet.
    """

    kind: Literal["two_tower"] = "two_tower"
    embedding: Width = 8
    hidden: Width = 48
    output: Width = 16


class MlpArchitecture(_Network):
    """Fully connected layers of widths `hidden` on all features."""

    kind: Literal["mlp"]
    embedding: Width = 8
    hidden: Layers = (64, 32)


class DcnV2Architecture(_Network):
    """Explicit crosses of features beside fully connected layers (Wang et al., DCN V2, WWW 2021, parallel form)."""

    kind: Literal["dcn_v2"]
    embedding: Width = 8
    crosses: Width = 2
    hidden: Layers = (64, 32)


class DeepFmArchitecture(_Network):
    """A factorization machine beside fully connected layers, on shared embeddings (Guo et al., IJCAI 2017)."""

    kind: Literal["deepfm"]
    embedding: Width = 8
    hidden: Layers = (64, 32)


class LightGbmArchitecture(Declared):
    """Boosted trees on cross entropy with soft labels, a booster a head; fitted anew every day.

    trees, leaves: number of trees and leaves of each; minimum_leaf_rows: also the fewest rows an id must have, others
    are one unknown id. The student's `learning_rate` is the shrinkage; `epochs` and batches have no meaning.
    """

    is_network: ClassVar[Literal[False]] = False

    kind: Literal["lightgbm"]
    trees: Width = 200
    leaves: Annotated[int, Field(ge=2)] = 15
    minimum_leaf_rows: Width = 50


def _by_name(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


# Kinds whose output is a linear function of a hidden layer, which another student may learn to match.
WITH_HIDDEN_LAYER = ("mlp", "dcn_v2", "deepfm")
NeuralArchitecture = TwoTowerArchitecture | MlpArchitecture | DcnV2Architecture | DeepFmArchitecture
Architecture = Annotated[
    Annotated[NeuralArchitecture | LightGbmArchitecture, Field(discriminator="kind")], BeforeValidator(_by_name)
]


class SharedBottomArchitecture(_Network):
    """A foundation teacher whose tasks share crosses of all features and fully connected layers.

    Each task has a tower of widths `tower` on both (Caruana, Multitask Learning, 1997).
    """

    kind: Literal["shared_bottom"] = "shared_bottom"
    embedding: Width = 16
    crosses: Width = 2
    hidden: Layers = (128, 64)
    tower: Layers = (32,)


class MmoeArchitecture(_Network):
    """The same with `experts` stacks of layers, which a gate a task mixes (Ma et al., MMoE, KDD 2018)."""

    kind: Literal["mmoe"]
    embedding: Width = 16
    crosses: Width = 2
    experts: Annotated[int, Field(ge=2)] = 4
    hidden: Layers = (64, 32)
    tower: Layers = (32,)


MultiTaskArchitecture = SharedBottomArchitecture | MmoeArchitecture
FoundationArchitecture = Annotated[
    Annotated[MultiTaskArchitecture, Field(discriminator="kind")], BeforeValidator(_by_name)
]
