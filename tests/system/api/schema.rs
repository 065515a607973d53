//! What the document says is what the daemon does: schemathesis, from PyPI, asks it all kinds of things.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::Host;
use crate::support::program::repository;

const VERSION: &str = "4.32.5";
const EXAMPLES: &str = "100";

#[test]
fn the_document_is_true_on_sqlite() {
    check(&Host::on_sqlite());
}

#[test]
fn the_document_is_true_on_postgres() {
    check(&Host::on_postgres());
}

fn check(host: &Host) {
    host.customer("ann", "500.00");
    host.api.done("/v1/accounts/ann/services", r#"{"service": "web-1", "plan": "acs-small"}"#);
    let run = Command::new(schemathesis())
        .arg("run")
        .arg(format!("http://{}/openapi.json", host.api.address))
        .args(["--max-examples", EXAMPLES, "--seed", "1", "--generation-deterministic", "--checks", "all"])
        .args(["--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all", "--no-color"])
        .env("BURSAR_KEY", host.api.key.as_deref().expect("a key"))
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", repository().join("tests/system/api"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(host.folder.path())
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{told}\n{}", String::from_utf8_lossy(&run.stderr));
    let log = host.daemon.as_ref().expect("it runs").log();
    assert!(!log.contains("panicked") && !log.contains("a request failed"), "{log}");
    host.verified();
}

/// Installed once, into a folder of the build's.
fn schemathesis() -> PathBuf {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let folder = repository().join("target").join(format!("schemathesis-{VERSION}"));
            let program = folder.join("bin/schemathesis");
            if program.exists() {
                return program;
            }
            let _ = fs::remove_dir_all(&folder);
            let folder = folder.display();
            let packages = "python3 -c 'import ensurepip' || apt-get install -y python3-venv || \
                { apt-get update && apt-get install -y python3-venv; }";
            let install = format!(
                "set -e; if [ \"$(id -u)\" = 0 ]; then {packages}; else python3 -c 'import ensurepip' || \
                sudo -n sh -c '{}'; fi; python3 -m venv {folder}; {folder}/bin/pip install --quiet schemathesis=={VERSION}",
                packages.replace('\'', "'\\''")
            );
            let installed = Command::new("sh").args(["-c", &install]).output().expect("sh");
            assert!(
                program.exists(),
                "these tests need schemathesis: install Debian's package `python3-venv`, and let pip reach PyPI ({})",
                String::from_utf8_lossy(&installed.stderr)
            );
            program
        })
        .clone()
}
