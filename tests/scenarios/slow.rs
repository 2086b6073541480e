//! Two hundred slow clients: each is closed by its deadline, and a well-behaved one hardly notices.

use std::time::{Duration, Instant};

use toolgate_tests::h2::{Client, frame, kind};
use toolgate_tests::slow::{Plan, gate, run};

const DEADLINE: Duration = Duration::from_secs(4);

#[tokio::test]
async fn slow_clients_are_closed_in_time_and_bother_nobody() {
    let gate = gate(DEADLINE).await;
    let plan = Plan { clients: 200, deadline: DEADLINE, alone: Duration::from_secs(2) };
    let outcome = run(&gate, plan).await;
    let (least, most) = outcome.span(DEADLINE);
    println!(
        "{} closed after {:.1} % to {:.1} % of the deadline; p99 {} us alone, {} us among them",
        outcome.waited.len(),
        least * 100.0,
        most * 100.0,
        outcome.alone.p99_us,
        outcome.among.p99_us,
    );
    assert_eq!((outcome.waited.len(), outcome.refused), (200, 0), "{}", gate.log());
    assert!(outcome.waited.iter().all(|waited| waited.status == Some(408)), "{:?}", outcome.waited);
    assert!(least >= 0.9 && most <= 1.1, "{least} {most}");
    assert_eq!(outcome.among.failed, 0, "{:?}", outcome.among.reasons);
    // Twice, and what a shared machine adds by itself: their handshakes take their turn on the same cores.
    let bar = 2 * outcome.alone.p99_us + 50_000;
    assert!(outcome.among.p99_us <= bar, "p99 {} us, alone {} us", outcome.among.p99_us, outcome.alone.p99_us);
}

/// Half a header block, and nothing more.
#[tokio::test]
async fn a_slow_head_over_http2_is_told_in_time_and_closed() {
    let gate = gate(DEADLINE).await;
    let mut client = Client::connect(&gate.h2_target()).await.expect("a connection");
    client.send(&frame(kind::HEADERS, 0, 1, &[0x83])).await.expect("sent");
    let since = Instant::now();
    let mut told = None;
    while let Some(frame) = client.next().await {
        if frame.kind == kind::GOAWAY {
            told = told.or(Some(since.elapsed()));
        }
    }
    let (told, closed) = (told.expect("GOAWAY"), since.elapsed());
    println!("told after {told:?} and closed after {closed:?} of {DEADLINE:?}");
    assert!(told >= DEADLINE * 9 / 10 && told <= DEADLINE * 11 / 10, "{told:?}");
    assert!(closed <= DEADLINE + Duration::from_secs(3), "{closed:?}");
}
