"""What doctor finds and what it tells to install."""

from mmasched.report import inventory


def test_a_missing_compiler_comes_with_a_remedy(monkeypatch):
    monkeypatch.setattr(inventory.shutil, "which", lambda name: None)
    found = inventory.compilers().findings
    assert [finding.present for finding in found] == [False] * len(found)
    assert "apt-get install g++" in [finding.remedy for finding in found]


def test_missing_tools_for_arm_name_their_packages(monkeypatch):
    monkeypatch.setattr(inventory.shutil, "which", lambda name: None)
    found = {finding.name: finding for finding in inventory.arm_tools().findings}
    assert set(found) == {"cross compiler", "qemu", "llvm-mca"}
    assert not any(finding.present for finding in found.values())
    assert "apt-get install gcc-aarch64-linux-gnu" in found["cross compiler"].remedy
    assert found["qemu"].remedy == "apt-get install qemu-user, for arm/* targets"
    assert "apt-get install llvm" in found["llvm-mca"].remedy


def test_a_wrong_version_of_a_pinned_package(monkeypatch):
    monkeypatch.setattr(inventory, "_pins", lambda: {"onnx": "0.0.1"})
    (onnx,) = [finding for finding in inventory.packages().findings if finding.name == "onnx"]
    assert not onnx.present and onnx.remedy == "pip install onnx==0.0.1"


def test_a_missing_package(monkeypatch):
    def absent(name):
        raise inventory.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(inventory.metadata, "version", absent)
    monkeypatch.setattr(inventory, "_pins", dict)
    remedies = {finding.name: finding.remedy for finding in inventory.packages().findings}
    assert remedies["apache-tvm"] == "reinstall mmasched" and "pip install matplotlib" in remedies["matplotlib"]


def test_the_machine_has_a_chip_and_targets():
    assert "chip id in logs" in [finding.name for finding in inventory.machine().findings]
    assert inventory.targets().findings[-1].name == "not on this machine"
    assert [finding.name for finding in inventory.runners().findings][:2] == ["local", "replay:FILE"]
