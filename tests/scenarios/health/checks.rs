//! The operator's own checks, and what readiness requires of them.

use serde_json::json;
use tokio::net::TcpListener;
use toolgate_tests::gate::Setup;

use crate::stage::Stage;

#[tokio::test]
async fn a_port_a_url_and_a_file_are_looked_after() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let folder = tempfile::tempdir().expect("a folder");
    let beat = folder.path().join("beat");
    std::fs::write(&beat, "").expect("a file");
    let checks = format!(
        "[check.db]\ntcp = \"127.0.0.1:{port}\"\ninterval = \"100ms\"\ncritical = true\n\
         [check.beat]\nfile = \"{}\"\nmax_age = \"1h\"\ninterval = \"100ms\"\n\
         [check.away]\nurl = \"http://127.0.0.1:1/up?token=secret\"\ninterval = \"100ms\"\ntimeout = \"500ms\"\n",
        beat.display()
    );
    let mut stage = Stage::start(Setup::default().table(&checks)).await;
    stage.until("db", "healthy").await;
    stage.until("beat", "healthy").await;
    let health = stage.until("away", "warning").await;
    assert!(!health.to_string().contains("secret"), "{health}");
    assert_eq!((&health["status"], stage.public("/ready").await.0), (&json!("warning"), 200));
    stage.alert("check:away").await;

    drop(listener);
    let health = stage.until("db", "unhealthy").await;
    assert_eq!(health["status"], "unhealthy");
    let (status, ready) = stage.public("/ready").await;
    assert_eq!((status, &ready["reason"]), (503, &json!("critical check db fails")));
    std::fs::remove_file(&beat).expect("removed");
    stage.until("beat", "warning").await;

    // What a reload takes away is not looked after any more, and what it leaves goes on.
    stage.gate.change(|setup| setup.without_table("[check.db]"));
    stage.gate.reload().await;
    assert_eq!(stage.health().await["checks"].get("db"), None);
    assert_eq!(stage.public("/ready").await.0, 200);
}
