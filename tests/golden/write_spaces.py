"""Writes the golden files of the printed spaces anew: ``python tests/golden/write_spaces.py``, then review the diff."""

import importlib.util
from pathlib import Path

HERE = Path(__file__).parent


def main():
    spec = importlib.util.spec_from_file_location("test_spaces", HERE.parent / "search_spaces" / "test_spaces.py")
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    (mark,) = (m for m in tests.test_printed_space_is_the_golden_one.pytestmark if m.name == "parametrize")
    for file, name, info in mark.args[1]:
        (HERE / file).write_text(tests.to_text(tests.space_of(name, info), width=140), encoding="utf-8")


if __name__ == "__main__":
    main()
