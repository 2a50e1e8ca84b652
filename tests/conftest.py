"""What holds for every test: no example has a time limit, and processes begin as at a shell's prompt."""

import signal

from hypothesis import settings

# How fast something is, is measured in benchmarks/; a busy machine makes no test fail.
settings.register_profile("tidegate", deadline=None)
settings.load_profile("tidegate")


def pytest_configure() -> None:
    """Signals that our parent had ignored reach our children, as `nohup` and a shell's `&` would prevent.

    What is ignored stays so in a program that is started; what is handled is not. We ignore it as before.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
