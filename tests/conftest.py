"""What holds for every test: processes that are started here begin as at a shell's prompt."""

import signal


def pytest_configure() -> None:
    """Signals that our parent had ignored reach our children, as `nohup` and a shell's `&` would prevent.

    What is ignored stays so in a program that is started; what is handled is not. We ignore it as before.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
