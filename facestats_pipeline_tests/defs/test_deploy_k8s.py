"""deploy/k8s: what the shipped file makes of a run is a job that Kubernetes' own models know; the chart's values say the same."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from facestats_pipeline.config import PROJECT_ROOT

pytest.importorskip("dagster_k8s", reason="the extra k8s is not installed")
FOLDER = PROJECT_ROOT / "deploy" / "k8s"
IMAGE = "registry.example/facestats:5.0.0"


@dg.asset
def one() -> int:
    return 1


def _job() -> dg.JobDefinition:
    return dg.Definitions(assets=[one], jobs=[dg.define_asset_job("make", [one])]).resolve_job_def("make")


class Api(ThreadingHTTPServer):
    """Takes what is posted to it as Kubernetes' API server does, and keeps it: path → body."""

    def __init__(self) -> None:
        self.posted: dict[str, dict[str, Any]] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted[self.path] = json.loads(body)
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def instance(tmp_path: Path, api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The shipped file with its events in this folder, as a machine outside the cluster has it that `api` is the server of."""
    named = {"clusters": "cluster", "users": "user", "contexts": "context"}
    values: dict[str, Any] = {plural: [{"name": "here", one: {}}] for plural, one in named.items()}
    values["clusters"][0]["cluster"] = {"server": api.address}
    values["contexts"][0]["context"] = {"cluster": "here", "user": "here"}
    config = tmp_path / "kubeconfig"
    config.write_text(yaml.safe_dump(values | {"current-context": "here"}), encoding="utf-8")
    shipped = yaml.safe_load((FOLDER / "dagster.yaml").read_text(encoding="utf-8"))
    del shipped["storage"]  # PostgreSQL: see test_concurrency
    shipped["run_launcher"]["config"] |= {"load_incluster_config": False, "kubeconfig_file": str(config)}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(shipped), encoding="utf-8")
    monkeypatch.setenv("FACESTATS_IMAGE", IMAGE)
    with dg.DagsterInstance.from_config(str(tmp_path)) as made:
        yield made


def test_a_run_is_a_job_with_a_gpu_its_secrets_by_name_and_no_claim_on_a_volume(
    instance: dg.DagsterInstance, api: Api
) -> None:
    from kubernetes.client import ApiClient, V1Job

    run = instance.create_run_for_job(_job(), job_code_origin=dg.reconstructable(_job).get_python_origin())
    instance.launch_run(run.run_id, workspace=None)  # type: ignore[arg-type]
    ((path, posted),) = api.posted.items()
    assert path == "/apis/batch/v1/namespaces/facestats/jobs"
    assert f"dagster-run-{run.run_id}" == posted["metadata"]["name"]
    client = ApiClient()
    job: V1Job = client._ApiClient__deserialize(posted, "V1Job")
    assert client.sanitize_for_serialization(job) == posted, "all of it is in the models"
    assert job.spec.ttl_seconds_after_finished == 86400
    pod = job.spec.template.spec
    assert (pod.restart_policy, pod.service_account_name) == ("Never", "dagster")
    assert [each.key for each in pod.tolerations] == ["nvidia.com/gpu"]
    assert [each.persistent_volume_claim for each in pod.volumes] == [None] * len(pod.volumes)
    (container,) = pod.containers
    assert (container.image, container.args[:3]) == (IMAGE, ["dagster", "api", "execute_run"])
    assert container.resources.limits["nvidia.com/gpu"] == "1"
    assert container.resources.requests["nvidia.com/gpu"] == "1"
    assert {source.secret_ref.name for source in container.env_from if source.secret_ref} == {"facestats-secrets"}
    assert {source.config_map_ref.name for source in container.env_from if source.config_map_ref} == {
        "facestats-settings"
    }
    assert {variable.name for variable in container.env} == {"DAGSTER_HOME", "DAGSTER_RUN_JOB_NAME"}, (
        "nothing is told but by name"
    )
    assert [mount.mount_path for mount in container.volume_mounts] == ["/copies"]
    assert "K8sRunLauncher" in container.args[3], (
        "the instance's configuration goes with the run, secrets by the names of variables"
    )


def test_the_charts_values_say_what_the_file_says() -> None:
    from dagster._config import Shape, process_config
    from dagster_k8s import K8sRunLauncher

    file, values = (
        yaml.safe_load((FOLDER / name).read_text(encoding="utf-8")) for name in ("dagster.yaml", "values.yaml")
    )
    launcher = snake(values["runLauncher"]["config"]["k8sRunLauncher"])
    launcher |= {key: [source["name"] for source in launcher[key]] for key in ("env_config_maps", "env_secrets")}
    of_the_chart = {"service_account_name": "dagster", "instance_config_map": "dagster-instance"}
    processed = process_config(Shape(K8sRunLauncher.config_type()), launcher | of_the_chart)
    assert processed.success, processed.errors
    given = file["run_launcher"]["config"]
    assert {key: given[key] for key in launcher if key in given} == {
        key: launcher[key] for key in launcher if key in given
    }
    assert set(given) - set(launcher) == {*of_the_chart, "job_image"}
    daemon = snake(values["dagsterDaemon"])
    assert daemon["run_monitoring"] == file["run_monitoring"]
    assert daemon["run_retries"] == file["run_retries"]
    assert snake(values["concurrency"]) == {"enabled": True} | file["concurrency"]
    assert values["postgresql"]["enabled"] is False, "which would claim a volume"
    assert "password" not in str(values["postgresql"]).lower()


def test_the_code_servers_pod_is_one_that_kubernetes_knows() -> None:
    from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict
    from kubernetes.client import V1Container, V1Volume

    values = yaml.safe_load((FOLDER / "values.yaml").read_text(encoding="utf-8"))
    (server,) = values["dagster-user-deployments"]["deployments"]
    told = {"name": server["name"], "resources": server["resources"], "volumeMounts": server["volumeMounts"]}
    container = k8s_model_from_dict(V1Container, k8s_snake_case_dict(V1Container, told))
    volumes = [k8s_model_from_dict(V1Volume, k8s_snake_case_dict(V1Volume, each)) for each in server["volumes"]]
    assert {mount.name for mount in container.volume_mounts} == {volume.name for volume in volumes}
    assert [volume.persistent_volume_claim for volume in volumes] == [None]
    assert server["dagsterApiGrpcArgs"][1] == "facestats_pipeline.definitions"
    assert server["image"]["repository"] + ":" + server["image"]["tag"] == IMAGE


def snake(value: Any) -> Any:
    """The chart's words as dagster.yaml's: keys in camelCase in snake_case, but those of Kubernetes itself."""
    if not isinstance(value, dict):
        return value
    return {
        re.sub(r"(?<=[a-z0-9])([A-Z])", lambda letter: f"_{letter[0].lower()}", key): item
        if key == "resources"
        else snake(item)
        for key, item in value.items()
    }
