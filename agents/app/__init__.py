"""The explorer: a page in the browser on which people walk a latent manifold themselves, see `agents.app.command`."""
