"""Every overlay and job for KubeRay is valid, agrees with the lock files, and is locked down."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from qstore_ray.backends.ibm.service.account import read_token
from qstore_ray.cli.app import main
from qstore_ray.errors import ConfigError
from qstore_ray.serve.app import DEFAULT_PORT
from tests.clusters.manifests import (
    KUBERAY,
    ROOT,
    Manifest,
    changed,
    clusters_of,
    folders,
    pods_of,
    problems,
    render,
)

APPLIED = [*folders("overlays"), *folders("jobs")]
LOCKS = ["requirements.lock", "requirements-cpu.lock", "requirements-gpu.lock"]


def _named(folder: Path) -> str:
    return folder.relative_to(KUBERAY).as_posix()


every_folder = pytest.mark.parametrize("folder", APPLIED, ids=_named)


def _pods(folder: Path) -> list[Any]:
    found = [pod for manifest in render(folder) for pod in pods_of(manifest)]
    assert found
    return found


def _jobs() -> list[Manifest]:
    return [manifest for folder in folders("jobs") for manifest in render(folder)]


def test_there_are_three_overlays_and_jobs_for_train_and_tune():
    assert [path.name for path in folders("overlays")] == ["cpu", "dev", "gpu"]
    assert [path.name for path in folders("jobs")] == ["ibm", "queued", "train", "tune"]


@pytest.mark.parametrize("folder", folders(), ids=_named)
def test_each_document_has_only_known_keys_of_the_right_type(folder: Path):
    assert [problem for manifest in render(folder) for problem in problems(manifest)] == []


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("RayCluster", "spec.rayVersionn", "2.60.0"),
        ("RayCluster", "spec.workerGroupSpecs.0.replicas", "one"),
        ("RayCluster", "spec.authOptions.mode", "tokens"),
        ("RayCluster", "spec.headGroupSpec.template.spec.containers.0.imagee", "x"),
        ("RayCluster", "spec.headGroupSpec.template.spec.containers.0.ports.0.protocol", 6),
        ("Deployment", "spec.template.spec.containers.0.readOnly", True),
        ("NetworkPolicy", "spec.ingres", []),
        ("PersistentVolumeClaim", "spec.accessModes", "ReadWriteMany"),
    ],
)
def test_a_typo_is_found(kind: str, path: str, value: object):
    manifest = next(m for m in render(KUBERAY / "overlays/gpu") if m["kind"] == kind)
    assert problems(manifest) == []
    assert problems(changed(manifest, path, value)) != []


@every_folder
def test_ray_and_python_are_those_of_the_locks(folder: Path):
    """One version in lock files, manifests and the image's tag; one Python in image and tag."""
    locked = {
        re.search(r"^ray(?:\[.*\])?==(\S+)", (ROOT / lock).read_text("utf-8"), re.MULTILINE)[1]  # type: ignore[index]
        for lock in LOCKS
    }
    (ray,) = locked
    python = re.search(r"=python:(\d+\.\d+)\.", (ROOT / "Dockerfile").read_text("utf-8"))[1]  # type: ignore[index]
    clusters = [cluster for manifest in render(folder) for cluster in clusters_of(manifest)]
    assert [cluster["rayVersion"] for cluster in clusters] == [ray] * len(clusters) != []
    tags = {container["image"] for pod in _pods(folder) for container in pod.containers()}
    assert [tag for tag in tags if f"-py{python}-ray{ray}-" not in tag] == []


@every_folder
def test_every_image_is_pinned_by_its_digest(folder: Path):
    images = [container["image"] for pod in _pods(folder) for container in pod.containers()]
    assert [i for i in images if not re.fullmatch(r"\S+:[\w.-]+@sha256:[0-9a-f]{64}", i)] == []
    assert not any(":latest" in image for image in images)


@every_folder
def test_no_container_runs_as_root_or_writes_to_its_image(folder: Path):
    for pod in _pods(folder):
        user = pod.spec["securityContext"]
        assert user["runAsNonRoot"], pod.name
        assert user["runAsUser"] == 1000, pod.name
        assert user["seccompProfile"] == {"type": "RuntimeDefault"}, pod.name
        for container in pod.containers():
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
            }, pod.name
    for manifest in render(folder):
        for cluster in clusters_of(manifest):
            options = cluster.get("autoscalerOptions")
            assert options is None or options["securityContext"]["readOnlyRootFilesystem"]


