"""Why a command can't be carried out."""


class RefusalError(Exception):
    """A command can't be carried out; ``detail`` says why and what to do."""

    slug: str

    def __init__(self, detail: str) -> None:
        """Refuse, with what the caller is told."""
        super().__init__(detail)
        self.detail = detail


class ArtistNotFoundError(RefusalError):
    """The tenant has no such artist."""

    slug = "not-found"


class ArtistExistsError(RefusalError):
    """The tenant has an artist of this id."""

    slug = "invalid-transition"


class VersionMismatchError(RefusalError):
    """The artist or tenant has moved on since the caller saw it."""

    slug = "version-mismatch"
