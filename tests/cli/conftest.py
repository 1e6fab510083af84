"""A folder to run commands in, and the command line without the seconds in which a process imports everything."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.fixtures.command_line import Command, Ended, at, in_own_process, shop_in
from tests.fixtures.once import once
from tests.fixtures.shop import DAY
from ukdsl_assets.cli.app import main
from ukdsl_assets.settings import PROJECT


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a declared cascade and a day of its logs."""
    return shop_in(tmp_path)


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose day was run from a terminal, to be read: its evaluation is in out.json, what was said in said.json.

    Its report alone may be made again.
    """

    def run(folder: Path) -> None:
        arguments = ("run", "shop", "--days", str(DAY), "--json", str(folder / "out.json"))
        done = in_own_process(*arguments, **at(shop_in(folder)))
        (folder / "said.json").write_text(json.dumps(asdict(done)))

    return once(tmp_path_factory, "ran_shop", run)


@pytest.fixture
def ukdsl(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The entry point in this process; what is no error of a user's fails the test."""

    def called(*arguments: str, **environment: str | Path) -> Ended:
        code: object = 0
        capfd.readouterr()
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, str(value))
            patch.chdir(PROJECT)
            patch.setattr(sys, "argv", ["ukdsl", *arguments])
            try:
                main()
            except SystemExit as ended:
                code = ended.code or 0
        assert isinstance(code, int)
        printed = capfd.readouterr()
        return Ended(code, printed.out, printed.err)

    return called