@every_folder
def test_each_container_has_its_limits_and_a_place_to_write(folder: Path):
    for pod in _pods(folder):
        for container in pod.containers():
            resources = container["resources"]
            assert resources["requests"] == resources["limits"], pod.name
            assert {"cpu", "memory"} <= set(resources["limits"]), pod.name
        volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
        assert len(volumes) == len(pod.spec["volumes"]), pod.name
        for container in pod.spec["containers"]:
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert set(mounts.values()) <= set(volumes), pod.name
            assert volumes[mounts["/tmp"]]["emptyDir"]["sizeLimit"], pod.name
            assert mounts["/home/qstore"], pod.name


@every_folder
def test_shared_memory_holds_the_object_store(folder: Path):
    """Ray falls back to the disk, many times slower, if /dev/shm is smaller than its store."""
    for manifest in render(folder):
        for cluster in clusters_of(manifest):
            for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
                store = int(group["rayStartParams"]["object-store-memory"])
                (shm,) = (v for v in group["template"]["spec"]["volumes"] if v["name"] == "shm")
                size = int(shm["emptyDir"]["sizeLimit"].removesuffix("Mi")) * 2**20
                memory = group["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
                assert store < size < int(memory.removesuffix("Gi")) * 2**30 / 2


@every_folder
def test_secrets_are_files_and_never_variables(folder: Path):
    for pod in _pods(folder):
        for container in pod.containers():
            assert "envFrom" not in container, pod.name
            for variable in container.get("env", []):
                assert "secretKeyRef" not in variable.get("valueFrom", {}), pod.name
                assert not re.search(r"TOKEN|KEY|PASSW|SECRET", variable["name"]), pod.name
        secret = [volume for volume in pod.spec["volumes"] if "secret" in volume]
        assert all(volume["secret"]["defaultMode"] == 0o400 for volume in secret), pod.name
    assert not any(manifest["kind"] == "Secret" for manifest in render(folder))


@every_folder
def test_only_the_gateways_node_has_the_key_and_its_resource(folder: Path):
    for manifest in render(folder):
        for cluster in clusters_of(manifest):
            for group in [
                {"groupName": "head", **cluster["headGroupSpec"]},
                *cluster["workerGroupSpecs"],
            ]:
                is_gateway = group["groupName"] == "qpu-gateway"
                assert ("ibm-key" in str(group["template"])) is is_gateway
                assert ("qpu_gateway" in group.get("resources", {})) is is_gateway
                if is_gateway:
                    assert group["minReplicas"] == group["maxReplicas"] == 1
    for pod in _pods(folder):
        is_gateway = pod.name.endswith("qpu-gateway")
        assert (
            any(v.get("secret", {}).get("secretName") == "ibm-key" for v in pod.spec["volumes"])
            is is_gateway
        )


def test_the_nodes_with_the_gateway_are_in_cpu_gpu_and_the_hardware_job():
    with_gateway = {
        folder.name
        for folder in APPLIED
        if any(pod.name.endswith("qpu-gateway") for pod in _pods(folder))
    }
    assert with_gateway == {"cpu", "gpu", "ibm"}


@every_folder
def test_nothing_is_open_to_the_outside(folder: Path):
    for manifest in render(folder):
        if manifest["kind"] == "Service":
            assert manifest["spec"]["type"] == "ClusterIP"
        assert manifest["kind"] != "Ingress"
        for cluster in clusters_of(manifest):
            assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
            assert cluster["authOptions"] == {"mode": "token"}
        for pod in pods_of(manifest):
            assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod.spec)
            assert not any("hostPath" in volume for volume in pod.spec["volumes"])


