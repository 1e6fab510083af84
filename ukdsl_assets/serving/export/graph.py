"""An ONNX graph put together node by node; every value has one name and one node that makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ukdsl_assets.errors import ExportError

if TYPE_CHECKING:
    import onnx

# Versions of the operators, which onnxruntime has known since 1.18.
OPSET, ML_OPSET, IR_VERSION = 20, 4, 9
# Of the operator for trees.
TREES_OPSET = 5
ML = "ai.onnx.ml"
PACKAGE = "ukdsl-assets"
# Numbers of types, as the attribute `to` of a cast names them.
FLOAT, INT64, DOUBLE = 1, 7, 11
# A protocol buffer holds up to 2 GiB, and ours a little beside its arrays.
MOST_BYTES = 2**31 - 2**24


class Graph:
    """Nodes, constants, inputs and outputs in order; methods give the name of what they add.

    Raises:
        ExportError: onnx is missing; from the methods, the file would be larger than one file of ONNX may be.
    """

    def __init__(self, name: str) -> None:
        try:
            import onnx
        except ImportError as error:
            raise ExportError(
                "onnx, which writes the file, is not installed; pip install 'ukdsl-assets[serve]'"
            ) from error
        self._onnx, self._name, self._bytes = onnx, name, 0
        self._ml_opset = ML_OPSET
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._integers: dict[tuple[int, ...], str] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """An input of `int64`, `float32` or `string`; a text in the shape names a length that varies."""
        self._inputs.append(self._value(name, dtype, shape))
        return name

    def output(self, value: str, name: str, dtype: str, shape: Sequence[int | str]) -> None:
        """Makes a value an output under a name of its own."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append(self._value(name, dtype, shape))

    def constant(self, array: NDArray[Any]) -> str:
        """An array that the file holds, in its own type."""
        self._holds(array.nbytes)
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def integers(self, *values: int) -> str:
        """A constant int64 [values], such as a shape or an axis; the same one for the same values."""
        if values not in self._integers:
            self._integers[values] = self.constant(np.array(values, np.int64))
        return self._integers[values]

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """What one operator makes of values; `""` leaves an optional one out."""
        name = f"{operator.lower()}_{len(self._nodes)}"
        made = self._onnx.helper.make_node(operator, list(inputs), [name], domain=domain, **attributes)
        self._nodes.append(made)
        return name

    def looked_up(self, keys: NDArray[Any], values: NDArray[np.int64], default: int, value: str) -> str:
        """int64 of the shape of `value`: of each key its value, and the default of what is no key.

        Args:
            keys: int64, or objects that are texts.
        """
        helper, array = self._onnx.helper, self._onnx.numpy_helper.from_array
        # Beside each text stand its length and what it is, in up to six bytes.
        texts = sum(len(each.encode()) + 6 for each in keys) if keys.dtype == object else keys.nbytes
        self._holds(texts + values.nbytes)
        if keys.dtype == object:
            of_keys = helper.make_tensor("keys", self._onnx.TensorProto.STRING, [len(keys)], keys.tolist())
        else:
            of_keys = array(keys, "keys")
        return self.node(
            "LabelEncoder",
            value,
            domain=ML,
            keys_tensor=of_keys,
            values_tensor=array(values, "values"),
            default_tensor=array(np.array([default], np.int64), "default"),
        )

    def filled(self, shape: str, value: int) -> str:
        """int64 of a shape, the same value everywhere."""
        return self.node(
            "ConstantOfShape", shape, value=self._onnx.numpy_helper.from_array(np.array([value], np.int64))
        )

    def trees(self, value: str, targets: int, arrays: Mapping[str, NDArray[Any]], numbers: Mapping[str, Any]) -> str:
        """float64 [n, targets], the sums of trees of float64 [n, columns]; attributes as of the operator."""
        self._ml_opset = TREES_OPSET
        tensors = {name: self._onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()}
        # Sums (1) as they are (0).
        how = {"aggregate_function": 1, "post_transform": 0, "n_targets": targets}
        return self.node("TreeEnsemble", value, domain=ML, **how, **tensors, **numbers)

    def affine(self, value: str, weight: NDArray[np.float32], plus: str | NDArray[np.float32] | None = None) -> str:
        """value @ weight + plus, [n, out] of [n, in] and [in, out]; `plus` is [out], [1, out] or [n, out]."""
        added = self.constant(plus.astype(np.float32)) if isinstance(plus, np.ndarray) else plus
        inputs = (value, self.constant(weight.astype(np.float32)), *((added,) if added else ()))
        return self.node("Gemm", *inputs)

    def written(self, metadata: Mapping[str, str]) -> bytes:
        """The file, with names and texts about it."""
        helper = self._onnx.helper
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, self._ml_opset)]
        model = helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=IR_VERSION,
            producer_name=PACKAGE,
            producer_version=version(PACKAGE),
        )
        helper.set_model_props(model, dict(metadata))
        return bytes(model.SerializeToString())

    def _holds(self, more: int) -> None:
        self._bytes += more
        if self._bytes > MOST_BYTES:
            raise ExportError(
                f"{self._name}: its embeddings and ids have more than {MOST_BYTES / 2**30:.2g} GiB, the most of one "
                "ONNX file; give features with many ids `hash_buckets`, or a narrower `embedding`, and train again"
            )

    def _value(self, name: str, dtype: str, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
        types = self._onnx.TensorProto
        of = {"int64": types.INT64, "float32": types.FLOAT, "string": types.STRING}[dtype]
        return self._onnx.helper.make_tensor_value_info(name, of, list(shape))
