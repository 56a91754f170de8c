//! `lottery doctor`: what this machine offers, what was found on it, and what to do about what is missing.

use super::{
    options::{store_folder, variable},
    output::{document, print},
};
use crate::{
    cores,
    error::Result,
    experiment::{data_folder, provenance::VERSION, record::cpu_name},
    hub::{HubSettings, reach, resolve_model_with},
    ops::simd,
    store::{Keep, Store},
    sweep::gc::collect,
    task::TaskId,
};
use clap::Args;
use indicatif::BinaryBytes;
use serde::Serialize;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The flags of `lottery doctor`.
#[derive(Args, Debug)]
#[command(about = "What this machine offers: devices, kernels, threads, memory, disk, store, models, data")]
pub struct DoctorArgs {
    /// The store [default: LOTTERY_STORE, else runs]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// One line of the report.
#[derive(Serialize)]
struct Finding {
    name: String,
    value: String,
    /// What to do, if something is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

fn found(name: impl Into<String>, value: impl Into<String>) -> Finding {
    Finding { name: name.into(), value: value.into(), remedy: None }
}

impl Finding {
    fn or_else(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

pub fn run(arguments: &DoctorArgs) -> Result<()> {
    let store = store_folder(arguments.store.as_deref(), variable);
    let mut findings = vec![
        found("lottery", VERSION.as_str()),
        found("device", format!("cpu: {}", cpu_name())),
        found("kernels", format!("{:?}", simd::level())),
        found("threads", threads()),
    ];
    findings.extend(cuda());
    findings.extend(memory());
    findings.push(disk(&store));
    findings.push(store_health(&store));
    findings.extend(hub());
    if arguments.json {
        return print(&document(&json!({ "format_version": 1, "findings": findings }))?);
    }
    let text = findings.iter().map(line).collect::<Vec<_>>().join("\n");
    print(&format!("{text}\n"))
}

fn line(finding: &Finding) -> String {
    let Finding { name, value, remedy } = finding;
    let remedy = remedy.as_ref().map(|remedy| format!("\n          {remedy}")).unwrap_or_default();
    format!("{name:<9} {value}{remedy}")
}

/// The threads of a run that would start now.
fn threads() -> String {
    let (share, can_count) = cores::current_share();
    match can_count {
        Err(error) => format!("{} (other runs cannot be counted: {error})", share.threads),
        Ok(()) if share.others == 0 => share.threads.to_string(),
        Ok(()) => share.to_string(),
    }
}

/// Linux tells it; elsewhere nothing is said.
fn memory() -> Option<Finding> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = |key: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(key)?.trim().strip_suffix(" kB")?.parse().ok())
    };
    let (total, free) = (kib("MemTotal:")? << 10, kib("MemAvailable:")? << 10);
    let value = format!("{} of {} available", BinaryBytes(free), BinaryBytes(total));
    Some(match free < 4 << 30 {
        true => found("memory", value)
            .or_else("BERT-base at batch 32 × 128 needs 3.3 GiB: see --set train.batch_size"),
        false => found("memory", value),
    })
}

/// The disk of the store, which need not exist yet.
fn disk(store: &Path) -> Finding {
    let absolute = std::path::absolute(store).unwrap_or_else(|_| store.to_owned());
    let existing = absolute.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
    let place = existing.display();
    match free_space(existing) {
        None => found("disk", format!("{place}: unknown")),
        // A fine-tuned BERT-base has 0.4 GB, and a run keeps two of them.
        Some(free) if free < 5 << 30 => found("disk", format!("{place}: {} free", BinaryBytes(free)))
            .or_else("free some with `lottery gc`, or name another disk with --store"),
        Some(free) => found("disk", format!("{place}: {} free", BinaryBytes(free))),
    }
}

#[cfg(unix)]
fn free_space(dir: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(dir).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

#[cfg(not(unix))]
fn free_space(_: &Path) -> Option<u64> {
    None
}

fn store_health(dir: &Path) -> Finding {
    let place = dir.display();
    if !dir.is_dir() {
        return found("store", format!("{place}: none yet; the first run makes it"));
    }
    let collected = Store::at(dir).and_then(|store| {
        store.must_exist()?;
        collect(&store, Keep::default(), false)
    });
    match collected {
        Err(error) => found("store", error.to_string()),
        Ok(gc) if gc.damaged.is_empty() => found(
            "store",
            format!(
                "{place}: nothing damaged, {} to be freed by `lottery gc`",
                BinaryBytes(gc.total().bytes)
            ),
        ),
        Ok(gc) => found("store", format!("{place}: damaged: {}", gc.damaged.join("; ")))
            .or_else("delete what is damaged; the same run computes it again"),
    }
}

/// The models and data that are used where none are named, and the hub that has them.
fn hub() -> Vec<Finding> {
    let hub = HubSettings::from_env();
    let cache = HubSettings::cache_only();
    let models = super::data::default_models();
    let cached: Vec<&str> = (models.iter())
        .filter(|model| resolve_model_with(model, &cache).is_ok())
        .map(|model| model.split('@').next().unwrap_or_default())
        .collect();
    let data: Vec<&str> = (TaskId::glue().into_iter())
        .filter(|task: &TaskId| data_folder(*task, None, &cache).is_ok())
        .map(|task| task.spec().name)
        .collect();
    let listed =
        |names: &[&str]| if names.is_empty() { "none in the cache".to_owned() } else { names.join(", ") };
    let given = |name: &str| variable(name).map(|value| format!("{name}={value}; "));
    let mut findings = vec![
        found("models", given("LOTTERY_MODEL").unwrap_or_default() + &listed(&cached)),
        found("data", given("LOTTERY_DATA").unwrap_or_default() + &listed(&data)),
    ];
    findings.push(match reach(&hub) {
        Ok(host) => found("hub", format!("{host} can be reached")),
        Err(why) => found("hub", format!("cannot be reached: {why}"))
            .or_else("run `lottery data fetch` on a machine that can, copy its cache and set HF_HOME to it"),
    });
    findings
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Vec<Finding> {
    vec![found("cuda", "not in this build").or_else("for a GPU: cargo build --release --features cuda")]
}

/// The devices, or why there is none, and the driver and cuBLAS that they need.
#[cfg(feature = "cuda")]
fn cuda() -> Vec<Finding> {
    use crate::ops::cuda::driver;
    let mut findings = vec![found("cuda", format!("kernels compiled by CUDA {}", driver::COMPILER))];
    match driver::devices() {
        Ok(devices) => {
            for (ordinal, device) in devices.iter().enumerate() {
                findings.push(found(format!("cuda:{ordinal}"), device.to_string()));
            }
            if let Err(why) = driver::check_kernels() {
                findings.push(found("driver", why.to_string()));
            }
            findings.push(found("cublas", driver::cublas().unwrap_or_else(|why| why)));
        }
        Err(why) => findings.push(found("devices", why.to_string())),
    }
    findings
}
