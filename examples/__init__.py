"""Sample jobs: `runwright serve --worker examples.hello:app`."""
