//! The demo server's tools.
//!
//! `dialogue` calls them and drops the call where it is cancelled. What is wrong with arguments is
//! told as a result with `isError`, which models read and mend.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::calendar;
use super::reply::{Fault, INVALID_PARAMS, notification};

/// Runs a tool; `emit` takes what is told before the result.
pub(super) async fn call(params: &Value, emit: &dyn Fn(Value)) -> Result<Value, Fault> {
    let arguments = &params["arguments"];
    let result = match params["name"].as_str() {
        Some("add") => add(arguments),
        Some("echo") => arguments["text"].as_str().map(text).ok_or("`text` must be a string"),
        Some("fail") => Err(arguments["message"].as_str().unwrap_or("this tool always fails")),
        Some("roll") => roll(arguments),
        Some("slow") => slow(arguments, &params["_meta"]["progressToken"], emit).await,
        Some("time") => Ok(text(&now())),
        _ => return Err(Fault::new(INVALID_PARAMS, "no such tool; tools/list names them")),
    };
    Ok(result.unwrap_or_else(|problem| json!({ "content": [{ "type": "text", "text": problem }], "isError": true })))
}

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": false })
}

fn add(arguments: &Value) -> Result<Value, &'static str> {
    let sum = match (&arguments["a"], &arguments["b"]) {
        // Whole numbers stay whole.
        (Value::Number(a), Value::Number(b)) => match a.as_i64().zip(b.as_i64()).and_then(|(a, b)| a.checked_add(b)) {
            Some(sum) => json!(sum),
            None => json!(a.as_f64().unwrap_or(f64::NAN) + b.as_f64().unwrap_or(f64::NAN)),
        },
        _ => return Err("`a` and `b` must be numbers"),
    };
    let mut result = text(&sum.to_string());
    result["structuredContent"] = json!({ "sum": sum });
    Ok(result)
}

fn roll(arguments: &Value) -> Result<Value, &'static str> {
    let sides = whole(&arguments["sides"], 6)
        .filter(|sides| (2..=1000).contains(sides))
        .ok_or("`sides` must be a whole number from 2 to 1000")?;
    let count = whole(&arguments["count"], 1)
        .filter(|count| (1..=100).contains(count))
        .ok_or("`count` must be a whole number from 1 to 100")?;
    let rolled: Vec<String> = (0..count).map(|_| (random() % sides + 1).to_string()).collect();
    Ok(text(&rolled.join(" ")))
}

async fn slow(arguments: &Value, token: &Value, emit: &dyn Fn(Value)) -> Result<Value, &'static str> {
    let seconds = match &arguments["seconds"] {
        Value::Null => Some(5.0),
        given => given.as_f64(),
    };
    let seconds =
        seconds.filter(|seconds| (0.0..=600.0).contains(seconds)).ok_or("`seconds` must be a number from 0 to 600")?;
    let steps = whole(&arguments["steps"], 5)
        .filter(|steps| (1..=1000).contains(steps))
        .ok_or("`steps` must be a whole number from 1 to 1000")?;
    let step = Duration::from_secs_f64(seconds).div_f64(f64::from(u32::try_from(steps).unwrap_or(u32::MAX)));
    for number in 1..=steps {
        tokio::time::sleep(step).await;
        if !token.is_null() {
            emit(notification(
                "notifications/progress",
                &json!({ "progressToken": token, "progress": number, "total": steps, "message": format!("step {number}") }),
            ));
        }
    }
    Ok(text(&format!("done: {steps} steps in {seconds} s")))
}

fn whole(value: &Value, otherwise: u64) -> Option<u64> {
    if value.is_null() { Some(otherwise) } else { value.as_u64() }
}

fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    calendar::utc(since.as_secs())
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has a random source");
    u64::from_ne_bytes(bytes)
}
