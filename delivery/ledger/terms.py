"""What a site knows of another before any message: who it is, what is behind it, and how blocks are cut."""

from collections.abc import Collection, Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from faintlink.core.errors import ConfigError, PeerUnavailableError
from faintlink.delivery.keystore.model import Cut
from faintlink.delivery.ledger.messages import Answer, Hello, Refused, Request

Result = TypeVar("Result")
Program: TypeAlias = Generator[Request, Answer, Result]
"""One side of a conversation: yields each request, is sent its answer, and returns a result.

Whoever drives it throws `PeerUnavailableError` into it where no answer comes. A program that is dropped half way, as by
a crash, leaves nothing that `reconcile` does not clear up. Its steps block: they are the store's transactions.
"""
Heard = TypeVar("Heard", bound=Answer)


@dataclass(frozen=True, slots=True)
class Terms:
    """Two sites, as one of them sees it."""

    site: str
    """This site."""
    peer: str
    """The other."""
    cut: Cut
    """How both cut their common blocks."""
    instance: str
    """UUID of this run of the site's process."""
    ours: Collection[str]
    """Applications at this site."""
    theirs: Collection[str]
    """Applications at the other."""

    def hello(self) -> Hello:
        """Return this site's greeting."""
        return Hello(
            site=self.site,
            instance=self.instance,
            first_site=self.cut.first_site,
            share_first=self.cut.share_first,
            share_reserve=self.cut.share_reserve,
        )

    def check(self, hello: Hello) -> None:
        """Refuse a greeting of somebody else, or of a site that cuts its blocks in another way.

        Raises
        ------
        ConfigError
            With what differs; nothing may be shared before it is put right.
        """
        mine = self.hello()
        expected = (self.peer, mine.first_site, mine.share_first, mine.share_reserve)
        seen = (hello.site, hello.first_site, hello.share_first, hello.share_reserve)
        if seen != expected:
            raise ConfigError(
                f"{self.peer} greets as (site, first site, first share, reserve) {seen}, expected {expected}",
                hint="name the same `cut` in the configuration of both sites",
            )


def expect(answer: Answer, kind: type[Heard]) -> Heard:
    """Return an answer that must be of a kind.

    Raises
    ------
    PeerUnavailableError
        The other site refuses, or answers something else.
    """
    if isinstance(answer, kind):
        return answer
    if isinstance(answer, Refused):
        raise PeerUnavailableError(f"the other site refuses: {answer.reason}", hint="look at its log")
    raise PeerUnavailableError(
        f"the other site should answer {kind.__name__}, and answers {type(answer).__name__}",
        hint="do both sites run the same version?",
    )
