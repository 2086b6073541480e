//! A thousand broken configurations, offered to a daemon that goes on.

use toolgate_tests::site::Site;

const MUTATIONS: usize = 1000;
const SEED: u64 = 0x746f_6f6c_6761_7465;

/// xorshift64*: the same sequence on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d);
        usize::try_from(number % u64::try_from(bound.max(1)).expect("a bound")).expect("below a bound")
    }
}

/// One to three edits of a kind that hands and tools make.
fn mutated(text: &[u8], random: &mut Random) -> Vec<u8> {
    const INSERTED: &[&[u8]] =
        &[b"\"", b"[", b"]", b"{", b"=", b"\n", b"\0", b"\xff", b"'''", b"#", b"-1", b"[x]\n", b"version = 2\n"];
    let mut text = text.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(text.len());
        match random.below(5) {
            0 => text.truncate(at),
            1 => drop(text.drain(at..(at + 1 + random.below(20)).min(text.len()))),
            2 => drop(text.splice(at..at, INSERTED[random.below(INSERTED.len())].iter().copied())),
            3 if at < text.len() => text[at] = u8::try_from(random.below(256)).expect("a byte"),
            _ => {
                let piece = text[at..(at + random.below(60)).min(text.len())].to_vec();
                drop(text.splice(at..at, piece));
            }
        }
    }
    text
}

#[tokio::test]
async fn a_thousand_mutated_configurations_end_nothing() {
    let mut site = Site::new();
    let more = "[server.web]\nendpoints = [\"http://127.0.0.1:1/mcp\"]\ntimeout = { connect = \"2s\" }\n\n\
                [tier.free]\nlimits = [{ per = \"client\", rate = \"100/min\", burst = 20 }]\n\n\
                [key.anna]\nhash = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"\ntier = \"free\"\n";
    site.write("conf.d/more.toml", more);
    site.start().await;
    let mut random = Random(SEED);
    let (mut refused, mut taken) = (0, 0);
    for round in 0..MUTATIONS {
        let before = site.control("GET", "/v1/version").await.1["revision"].clone();
        let bytes = mutated(more.as_bytes(), &mut random);
        std::fs::write(site.path("conf.d/more.toml"), &bytes).expect("a file");
        let (status, answer) = site.control("POST", "/v1/config/reload").await;
        assert!(site.runs(), "round {round} ended the daemon:\n{}\n{}", String::from_utf8_lossy(&bytes), site.log());
        let after = site.control("GET", "/v1/version").await.1["revision"].clone();
        match status {
            200 => taken += 1,
            422 => {
                refused += 1;
                assert_eq!(after, before, "round {round}");
                let ending = format!("revision {before} is still serving.");
                assert!(answer["remedy"].as_str().is_some_and(|remedy| remedy.ends_with(&ending)), "{answer}");
                let told = answer["problems"].as_array().is_some_and(|problems| !problems.is_empty());
                assert!(told, "round {round}: {answer}");
            }
            _ => panic!("round {round}: {status} {answer}"),
        }
    }
    println!("{MUTATIONS} mutated configurations: {refused} refused, {taken} taken, no exit");
    assert!(refused > MUTATIONS / 2 && taken > 0, "{refused} refused, {taken} taken");
    assert_eq!(site.page("/ready").await.0, 200, "it still serves");
    site.write("conf.d/more.toml", more);
    assert_eq!(site.control("POST", "/v1/config/reload").await.0, 200);
}
