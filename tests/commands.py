"""Commands of asapnb, carried out in this process."""

from asapnb.cli import main
from click.testing import CliRunner


def call(*words, **environment):
    """What a command comes to. An error that it does not end with on purpose is raised."""
    done = CliRunner().invoke(main, [*map(str, words)], env=environment)
    if not isinstance(done.exception, SystemExit | None):
        raise done.exception
    return done


def printed(*words, code=0, **environment):
    """What a command prints that ends with this code."""
    done = call(*words, **environment)
    assert done.exit_code == code, done.output
    return done.output
