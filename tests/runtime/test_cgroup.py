"""Quotas of a process's own control group and of all above it. Real ones need root: these are files."""

import pytest

from fcn_edge_runtime._cgroup import granted_cores, memory_left


@pytest.fixture
def groups(tmp_path):
    """Writes files of groups, and asks for the limits of a process in some of them."""

    class Groups:
        def write(self, name, text):
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

        def limits(self, own):
            (tmp_path / "own").write_text(own)
            given = tmp_path / "groups", tmp_path / "own"
            return granted_cores(*given), memory_left(*given)

    return Groups()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max 100000", None),
        ("150000 100000", 1.5),
        ("rubbish", None),
        ("0 0", None),
        ("1 2 3", None),
        ("inf 1", None),
        ("", None),
    ],
)
def test_a_quota_is_a_share_of_a_period(groups, text, expected):
    groups.write("job/cpu.max", text)
    assert groups.limits("0::/job\n")[0] == expected


def test_the_smallest_quota_on_the_way_up_holds(groups):
    groups.write("a/cpu.max", "200000 100000")
    groups.write("a/b/cpu.max", "max 100000")
    groups.write("a/b/c/cpu.max", "400000 100000")
    groups.write("other/cpu.max", "50000 100000")
    assert groups.limits("0::/a/b/c\n")[0] == 2
    assert groups.limits("0::/a\n")[0] == 2
    assert groups.limits("0::/\n")[0] is None


def test_quotas_of_version_1_hold(groups):
    groups.write("cpu,cpuacct/job/cpu.cfs_quota_us", "250000\n")
    groups.write("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n")
    groups.write("cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    groups.write("cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    assert groups.limits("4:cpu,cpuacct:/job\n3:memory:/\n")[0] == 2.5
    assert groups.limits("4:cpu,cpuacct:/\n")[0] is None
    assert groups.limits("3:memory:/job\n")[0] is None


def test_a_path_outside_of_the_container_is_its_top(groups):
    groups.write("cpu.max", "100000 100000")
    assert groups.limits("0::/../../docker/5f3a\n")[0] == 1
    groups.write("memory/memory.limit_in_bytes", "1000\n")
    groups.write("memory/memory.usage_in_bytes", "300\n")
    assert groups.limits("5:memory:/docker/5f3a\n")[1] == 700


def test_memory_is_what_the_tightest_group_leaves(groups):
    for name, most, now in (("a", "2000", "500"), ("a/b", "max", "400"), ("a/b/c", "1000", "900")):
        groups.write(f"{name}/memory.max", most)
        groups.write(f"{name}/memory.current", now)
    assert groups.limits("0::/a/b/c")[1] == 100
    assert groups.limits("0::/a/b")[1] == 1500


def test_a_system_without_groups_has_no_limits(tmp_path):
    assert granted_cores(tmp_path / "none", tmp_path / "none") is None
    assert memory_left(tmp_path / "none", tmp_path / "none") is None
