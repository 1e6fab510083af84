"""A folder to run commands in, and the command line without the seconds in which a process imports everything."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.command_line import Command, Ended, shop_in
from ukdsl_assets.cli.app import main
from ukdsl_assets.settings import PROJECT


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """A command that runs or is stopped changes what Ctrl-C does for the rest of its process, which here goes on."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a declared cascade and a day of its logs."""
    return shop_in(tmp_path)


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
