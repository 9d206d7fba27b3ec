"""A catalogue as the version before tables had schemas wrote it, byte for byte."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from qstore_ray.data.config import DatasetConfig
from qstore_ray.data.loader import DatasetLoader
from qstore_ray.data.service.client.client import DatasetServiceClient
from qstore_ray.data.service.records import table_of
from qstore_ray.learn.config import ModelConfig
from qstore_ray.track.config import TrackConfig
from qstore_ray.train.config import TrainerConfig
from qstore_ray.train.trainer import QuantumTrainer
from tests.dataset_service import running

BLOBS = {
    "1a3d03ee9d5b359d5060ba11f8db3d423b14a94c80a9b62203f9a2eb91804508": (
        "c-l3M(F%Yd3`O4s|HQ<(bp1|IR1iG{(cibZ`JjV)IGk&{_vZ-jx$^&cmtqRQZ}tu%<Prv6D&IvI-xMb*ijf)y"
        "85$PaVO1BQyChWBh9`ALR9BMXGs`_&EDM@NGHlsu*&l_xCRG"
    ),
    "3d90b46ab447258fa62d921d8e78e1b47fc8b14f4706f14d7d65f509eabd5a3c": (
        "c-jl_W@gc4fB;2?*<~&%|Dk}DL4=_~FR!4IkwJjr08|N#p6nOu8xYCJP{vTLo|0OeT%>NLpl*|9p{}E#o|a!!"
        "Qk0k%pI?-c3KDlq%qdO<iWg@j7Ni3C8YVglMw&VbwF+bdE(R3v!5%_?g3=rIL+A@o{u?O$4N9NbAAsWRyAR_<"
        "kiA_A^Y#L$k_C9Zok^^>Df2Xvw;56W59bGXGcxHiqsHd}Xtc2+sc!&l0LL!67Eo9$fO;8K%Xc7I3DLsJ1`=Wd"
        "!ZaX#4s03#cn@tM"
    ),
    "41dab0bf36812fe664c803477d7191964550dfaacf4210122efbe468bfa4596d": (
        "c-jl_W@gc4fB;2?An8w^{zCyPg9t-~US2^ZBZB~g10zHUjGpWl>KhQr$WX>mt)7xvoLr=CrJ!z;W}&X5pq`dr"
        "R8o|f7oT60k_r-cOUx-w1&SAEBo?Fs`5J~sItoUbItsN4<N_`R6!5_wLVtqN8}>u!3sC+WDE$pepMc6gfbw5J"
        ">0eO#%6?SwCs6tyl)kec)n1r6j1Ca`5mf#QRQv{%W`@c?+aG`u>^*$KA;`gA2@CcIP$e)Ld$4B`9qbeZI#RGR"
        "qJ}@!_yOLGOuEdd=@FFVK$sOteFInnICY|H0fprQXpo_5DF<q*glJ)90|_w!VH%L`V*>F2VU2w6"
    ),
    "ca664c52db5f13d4b2d035a3dadaf8b689ce3cd5740eeea7429ca0cfded91433": (
        "c-jl_W@gc4fB;2?An8w^{zCyPg9t-~US2^ZBZB~g10zHUjGpWl>KhQr$WX>mt)7xvoLr=CrJ!z;W}&X5pq`dr"
        "R8o|f7oT60k_r-cOUx-w1&SAEBo?Fs`5J~sItoUbItsN4<N_`R6!5_wLVtqN8}>u!3sC+WDE$pepMc6gfbw5J"
        ">0eO#%6?SwCs6tyl)kec)n1r6j1Ca`5mf#QRQv{%W`@c?+aG`u>;eW+`;mja5*F+mph{pg_FxY+BsSP73UpwwC"
        "j#A&1jNMB0p5&Ey3DBQ3zURFm=!4k8^Fm5oZ8T}fWl@2Gzd_&lmj(YLbR~5frOZVFbzn@F@bmhNV<U_"
    ),
}
CATALOGUE = r"""
CREATE TABLE records (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, id TEXT NOT NULL, source TEXT, status TEXT, record TEXT NOT NULL,
    UNIQUE (kind, id)
);
INSERT INTO records VALUES(1,'dataset','586667f321564b50','custom','ready','{"id":"586667f321564b50","name":"arrays","source":"custom","status":"ready","description":"d","num_samples":16,"num_classes":2,"shape":[2],"feature_names":null,"class_names":null,"splits":{"train":{"rows":12,"bytes":778,"sha256":"41dab0bf36812fe664c803477d7191964550dfaacf4210122efbe468bfa4596d"},"test":{"rows":4,"bytes":586,"sha256":"3d90b46ab447258fa62d921d8e78e1b47fc8b14f4706f14d7d65f509eabd5a3c"}},"copies":0,"revision":"7b223557d18b9afc104bcf57a8c7abe304a0f093d8ac7bdd35d12d1e0d09c362","metadata":{},"created":"2026-11-29T02:45:00+00:00"}');
INSERT INTO records VALUES(3,'dataset','16c55990a77df1f4','custom','ready','{"id":"16c55990a77df1f4","name":"rows","source":"custom","status":"ready","description":"","num_samples":12,"num_classes":2,"shape":[2],"feature_names":["length","width"],"class_names":null,"splits":{"train":{"rows":12,"bytes":730,"sha256":"ca664c52db5f13d4b2d035a3dadaf8b689ce3cd5740eeea7429ca0cfded91433"}},"copies":0,"revision":"22d8709e7a1c8903d0f0d1a029b4e5cec8d1b53ff4b8d88523dd7d35d449aa22","metadata":{},"created":"2026-11-29T02:45:01+00:00"}');
CREATE TABLE renderings (
    sha256 TEXT NOT NULL, format TEXT NOT NULL, rendered TEXT NOT NULL,
    PRIMARY KEY (sha256, format)
);
INSERT INTO renderings VALUES('ca664c52db5f13d4b2d035a3dadaf8b689ce3cd5740eeea7429ca0cfded91433','csv:length,width','1a3d03ee9d5b359d5060ba11f8db3d423b14a94c80a9b62203f9a2eb91804508');
"""  # noqa: E501, as it was written
X = np.array([[k % 2 + 0.125 * k, 1.0 - k % 2 - 0.0625 * k] for k in range(12)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "service"
    (made / "blobs").mkdir(parents=True)
    for sha256, packed in BLOBS.items():
        content = zlib.decompress(base64.b85decode(packed))
        assert hashlib.sha256(content).hexdigest() == sha256
        (made / "blobs" / sha256).write_bytes(content)
    with closing(sqlite3.connect(made / "catalogue.sqlite")) as connection:
        connection.executescript(CATALOGUE)
    return made


def test_an_earlier_catalogue_is_listed_downloaded_and_trained_on(folder: Path, tmp_path: Path):
    with running(folder) as url:
        client = DatasetServiceClient(url)
        arrays, rows = client.datasets()
        assert (arrays.name, rows.feature_names) == ("arrays", ("length", "width"))
        assert table_of(rows) is None
        with np.load(client.download(arrays.id, "test", folder=tmp_path)) as held:
            np.testing.assert_array_equal(held["x"], X[:4])
        text = client.download(rows.id, folder=tmp_path, format="csv").read_text()
        assert text.splitlines()[:2] == ["length,width,y", "0.0,1.0,a"]
        np.testing.assert_array_equal(client.preview(rows.id, rows=12).x, X)
        assert client.statistics(rows.id)["train"].class_distribution == {"a": 6, "b": 6}
        dataset = DatasetLoader.load(
            DatasetConfig(
                name="rows",
                source="backend_api",
                params={"dataset_id": rows.id, "base_url": url},
                split={"train": 0.5, "val": 0.25, "test": 0.25},
                cache_dir=str(tmp_path / "cache"),
            )
        )
        client.delete(arrays.id)
        assert [record.id for record in client.datasets()] == [rows.id]
    trainer = QuantumTrainer(
        ModelConfig(n_qubits=2, layers=1),
        TrainerConfig(epochs=1),
        name="earlier",
        storage=tmp_path / "runs",
        track=TrackConfig(mlflow=False, figures=False),
    )
    model = trainer.fit(dataset).model
    assert set(model.predict(X)) <= {"a", "b"}