@pytest.mark.parametrize("folder", folders("overlays"), ids=_named)
def test_what_is_not_named_is_refused_by_the_network(folder: Path):
    policies = {
        m["metadata"]["name"]: m["spec"] for m in render(folder) if m["kind"] == "NetworkPolicy"
    }
    deny = policies.pop("deny-all")
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for rule in [*policy.get("ingress", []), *policy.get("egress", [])]:
            assert rule.get("from") or rule.get("to"), f"{name} opens to everyone"
    to_the_internet = {name for name, policy in policies.items() if "0.0.0.0/0" in str(policy)}
    assert to_the_internet == {"autoscaler", "qpu-gateway"}
    claims = {m["metadata"]["name"] for m in render(folder) if m["kind"] == "PersistentVolumeClaim"}
    used = {v["persistentVolumeClaim"]["claimName"] for pod in _pods(folder)
            for v in pod.spec["volumes"] if "persistentVolumeClaim" in v}  # fmt: skip
    assert used == claims
    for manifest in render(folder):
        of_all = manifest["kind"] == "Namespace"
        assert of_all or manifest["metadata"].get("namespace") == "qstore", manifest["metadata"]


def test_the_autoscaler_has_bounds():
    for folder in APPLIED:
        for manifest in render(folder):
            for cluster in clusters_of(manifest):
                for group in cluster["workerGroupSpecs"]:
                    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"] <= 8
                if cluster["enableInTreeAutoscaling"]:
                    assert 60 <= cluster["autoscalerOptions"]["idleTimeoutSeconds"] <= 3600
                    assert cluster["autoscalerOptions"]["version"] == "v2"


@every_folder
def test_a_groups_resources_are_said_in_one_place(folder: Path):
    """KubeRay refuses a group that has them in both."""
    counted = {"num-cpus", "num-gpus", "memory", "resources", "labels"}
    for manifest in render(folder):
        for cluster in clusters_of(manifest):
            for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
                assert not (counted & set(group["rayStartParams"]) and group.get("resources"))
                assert all(isinstance(value, str) for value in group["rayStartParams"].values())


@pytest.mark.parametrize("job", _jobs(), ids=lambda job: str(job["spec"]["jobId"]))
def test_a_job_ends_and_leaves_nothing(job: Manifest):
    """The rules of KubeRay that its schema does not have."""
    spec = job["spec"]
    assert spec["submissionMode"] == "K8sJobMode"  # a plain string in the schema
    assert spec["jobId"]
    assert spec["backoffLimit"] >= 1
    assert spec["submitterConfig"]["backoffLimit"] >= 1
    assert spec["shutdownAfterJobFinishes"]  # needed for a TTL and for suspend
    assert 0 < spec["ttlSecondsAfterFinished"] < spec["activeDeadlineSeconds"]
    assert len(job["metadata"]["name"]) <= 47
    submitter = spec["submitterPodTemplate"]["spec"]
    assert submitter["restartPolicy"] == "Never"
    assert submitter["containers"][0]["name"] == "ray-job-submitter"
    assert "clusterSelector" not in spec
    pods = spec["rayClusterSpec"]
    for group in [pods["headGroupSpec"], *pods["workerGroupSpecs"]]:
        assert group["template"]["spec"]["restartPolicy"] == "Never"  # or autoscaler v2 is refused


@pytest.mark.parametrize("job", _jobs(), ids=lambda job: str(job["spec"]["jobId"]))
def test_the_command_of_a_job_names_files_of_the_image(job: Manifest):
    program, command, file, *options = job["spec"]["entrypoint"].split()
    assert program == "qstore-resume"
    assert command in {"train", "tune"}
    assert (ROOT / "jobs" / Path(file).relative_to("/opt/qstore/jobs")).is_file()
    assert options[options.index("--storage") + 1] == "/runs"
    assert options[options.index("--name") + 1] == job["spec"]["jobId"]


def test_a_queued_job_waits_for_kueue():
    (job,) = render(KUBERAY / "jobs/queued")
    assert job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "qstore"
    assert job["spec"]["rayClusterSpec"]["enableInTreeAutoscaling"] is False
    assert [m["spec"].get("suspend") for m in render(KUBERAY / "jobs/train")] == [None]


OPTIONAL = {"gcs-rocksdb", "monitoring", "serving"}
"""Components that no overlay has by default."""


def _with_component(name: str, folder: Path) -> list[Manifest]:
    """The overlay `cpu` with one more component."""
    shutil.copytree(KUBERAY, folder / "kuberay")
    overlay = folder / "kuberay/overlays/cpu"
    file = overlay / "kustomization.yaml"
    text, image = file.read_text("utf-8"), "  - ../../image\n"
    file.write_text(text.replace(image, f"  - ../../components/{name}\n{image}"))
    return render(overlay)


