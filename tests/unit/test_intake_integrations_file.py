"""integrations.yaml while it is invalid: the last valid version stays active, and a gauge says so."""

from pathlib import Path

from intake.sources.integrations_file import IntegrationsFile
from support.metrics import counter_value
from tocsin_local.layout import POLICY_FOLDER


async def test_a_gauge_shows_while_the_file_is_invalid(tmp_path: Path) -> None:
    path = tmp_path / "integrations.yaml"
    path.write_text((POLICY_FOLDER / "integrations.yaml").read_text())
    file = IntegrationsFile(path)
    valid = file.current()
    assert valid is not None
    assert counter_value("sla_integrations_broken") == 0
    path.write_text("tenants: [")
    assert file.current() is valid
    assert counter_value("sla_integrations_broken") == 1
    assert "integrations.yaml" in (await file.note() or "")
    path.write_text((POLICY_FOLDER / "integrations.yaml").read_text())
    assert file.current() == valid
    assert counter_value("sla_integrations_broken") == 0
