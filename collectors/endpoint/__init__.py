"""Getting to a server: TLS, proxy, credentials of the moment, and every failure said with what mends it."""

from collectors.endpoint.access import Access
from collectors.endpoint.words import AccessError

__all__ = ["Access", "AccessError"]
