"""The tests on every supported Python: the oldest stops at jax 0.10, the newest takes the newest jax."""

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Installs as the README says and runs its test command; arguments after -- go to pytest."""
    session.install("-e", ".[ner,test]")
    session.run("python", "-c", "import jax; print('jax', jax.__version__)")
    session.run("pytest", *session.posargs)


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Style, formatting and types."""
    session.install("-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
