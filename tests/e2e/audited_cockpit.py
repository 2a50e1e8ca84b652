"""`tidegate`, with every connection, process and written file told in the file that AUDITED names."""

import os
import sys

CONNECTIONS = {
    "socket.bind",
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.sendto",
    "http.client.connect",
    "urllib.Request",
}
PROCESSES = {"subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


def audit(event: str, arguments: tuple[object, ...]) -> None:
    """One line for each: what, and of what."""
    if event in CONNECTIONS | PROCESSES:
        _tell(event, arguments)
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        _tell("write", (os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else "",))


def _tell(event: str, arguments: tuple[object, ...]) -> None:
    os.write(TOLD, f"{event} {arguments!r}\n".encode())


if __name__ == "__main__":
    TOLD = os.open(os.environ["AUDITED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.addaudithook(audit)
    from tui.cli import main

    sys.exit(main())
