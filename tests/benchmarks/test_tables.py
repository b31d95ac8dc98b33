"""The tables that the benchmarks end in: every figure with its spread, goal and ratio, nothing left out in silence."""

import msgspec

from benchmarks.catalogue import CATALOGUE
from benchmarks.figures import Figure, Peer, percentile
from benchmarks.goals import GOALS, NOT_YET, goal_on
from benchmarks.report import Report, markdown, report


def found(*figures: Figure, peers: list[Peer] | None = None, left_out: list[str] | None = None) -> Report:
    """Return a report of these."""
    return report(
        list(figures),
        peers or [],
        took_s=1.0,
        took_each_s={"lives": 9.6},
        quick=False,
        peers_asked=peers is not None,
        left_out=left_out or [],
    )


def row(text: str, name: str) -> list[str]:
    """Return the cells of the row that begins with a name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_median_spread_goal_ceiling_bound_and_conditions() -> None:
    figure = Figure(
        name="lives",
        unit="runs/s",
        rounds=[4000.0, 6000.0, 5000.0],
        ceiling=[10_000.0, 20_000.0],
        goal="lives",
        conditions="alone",
        bound="Python",
    )
    assert row(markdown(found(figure)), "lives") == [
        "lives", "SQLite", "5 000 runs/s", "4 000 to 6 000", "≥ 20 000 runs/s", "25%", "15 000", "33%", "Python",
        "alone",
    ]  # fmt: skip


def test_a_goal_that_is_an_upper_bound_is_met_by_less() -> None:
    late = Figure(name="late", unit="ms", rounds=[50.0], goal="lag_p99")
    lost = Figure(name="lost", unit="events", rounds=[0.0], goal="lost")
    text = markdown(found(late, lost))
    assert row(text, "late")[4:6] == ["≤ 25 ms", "50%"]
    assert row(text, "lost")[4:6] == ["≤ 0 events", "met"]
    assert GOALS["lost"].reached(3.0) == 0.0


def test_what_could_not_be_measured_is_said() -> None:
    broken = Figure(name="fan", unit="", missing="no files left")
    away = Peer(name="arq", version="", store="Valkey", missing="no such wheel")
    text = markdown(found(broken, peers=[away], left_out=["kill"]))
    assert "- fan: could not be measured: no files left" in text
    assert "- arq: could not be measured: no such wheel" in text
    assert "- kill: left out of this run" in text
    assert all(f"- {goal}: {why}" in text for goal, why in NOT_YET)


def test_a_peer_stands_beside_us_with_version_and_ratio() -> None:
    ours = Peer(name="Runwright", version="0.1.0", store="SQLite", executed=[9000.0], single=[1.0], batch=[2.0])
    peer = Peer(name="huey", version="3.5.4", store="SQLite", executed=[3000.0, 4500.0, 4600.0], single=[7.0])
    cells = row(markdown(found(peers=[ours, peer])), "huey")
    assert cells[1:7] == ["3.5.4", "SQLite", "7.00 [7.00 to 7.00]", "–", "4 500 [3 000 to 4 600]", "2.00×"]
    assert row(markdown(found(peers=[ours, peer])), "Runwright")[6] == "–"


def test_a_peer_is_compared_with_us_on_its_own_database() -> None:
    ours = [
        Peer(name="Runwright", version="", store="SQLite", executed=[9000.0]),
        Peer(name="Runwright", version="", store="PostgreSQL 18", executed=[6000.0]),
    ]
    others = [
        Peer(name="huey", version="", store="SQLite", executed=[3000.0]),
        Peer(name="dbos", version="", store="PostgreSQL 18", executed=[3000.0]),
        Peer(name="arq", version="", store="Valkey 8", executed=[3000.0]),
    ]
    text = markdown(found(peers=[*ours, *others]))
    assert [row(text, name)[6] for name in ("huey", "dbos", "arq")] == ["3.00×", "2.00×", "3.00×"]


def test_a_figure_on_postgresql_says_so_and_has_the_goals_that_are_set_for_it() -> None:
    assert goal_on("start_p99", "PostgreSQL") == "start_p99 on PostgreSQL"
    assert goal_on("bulk", "PostgreSQL") == "bulk"
    assert goal_on("lives", "PostgreSQL") is None
    assert goal_on("start_p99", "SQLite") == "start_p99"
    slow = Figure(name="slow", unit="ms", database="PostgreSQL", rounds=[4.0], goal="start_p99 on PostgreSQL")
    assert row(markdown(found(slow)), "slow")[1:6] == ["PostgreSQL", "4.00 ms", "4.00 to 4.00", "≤ 8 ms", "200%"]


def test_peers_that_nobody_asked_for_are_named_as_such() -> None:
    assert "Not asked for in this run" in markdown(found())


def test_a_report_says_what_its_time_went_to() -> None:
    assert "Time: lives 10 s." in markdown(found())


def test_the_report_for_machines_reads_back() -> None:
    written = msgspec.json.encode(found(Figure(name="lives", unit="runs/s", rounds=[1.0])))
    assert msgspec.json.decode(written, type=Report).figures[0].median == 1.0


def test_a_quick_run_asks_for_the_same_as_a_usual_one() -> None:
    assert {name: entry.quick.keys() for name, entry in CATALOGUE.items()} == {
        name: entry.usual.keys() for name, entry in CATALOGUE.items()
    }


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([float(n) for n in range(100)], 0.99) == 99.0
