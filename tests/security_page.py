"""Writes the table of SECURITY.md from the markers on the tests: `python -m tests.security_page`.

A test that shows how a threat is handled carries `@pytest.mark.security("case", "what happens")`. The markers
are read from the source, so that this needs no installed package. Tests with the same marker share a row.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "SECURITY.md"
BEGIN = "<!-- generated from the tests by: make security-page -->\n"
END = "<!-- end of the generated table -->\n"

# In the order in which a file meets the parts: weights, model files, sessions, images, commands, the machine.
PLACES = (
    "tests/nets",
    "tests/export",
    "tests/runtime/model",
    "tests/runtime/session",
    "tests/runtime/imaging",
    "tests/runtime",
    "tests/artifacts",
    "tests/cli",
    "tests/faults",
    "tests/fuzz",
    "tests/hostile",
    "tests",
)


def marks_in(path: Path) -> list[tuple[str, str]]:
    """Returns (case, what happens) of every security marker in a test module, in the order of the source."""
    calls = (
        decorator
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
    )
    return [
        tuple(ast.literal_eval(argument) for argument in call.args)
        for call in calls
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.security"
    ]


def place(name: str) -> int:
    return next(index for index, folder in enumerate(PLACES) if name.startswith(f"{folder}/"))


def table(root: Path = ROOT) -> str:
    """Returns the table in Markdown; a row names the modules whose tests show the case."""
    modules = {path.relative_to(root).as_posix(): path for path in root.glob("tests/**/test_*.py")}
    shown: dict[tuple[str, str], list[str]] = {}
    for name in sorted(modules, key=lambda name: (place(name), name)):
        for mark in marks_in(modules[name]):
            names = shown.setdefault(mark, [])
            if name not in names:
                names.append(name)
    rows = [
        f"| {case} | {happens} | {', '.join(f'`{name}`' for name in names)} |\n"
        for (case, happens), names in shown.items()
    ]
    return "".join(["| case | what happens | tests |\n", "|---|---|---|\n", *rows])


def renewed(page: str, rows: str) -> str:
    """Returns the page with `rows` between its two comment lines."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{rows}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(), table()))
