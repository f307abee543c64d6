"""The arrows between the rooms: training -> models <- api, and heavy libraries only where they belong."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("api", "models", "training")
#: Library -> where it may be imported.
LIBRARIES = {
    "flask": ("api",),
    "flask_smorest": ("api",),
    "marshmallow": ("api",),
    "gunicorn": ("api",),
    "sklearn": ("training",),
    "interpret": ("training",),
    "sqlalchemy": ("models/store", "api"),
    "alembic": ("models/store",),
}
#: Left never imports right, inside the core.
LAYERS = (
    ("errors", "clock", "progress"),
    ("columns", "rhythm"),
    ("accounts", "interactions", "surveys"),
    ("history",),
    ("features", "labels", "voice", "standing"),
    ("lookup", "terms", "scorecard", "health"),
    (
        "schema",
        "model",
        "scalar",
        "reasons",
        "rows",
        "scoring",
        "lists",
        "picking",
        "moves",
        "grading",
        "disagreement",
        "ledger",
        "changes",
        "tally",
        "what_if",
    ),
    ("monitor",),
    ("webhooks",),
    ("imports", "tables", "registry", "store", "loading", "settings", "terminal"),
)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
            found |= {f"{node.module}.{alias.name}" for alias in node.names if node.module}
    return found


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize(
    ("room", "forbidden"), [("models", ("api", "training")), ("api", ("training",)), ("training", ("api",))]
)
def test_rooms_point_the_right_way(room: str, forbidden: tuple[str, ...]) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(room)
        for name in imports(path)
        if name.split(".")[0] in forbidden
    ]
    assert modules(room)
    assert not wrong


def test_libraries_stay_where_they_belong() -> None:
    wrong = []
    for room in ROOMS:
        for path in modules(room):
            where = path.relative_to(ROOT).as_posix()
            for name in imports(path):
                allowed = LIBRARIES.get(name.split(".")[0])
                if allowed and not where.startswith(allowed):
                    wrong.append(f"{where} imports {name}")
    assert not wrong


def layer(module: str) -> int | None:
    return next((i for i, names in enumerate(LAYERS) if module in names), None)


def test_every_module_of_the_core_has_a_layer() -> None:
    names = {path.relative_to(ROOT / "models").parts[0].removesuffix(".py") for path in modules("models")}
    assert {name for name in names if name != "__init__" and layer(name) is None} == set()


def test_inside_the_core_left_never_imports_right() -> None:
    wrong = []
    for path in modules("models"):
        own = path.relative_to(ROOT / "models").parts[0].removesuffix(".py")
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "models" and len(parts) > 1 and own != "__init__":
                theirs = layer(parts[1])
                if theirs is not None and theirs > (layer(own) or 0):
                    wrong.append(f"models/{own} imports models.{parts[1]}")
    assert sorted(set(wrong)) == []
