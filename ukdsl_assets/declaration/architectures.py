"""What a student's or a foundation teacher's model may be: `architecture: mlp`, or `{kind: mlp, hidden: [64, 32]}`."""

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field

from ukdsl_assets.declaration.block import Count, Declared

Width = Annotated[int, Field(ge=1, le=65_536)]
Layers = Annotated[tuple[Width, ...], Field(min_length=1, max_length=64)]
# Layers or stacks that stand behind or beside each other.
Few = Annotated[int, Field(ge=1, le=64)]
# As many as LightGBM takes.
Leaves = Annotated[int, Field(ge=2, le=131_072)]


class _Network(Declared):
    """Base of every architecture but trees."""

    is_network: ClassVar[Literal[True]] = True
    """Whether it is trained in steps and has layers for its outputs to share; trees are not and have none."""


class TwoTowerArchitecture(_Network):
    """A tower a side that meet in a dot product, each with one hidden layer; for retrieval and pre-ranking."""

    kind: Literal["two_tower"] = "two_tower"
    """Two towers."""
    embedding: Width = 8
    """Width of an id's embedding."""
    hidden: Width = 48
    """Width of a tower's hidden layer."""
    output: Width = 16
    """Width of the vectors that meet."""


class MlpArchitecture(_Network):
    """Fully connected layers on all features."""

    kind: Literal["mlp"]
    """Fully connected layers."""
    embedding: Width = 8
    """Width of an id's embedding."""
    hidden: Layers = (64, 32)
    """Widths of the layers, the first on the features."""


class DcnV2Architecture(_Network):
    """Explicit crosses of features beside fully connected layers (Wang et al., DCN V2, WWW 2021, parallel form)."""

    kind: Literal["dcn_v2"]
    """Crosses beside fully connected layers."""
    embedding: Width = 8
    """Width of an id's embedding."""
    crosses: Few = 2
    """Number of cross layers; each raises the degree of the crosses by one."""
    hidden: Layers = (64, 32)
    """Widths of the fully connected layers."""


class DeepFmArchitecture(_Network):
    """A factorization machine beside fully connected layers, on shared embeddings (Guo et al., IJCAI 2017)."""

    kind: Literal["deepfm"]
    """A factorization machine beside fully connected layers."""
    embedding: Width = 8
    """Width of an id's embedding, which both parts share."""
    hidden: Layers = (64, 32)
    """Widths of the fully connected layers."""


class LightGbmArchitecture(Declared):
    """Boosted trees on cross entropy with soft labels, a booster a head; fitted anew every day.

    The student's `learning_rate` is the shrinkage; `epochs` and batches have no meaning.
    """

    is_network: ClassVar[Literal[False]] = False

    kind: Literal["lightgbm"]
    """Boosted trees."""
    trees: Count = 200
    """Number of trees of a head."""
    leaves: Leaves = 15
    """Most leaves of a tree."""
    minimum_leaf_rows: Count = 50
    """Fewest rows of a leaf, and fewest rows that an id must have; rarer ids are one unknown id."""


def _by_name(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def _or_its_name(union: Any) -> BeforeValidator:
    """Lets the name of a kind stand for its block with all other keys left out, and lets the JSON Schema say so."""
    names = tuple(name for each in get_args(union) for name in get_args(each.model_fields["kind"].annotation))
    block: Any = Annotated[union, Field(discriminator="kind")]
    return BeforeValidator(_by_name, json_schema_input_type=block | Literal[names])


# Kinds whose output is a linear function of a hidden layer, which another student may learn to match.
WITH_HIDDEN_LAYER = ("mlp", "dcn_v2", "deepfm")
NeuralArchitecture = TwoTowerArchitecture | MlpArchitecture | DcnV2Architecture | DeepFmArchitecture
Architecture = Annotated[
    Annotated[NeuralArchitecture | LightGbmArchitecture, Field(discriminator="kind")],
    _or_its_name(NeuralArchitecture | LightGbmArchitecture),
]


class SharedBottomArchitecture(_Network):
    """A foundation teacher whose tasks share crosses of all features and fully connected layers.

    Each task has a tower on both (Caruana, Multitask Learning, 1997).
    """

    kind: Literal["shared_bottom"] = "shared_bottom"
    """Layers that all tasks share."""
    embedding: Width = 16
    """Width of an id's embedding."""
    crosses: Few = 2
    """Number of cross layers."""
    hidden: Layers = (128, 64)
    """Widths of the fully connected layers that tasks share."""
    tower: Layers = (32,)
    """Widths of the layers that each task has for itself."""


class MmoeArchitecture(_Network):
    """The same with several stacks of layers, which a gate a task mixes (Ma et al., MMoE, KDD 2018)."""

    kind: Literal["mmoe"]
    """Experts that each task mixes its own way."""
    embedding: Width = 16
    """Width of an id's embedding."""
    crosses: Few = 2
    """Number of cross layers, which all tasks share."""
    experts: Annotated[Few, Field(ge=2)] = 4
    """Number of stacks of layers that are mixed."""
    hidden: Layers = (64, 32)
    """Widths of the layers of an expert."""
    tower: Layers = (32,)
    """Widths of the layers that each task has for itself."""


MultiTaskArchitecture = SharedBottomArchitecture | MmoeArchitecture
FoundationArchitecture = Annotated[
    Annotated[MultiTaskArchitecture, Field(discriminator="kind")], _or_its_name(MultiTaskArchitecture)
]
