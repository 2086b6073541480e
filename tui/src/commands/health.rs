//! `toolgate health`: checks, the process, alerts, and advice on size.

use toolgate_admin_api::{Advice, Check, Exit, Health, Process, Shown};

use super::{Context, alerts};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Prints it once; 3 where it is not healthy.
pub(super) async fn run(context: &Context) -> Result<Exit, Failure> {
    let answer = AdminClient::view(&context.runtime_dir).await?.get("/v1/health").await?;
    let health: Health = answer.read()?;
    if context.json {
        output::raw(answer.json());
        output::raw(b"\n");
    } else {
        output::raw(text(&health).as_bytes());
    }
    Ok(if health.status == "healthy" { Exit::Done } else { Exit::Degraded })
}

fn text(health: &Health) -> String {
    let mut text = format!("{}  {}\n\n", Shown(&health.status), process(&health.process));
    text.push_str(&output::table(&checks(&health.checks)));
    let fires: Vec<_> = health.alerts.iter().filter(|alert| alert.recovered_ms.is_none()).cloned().collect();
    if !fires.is_empty() {
        text.push('\n');
        text.push_str(&output::table(&alerts::rows(&fires)));
    }
    if let Some(advice) = &health.advice {
        text.extend(["\n", &self::advice(advice), "\n"]);
    }
    text
}

fn process(process: &Process) -> String {
    format!(
        "CPU {:.0} % of {:.1}  memory {} of {} MiB  descriptors {} of {}  load {:.2}  lag {:.1} ms  disk {:.0} %",
        process.cpu * 100.0,
        process.cpus,
        process.memory >> 20,
        process.memory_limit >> 20,
        process.descriptors,
        process.descriptors_limit,
        process.load,
        process.lag_ms,
        process.disk * 100.0,
    )
}

fn checks(checks: &[Check]) -> Vec<Vec<String>> {
    let head = ["CHECK", "STATUS", "AGE", "FOUND"].map(String::from).to_vec();
    let rows = checks.iter().map(|check| {
        let critical = if check.critical { "*" } else { "" };
        vec![
            format!("{}{critical}", Shown(&check.name)),
            Shown(&check.status).to_string(),
            format!("{:.1}s", std::time::Duration::from_millis(check.age_ms).as_secs_f64()),
            Shown(&check.message).to_string(),
        ]
    });
    std::iter::once(head).chain(rows).collect()
}

fn advice(advice: &Advice) -> String {
    let reason = Shown(&advice.reason);
    match advice.action.as_str() {
        "stay" => format!("{} replicas are right: {reason}", advice.current),
        action => format!("Scale {} from {} to {} replicas: {reason}", Shown(action), advice.current, advice.replicas),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_a_page() {
        let health = Health {
            status: "warning".into(),
            checks: vec![Check {
                name: "disk".into(),
                status: "warning".into(),
                message: "The file system of /var/lib/toolgate is 93 % full.".into(),
                critical: true,
                ..Check::default()
            }],
            alerts: Vec::new(),
            advice: Some(Advice { action: "up".into(), replicas: 3, current: 2, reason: "CPU is at 90 %.".into() }),
            process: Process { cpu: 0.9, cpus: 2.0, memory: 64 << 20, memory_limit: 512 << 20, ..Process::default() },
        };
        let text = text(&health);
        assert!(text.starts_with("warning  CPU 90 % of 2.0  memory 64 of 512 MiB"), "{text}");
        assert!(
            text.contains("\ndisk*  warning  0.0s  The file system of /var/lib/toolgate is 93 % full.\n"),
            "{text}"
        );
        assert!(text.ends_with("\nScale up from 2 to 3 replicas: CPU is at 90 %.\n"), "{text}");
    }
}
