"""The batch or session that jobs are submitted in: opened at the first one, closed at the end.

A session is billed by the clock from its first job on, so one that is forgotten costs money until
it has idled for a minute. Its id is in the ledger before the job is submitted: the gateway that
comes after one that was killed closes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from qstore_ray.backends.ibm.service.trouble import translated

if TYPE_CHECKING:
    from qiskit_ibm_runtime import QiskitRuntimeService

Mode = Literal["job", "batch", "session"]


class JobSession:
    """Where jobs are submitted, in one mode.

    Args:
        service: from `account.sign_in`. backend: the device.
        mode: `job`: each job alone; `batch` and `session`: together, see IBM's execution modes.
        max_time: seconds after which a batch or session ends; None for the plan's own.
    """

    def __init__(
        self, service: QiskitRuntimeService, backend: Any, mode: Mode, max_time: int | None
    ) -> None:
        self._service, self._backend, self._mode, self._max_time = service, backend, mode, max_time
        self._session: Any = None

    def place(self) -> Any:
        """The open session, which is opened if none is; the device if jobs are alone."""
        from qiskit_ibm_runtime import Batch, Session

        if self._mode == "job":
            return self._backend
        if self._session is None:
            kind = Session if self._mode == "session" else Batch
            with translated("open a session"):
                self._session = kind(self._backend, max_time=self._max_time)
        return self._session

    @property
    def id(self) -> str:
        """The batch or session that is open; "" if none is."""
        return "" if self._session is None else str(self._session.session_id)

    def open(self) -> str:
        """The id of the session, which is opened if none is; "" if jobs are alone."""
        self.place()
        return self.id

    def renew(self) -> bool:
        """Forget the session if it takes no more jobs: the next job opens another one.

        Whether it did. After a job that failed for itself its session is kept.
        """
        if self._session is None:
            return False
        with translated("ask for a session"):
            details = self._session.details()
        if details and details["accepting_jobs"] and details["state"] != "closed":
            return False
        self._session = None
        return True

    def close(self) -> None:
        """Close the session; jobs in it still run.

        Raises:
            ServiceError: the service does not answer, or refuses.
        """
        if self._session is not None:
            session, self._session = self._session, None
            with translated("close a session"):
                session.close()
