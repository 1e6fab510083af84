"""Small changes to Python: what is compared, computed, negated, left out."""

import ast
import copy
from collections.abc import Iterator

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.RShift: ast.LShift,
}
# Names of functions and methods that take the same arguments.
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any", "log": "log1p", "minimum": "maximum"}
CALLED |= {"is_null": "is_not_null", "is_not_null": "is_null", "exp": "expm1"}
# Methods that give back something of their own kind, so that the call can be left out.
LEFT_OUT = {"filter", "sort", "unique", "clip", "abs", "fill_null", "drop_nulls", "mean_horizontal"}
# What people read is not what is decided.
_NOT_CHANGED = (ast.JoinedStr, ast.Raise, ast.arguments, ast.Import, ast.ImportFrom, ast.Assert)

Made = tuple[int, str, str, str]


def python_changes(text: str) -> Iterator[Made]:
    """Line, code before, code after and the whole text of each change, in the order of the file.

    Docstrings, annotations, texts for people, and what is raised stay as they are.
    """
    tree = ast.parse(text)
    for parent, name, at, node in _places(tree):
        for other in _others(node):
            before = ast.unparse(node)
            _put(parent, name, at, other)
            yield node.lineno, before, ast.unparse(other), ast.unparse(ast.fix_missing_locations(tree))
            _put(parent, name, at, node)


def _places(parent: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.expr]]:
    """Every expression that may change: its parent, the parent's field, and where in the field if that is a list."""
    for name, value in ast.iter_fields(parent):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for at, node in enumerate(value) if isinstance(value, list) else ((None, value),):
            if not isinstance(node, ast.AST) or isinstance(node, _NOT_CHANGED):
                continue
            if isinstance(node, ast.expr):
                yield parent, name, at, node
            yield from _places(node)


def _put(parent: ast.AST, name: str, at: int | None, node: ast.expr) -> None:
    if at is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[at] = node


def _others(node: ast.expr) -> Iterator[ast.expr]:
    """What may stand in place of an expression."""
    if isinstance(node, ast.Compare):
        for at, operator in enumerate(node.ops):
            other = copy.copy(node)
            other.ops = [*node.ops[:at], COMPARED[type(operator)](), *node.ops[at + 1 :]]
            yield other
    elif isinstance(node, ast.BinOp) and type(node.op) in COMPUTED and not _of_text(node):
        yield ast.BinOp(node.left, COMPUTED[type(node.op)](), node.right)
        yield node.left
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        yield node.values[0]
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
    elif isinstance(node, ast.Constant):
        yield from _other_constants(node)
    elif isinstance(node, ast.Call):
        yield from _other_calls(node)


def _other_constants(node: ast.Constant) -> Iterator[ast.expr]:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)


def _other_calls(node: ast.Call) -> Iterator[ast.expr]:
    function = node.func
    for at in range(len(node.keywords)):
        yield ast.Call(function, node.args, [*node.keywords[:at], *node.keywords[at + 1 :]])
    if isinstance(function, ast.Name) and function.id in CALLED:
        yield ast.Call(ast.Name(CALLED[function.id], ast.Load()), node.args, node.keywords)
    if isinstance(function, ast.Attribute) and function.attr in CALLED:
        yield ast.Call(ast.Attribute(function.value, CALLED[function.attr], ast.Load()), node.args, node.keywords)
    if isinstance(function, ast.Attribute) and function.attr in LEFT_OUT:
        yield function.value


def _of_text(node: ast.expr) -> bool:
    """Whether texts are put together: what people read, or a type such as `int | None`."""
    if isinstance(node, ast.BinOp):
        return _of_text(node.left) or _of_text(node.right)
    if isinstance(node, ast.IfExp):
        return _of_text(node.body) or _of_text(node.orelse)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | None))
