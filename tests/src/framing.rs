//! Adds a line to the head of each HTTP/1 request of a byte stream, and changes nothing else.
//!
//! The shim feeds it what its client sends. It follows Content-Length and chunked bodies, so that pipelined
//! requests and keep-alive work; it judges nothing, since refusing bad framing is what the gate is tested for.

/// Where in the stream of requests the next byte belongs.
#[derive(Debug)]
enum Place {
    /// In a head that has not ended; what was read of it is held back.
    Head(Vec<u8>),
    /// In a body of which this many bytes are left.
    Body(u64),
    /// In the line that tells a chunk's size.
    ChunkSize(Vec<u8>),
    /// In a chunk of which this many bytes are left, its line end included.
    Chunk(u64),
    /// In the lines after the last chunk.
    Trailer(Vec<u8>),
}

/// Follows one connection.
#[derive(Debug)]
pub struct Inserter {
    line: String,
    place: Place,
}

impl Inserter {
    /// `line` is a whole header line without its line end.
    #[must_use]
    pub fn new(line: &str) -> Self {
        Self { line: format!("{line}\r\n"), place: Place::Head(Vec::new()) }
    }

    /// Appends to `out` what of `input` may be passed on now.
    pub fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            input = match &mut self.place {
                Place::Head(read) => {
                    let rest = take_until(input, read, b"\r\n\r\n");
                    if read.ends_with(b"\r\n\r\n") {
                        let head = std::mem::take(read);
                        self.pass_head(&head, out);
                    }
                    rest
                }
                Place::Body(left) | Place::Chunk(left) => {
                    let now = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    out.extend_from_slice(&input[..now]);
                    *left -= now as u64;
                    self.after_data();
                    &input[now..]
                }
                Place::ChunkSize(read) => {
                    let rest = take_until(input, read, b"\n");
                    if read.ends_with(b"\n") {
                        out.extend_from_slice(read);
                        self.place = match chunk_size(read) {
                            0 => Place::Trailer(Vec::new()),
                            size => Place::Chunk(size + 2),
                        };
                    }
                    rest
                }
                Place::Trailer(read) => {
                    let rest = take_until(input, read, b"\n");
                    if read.ends_with(b"\n") {
                        out.extend_from_slice(read);
                        let last = read.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
                        self.place = if last { Place::Head(Vec::new()) } else { Place::Trailer(Vec::new()) };
                    }
                    rest
                }
            };
        }
    }

    fn after_data(&mut self) {
        match self.place {
            Place::Body(0) => self.place = Place::Head(Vec::new()),
            Place::Chunk(0) => self.place = Place::ChunkSize(Vec::new()),
            _ => {}
        }
    }

    fn pass_head(&mut self, head: &[u8], out: &mut Vec<u8>) {
        let request_line = head.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        out.extend_from_slice(&head[..request_line]);
        out.extend_from_slice(self.line.as_bytes());
        out.extend_from_slice(&head[request_line..]);
        self.place = if header(head, "transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            Place::ChunkSize(Vec::new())
        } else {
            match header(head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0) {
                0 => Place::Head(Vec::new()),
                length => Place::Body(length),
            }
        };
    }
}

/// Moves bytes from `input` to `held` until `held` ends with `end`; returns what is left of `input`.
fn take_until<'a>(input: &'a [u8], held: &mut Vec<u8>, end: &[u8]) -> &'a [u8] {
    for (at, &byte) in input.iter().enumerate() {
        held.push(byte);
        if held.ends_with(end) {
            return &input[at + 1..];
        }
    }
    &[]
}

fn header(head: &[u8], name: &str) -> Option<String> {
    String::from_utf8_lossy(head)
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_ascii_lowercase())
}

fn chunk_size(line: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(line);
    let digits = text.split(';').next().unwrap_or_default().trim();
    u64::from_str_radix(digits, 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Inserter;

    const SENT: &[u8] = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: x\r\n\r\n\
        POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4;ext=1\r\n\r\n\r\n\r\n0\r\nT: 1\r\n\r\nGET /d HTTP/1.1\r\n\r\n";
    const PASSED: &[u8] = b"POST /a HTTP/1.1\r\nK: v\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nK: v\r\n\
        Host: x\r\n\r\nPOST /c HTTP/1.1\r\nK: v\r\nTransfer-Encoding: chunked\r\n\r\n4;ext=1\r\n\r\n\r\n\r\n0\r\nT: 1\r\n\r\n\
        GET /d HTTP/1.1\r\nK: v\r\n\r\n";

    #[test]
    fn every_head_gets_the_line_however_the_bytes_arrive() {
        for step in 1..SENT.len() {
            let (mut inserter, mut out) = (Inserter::new("K: v"), Vec::new());
            for piece in SENT.chunks(step) {
                inserter.feed(piece, &mut out);
            }
            assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(PASSED), "in pieces of {step}");
        }
    }
}