def test_the_state_of_the_head_can_be_kept_on_a_volume(tmp_path: Path):
    """It needs an alpha feature of KubeRay."""
    manifests = _with_component("gcs-rocksdb", tmp_path)
    (cluster,) = (m for m in manifests if m["kind"] == "RayCluster")
    assert cluster["spec"]["gcsFaultToleranceOptions"]["backend"] == "rocksdb"
    assert problems(cluster) == []


def test_prometheus_alone_may_read_the_metrics(tmp_path: Path):
    """Without the component nobody outside the cluster may."""
    manifests = _with_component("monitoring", tmp_path)
    (policy,) = (m for m in manifests if m["metadata"]["name"] == "metrics")
    assert problems(policy) == []
    assert policy["metadata"]["namespace"] == "qstore"  # the overlay's is not added to components
    (rule,) = policy["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
    (source,) = rule["from"]
    assert source["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": "monitoring"
    }
    usual = render(KUBERAY / "overlays/cpu")
    assert "metrics" not in {manifest["metadata"]["name"] for manifest in usual}


def test_the_prediction_server_obeys_the_same_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    manifests = _with_component("serving", tmp_path)
    assert [problem for manifest in manifests for problem in problems(manifest)] == []
    overlay = tmp_path / "kuberay/overlays/cpu"
    for rule in (
        test_every_image_is_pinned_by_its_digest,
        test_no_container_runs_as_root_or_writes_to_its_image,
        test_each_container_has_its_limits_and_a_place_to_write,
        test_secrets_are_files_and_never_variables,
        test_nothing_is_open_to_the_outside,
        test_what_is_not_named_is_refused_by_the_network,
    ):
        rule(overlay)
    (server,) = (m for m in manifests if m["metadata"]["name"] == "qstore-predictions"
                 and m["kind"] == "Deployment")  # fmt: skip
    (container,) = server["spec"]["template"]["spec"]["containers"]
    (command,) = re.findall(r"exec (qstore .*)", container["command"][-1])
    words = shlex.split(command.replace("$POD_IP", "127.0.0.1").replace("/runs", str(tmp_path)))
    assert main(words[1:]) == 2
    assert f"there are no runs in {tmp_path}" in capsys.readouterr().err
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["http"] == DEFAULT_PORT
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": "http"}


def test_every_component_is_used_and_every_file_is_yaml():
    texts = [path.read_text("utf-8") for path in KUBERAY.rglob("kustomization.yaml")]
    for component in (KUBERAY / "components").iterdir():
        used = any(f"../components/{component.name}\n" in text for text in texts)
        assert used != (component.name in OPTIONAL)
    for path in KUBERAY.rglob("*.yaml"):
        assert list(yaml.safe_load_all(path.read_text("utf-8")))


def test_the_gateway_takes_the_copy_of_the_key_but_not_the_mounted_secret(tmp_path: Path):
    """With fsGroup a mounted Secret has mode 0440, which `token_file` refuses."""
    (cluster,) = (m for m in render(KUBERAY / "overlays/cpu") if m["kind"] == "RayCluster")
    (gateway,) = (pod for pod in pods_of(cluster) if pod.name.endswith("qpu-gateway"))
    (copy,) = gateway.spec["initContainers"]
    *words, source, target = copy["command"]
    mounts = {
        mount["mountPath"]: mount["name"] for mount in gateway.containers()[1]["volumeMounts"]
    }
    assert mounts[str(Path(target).parent)] == "ibm-key"
    secret, key = tmp_path / "secret", tmp_path / "key"
    secret.write_text("0123456789abcdef\n")
    secret.chmod(0o440)
    with pytest.raises(ConfigError, match="others can read"):
        read_token(str(secret))
    subprocess.run([*words, secret, key], check=True, timeout=60)
    assert read_token(str(key)) == "0123456789abcdef"
    (job,) = render(KUBERAY / "jobs/ibm")
    assert f"token_file={target}" in job["spec"]["entrypoint"]
    assert source.startswith("/run/secrets/ibm/")
