"""SECURITY.md lists what the tests' security markers say."""

from tests.security_page import PAGE, renewed, table


def test_the_security_page_is_up_to_date():
    page = PAGE.read_text()
    assert page.count("\n| ") > 60
    assert page == renewed(page, table()), "run: make security-page"


def test_a_marker_becomes_a_row_and_tests_share_one(tmp_path):
    for name in ("test_one.py", "test_two.py"):
        module = tmp_path / "tests/nets" / name
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text('@pytest.mark.security("a zip bomb", "refused")\ndef test_refused(): ...\n')
    assert table(tmp_path).splitlines()[2:] == [
        "| a zip bomb | refused | `tests/nets/test_one.py`, `tests/nets/test_two.py` |"
    ]
