"""The smallest Textual application that says something: what the cockpit's first paint is compared with."""

from textual.app import App, ComposeResult
from textual.widgets import Static


class Hello(App[None]):
    """One line of text."""

    def compose(self) -> ComposeResult:
        """Enough ink to count as a screen."""
        yield Static("hello from the smallest application that Textual can make, in one line")


if __name__ == "__main__":
    Hello().run()
