"""Publishers that are killed or run at once: nothing is lost, nothing is half there."""

import os
import random
import shutil
import signal
import time
from itertools import count
from pathlib import Path

import pytest

from kolm.registry.audit import audit
from kolm.registry.backends.directory import Directory
from kolm.registry.publish import Publisher
from kolm.registry.references import parse_target
from kolm.registry.staging import written
from tests.support.kills import FORK, kills
from tests.support.registries import World, check


def _publish(world, target, content):
    source = world.folder / f"source-{os.getpid()}.kolm"
    source.write_text(content)
    name, version = parse_target(target)
    publisher = Publisher(
        key=world.key,
        trust=world.trust,
        check=check,
    )
    return publisher.publish(world.registry, source, name, version)


def test_a_kill_before_any_step_leaves_a_sound_registry_that_takes_the_same_again(tmp_path):
    world = World(tmp_path)
    world.publish("demo@1.0.0", "one")

    def work(step):
        _publish(world, f"demo@1.1.{step}", f"bundle {step}")

    for step, _ in kills(work):
        found = audit(world.registry, trust=world.trust, check=check)
        assert found.verdict == "ok", (step, found.problems)
        again = world.publish(f"demo@1.1.{step}", f"bundle {step}")
        assert again.entry["version"] == f"1.1.{step}"
    assert step > 8  # the steps were really met one by one
    assert len(world.registry.entries("demo").entries) == step + 2


def test_a_kill_while_a_registry_is_made_leaves_one_or_what_the_next_call_completes(tmp_path):
    folder = tmp_path / "registry"
    for step, _ in kills(lambda _: Directory.create(folder)):
        if not (folder / "registry.json").exists():
            Directory.create(folder)
        assert Directory.open(folder).names() == [], step
        shutil.rmtree(folder)
    assert step > 8


def test_kills_at_random_moments_lose_nothing_that_was_acknowledged(tmp_path):
    world = World(tmp_path)
    acknowledged = tmp_path / "acknowledged"
    acknowledged.touch()
    moments = random.Random(7)
    for round_ in range(12):
        child = FORK.Process(target=_publish_for_ever, args=(world, round_, acknowledged))
        child.start()
        time.sleep(0.02 + moments.random() * 0.08)
        os.kill(child.pid, signal.SIGKILL)
        child.join(60)
        found = audit(world.registry, trust=world.trust, check=check)
        assert found.verdict == "ok", found.problems
    told = acknowledged.read_text().split("\n")[:-1]
    assert told
    entries = world.registry.entries("demo").entries
    for line in told:
        number = int(line)
        assert number <= len(entries)


def _publish_for_ever(world, round_, acknowledged: Path):
    handle = os.open(acknowledged, os.O_WRONLY | os.O_APPEND)
    for number in count():
        published = _publish(world, f"demo@{round_ + 1}.{number}.0", f"{round_} {number}")
        os.write(handle, f"{published.entry['sequence']}\n".encode())


def _publish_many(world, who, start):
    start.wait()
    for number in range(10):
        _publish(world, f"demo@{who}.{number}.0", f"{who} {number}")


def test_publishers_at_the_same_time_lose_nothing(tmp_path):
    world = World(tmp_path)
    start = FORK.Event()
    publishers = [FORK.Process(target=_publish_many, args=(world, who, start)) for who in (1, 2)]
    for publisher in publishers:
        publisher.start()
    start.set()
    for publisher in publishers:
        publisher.join(120)
        assert publisher.exitcode == 0
    found = audit(world.registry, trust=world.trust, check=check)
    assert (found.verdict, found.entries, found.bundles) == ("ok", 20, 20)


def _contend(world, who, start, won):
    from kolm.errors import Refused

    start.wait()
    for number in range(10):
        try:
            _publish(world, f"demo@1.{number}.0", f"{who} {number}")
        except Refused as error:
            if error.code != "E_VERSION_TAKEN":
                raise
        else:
            won.put((number, who))


def test_two_publishers_of_the_same_version_have_one_winner(tmp_path):
    world = World(tmp_path)
    start, won = FORK.Event(), FORK.Queue()
    rivals = [FORK.Process(target=_contend, args=(world, who, start, won)) for who in (1, 2)]
    for rival in rivals:
        rival.start()
    start.set()
    winners = [won.get(timeout=120) for _ in range(10)]
    for rival in rivals:
        rival.join(120)
        assert rival.exitcode == 0
    assert won.empty()
    assert sorted(number for number, _ in winners) == list(range(10))
    assert audit(world.registry, trust=world.trust, check=check).verdict == "ok"


def test_a_written_copy_is_removed_when_the_work_fails(tmp_path):
    with pytest.raises(KeyError), written(b"x", tmp_path):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
