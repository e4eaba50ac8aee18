"""The explorer: a page in the browser on which people walk a latent manifold themselves, see `agents.app.command`."""

HOST = "127.0.0.1"
LOOPBACK = (HOST, "localhost", "::1")
BUDGET = 20_000  # classifier queries of a session, unless another number is given
