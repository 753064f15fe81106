#!/usr/bin/env python3
"""Writes a row of a table in docs/support.md from the output of tests.

    tests/engines/table.py TABLE ROW DESCRIPTION BINARY=LOG...

TABLE is `engines` or `machines`, ROW the name of the engine (tests/engines/daemon) or the machine, DESCRIPTION its version, LOG what
the test binary BINARY printed (`test NAME ... ok`). The row is replaced or added; the others stay. Failed tests are printed. The exit
status is 1 if a test failed that tests/engines/known does not name for this row, or if a test passed that it names.
"""

import datetime
import pathlib
import re
import sys

# A feature, and the beginnings of the names of its tests: binary, then test. The first match counts.
FEATURES = {
    "engines": [
        ("engine away or restarted", "scenarios faults::engine scenarios engine::an_engine"),
        ("pull by digest, login", "adapters engine::pulls adapters engine::answers scenarios boot:: scenarios faults::image "
            "scenarios forms::an_image"),
        ("create, adopt, restart", "adapters engine::containers scenarios restart scenarios engine scenarios unprobed "
            "scenarios real_images scenarios faults::container"),
        ("keys, devices, limits, platform", "adapters engine::keys adapters engine::isolation adapters engine::platforms"),
        ("secrets", "adapters engine::secrets adapters engine::rotation scenarios secrecy scenarios memory "
            "scenarios faults::secrets scenarios drain::rotated scenarios forms::a_scratch"),
        ("health, HEALTHCHECK", "adapters engine::probes adapters engine::tls_probes adapters engine::ports scenarios forms::health"),
        ("logs, last output", "adapters engine::output scenarios faults::output scenarios log"),
        ("drain, connections", "adapters engine::connections scenarios drain scenarios long"),
        ("imds=block", "adapters engine::metadata_block adapters engine::packet_filters adapters engine::restarted "
            "adapters engine::networks scenarios metadata"),
        ("handover", "scenarios handover"),
        ("bake", "scenarios bake"),
        ("doctor", "scenarios doctor"),
        ("crash matrix", "scenarios crash scenarios last_life"),
        ("the rest", "adapters engine:: scenarios "),
    ],
    "machines": [
        ("package: install, upgrade, purge", "packages "),
        ("upgrade under load", "boot a_package_upgrade"),
        ("crash, watchdog, core dumps", "boot cores boot an_agent_that_is_killed boot signals_that_mean_nothing"),
        ("boot, reboot, poweroff", "boot "),
    ],
}
SUITES = {"bookworm", "trixie"}
ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/support.md"
KNOWN = ROOT / "tests/engines/known"
TEST = re.compile(r"^test (\S+) \.\.\. (ok|FAILED)$", re.M)


def known(row):
    """The beginnings of the names of tests that are known to fail there."""
    lines = [line.split(None, 3) for line in KNOWN.read_text().splitlines()]
    return [f"{words[1]} {words[2].rstrip('*')}" for words in lines if len(words) > 2 and words[0] == row]


def feature(table, test):
    for name, beginnings in FEATURES[table]:
        words = re.split(r" (?=adapters |scenarios |boot |packages )", beginnings)
        if any(test.startswith(word) for word in words):
            return name
    return None


def cell(results):
    passed = results.count(True)
    return "–" if not results else str(passed) if passed == len(results) else f"**{passed} of {len(results)}**"


def main(table, row, description, *logs):
    results = {}
    for log in logs:
        binary, path = log.split("=", 1)
        for name, verdict in TEST.findall(pathlib.Path(path).read_text(errors="replace")):
            # A test on several machines has a module for each: `trixie::…`.
            path_of = name.split("::")
            if table == "machines" and SUITES & set(path_of) - {row}:
                continue
            name = "::".join(part for part in path_of if part not in SUITES)
            results[f"{binary} {name}"] = verdict == "ok"
    if not results:
        sys.exit(f"tests/engines/table.py: no test in {' '.join(logs)}")
    columns = {name: [] for name, _ in FEATURES[table]}
    for test, passed in sorted(results.items()):
        if (name := feature(table, test)) is not None:
            columns[name].append(passed)

    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    line = f"| `{row}` | {description} | {' | '.join(map(cell, columns.values()))} | {today} |"
    begin, end = f"<!-- {table}: begin -->\n", f"<!-- {table}: end -->"
    before, rest = PAGE.read_text().split(begin)
    body, after = rest.split(end)
    rows = [old for old in body.splitlines()[2:] if not old.startswith(f"| `{row}` |")] + [line]
    head = f"| | version | {' | '.join(columns)} | date |\n|---|---|{'---:|' * len(columns)}---|\n"
    order = ["bookworm", "trixie", "sid", "sid-containerd", "podman"]
    rows.sort(key=lambda old: order.index(old.split("`")[1]) if old.split("`")[1] in order else len(order))
    PAGE.write_text(before + begin + head + "".join(old + "\n" for old in rows) + end + after)

    expected = known(row)
    failed = sorted(test for test, passed in results.items() if not passed)
    new = [test for test in failed if not any(test.startswith(word) for word in expected)]
    mended = [word for word in expected
              if not any(test.startswith(word) for test in failed) and any(test.startswith(word) for test in results)]
    for test in failed:
        print(f"{row}: failed{'' if test in new else ', as known'}: {test}")
    for word in mended:
        print(f"{row}: passes, although tests/engines/known names it: {word}")
    print(f"{row}: {len(results) - len(failed)} of {len(results)} tests passed")
    sys.exit(1 if new or mended else 0)


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[1] not in FEATURES:
        sys.exit(__doc__)
    main(*sys.argv[1:])
