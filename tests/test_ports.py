"""A port that is kept is nobody's, until somebody is told to listen there."""

import errno
import socket

import pytest

from tests.ports import kept, kept_for


class Owner:
    """Somebody who wants a port."""


def test_a_kept_port_refuses_and_lets_one_server_after_the_other_listen():
    with kept() as port:
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
                pass


def test_nobody_who_does_not_name_it_gets_it_until_its_owner_is_gone():
    owner = Owner()
    port = kept_for(owner)
    with socket.socket() as other, pytest.raises(OSError, match="in use") as refused:
        other.bind(("127.0.0.1", port))
    assert refused.value.errno == errno.EADDRINUSE
    del owner
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
