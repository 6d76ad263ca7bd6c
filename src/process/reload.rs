//! Taking over a changed configuration file while the role works: all of it, or nothing.

use std::sync::{Arc, Mutex, PoisonError};

use kingcdn_config::Config;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use serde_json::{Value, json};
use tracing::{error, info, warn};

use super::Process;
use crate::failure::Failure;

/// What became of the configurations that were read while the process ran.
pub(super) struct Reloads {
    accepted: IntCounter,
    refused: IntCounter,
    /// Whether the last one was: what an alert asks for, since counters don't tell which came later.
    refused_last: IntGauge,
    /// Why the last one was refused, until one is accepted.
    refusal: Mutex<Option<String>>,
}

impl Reloads {
    pub(super) fn register(registry: &Registry) -> anyhow::Result<Self> {
        let results = IntCounterVec::new(
            Opts::new(
                "kingcdn_config_reloads_total",
                "Configurations read on SIGHUP, by result: accepted, or refused and the old one kept.",
            ),
            &["result"],
        )?;
        registry.register(Box::new(results.clone()))?;
        let refused_last = IntGauge::new(
            "kingcdn_config_refused",
            "Whether the last configuration read was refused, so that an older one is in force.",
        )?;
        registry.register(Box::new(refused_last.clone()))?;
        Ok(Self {
            accepted: results.with_label_values(&["accepted"]),
            refused: results.with_label_values(&["refused"]),
            refused_last,
            refusal: Mutex::new(None),
        })
    }

    pub(super) fn status(&self) -> Value {
        json!({
            "reloads_accepted": self.accepted.get(),
            "reloads_refused": self.refused.get(),
            "refusal": *self.refusal.lock().unwrap_or_else(PoisonError::into_inner),
        })
    }

    fn note(&self, refusal: Option<String>) {
        match refusal {
            None => self.accepted.inc(),
            Some(_) => self.refused.inc(),
        }
        self.refused_last.set(refusal.is_some().into());
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
    }
}

/// Reads the file again and takes it over; a wrong one leaves everything as it was.
pub(super) async fn reload(process: &Arc<Process>) {
    let taking_over = {
        let process = Arc::clone(process);
        tokio::task::spawn_blocking(move || take_over(&process))
    };
    let taken_over =
        taking_over.await.unwrap_or_else(|panic| Err(anyhow::Error::from(panic).into()));
    match taken_over {
        Ok(config) => {
            for difference in process.node.fixed_differences(&process.config, &config) {
                warn!("{difference}");
            }
            info!("the configuration is taken over");
            process.reloads.note(None);
        }
        Err(failure) => {
            error!("the configuration is refused, the old one stays\n{failure}");
            process.reloads.note(Some(failure.to_string()));
        }
    }
}

fn take_over(process: &Process) -> Result<Config, Failure> {
    let config = process.node.read_again()?;
    process.running.reload(&config)?;
    Ok(config)
}
