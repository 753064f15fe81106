//! A real Terraform with the real AWS provider, in a copy of the module, against moto.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use berth_kit::{Need, missing};
use serde_json::Value;
use tempfile::TempDir;

use crate::moto::{Moto, root};

/// Far longer than any of its commands takes; a load balancer alone is waited for a minute (the provider's own fixed delays).
const LIMIT: &str = "900";

/// One root module of a copy of packaging/terraform, initialised.
pub(crate) struct Terraform {
    copy: TempDir,
    within: PathBuf,
    endpoint: String,
    plugins: String,
}

impl Terraform {
    /// `None` if the test is to be left out, because there is no Terraform.
    pub(crate) fn of(moto: &Moto, within: &str, files: &[(&str, &str)]) -> Option<Self> {
        let found = Command::new("terraform").arg("version").env("CHECKPOINT_DISABLE", "1").output();
        if !found.is_ok_and(|output| output.status.success()) {
            missing(Need::Terraform, "there is no terraform");
            return None;
        }
        let plugins = Command::new(root().join("tests/terraform-plugins")).output().unwrap();
        if !plugins.status.success() {
            missing(Need::Terraform, &String::from_utf8_lossy(&plugins.stderr));
            return None;
        }
        let plugins = format!("-plugin-dir={}", String::from_utf8(plugins.stdout).unwrap().trim());

        let copy = TempDir::new().unwrap();
        let copied = Command::new("cp").arg("-r").arg(root().join("packaging/terraform/.")).arg(copy.path()).status();
        assert!(copied.unwrap().success());
        let directory = copy.path().join(within);
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in files {
            fs::write(directory.join(name), text).unwrap();
        }
        let made = Self { copy, within: within.into(), endpoint: moto.endpoint.clone(), plugins };
        made.succeeds(&["init"]);
        Some(made)
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.copy.path().join(&self.within)
    }

    /// The values of the root module's variables.
    pub(crate) fn variables(&self, values: &Value) {
        fs::write(self.directory().join("terraform.tfvars.json"), values.to_string()).unwrap();
    }

    /// The values of the root module's variables, whatever other files say.
    pub(crate) fn variables_over_all(&self, values: &Value) {
        fs::write(self.directory().join("zz.auto.tfvars.json"), values.to_string()).unwrap();
    }

    /// Commands of a page, in the folder of the root module; what they printed. Nobody has to answer a question.
    pub(crate) fn types(&self, commands: &str) -> String {
        let installed = Command::new(root().join("tests/install-aws")).output().unwrap();
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
        let with_aws = format!("PATH={}:$PATH\n{commands}", String::from_utf8(installed.stdout).unwrap().trim());
        printed(&self.run("bash", &["-euc", &with_aws]), commands)
    }

    /// Why a command fails.
    pub(crate) fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.run("terraform", arguments);
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["--signal=INT", "--kill-after=30", LIMIT, program]).args(arguments);
        command.current_dir(self.directory()).env_clear().envs(std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            !name.starts_with("AWS_") && !name.starts_with("TF_")
        }));
        command.envs([
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "unused"),
            ("AWS_SECRET_ACCESS_KEY", "unused"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("CHECKPOINT_DISABLE", "1"),
            ("TF_CLI_CONFIG_FILE", "/dev/null"),
            ("AWS_DEFAULT_REGION", "us-east-2"),
            ("AWS_PAGER", ""),
            ("TF_CLI_ARGS", "-no-color"),
            ("TF_CLI_ARGS_init", &self.plugins),
            ("TF_CLI_ARGS_apply", "-auto-approve"),
            ("TF_INPUT", "0"),
            ("TF_IN_AUTOMATION", "1"),
        ]);
        command.output().unwrap()
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        printed(&self.run("terraform", arguments), &arguments.join(" "))
    }

    /// What it printed while it did it.
    pub(crate) fn apply(&self) -> String {
        self.succeeds(&["apply"])
    }

    /// What it printed while it did it.
    pub(crate) fn destroy(&self) -> String {
        self.succeeds(&["destroy", "-auto-approve"])
    }

    /// The plan, as JSON.
    pub(crate) fn plan(&self) -> Value {
        self.succeeds(&["plan", "-out=plan"]);
        serde_json::from_str(&self.succeeds(&["show", "-json", "plan"])).unwrap()
    }

    /// Another plan changes nothing.
    pub(crate) fn plans_no_change(&self) {
        let output = self.run("terraform", &["plan", "-detailed-exitcode"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// The module's own tests pass: tests/*.tftest.hcl.
    pub(crate) fn tests(&self) {
        self.succeeds(&["test"]);
    }

    /// The state as JSON, in a file.
    pub(crate) fn state(&self) -> PathBuf {
        let file = self.directory().join("state.json");
        fs::write(&file, self.succeeds(&["show", "-json"])).unwrap();
        file
    }
}

/// What a command printed that succeeded.
#[track_caller]
fn printed(output: &Output, command: &str) -> String {
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}:\n{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    printed
}

/// That a resource was gone before the destruction of others began, in what `destroy` printed.
#[track_caller]
pub(crate) fn is_gone_before(printed: &str, first: &str, then: &[&str]) {
    let at = |what: &str| printed.find(what).unwrap_or_else(|| panic!("no '{what}' in\n{printed}"));
    let gone = at(&format!("{first}: Destruction complete"));
    for other in then {
        assert!(gone < at(&format!("{other}: Destroying...")), "{other} went before {first}:\n{printed}");
    }
}

/// The text of a file beside the tests.
pub(crate) fn beside(name: &str) -> String {
    fs::read_to_string(Path::new(root()).join("tests/examples").join(name)).unwrap()
}
