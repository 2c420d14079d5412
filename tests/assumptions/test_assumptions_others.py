"""What we assume of torch, Typer, pymilvus and NumPy's OpenBLAS beyond their documented interfaces."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path

import pytest
import typer

from omnireid.cli import options
from omnireid.evaluation.blas import _thread_calls, one_blas_thread


def test_torch_says_what_a_pickle_asked_for(tmp_path: Path) -> None:
    """`models.convert` names what would have been run, from torch's message."""
    torch = pytest.importorskip("torch")
    from omnireid.models.convert import _wanted_global

    torch.save(os.system, tmp_path / "model.pth")
    with pytest.raises(pickle.UnpicklingError) as caught:
        torch.load(tmp_path / "model.pth", weights_only=True)
    assert _wanted_global(str(caught.value)) in {"posix.system", "nt.system"}


def test_typer_knows_the_context_of_the_command() -> None:
    """`cli.options` asks Typer's click, which it carries along, for the context."""
    seen = []
    app = typer.Typer()

    @app.command()
    def command() -> None:
        seen.append(options._CLICK.get_current_context(silent=True))

    app([], standalone_mode=False)
    assert seen[0].info_name
    assert options._CLICK.get_current_context(silent=True) is None


def test_pymilvus_raises_from_what_grpc_said() -> None:
    """`gallery.milvus.connection` walks the causes of an error to a status of gRPC."""
    pymilvus = pytest.importorskip("pymilvus")
    import grpc

    assert hasattr(grpc.RpcError(), "__cause__")
    assert pymilvus.MilvusException(code=7, message="why").code == 7


def test_openblas_has_a_number_of_threads_that_any_thread_may_set() -> None:
    """`evaluation.blas` finds two functions in NumPy's OpenBLAS, and puts the number back from any thread."""
    calls = _thread_calls()
    if calls is None:
        pytest.skip("this NumPy does not bring OpenBLAS")
    get, _ = calls
    before = get()
    entered, leave = threading.Event(), threading.Event()

    def user() -> None:
        with one_blas_thread():
            entered.set()
            leave.wait(10)

    other = threading.Thread(target=user)
    with one_blas_thread():
        other.start()
        assert entered.wait(10)
    # The first user has left, the second has not.
    assert get() == 1
    leave.set()
    other.join()
    assert get() == before
